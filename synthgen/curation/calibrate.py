"""Those candidates that together look most like the training rows. Method and numbers: TABULAR.md, calibration.

A density ratio makes the joint distribution right, raking then makes the tables of one and two columns right, and
resampling turns the weights into rows. It works for any generator and cannot rescue a bad one: then few candidates
carry all the weight, and it says so instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np

from synthgen.datasets import Index, Table
from synthgen.errors import TrainingError
from synthgen.metrics.classifiers import Examples, Trees, class_probabilities, in_threads
from synthgen.metrics.formulas import dependent_pairs, formulas
from synthgen.metrics.table_features import FeatureKind, encode
from synthgen.stats import FloatArray
from synthgen.synthesizers.encoding.encoder import Encoder

# Below this effective sample size (as a share of the rows wanted) calibrated rows are worse than plain ones.
MIN_EFFECTIVE_SHARE = 0.3
_RATIO = Trees(rounds=120, depth=6, learning_rate=0.15, leaf_rows=5)
_FOLDS, _MAX_MARGIN, _MAX_WEIGHT = 2, 6.0, 50.0
_SWEEPS, _FACTOR_LOW, _FACTOR_HIGH = 4, 0.2, 5.0
# A table of two columns is a target only if its cells are filled; else raking would chase sampling noise.
_ROWS_PER_CELL, _MAX_PAIRS = 5, 600
# With fewer valid rows their loss is noise.
_MIN_VALID_ROWS = 100
# More real rows do not make the ratio better, only slower.
_MAX_REAL_ROWS = 60_000


@dataclass(frozen=True)
class Real:
    """The real rows that calibration may see: it fits train and stops where it no longer fits valid."""

    train: Table
    valid: Table


def calibrate(
    candidates: Table, real: Real, counts: Mapping[str, int], rng: np.random.Generator
) -> tuple[Index, dict[str, float]]:
    """Positions of counts[class] candidates of each class, and how the choice went.

    Returns:
        int64 [sum of counts], sorted by class, and the diagnostics
        effective_sample_size (Kish, as a share of the rows wanted), uniqueness (share of positions that are distinct),
        cap_hits (share of candidates that are so heavy that they are certain to be taken) and
        applied (0 when the effective sample size is below MIN_EFFECTIVE_SHARE: the rows are then plain draws).
    """
    wanted = {name: count for name, count in counts.items() if count > 0}
    members = {name: np.flatnonzero(candidates.labels == name) for name in wanted}
    for name, rows in members.items():
        if len(rows) == 0:
            raise TrainingError(f"the synthesizer drew no row of class {name!r}", hint="train longer")
    total = sum(wanted.values())
    if total == 0:
        nothing = {"effective_sample_size": 0.0, "uniqueness": 1.0, "cap_hits": 0.0, "applied": 0.0}
        return np.empty(0, dtype=np.int64), nothing
    relevant = np.concatenate(list(members.values()))
    weights = np.zeros(len(candidates))
    weights[relevant] = _weights(candidates.take(relevant), real, wanted, rng)
    effective = _effective_size(weights) / total
    applied = effective >= MIN_EFFECTIVE_SHARE
    if not applied:
        weights = np.ones(len(candidates))
    chances = {name: _inclusion_chances(weights[rows], wanted[name]) for name, rows in members.items()}
    index = np.concatenate([rows[_systematic(chances[name], rng)] for name, rows in members.items()])
    diagnostics = {
        "effective_sample_size": effective,
        "uniqueness": len(np.unique(index)) / total,
        "cap_hits": sum(int((chance >= 1).sum()) for chance in chances.values()) / len(relevant),
        "applied": float(applied),
    }
    return index, diagnostics


def _weights(candidates: Table, real: Real, wanted: Mapping[str, int], rng: np.random.Generator) -> FloatArray:
    # Bins that no tie refines: raking is about tables of values.
    encoder = Encoder.fit(real.train, bins=_raking_bins(len(real.train)), ties=False)
    train, valid = _at_most(real.train, rng), _at_most(encoder.known(real.valid), rng)
    mixes = [_class_mix(part, wanted) for part in (train, valid, candidates)]
    train_side, valid_side, drawn_side = _sides([train, valid, candidates], mixes)
    weights = _capped(mixes[2] * _density_ratio(train_side, valid_side, drawn_side, rng))
    tables = _tables(encoder.sizes, len(train), rng)
    return _raked(weights, encoder.encode(candidates), encoder.encode(train), mixes[0], tables)


def _at_most(table: Table, rng: np.random.Generator) -> Table:
    rows = _MAX_REAL_ROWS
    return table if len(table) <= rows else table.take(np.sort(rng.permutation(len(table))[:rows]))


def _raking_bins(rows: int) -> int:
    """Coarse bins, so that tables of two columns have filled cells; the coarser, the fewer rows there are."""
    return 16 if rows >= 10_000 else 8 if rows >= 2_000 else 4


@dataclass(frozen=True)
class Side:
    """One side of a density ratio.

    Attributes:
        rows: float64 [n, d], values, codes of categories, and formulas of dependent columns.
        kinds: of the columns.
        weights: float64 [n], sum 1.
    """

    rows: FloatArray
    kinds: Sequence[FeatureKind]
    weights: FloatArray

    def take(self, index: Index) -> "Side":
        """The rows at these positions."""
        return replace(self, rows=self.rows[index], weights=self.weights[index])


def _sides(parts: Sequence[Table], weights: Sequence[FloatArray]) -> list[Side]:
    encoded = encode(parts, parts[0].schema.modelled)
    pairs = dependent_pairs(encoded[0])
    quantities: list[FeatureKind] = ["q"] * (3 * len(pairs))
    return [
        Side(np.hstack([side.matrix(), formulas(side.numeric, pairs)]), side.kinds + quantities, weight)
        for side, weight in zip(encoded, weights, strict=True)
    ]


def _class_mix(table: Table, wanted: Mapping[str, int]) -> FloatArray:
    """Weights float64 [n], sum 1, under which the classes are as frequent as wanted."""
    names, inverse, rows = np.unique(table.labels, return_inverse=True, return_counts=True)
    share = np.asarray([wanted.get(name, 0) for name in names.tolist()]) / rows
    weights = share[inverse].astype(np.float64)
    return weights / max(float(weights.sum()), 1e-300)


def _density_ratio(train: Side, valid: Side, drawn: Side, rng: np.random.Generator) -> FloatArray:
    """p(real) / p(drawn) at each drawn row, float64 [n], by a classifier that was not trained on that row."""
    fold = rng.permutation(len(drawn.rows)) % _FOLDS
    seeds = [int(rng.integers(2**31)) for _ in range(_FOLDS)]
    jobs = []
    for k in range(_FOLDS):
        learned = drawn.take(rng.permutation(np.flatnonzero(fold != k))[: 2 * len(train.rows)])
        jobs.append(partial(_log_ratio, (train, learned), valid, drawn.take(np.flatnonzero(fold == k)), seeds[k]))
    ratio = np.ones(len(drawn.rows))
    for k, found in enumerate(in_threads(jobs)):
        ratio[fold == k] = np.exp(np.clip(found, -_MAX_MARGIN, _MAX_MARGIN))
    return ratio


def _log_ratio(known: tuple[Side, Side], valid: Side, asked: Side, seed: int) -> FloatArray:
    """Log of p(real) / p(drawn) at the rows `asked`, by a classifier of the two known sides, real and drawn.

    It stops where it no longer tells valid rows from drawn ones better: what it learns further are the training rows
    themselves, and the candidates beside them would be favoured.
    """
    if min(len(known[1].rows), len(asked.rows)) == 0:
        return np.zeros(len(asked.rows))
    judge = _examples(valid, asked) if len(valid.rows) >= _MIN_VALID_ROWS else None
    found = class_probabilities(_examples(*known), asked.rows, classes=2, trees=_RATIO, seed=seed, judge=judge)
    return np.log(found[:, 1] + 1e-12) - np.log(found[:, 0] + 1e-12)


def _examples(real: Side, drawn: Side) -> Examples:
    # Both sides weigh as much as there are real rows, so that leaf_rows counts rows.
    weights = [side.weights / max(float(side.weights.sum()), 1e-300) * len(real.rows) for side in (real, drawn)]
    target = np.repeat(np.array([1, 0]), [len(real.rows), len(drawn.rows)])
    return Examples(np.concatenate([real.rows, drawn.rows]), target, real.kinds, np.concatenate(weights))


def _capped(weights: FloatArray) -> FloatArray:
    mean = float(weights.mean())
    return np.minimum(weights, _MAX_WEIGHT * mean) / mean


def _tables(sizes: Sequence[int], rows: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Columns of each table that is a target of raking: all single columns, and pairs whose cells are filled."""
    pairs = [
        pair for pair in combinations(range(len(sizes)), 2) if sizes[pair[0]] * sizes[pair[1]] * _ROWS_PER_CELL <= rows
    ]
    kept = pairs if len(pairs) <= _MAX_PAIRS else [pairs[i] for i in np.sort(rng.permutation(len(pairs))[:_MAX_PAIRS])]
    return [*kept, *((j,) for j in range(len(sizes)))]


