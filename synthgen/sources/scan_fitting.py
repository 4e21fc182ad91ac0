"""A slice or volume brought to `source.size`, and its voxel grid with it."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from scipy import ndimage

from synthgen.config import ImageSource
from synthgen.scans import Stored
from synthgen.sources.scan_files import Matrix, Shape


def fitted(image: Stored, affine: Matrix | None, source: ImageSource) -> tuple[Stored, Matrix | None]:
    """The image [d, h, w] with every side `source.size` (a slice keeps its depth of 1), and its new affine.

    Stretched; or scaled as a whole, and then cut from the centre or padded with the image's lowest number.
    """
    size = source.size
    if source.fit == "error" or size is None:
        return image, affine
    sides = np.array(image.shape[1:] if image.shape[0] == 1 else image.shape)
    match source.fit:
        case "resize":
            targets = np.full(len(sides), size)
        case "crop":
            targets = np.rint(sides * size / sides.min()).astype(np.int64)
        case "pad":
            targets = np.maximum(np.rint(sides * size / sides.max()).astype(np.int64), 1)
    # The depth of a slice, if need be.
    ones = np.ones(3 - len(sides), dtype=np.int64)
    targets, ends = np.concatenate([ones, targets]), np.concatenate([ones, np.full(len(sides), size)])
    starts = (targets - ends) // 2
    moved = _cut_or_padded(_resampled(image, targets), starts, ends)
    return moved, None if affine is None else _moved_affine(affine, np.array(image.shape) / targets, starts)


def _resampled(image: Stored, targets: np.ndarray) -> Stored:
    if tuple(targets) == image.shape:
        return image
    shrinkage = np.array(image.shape) / targets
    # Blurred as far as it shrinks, against moiré; linear, which invents no number beyond those of the file.
    smooth = ndimage.gaussian_filter(image.astype(np.float32), np.maximum(shrinkage - 1, 0) / 2, mode="nearest")
    values = ndimage.zoom(smooth, 1 / shrinkage, order=1, mode="nearest", grid_mode=True, prefilter=False)
    return cast(Stored, np.rint(values).astype(image.dtype))


def _cut_or_padded(image: Stored, starts: np.ndarray, ends: np.ndarray) -> Stored:
    padding = [(max(-start, 0), max(end + start - side, 0)) for start, end, side in
               zip(starts.tolist(), ends.tolist(), image.shape, strict=True)]  # fmt: skip
    window = tuple(slice(max(start, 0), max(start, 0) + end) for start, end in
                   zip(starts.tolist(), ends.tolist(), strict=True))  # fmt: skip
    return cast(Stored, np.pad(image, padding, constant_values=image.min())[window])


def _moved_affine(affine: Matrix, shrinkage: np.ndarray, starts: np.ndarray) -> Matrix:
    # The centre of the new voxel i lies at (i + start + 0.5) * shrinkage - 0.5 in old voxels.
    step = np.diag([*shrinkage, 1.0])
    step[:3, 3] = (starts + 0.5) * shrinkage - 0.5
    return affine @ step


def suggested_size(shapes: Sequence[Shape]) -> int:
    """A side that most of the images reach."""
    side = float(np.median([min(shape[1:] if shape[0] == 1 else shape) for shape in shapes]))
    return next((size for size in (128, 96, 64, 32, 16) if size <= side), 8)
