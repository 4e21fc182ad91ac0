"""Image sets that are refused, and what a person should know about the others."""

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

from synthgen.datasets import ImageSet, class_counts
from synthgen.errors import DataError, name_list
from synthgen.findings import Problem
from synthgen.sources.table_problems import tiny_classes

MIN_SIDE, MAX_SIDE = 8, 128
MIN_IMAGES = 10


class SizeError(DataError):
    """The images are not of one usable size; `size` and `fit` bring them to one."""

    def __init__(self, message: str, *, where: str, size: int, fit: Literal["resize", "pad"]) -> None:
        hint = f"for example, set source.size: {size} and source.fit: {fit}; resize, crop or pad are allowed"
        super().__init__(message, where=where, hint=hint)
        self.size, self.fit = size, fit


class IntensityError(DataError):
    """Numbers that no image of 8 or 16 bits holds; `source.intensity: stretch` brings each file to 16 bits."""

    def __init__(self, message: str) -> None:
        hint = "set source.intensity: stretch to bring each file to 16 bits"
        super().__init__(message, where="source.intensity", hint=hint)


def suggested_size(shapes: Sequence[Sequence[int]]) -> int:
    """A side that most of the images [h, w], [1, h, w] or volumes [d, h, w] reach."""
    side = float(np.median([min(shape[1:] if shape[0] == 1 else shape) for shape in shapes]))
    return next((size for size in (128, 96, 64, 32, 16) if size <= side), MIN_SIDE)


def check_images(data: ImageSet, name: str) -> None:
    """Raise DataError for too few images or classes, unusable sizes, and one image under two labels."""
    sides = data.images.shape[2:]
    if min(sides) < MIN_SIDE or max(sides) > MAX_SIDE:
        across = " x ".join(str(side) for side in reversed(sides))
        message = f"the images of {name!r} are {across} pixels; {MIN_SIDE} to {MAX_SIDE} a side are allowed"
        # Nobody knows yet whether more is worth its time.
        size = min(suggested_size([sides]), 64)
        # Padded scans keep their spacing.
        raise SizeError(message, where="source.size", size=size, fit="resize" if data.scan is None else "pad")
    if len(data) < MIN_IMAGES:
        raise DataError(f"{name!r} has {len(data)} images, at least {MIN_IMAGES} are needed", where=name)
    empty = [label for label, count in class_counts(data).items() if count == 0]
    if empty:
        raise DataError(f"class {name_list(empty)} of {name!r} has no image", where=name)
    if len(data.classes) < 2:
        raise DataError(f"{name!r} has one class only, at least two are needed", where=name)
    if any(".." in re.split(r"[/\\]", label) for label in data.classes):
        # An emitted dataset has a folder for each class.
        raise DataError(f"a class of {name!r} is named like a path that leads out of its folder ('..')", where=name)
    _check_one_label(data, name)


def _check_one_label(data: ImageSet, name: str) -> None:
    labelled = np.unique(np.stack([data.row_keys(), data.codes.astype(np.uint64)]), axis=1)
    different, uses = np.unique(labelled[0], return_counts=True)
    twice = int(np.sum(uses > 1))
    if twice:
        message = f"{twice:,} of {len(different):,} different images of {name!r} stand under more than one label"
        raise DataError(message, where=name, hint="decide for one label, or remove these images")


def image_problems(data: ImageSet, *, fitted_sizes: int = 1) -> Sequence[Problem]:
    """Exact duplicates, tiny classes and mixed sizes. `fitted_sizes`: how many sizes the files had."""
    problems = []
    repeated = len(data) - len(np.unique(data.row_keys()))
    if repeated:
        message = f"{repeated:,} of {len(data):,} images repeat another one in every pixel"
        problems.append(Problem("duplicate_images", message, hint="equal images stay in one part of the split"))
    if fitted_sizes > 1:
        message = f"the files have {fitted_sizes:,} different sizes; they were brought to one"
        problems.append(Problem("mixed_sizes", message, hint="see source.fit and source.size"))
    return [*problems, *tiny_classes(class_counts(data))]
