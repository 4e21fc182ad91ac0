"""Slices or volumes of any size brought to one, and their voxel grids with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from synthgen.config import ImageSource
from synthgen.scans import Stored
from synthgen.sources.scan_files import Grid, Matrix, Shape, Three

# Positions and steps are written with some five digits.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Fitting:
    """How one image gets its size.

    Attributes:
        shrinkage: old voxels for each new one, by axis.
        sides: of the new image.
    """

    grid: Grid
    shrinkage: Three
    sides: Shape

    @property
    def scaled(self) -> npt.NDArray[np.int64]:
        """Sides before the image is cut or padded."""
        return np.maximum(np.rint(np.array(self.grid.shape) / self.shrinkage).astype(np.int64), 1)

    @property
    def start(self) -> npt.NDArray[np.int64]:
        """Where the new image begins in the scaled one, whose centre it keeps; below 0 where it is padded."""
        return (self.scaled - self.sides) // 2

    @property
    def affine(self) -> Matrix | None:
        """Of the new image."""
        if self.grid.affine is None:
            return None
        # The centre of the new voxel i lies at (i + start + 0.5) * shrinkage - 0.5 in old voxels.
        step = np.diag([*self.shrinkage, 1.0])
        step[:3, 3] = (self.start + 0.5) * self.shrinkage - 0.5
        return self.grid.affine @ step

    @property
    def spacing(self) -> Three | None:
        """Of the new image, in mm."""
        return None if self.grid.spacing is None else self.grid.spacing * self.shrinkage


def fittings(grids: Sequence[Grid], source: ImageSource) -> list[Fitting]:
    """What `source.size` and `source.fit` ask of each image [d, h, w] of a set; the depth of a slice stays 1.

    Crop and pad scale all images by one factor where all have one spacing (each by its own elsewhere), and none where
    no size is asked for: then the smallest or largest side along each axis is that of the set.
    """
    shapes = np.array([grid.shape for grid in grids])
    if source.fit == "error":
        return [Fitting(grid, np.ones(3), grid.shape) for grid in grids]
    sides = _sides(shapes, source)
    shrinkages = _shrinkages(grids, sides, source)
    return [Fitting(grid, shrinkage, sides) for grid, shrinkage in zip(grids, shrinkages, strict=True)]


def _sides(shapes: npt.NDArray[np.int64], source: ImageSource) -> Shape:
    if source.size is not None:
        return 1 if shapes.max(axis=0)[0] == 1 else source.size, source.size, source.size
    first, second, third = (shapes.min(axis=0) if source.fit == "crop" else shapes.max(axis=0)).tolist()
    return first, second, third


def _shrinkages(grids: Sequence[Grid], sides: Shape, source: ImageSource) -> Iterator[Three]:
    ratios = np.array([grid.shape for grid in grids]) / sides  # [n, 3]
    if source.fit == "resize":
        yield from ratios
        return
    moving = [axis for axis in range(3) if axis or sides[0] > 1]
    # Padded images fit in with their longest side, cropped ones cover with their shortest.
    each = ratios[:, moving].max(axis=1) if source.fit == "pad" else ratios[:, moving].min(axis=1)
    if source.size is None:
        each = np.ones(len(grids))
    elif has_one_spacing(grids):
        each = np.full(len(grids), each.max() if source.fit == "pad" else each.min())
    for shrinkage in each:
        yield np.array([shrinkage if axis in moving else 1.0 for axis in range(3)])


def fitted(image: Stored, fitting: Fitting) -> Stored:
    """The image scaled as a whole, and then cut from the centre or padded with its lowest number."""
    low = np.maximum(fitting.start, 0)
    sides = np.minimum(fitting.scaled, fitting.sides)
    part = _scaled(image, fitting.shrinkage, low, sides)
    before = np.maximum(-fitting.start, 0)
    padding = np.stack([before, fitting.sides - sides - before], axis=1)
    return cast(Stored, np.pad(part, padding, constant_values=part.min()))


def _scaled(image: Stored, shrinkage: Three, low: npt.NDArray[np.int64], sides: npt.NDArray[np.int64]) -> Stored:
    """The part of the scaled image that begins at `low`."""
    if (shrinkage == 1).all():
        return image[tuple(slice(start, start + side) for start, side in zip(low, sides, strict=True))]
    # Blurred as far as it shrinks, against moiré; linear, which invents no number beyond those of the file.
    smooth = ndimage.gaussian_filter(image.astype(np.float32), np.maximum(shrinkage - 1, 0) / 2, mode="nearest")
    offset = (low + 0.5) * shrinkage - 0.5
    values = ndimage.affine_transform(smooth, shrinkage, offset, tuple(sides), order=1, mode="nearest", prefilter=False)
    return cast(Stored, np.rint(values).astype(image.dtype))


def has_one_spacing(grids: Sequence[Grid]) -> bool:
    """Whether all grids state the spacing of their voxels, and the same; of slices their thickness may differ."""
    spacings = np.array([np.full(3, np.nan) if grid.spacing is None else grid.spacing for grid in grids])
    if all(grid.shape[0] == 1 for grid in grids):
        spacings = spacings[:, 1:]
    return bool((np.abs(spacings - spacings[0]) <= TOLERANCE * spacings[0].max()).all())
