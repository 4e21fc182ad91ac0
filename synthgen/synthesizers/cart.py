"""`cart`: sequential classification trees with smoothed leaves, after R's synthpop (Nowok 2016): a classical control.

Each column is drawn from the leaf that the class and the columns before it lead to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from synthgen.config import CartConfig
from synthgen.datasets import Index
from synthgen.stats import FloatArray
from synthgen.synthesizers.codes import Allowed, Arrays, CodeRows, Drawn, Layout, Mask
from synthgen.synthesizers.trees import Features, Forest, Growth

# A leaf with several codes borrows so many rows from the leaves beside it.
_BORROWED_ROWS = 5.0
# See `Growth`: noise is not learned by heart. Adult, C2ST and AUC of the membership attack (independent columns .495,
# with 5 % leaked rows .523): without pruning .527 and .523, with 8 .534 and .502 (standard error of the AUC .006).
_MIN_GAIN = 8.0
# Unordered columns with more codes are told apart by this many directions instead of by every code.
_MAX_ONE_HOT, _DIRECTIONS = 16, 4
# Codes without a rank (missing, ties) stand apart from all ranks, which are in [0, 1], and from each other.
_UNRANKED_STEP = -0.5
# Rows of the overall mean that a category is weighted with: a rare one has no extreme place.
_SHRINKAGE_ROWS = 5.0


@dataclass(frozen=True)
class _Leaves:
    """The codes of the training rows in each leaf, counted.

    Attributes:
        starts: int64 [leaves + 1], where the entries of each leaf begin.
        codes, counts: int32 [entries].
        ranges: int32 [leaves, 2], first and last + 1 of the leaves below the same parent.
    """

    starts: Index
    codes: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]
    ranges: npt.NDArray[np.int32]

    @classmethod
    def count(cls, forest: Forest, leaves: Index, codes: Index, size: int) -> Self:
        """The counts of the rows that fell to these leaves with these codes."""
        pairs, counts = np.unique(leaves * size + codes, return_counts=True)
        starts = np.searchsorted(pairs, np.arange(forest.leaf_count + 1) * size)
        return cls(starts, (pairs % size).astype(np.int32), counts.astype(np.int32), forest.sibling_ranges())

    @cached_property
    def _rows(self) -> FloatArray:
        return np.concatenate([[0.0], np.cumsum(self.counts, dtype=np.float64)])

    @cached_property
    def _spans(self) -> tuple[Index, Index]:
        """Entries int64 [leaves, 2], (from, to), of each leaf, and of the leaves below its parent."""
        own = np.stack([self.starts[:-1], self.starts[1:]], axis=1)
        return own, self.starts[self.ranges]

    @cached_property
    def _borrowed(self) -> FloatArray:
        """float64 [leaves]: the share of the draws that come from the leaves below the parent."""
        # A leaf of one code is a rule of the data ("no internet": no streaming), and tells nobody's value.
        own = self._spans[0]
        rows = self._rows[own[:, 1]] - self._rows[own[:, 0]]
        return np.where(own[:, 1] - own[:, 0] > 1, _BORROWED_ROWS / (_BORROWED_ROWS + rows), 0.0)

    def draw(self, leaves: Index, allowed: Mask | None, rng: np.random.Generator) -> tuple[Index, FloatArray]:
        """Codes int64 [n] among the allowed ones, and the log of the probability that they have together.

        Where a leaf has none of them, -inf, and a code as frequent as among all rows.
        """
        mass = self._rows
        if allowed is not None:
            mass = np.concatenate([[0.0], np.cumsum(np.where(allowed[self.codes], self.counts, 0), dtype=np.float64)])
        own, beside = (spans[leaves] for spans in self._spans)
        borrowed = self._borrowed[leaves]
        own_share = (1 - borrowed) * _mass(mass, own) / _mass(self._rows, own)
        beside_share = borrowed * _mass(mass, beside) / _mass(self._rows, beside)
        total = own_share + beside_share
        is_beside = rng.random(len(leaves)) * total >= own_share
        spans = np.where(is_beside[:, None], beside, own)
        spans = np.where(total[:, None] > 0, spans, [0, len(self.codes)])
        low, high = mass[spans[:, 0]], mass[spans[:, 1]]
        place = np.minimum(low + rng.random(len(leaves)) * (high - low), np.nextafter(high, low))
        codes = self.codes[np.searchsorted(mass, place, side="right") - 1].astype(np.int64)
        with np.errstate(divide="ignore"):
            return codes, np.minimum(np.log(total), 0.0)

    def likelihood(self, leaves: Index, codes: Index) -> FloatArray:
        """float64 [n]: the probability of each code in its leaf."""
        count = len(self.starts) - 1
        keys = self.codes.astype(np.int64) * count + np.repeat(np.arange(count), np.diff(self.starts))
        order = np.argsort(keys)
        mass = np.concatenate([[0.0], np.cumsum(self.counts[order], dtype=np.float64)])
        of_leaves = np.stack([leaves, leaves + 1], axis=1), self.ranges[leaves]
        own, beside = (
            _mass(mass, np.searchsorted(keys[order], codes[:, None] * count + span))
            / _mass(self._rows, entries[leaves])
            for span, entries in zip(of_leaves, self._spans, strict=True)
        )
        borrowed = self._borrowed[leaves]
        return np.asarray((1 - borrowed) * own + borrowed * beside)


def _mass(cumulative: FloatArray, spans: Index) -> FloatArray:
    return np.asarray(cumulative[spans[:, 1]] - cumulative[spans[:, 0]])


@dataclass(frozen=True)
class _ColumnTree:
    """One column given those before it. scores: float32 [codes of the class and of the columns before], features."""

    scores: Features
    forest: Forest
    leaves: _Leaves

    def draw(self, places: Index, allowed: Mask | None, rng: np.random.Generator) -> tuple[Index, FloatArray]:
        """See `_Leaves.draw`; places int64 [n, columns before + 1], positions in `scores`."""
        return self.leaves.draw(self.forest.leaves(self.scores[places]), allowed, rng)

    def likelihood(self, places: Index, codes: Index) -> FloatArray:
        """float64 [n]: the probability of each code; places as for `draw`."""
        return self.leaves.likelihood(self.forest.leaves(self.scores[places]), codes)


class Cart:
    """Sequential trees. A few seconds; the budget and the checkpoint are not needed."""

    def __init__(self, config: CartConfig) -> None:
        self.config = config
        self._trees: list[_ColumnTree] = []
        self._offsets: Index = np.empty(0, dtype=np.int64)

    @property
    def history(self) -> Sequence[dict[str, float]]:
        return ()

    def fit(
        self, train: CodeRows, valid: CodeRows, layout: Layout, rng: np.random.Generator, *, checkpoint: Path | None
    ) -> Self:
        """One tree per column, given the class and the columns before it."""
        self._offsets = _offsets(layout)
        columns, sizes = np.concatenate([train.classes[:, None], train.codes], axis=1), _sizes(layout)
        growth = Growth(leaf_rows=self.config.leaf_rows, min_gain=_MIN_GAIN)
        self._trees = []
        for j, size in enumerate(layout.sizes):
            counts = [_table(columns[:, i], sizes[i], train.codes[:, j], size) for i in range(j + 1)]
            targets = _targets(layout.ranks[j], counts)
            scores = _scores(layout, counts, targets)
            x = scores[columns[:, : j + 1] + self._offsets[: j + 1]]
            forest = Forest.grow(x, targets[train.codes[:, j]], growth, rng)
            leaves = _Leaves.count(forest, forest.leaves(x), train.codes[:, j], size)
            self._trees.append(_ColumnTree(scores, forest, leaves))
        return self

    def draw(self, classes: Index, allowed: Allowed, rng: np.random.Generator) -> Drawn:
        """Column after column."""
        rows = np.empty((len(classes), len(self._trees) + 1), dtype=np.int64)
        rows[:, 0] = classes
        log_weight = np.zeros(len(classes))
        for j in range(len(self._trees)):
            rows[:, j + 1], log_share = self.draw_column(j, rows, allowed.get(j), rng)
            if j in allowed:
                log_weight += log_share
        return Drawn(rows[:, 1:], log_weight)

    def draw_column(
        self, column: int, rows: Index, allowed: Mask | None, rng: np.random.Generator
    ) -> tuple[Index, FloatArray]:
        """See `_Leaves.draw`; rows int64 [n, 1 + columns], of which the class and the columns before are looked at."""
        before = slice(column + 1)
        return self._trees[column].draw(rows[:, before] + self._offsets[before], allowed, rng)

    def likelihood(self, rows: CodeRows) -> FloatArray:
        """float64 [n, columns]: the probability of each code given the class and the codes before it."""
        places = np.column_stack([rows.classes, rows.codes]) + self._offsets
        found = [tree.likelihood(places[:, : j + 1], rows.codes[:, j]) for j, tree in enumerate(self._trees)]
        return np.stack(found, axis=1)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """The trees and the counts in their leaves."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for j, tree in enumerate(self._trees):
            counted = {name: getattr(tree.leaves, name) for name in ("starts", "codes", "counts", "ranges")}
            arrays |= {f"cart.{j}.{name}": array for name, array in counted.items()}
            arrays |= {f"cart.{j}.scores": tree.scores, **tree.forest.state(f"cart.{j}")}
        return {}, arrays

    def restore(self, layout: Layout, meta: Mapping[str, Any], arrays: Arrays) -> Self:
        """The model whose `state` this is."""
        self._offsets = _offsets(layout)
        self._trees = []
        for j in range(len(layout.sizes)):
            leaves = _Leaves(*(arrays[f"cart.{j}.{name}"] for name in ("starts", "codes", "counts", "ranges")))
            self._trees.append(_ColumnTree(arrays[f"cart.{j}.scores"], Forest.restore(f"cart.{j}", arrays), leaves))
        return self


