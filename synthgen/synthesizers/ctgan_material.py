"""The training rows as the GAN sees them: compact codes on the device, sorted by class, and their moments."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from synthgen.datasets import Index
from synthgen.synthesizers.ctgan_groups import Groups
from synthgen.synthesizers.ctgan_losses import cooccurrence
from synthgen.synthesizers.ctgan_package import PAC

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
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        groups = Groups.of(sizes, device)
        order = np.argsort(classes, kind="stable")
        dtype = torch.uint8 if max(sizes) <= 256 else torch.int16
        rows = torch.from_numpy(codes[order]).to(dtype).to(device)
        counts = np.bincount(classes)
        batch = _batch_counts(counts, batch_size)
        is_stratified = len(counts) <= _MAX_STRATA and len(counts) * (groups.width + len(counts)) ** 2 <= _MAX_MOMENTS
        strata = batch.tolist() if is_stratified else [int(batch.sum())]
        share = batch / batch.sum()
        of_class = (
            _class_moments(groups, part, k, len(counts)) for k, part in enumerate(torch.split(rows, counts.tolist()))
        )
        if is_stratified:
            target = torch.stack(list(of_class))
        else:
            target = sum((m * s for m, s in zip(of_class, share.tolist(), strict=True)), torch.zeros(()))[None]
        # Strata count by their share, so that the sum is that of the whole batch.
        weight = _off_block(groups, len(counts)) / (target + _RARE_SHARE)
        if is_stratified:
            weight = weight * _column(share, device)
        class_rows = torch.from_numpy(counts).to(device)
        batch_classes = torch.from_numpy(np.repeat(np.arange(len(counts)), batch)).to(device)
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

    def real_rows(self, rng: torch.Generator) -> Tensor:
        """float32 [b, d]: a random training row of the class of each row of a batch."""
        uniform = torch.rand(self.batch_size, generator=rng, device=self.device, dtype=torch.float64)
        offset = (uniform * self.class_rows[self.batch_classes]).long()
        return self.groups.one_hot(self.codes[self.class_start[self.batch_classes] + offset])


def _batch_counts(counts: Index, batch_size: int) -> Index:
    """Rows of each class in a batch: at least one, in all a multiple of PAC."""
    tempered = counts**_CLASS_TEMPER / (counts**_CLASS_TEMPER).sum()
    rows = np.maximum(np.rint(tempered * batch_size), counts > 0).astype(np.int64)
    rows[np.argmax(rows)] += -rows.sum() % PAC
    return np.asarray(rows, dtype=np.int64)


def _class_moments(groups: Groups, rows: Tensor, k: int, class_count: int) -> Tensor:
    width = groups.width + class_count
    total = torch.zeros(width, width, device=rows.device)
    # In slices: the one-hot rows of a large table would not fit into memory.
    for piece in torch.split(rows, 16_384):
        condition = torch.zeros(len(piece), class_count, device=rows.device)
        condition[:, k] = 1.0
        total += cooccurrence(torch.cat([groups.one_hot(piece), condition], dim=1), [len(piece)])[0] * len(piece)
    return total / max(len(rows), 1)


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
