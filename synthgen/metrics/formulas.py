"""Differences, ratios and equalities of the most dependent numeric columns: where formulas between columns show."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy import stats as scipy_stats

from synthgen.metrics.table_features import Encoded
from synthgen.stats import FloatArray

FORMULA_PAIRS = 10
# Positions of two numeric columns.
Pair = tuple[int, int]


def dependent_pairs(train: Encoded) -> list[Pair]:
    """The pairs of numeric columns with the largest rank correlations, strongest first."""
    ranks = scipy_stats.rankdata(train.numeric, axis=0, nan_policy="omit")
    # A column may have no value at all.
    means = np.nansum(ranks, axis=0) / np.maximum(np.isfinite(ranks).sum(axis=0), 1)
    centred = np.nan_to_num(ranks - means)
    norms = np.sqrt(np.square(centred).sum(axis=0))
    strength = {
        (a, b): abs(float(centred[:, a] @ centred[:, b])) / (norms[a] * norms[b])
        for a, b in combinations(range(len(norms)), 2)
        if norms[a] > 0 and norms[b] > 0
    }
    return sorted(strength, key=lambda pair: -strength[pair])[:FORMULA_PAIRS]


def formulas(numeric: FloatArray, pairs: Sequence[Pair]) -> FloatArray:
    """Difference, ratio and equality of each pair, float64 [n, 3 * pairs]; undefined is NaN."""
    columns: list[FloatArray] = []
    for a, b in pairs:
        x, y = numeric[:, a], numeric[:, b]
        ratio = np.divide(x, y, out=np.full(len(x), np.nan), where=(y != 0) & np.isfinite(y))
        columns += [x - y, ratio, np.where(np.isnan(x - y), np.nan, x == y)]
    return np.column_stack([np.empty((len(numeric), 0)), *columns])
