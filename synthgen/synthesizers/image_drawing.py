"""Images of asked classes from a network that makes them of normal numbers."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from synthgen.datasets import ImageSet, Index, Labels
from synthgen.errors import ModelError, unknown_name
from synthgen.gan.spec import NetworkSpec
from synthgen.synthesizers.device import best_device
from synthgen.synthesizers.image_files import Facts

_AT_ONCE = 256


class Decoder(Protocol):
    """Images [n, c, *size] in [-1, 1] of `latent` normal numbers each."""

    latent: int
    spec: NetworkSpec

    def __call__(self, latent: Tensor, codes: Tensor) -> Tensor:
        """latent: float [n, `latent`]; codes: int64 [n]."""
        ...


def asked_codes(n: int, labels: Labels | None, facts: Facts, rng: np.random.Generator) -> Index:
    """The class of each image; without labels, as frequent as in train. Raises ModelError for an unknown class."""
    if labels is None:
        counts = np.asarray(facts.counts, dtype=np.float64)
        return rng.choice(len(counts), n, p=counts / counts.sum()).astype(np.int64)
    for name in np.unique(labels).tolist():
        if name not in facts.learned:
            raise ModelError(unknown_name("class", name, facts.learned))
    return np.asarray([facts.learned[name] for name in labels.tolist()], dtype=np.int64)


@torch.no_grad()
def drawn(decoder: Decoder, codes: Index, facts: Facts, rng: np.random.Generator) -> ImageSet:
    """An image of each class, with the range and type of train."""
    device, spec = best_device(), decoder.spec
    # Drawn on the CPU: the same latents whatever the device.
    source = torch.Generator().manual_seed(int(rng.integers(2**63)))
    images = np.empty((len(codes), spec.channels, *spec.size), dtype=facts.dtype)
    low, high = facts.pixel_range
    for start in range(0, len(codes), _AT_ONCE):
        batch = torch.from_numpy(codes[start : start + _AT_ONCE])
        latent = torch.randn(len(batch), decoder.latent, generator=source)
        values = decoder(latent.to(device), batch.to(device)).double().cpu().numpy()
        images[start : start + _AT_ONCE] = np.rint((values + 1) / 2 * (high - low) + low)
    return ImageSet(images, codes, facts.classes, mirror_keeps_label=facts.mirror_keeps_label, scan=facts.scan)
