"""One column as a curve of another in each level of a third: the shape of a formula between columns, in ranks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from synthgen.datasets import Index
from synthgen.stats import FloatArray
from synthgen.synthesizers.trees import Features

# Points of a curve are means of so many rows at least.
_POINT_ROWS, _MAX_POINTS = 20, 64
_MAX_LEVELS, _MAX_ROWS = 16, 10_000


@dataclass(frozen=True)
class Curves:
    """What the rank of a column is, by a partner's rank, in every level of a third column.

    Attributes:
        partner: the column that the curves are over.
        by: the column whose codes choose the curve; -1 where there is one curve for all.
        levels: int64 [points], the code of `by` that each point belongs to, in order.
        points: float32 [points, 2], rank of the partner and of the column, means of neighbouring rows.
    """

    partner: int
    by: int
    levels: Index
    points: Features

    @classmethod
    def fit(cls, ranks: Features, codes: Index, j: int, partner: int, rng: np.random.Generator) -> Self:
        """The curves of column j that are best on rows they were not made of; ranks float32 [n, columns]."""
        rows = rng.permutation(len(ranks))[:_MAX_ROWS]
        made, judged = rows[::2], rows[1::2]
        others = [i for i in range(codes.shape[1]) if i not in (j, partner) and codes[:, i].max() < _MAX_LEVELS]
        errors = {}
        for by in (-1, *others):
            curves = cls._through(ranks[made], codes[made], j, (partner, by))
            error = curves.ranks(ranks[judged], codes[judged]) - ranks[judged, j]
            errors[by] = float(np.abs(error).sum())
        return cls._through(ranks, codes, j, (partner, min(errors, key=errors.__getitem__)))

    @classmethod
    def _through(cls, ranks: Features, codes: Index, j: int, way: tuple[int, int]) -> Self:
        partner, by = way
        level_of = codes[:, by] if by >= 0 else np.zeros(len(codes), dtype=np.int64)
        levels, points = [], []
        for level in np.unique(level_of).tolist():
            pairs = ranks[level_of == level][:, [partner, j]]
            pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
            count = min(len(pairs) // _POINT_ROWS, _MAX_POINTS)
            if count:
                points += [part.mean(axis=0, dtype=np.float64) for part in np.array_split(pairs, count)]
                levels += [level] * count
        return cls(partner, by, np.asarray(levels, dtype=np.int64), np.asarray(points, np.float32).reshape(-1, 2))

    def ranks(self, ranks: Features, codes: Index) -> FloatArray:
        """float64 [n]: what the curves say; in a level without a curve, the partner's rank."""
        level_of = codes[:, self.by] if self.by >= 0 else np.zeros(len(codes), dtype=np.int64)
        found = ranks[:, self.partner].astype(np.float64)
        for level in np.unique(self.levels).tolist():
            rows, points = level_of == level, self.points[self.levels == level]
            found[rows] = np.interp(found[rows], points[:, 0], points[:, 1])
        return found

    def state(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Arrays by name."""
        ways = np.asarray([self.partner, self.by], dtype=np.int64)
        return {f"{prefix}.ways": ways, f"{prefix}.levels": self.levels, f"{prefix}.points": self.points}

    @classmethod
    def restore(cls, prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The curves whose `state` is among the arrays."""
        partner, by = arrays[f"{prefix}.ways"].tolist()
        return cls(partner, by, arrays[f"{prefix}.levels"], arrays[f"{prefix}.points"])