def _sizes(layout: Layout) -> tuple[int, ...]:
    return (layout.class_count, *layout.sizes)


def _offsets(layout: Layout) -> Index:
    """int64 [columns + 1]: where the codes of the class, and of each column, begin among all codes."""
    return np.cumsum([0, *_sizes(layout)[:-1]], dtype=np.int64)


def _table(first: Index, first_size: int, second: Index, second_size: int) -> FloatArray:
    pairs = np.bincount(first * second_size + second, minlength=first_size * second_size)
    return pairs.reshape(first_size, second_size).astype(np.float64)


def _targets(ranks: FloatArray | None, counts: list[FloatArray]) -> FloatArray:
    """float64 [size, d]: what a tree predicts for each code; counts: tables of the columns before x this column.

    The rank where there is an order; else a one-hot, whose variance is the Gini impurity; else the directions in which
    the codes differ most in the columns before (Coppersmith 1999 for one direction).
    """
    if ranks is not None:
        return _places(ranks)[:, None]
    size = counts[0].shape[1]
    if size <= _MAX_ONE_HOT:
        return np.eye(size)
    gram = np.zeros((size, size))
    for table in counts:
        rows = table.sum(axis=0)
        profile = _shrunken(table.T, rows) * np.sqrt(rows)[:, None]
        gram += profile @ profile.T
    values, vectors = np.linalg.eigh(gram)
    weight = np.sqrt(np.maximum(counts[0].sum(axis=0), 1.0))[:, None]
    return np.asarray(vectors[:, -_DIRECTIONS:] * np.sqrt(np.maximum(values[-_DIRECTIONS:], 0.0)) / weight)


