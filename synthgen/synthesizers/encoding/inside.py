"""Where inside its bin a value stands, given the codes of the row and the places of the columns before.

Donor trees (TABULAR.md, "Values inside a bin"): a regression tree finds training rows that resemble a drawn row, and
the drawn row gets a position from a smoothed distribution of theirs. No training position is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from synthgen.datasets import Index, Table
from synthgen.stats import FloatArray
from synthgen.synthesizers.encoding.columns import BinnedColumn
from synthgen.synthesizers.encoding.encoder import Encoder
from synthgen.synthesizers.encoding.inside_curves import Curves
from synthgen.synthesizers.trees import Features, Forest, Growth

InsideKind = Literal["trees", "uniform"]

_GROWTH = Growth(leaf_rows=20, trees=4, share=0.7, max_rows=50_000, min_gain=8.0, features=0.5)
# A leaf is kept as the means of so many groups of at least four rows.
_GROUPS = 5
# Earlier columns whose distance in rank is a feature of its own, the most dependent ones.
_PARTNERS = 4
# Ranks are whole multiples of 1 / 4096, so that the threshold between two rows tells neither's value.
_RASTER = 4096
# What curves say is rounded likewise: to so many places in a bin.
_PLACES = 256


@dataclass(frozen=True)
class _Sight:
    """What the trees of a column see beside all ranks.

    Attributes:
        partners: int64 [p], earlier columns whose rank relative to the middle of the bin is a feature.
        curves: by which the column would have a place in the bin, which is a feature too.
    """

    partners: Index
    curves: tuple[Curves, ...]

    @classmethod
    def fit(
        cls, ranks: Features, codes: Index, ways: tuple[int, list[int], list[int]], rng: np.random.Generator
    ) -> Self:
        """The most dependent columns; `ways`: the column, those that have their place before it, and those after."""
        j, earlier, later = ways
        strongest = [_most_dependent(ranks, j, columns)[:1].tolist() for columns in (earlier, later)]
        curves = tuple(Curves.fit(ranks, codes, j, partner, rng) for partner in strongest[0] + strongest[1])
        return cls(_most_dependent(ranks, j, earlier), curves)

    def features(self, ranks: Features, codes: Index, j: int, width: Features) -> Features:
        """float32 [n, features]; width float32 [n], of the bin in rank."""
        found = [ranks, ranks[:, self.partners] - ranks[:, [j]]]
        for curves in self.curves:
            place = (curves.ranks(ranks, codes) - ranks[:, j]) / width
            found.append(np.rint(np.clip(place, -2, 2) * _PLACES).astype(np.float32)[:, None])
        return np.concatenate(found, axis=1)


@dataclass(frozen=True)
class _Donors:
    """The trees of one column.

    Attributes:
        knots: float32 [leaves, groups + 1], quantiles of the positions at even steps.
    """

    sight: "_Sight"
    forest: Forest
    knots: Features

    @classmethod
    def fit(cls, sight: "_Sight", x: Features, positions: FloatArray, rng: np.random.Generator) -> Self:
        """The trees of the rows whose value is in a bin: x float32 [n, features], positions [n]."""
        forest = Forest.grow(x, positions, _GROWTH, rng)
        leaves = [forest.leaves(x, tree) for tree in range(len(forest.roots))]
        return cls(sight, forest, _knots(np.concatenate(leaves), np.tile(positions, len(leaves))))

    def draw(self, x: Features, rng: np.random.Generator) -> FloatArray:
        """float64 [n] in [0, 1): positions from the leaf of a random tree."""
        knots = self.knots[self.forest.leaves(x, rng.integers(len(self.forest.roots), size=len(x)))]
        place = rng.random(len(x)) * _GROUPS
        group = place.astype(np.int64)[:, None]
        low, high = (np.take_along_axis(knots, group + step, axis=1)[:, 0] for step in (0, 1))
        return np.clip(low + (high - low) * (place - group[:, 0]), 0.0, 1.0 - 1e-9)


@dataclass(frozen=True)
class Inside:
    """Positions in [0, 1) for every column of every row.

    Attributes:
        ranks: for each binned column float32 [2, size], the middle rank and the width in rank of each code.
        donors: trees by column; none for a column whose positions are uniform.
    """

    ranks: Mapping[int, Features]
    donors: Mapping[int, _Donors]

    @classmethod
    def fit(
        cls, encoder: Encoder, train: Table, codes: Index, *, kind: InsideKind, rng: np.random.Generator
    ) -> "Inside":
        """Learns positions of the training rows; codes int64 [n, columns] with the label."""
        if kind == "uniform":
            return cls({}, {})
        binned = {j: column for j, column in enumerate(encoder.columns) if isinstance(column, BinnedColumn)}
        inside = cls({j: _code_ranks(column, codes[:, j]) for j, column in binned.items()}, {})
        donors: dict[int, _Donors] = {}
        ranks = inside._middle_ranks(codes)
        for j, column in binned.items():
            positions = column.positions(train.frame[column.name], codes[:, j], rng)
            rows = np.flatnonzero(inside._is_bin(j, codes[:, j]))
            rows = rng.permutation(rows)[: _GROWTH.max_rows]
            if len(rows) >= 2 * _GROWTH.leaf_rows:
                later = [other for other in binned if other > j]
                sight = _Sight.fit(ranks[rows], codes[rows], (j, list(donors), later), rng)
                x = sight.features(ranks[rows], codes[rows], j, inside._width(j, codes[rows, j]))
                donors[j] = _Donors.fit(sight, x, positions[rows], rng)
            inside._refine(ranks, j, codes[:, j], positions)
        return cls(inside.ranks, donors)

    def draw(self, codes: Index, rng: np.random.Generator) -> FloatArray:
        """float64 [n, columns] in [0, 1), given the codes int64 [n, columns] with the label."""
        positions = rng.random(codes.shape)
        ranks = self._middle_ranks(codes)
        for j in self.ranks:
            rows = np.flatnonzero(self._is_bin(j, codes[:, j]))
            if j in self.donors and len(rows):
                donors = self.donors[j]
                x = donors.sight.features(ranks[rows], codes[rows], j, self._width(j, codes[rows, j]))
                positions[rows, j] = donors.draw(x, rng)
            self._refine(ranks, j, codes[:, j], positions[:, j])
        return positions

    def _is_bin(self, j: int, codes: Index) -> npt.NDArray[np.bool_]:
        return np.asarray(self.ranks[j][1, codes] > 0)

    def _width(self, j: int, codes: Index) -> Features:
        return np.asarray(self.ranks[j][1, codes] * np.float32(_RASTER))

    def _middle_ranks(self, codes: Index) -> Features:
        ranks = codes.astype(np.float32)
        for j, (middle, _) in self.ranks.items():
            ranks[:, j] = np.rint(middle[codes[:, j]] * _RASTER)
        return ranks

    def _refine(self, ranks: Features, j: int, codes: Index, positions: FloatArray) -> None:
        middle, width = self.ranks[j][:, codes]
        ranks[:, j] = np.rint((middle + (positions - 0.5) * width) * _RASTER)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """JSON-ready content and arrays."""
        arrays: dict[str, npt.NDArray[Any]] = {f"inside.{j}.ranks": ranks for j, ranks in self.ranks.items()}
        for j, donors in self.donors.items():
            arrays |= {f"inside.{j}.partners": donors.sight.partners, f"inside.{j}.knots": donors.knots}
            for number, of_partner in enumerate(donors.sight.curves):
                arrays |= of_partner.state(f"inside.{j}.curves.{number}")
            arrays |= donors.forest.state(f"inside.{j}")
        curves = [len(donors.sight.curves) for donors in self.donors.values()]
        return {"ranks": list(self.ranks), "donors": list(self.donors), "curves": curves}, arrays

    @classmethod
    def restore(cls, encoder: Encoder, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> "Inside":
        """The fitted positions whose `state` this is."""
        donors = {}
        for j, count in zip(meta["donors"], meta["curves"], strict=True):
            curves = tuple(Curves.restore(f"inside.{j}.curves.{number}", arrays) for number in range(count))
            sight = _Sight(arrays[f"inside.{j}.partners"], curves)
            donors[j] = _Donors(sight, Forest.restore(f"inside.{j}", arrays), arrays[f"inside.{j}.knots"])
        return cls({j: arrays[f"inside.{j}.ranks"] for j in meta["ranks"]}, donors)


def _code_ranks(column: BinnedColumn, codes: Index) -> Features:
    places = np.arange(column.size)
    width = np.bincount(codes, minlength=column.size) / max(len(codes), 1)
    is_bin = (places >= len(column.spikes)) & (places < column.valued)
    # Missing and ties have no rank: each gets a place of its own below all ranks.
    middle = np.where(places < column.valued, column.ranks(), column.valued - places - 1.0)
    return np.stack([middle, np.where(is_bin, width, 0.0)]).astype(np.float32)


def _most_dependent(ranks: Features, j: int, earlier: list[int]) -> Index:
    strengths = [_correlation(ranks[:, j], ranks[:, other]) for other in earlier]
    strongest = np.argsort(-np.asarray(strengths), kind="stable")[:_PARTNERS]
    return np.asarray([earlier[i] for i in strongest.tolist()], dtype=np.int64)


def _correlation(first: Features, second: Features) -> float:
    spread = float(first.std()) * float(second.std())
    return abs(float(((first - first.mean()) * (second - second.mean())).mean())) / spread if spread else 0.0


def _knots(leaves: Index, positions: FloatArray) -> Features:
    """float32 [leaves, groups + 1]: between the means of neighbouring groups of the sorted positions of each leaf."""
    order = np.lexsort((positions, leaves))
    leaves, positions = leaves[order], positions[order]
    counts = np.bincount(leaves)
    rank = np.arange(len(leaves)) - (np.cumsum(counts) - counts)[leaves]
    group = leaves * _GROUPS + rank * _GROUPS // counts[leaves]
    sums = np.bincount(group, weights=positions, minlength=len(counts) * _GROUPS)
    sizes = np.bincount(group, minlength=len(counts) * _GROUPS)
    means = (sums / sizes).reshape(-1, _GROUPS)
    between = (means[:, 1:] + means[:, :-1]) / 2
    first, last = 2 * means[:, :1] - between[:, :1], 2 * means[:, -1:] - between[:, -1:]
    return np.asarray(np.clip(np.concatenate([first, between, last], axis=1), 0.0, 1.0), dtype=np.float32)
