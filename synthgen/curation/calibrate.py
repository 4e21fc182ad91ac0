"""Those candidates that together look most like the training rows. Method and numbers: TABULAR.md, calibration.

A density ratio makes the joint distribution right, raking then makes the tables of one and two columns right, and
resampling turns the weights into rows. It works for any generator and cannot rescue a bad one: then few candidates
carry all the weight, and it says so instead.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import xgboost

from synthgen.datasets import Index, Table
from synthgen.errors import TrainingError
from synthgen.stats import FloatArray
from synthgen.synthesizers.encoder import Encoder

# Below this effective sample size (as a share of the rows wanted) calibrated rows are worse than plain ones.
MIN_EFFECTIVE_SHARE = 0.3
_FOLDS, _MAX_MARGIN, _MAX_WEIGHT = 2, 6.0, 50.0
_SWEEPS, _FACTOR_LOW, _FACTOR_HIGH = 4, 0.2, 5.0
# A table of two columns is a target only if its cells are filled; else raking would chase sampling noise.
_ROWS_PER_CELL, _MAX_PAIRS = 5, 600


def calibrate(
    candidates: Table, train: Table, counts: Mapping[str, int], rng: np.random.Generator
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
    weights[relevant] = _weights(candidates.take(relevant), train, wanted, rng)
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


def _weights(candidates: Table, train: Table, wanted: Mapping[str, int], rng: np.random.Generator) -> FloatArray:
    encoder = Encoder.fit(train)
    real, drawn = encoder.encode(train), encoder.encode(candidates)
    real_weights, drawn_weights = _class_mix(train, wanted), _class_mix(candidates, wanted)
    ratio = _density_ratio(real, drawn, real_weights, drawn_weights, rng)
    weights = _capped(drawn_weights * ratio)
    tables = _tables(encoder.sizes, len(train), rng)
    return _raked(weights, drawn, real, real_weights, tables)


def _class_mix(table: Table, wanted: Mapping[str, int]) -> FloatArray:
    """Weights float64 [n], sum 1, under which the classes are as frequent as wanted."""
    names, inverse, rows = np.unique(table.labels, return_inverse=True, return_counts=True)
    share = np.asarray([wanted.get(name, 0) for name in names.tolist()]) / rows
    weights = share[inverse].astype(np.float64)
    return weights / max(float(weights.sum()), 1e-300)


def _density_ratio(
    real: Index, drawn: Index, real_weights: FloatArray, drawn_weights: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """p(real) / p(drawn) at each drawn row, float64 [n], by a classifier that was not trained on that row."""
    fold = rng.permutation(len(drawn)) % _FOLDS
    ratio = np.ones(len(drawn))
    for k in range(_FOLDS):
        others = rng.permutation(np.flatnonzero(fold != k))[: 2 * len(real)]
        if len(others) == 0:
            continue
        share = drawn_weights[others] / max(float(drawn_weights[others].sum()), 1e-300)
        # Both sides weigh as much as there are real rows, so that min_child_weight counts rows.
        weight = np.concatenate([real_weights, share]) * len(real)
        target = np.concatenate([np.ones(len(real)), np.zeros(len(others))])
        model = xgboost.XGBClassifier(
            n_estimators=120, max_depth=6, learning_rate=0.15, min_child_weight=5, subsample=0.8,
            random_state=int(rng.integers(2**31)), verbosity=0,
        )  # fmt: skip
        model.fit(np.concatenate([real, drawn[others]]), target, sample_weight=weight)
        margin = model.predict(drawn[fold == k], output_margin=True)
        ratio[fold == k] = np.exp(np.clip(margin, -_MAX_MARGIN, _MAX_MARGIN))
    return ratio


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
