"""The training rows as the GAN sees them: compact codes on the device, sorted by class, and their moments."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from synthgen.datasets import Index
from synthgen.device import best_device
from synthgen.synthesizers.ctgan.groups import Groups
from synthgen.synthesizers.ctgan.package import PAC

# Classes are drawn by the square root of their frequency: a rare one is then learned better than it is seen.
_CLASS_TEMPER = 0.5
# Moments are matched in each class, unless that were too many numbers: then over all classes.
_MAX_STRATA, _MAX_MOMENTS = 20, 20_000_000
# Keeps the weight of a rare pair finite: below this share its squared error no longer counts relative to itself.
_RARE_SHARE = 1e-3


@dataclass(frozen=True)
class Material:
    """Everything constant during training.

    Attributes:
        groups: the columns other than the label.
        codes: uint8 or int16 [n, columns], sorted by class.
        class_start, class_rows: int64 [k], where the rows of a class lie in `codes`.
        batch_classes: int64 [b], class of each row of a batch, sorted; the same in every batch.
        strata: rows of each stratum of a batch.
        target, weight: float32 [s, d + k, d + k], moments to match and how much each counts.
    """

    groups: Groups
    codes: Tensor
    class_start: Tensor
    class_rows: Tensor
    batch_classes: Tensor
    strata: list[int]
    target: Tensor
    weight: Tensor

    @classmethod
    def of(cls, codes: Index, classes: Index, sizes: tuple[int, ...], *, batch_size: int) -> "Material":
        """The material of codes int64 [n, columns] without the label, and their classes int64 [n]."""
        device = best_device()
        groups = Groups.of(sizes, device)
        order = np.argsort(classes, kind="stable")
        dtype = torch.uint8 if max(sizes) <= 256 else torch.int16
        rows = torch.from_numpy(codes[order]).to(dtype).to(device)
        counts = np.bincount(classes)
        of_class = (
            class_moments(groups, part, k, len(counts)) for k, part in enumerate(torch.split(rows, counts.tolist()))
        )
        if is_stratified(groups.width, len(counts)):
            target = torch.stack(list(of_class))
        else:
            batch = _batch_counts(counts, batch_size)
            share = (batch / batch.sum()).tolist()
            target = sum((m * s for m, s in zip(of_class, share, strict=True)), torch.zeros(()))[None]
        return cls.of_moments(groups, rows, counts, target, batch_size=batch_size)

    @classmethod
    def of_moments(
        cls, groups: Groups, rows: Tensor, counts: Index, target: Tensor, *, batch_size: int, noise: float = 0.0
    ) -> "Material":
        """The material of codes [n, columns] sorted by class, counts[k] of each, and moments to match.

        Args:
            target: [s, d + k, d + k], of each class, or of all in the mix of a batch.
            noise: standard deviation of noise in what was counted: shares below its variance over the rows are rare.
        """
        batch = _batch_counts(counts, batch_size)
        share = batch / batch.sum()
        has_strata = len(target) == len(counts)
        rare = _column(np.maximum(_RARE_SHARE, noise**2 / np.maximum(counts, 1)), target.device)
        weight = _off_block(groups, len(counts)) / (target + (rare if has_strata else rare.min()))
        # Strata count by their share, so that the sum is that of the whole batch.
        if has_strata:
            weight = weight * _column(share, target.device)
        strata = batch.tolist() if has_strata else [int(batch.sum())]
        class_rows = torch.from_numpy(counts).to(target.device)
        batch_classes = torch.from_numpy(np.repeat(np.arange(len(counts)), batch)).to(target.device)
        return cls(groups, rows, class_rows.cumsum(0) - class_rows, class_rows, batch_classes, strata, target, weight)

    @property
    def class_count(self) -> int:
        return len(self.class_rows)

    @property
    def batch_size(self) -> int:
        return len(self.batch_classes)

    @property
    def device(self) -> torch.device:
        return self.codes.device

    @property
    def conditions(self) -> Tensor:
        """float32 [b, k], the classes of a batch one-hot."""
        return functional.one_hot(self.batch_classes, self.class_count).float()

    def real_codes(self, rng: torch.Generator) -> Tensor:
        """[b, columns]: codes of a random training row of the class of each row of a batch."""
        uniform = torch.rand(self.batch_size, generator=rng, device=self.device, dtype=torch.float64)
        offset = (uniform * self.class_rows[self.batch_classes]).long()
        return self.codes[self.class_start[self.batch_classes] + offset]


def _batch_counts(counts: Index, batch_size: int) -> Index:
    """Rows of each class in a batch: at least one, in all a multiple of PAC."""
    tempered = counts**_CLASS_TEMPER / (counts**_CLASS_TEMPER).sum()
    rows = np.maximum(np.rint(tempered * batch_size), counts > 0).astype(np.int64)
    rows[np.argmax(rows)] += -rows.sum() % PAC
    return np.asarray(rows, dtype=np.int64)


def is_stratified(width: int, class_count: int) -> bool:
    """Whether moments are matched in each class; `width` levels of all columns together."""
    return class_count <= _MAX_STRATA and class_count * (width + class_count) ** 2 <= _MAX_MOMENTS


def class_moments(groups: Groups, rows: Tensor, k: int, class_count: int) -> Tensor:
    """float32 [d + k, d + k]: how often two levels, or level and class, come together in rows of the `k`-th class."""
    width = groups.width + class_count
    counts = torch.zeros(width * width, dtype=torch.int64, device=rows.device)
    # Pairs of levels are counted, 25 times as fast as the product of one-hot rows of 1,400 levels; in slices, since
    # every row is as many numbers as it has columns.
    for piece in torch.split(rows, 65_536):
        levels = functional.pad(piece.long() + groups.offsets, (0, 1), value=groups.width + k)
        for level in levels.T:
            pairs = (level[:, None] * width + levels).flatten()
            counts.scatter_add_(0, pairs, torch.ones_like(pairs))
    return (counts.double() / max(len(rows), 1)).float().reshape(width, width)


def _off_block(groups: Groups, class_count: int) -> Tensor:
    """float32 [d + k, d + k]: 1 where two different columns meet (the label is one), over the number of pairs.

    Levels of one column never come together. How often each comes alone is its moment with the class.
    """
    classes = torch.full((class_count,), len(groups.sizes), device=groups.column_of.device)
    column_of = torch.cat([groups.column_of, classes])
    columns = len(groups.sizes) + 1
    return (column_of[:, None] != column_of).float() / (columns * (columns - 1) / 2)


def _column(values: np.ndarray[tuple[int], np.dtype[np.float64]], device: torch.device) -> Tensor:
    return torch.from_numpy(values).float().to(device)[:, None, None]