def _places(ranks: FloatArray) -> FloatArray:
    unranked = np.isnan(ranks)
    return np.where(unranked, np.cumsum(unranked) * _UNRANKED_STEP, ranks)


def _shrunken(sums: FloatArray, rows: FloatArray) -> FloatArray:
    """Sums [k, d] over `rows` [k] rows as means less the overall mean, shrunk to 0 where there are few rows."""
    mean = sums.sum(axis=0) / max(float(rows.sum()), 1.0)
    return np.asarray((sums - rows[:, None] * mean) / (rows[:, None] + _SHRINKAGE_ROWS))


def _scores(layout: Layout, counts: list[FloatArray], targets: FloatArray) -> Features:
    """float32 [codes of the class and the columns before]: ranks; where there is no order, the one that the target has.

    Categories in order of the mean of the target make every two-way split of them a threshold (Breiman 1984); for
    several targets in order of the first principal component of the means.
    """
    scores = []
    for table, ranks in zip(counts, (None, *layout.ranks), strict=False):
        if ranks is not None:
            scores.append(_places(ranks))
            continue
        rows = table.sum(axis=1)
        means = _shrunken(table @ targets, rows)
        _, vectors = np.linalg.eigh((means * rows[:, None]).T @ means)
        scores.append(means @ vectors[:, -1])
    return np.concatenate(scores).astype(np.float32)
