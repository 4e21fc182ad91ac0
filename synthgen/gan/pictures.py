"""The same latents at every tick: how the images of each class came to be, as small PNG files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor
from torch.nn import functional

from synthgen.gan.autoencoder import MapGenerator
from synthgen.gan.networks import Generator
from synthgen.provenance import synthetic_text

_CLASSES, _PER_CLASS = 10, 6
_LARGEST_PX = 32
_DIGITS = 10  # of the number of images in a file name, so that names sort as numbers do


@dataclass(frozen=True)
class Album:
    """Draws a grid, one row for each class.

    Attributes:
        latent: float [n, z], the same for all classes, so that columns show what the class does.
        codes: as `Batches` has them.
    """

    directory: Path
    latent: Tensor
    codes: Tensor

    @classmethod
    def of(cls, directory: Path, generator: Generator, codes: Sequence[Sequence[int]] | Sequence[int]) -> Self:
        """An album in this folder, of the first ten of these classes, or of classes with levels of attributes."""
        some = list(codes)[:_CLASSES]
        latent = torch.randn(_PER_CLASS, generator.latent, generator=torch.Generator().manual_seed(0))
        return cls(directory, latent.repeat(len(some), 1), torch.tensor(some).repeat_interleave(_PER_CLASS, 0))

    @torch.no_grad()
    def keep(self, average: Generator | MapGenerator, images: int) -> None:
        """Write the grid after so many training images, a PNG that says that it is synthetic.

        Args:
            average: in evaluation mode.
        """
        device = next(average.parameters()).device
        pixels = _shown(average(self.latent.to(device), self.codes.to(device)).float().cpu())
        self.directory.mkdir(parents=True, exist_ok=True)
        temporary = self.directory / ".grid.png"
        _grid(pixels).save(temporary, optimize=True, pnginfo=_text())
        temporary.replace(self.directory / f"{images:0{_DIGITS}d}.png")


def _text() -> PngInfo:
    text = PngInfo()
    for keyword, words in synthetic_text().items():
        text.add_text(keyword, words)
    return text


def _shown(images: Tensor) -> Tensor:
    """uint8 [n, c, h, w], the longer edge at most 32 px; the middle slice of volumes."""
    if images.dim() == 5:
        images = images[:, :, images.shape[2] // 2]
    scale = min(1.0, _LARGEST_PX / max(images.shape[2:]))
    if scale < 1:
        height, width = (max(1, round(length * scale)) for length in images.shape[2:])
        images = functional.adaptive_avg_pool2d(images, (height, width))
    return ((images + 1) * 127.5).round().to(torch.uint8)


def _grid(pixels: Tensor) -> Image.Image:
    rows = torch.unflatten(pixels, 0, (-1, _PER_CLASS))  # [classes, 6, c, h, w]
    array = rows.permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2).numpy()  # [classes * h, 6 * w, c]
    return Image.fromarray(np.ascontiguousarray(array[..., 0] if array.shape[2] == 1 else array))