def _raked(
    weights: FloatArray, drawn: Index, real: Index, real_weights: FloatArray, tables: Sequence[tuple[int, ...]]
) -> FloatArray:
    """Weights under which each table of the drawn rows equals that of the real rows, as far as the factors reach.

    Iterative proportional fitting (Deming and Stephan 1940).
    """
    sizes = np.maximum(real.max(axis=0, initial=0), drawn.max(axis=0, initial=0)) + 1
    for _ in range(_SWEEPS):
        for columns in tables:
            cells = int(np.prod(sizes[list(columns)]))
            drawn_cells, real_cells = _cells(drawn, columns, sizes), _cells(real, columns, sizes)
            target = np.bincount(real_cells, weights=real_weights, minlength=cells)
            current = np.bincount(drawn_cells, weights=weights, minlength=cells) / weights.sum()
            factor = np.divide(target, current, out=np.ones(cells), where=current > 0)
            weights = weights * np.clip(factor, _FACTOR_LOW, _FACTOR_HIGH)[drawn_cells]
        weights = _capped(weights)
    return weights


def _cells(codes: Index, columns: tuple[int, ...], sizes: Index) -> Index:
    if len(columns) == 1:
        return codes[:, columns[0]]
    first, second = columns
    return np.asarray(codes[:, first] * sizes[second] + codes[:, second], dtype=np.int64)


def _effective_size(weights: FloatArray) -> float:
    return float(weights.sum() ** 2 / max(float((weights**2).sum()), 1e-300))


def _inclusion_chances(weights: FloatArray, count: int) -> FloatArray:
    """Expected number of times each row is taken, float64 [n], at most 1 unless rows are too few."""
    if count >= len(weights):
        return np.full(len(weights), count / len(weights))
    chance = np.zeros(len(weights))
    weights = np.maximum(weights, 1e-12)
    certain = np.zeros(len(weights), dtype=bool)
    while True:
        chance[certain] = 1.0
        free = ~certain
        chance[free] = weights[free] * (count - certain.sum()) / weights[free].sum()
        over = free & (chance >= 1)
        if not over.any():
            return chance
        certain |= over


def _systematic(chances: FloatArray, rng: np.random.Generator) -> Index:
    """Positions, each taken floor or ceil of its chance times. Source: Madow 1949."""
    order = rng.permutation(len(chances))
    count = round(float(chances.sum()))
    marks = np.arange(count) + rng.random()
    place = np.searchsorted(np.cumsum(chances[order]), marks, side="right")
    return np.asarray(order[np.minimum(place, len(order) - 1)], dtype=np.int64)
