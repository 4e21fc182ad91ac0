"""Classifier two-sample test: can a strong classifier tell synthetic from real?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from scipy import stats as scipy_stats

from synthgen.datasets import Index
from synthgen.findings import Finding
from synthgen.metrics.classifiers import Examples, Trees, class_probabilities, in_threads
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.table_features import Encoded, column_decimals, encode, matched_tables
from synthgen.stats import FloatArray, auc_influence, auc_interval

MIN_ROWS = 30
FOLDS = 3
JUDGE = Trees(rounds=80, depth=4, learning_rate=0.15)
FORMULA_PAIRS = 10
Pair = tuple[int, int]


@dataclass(frozen=True)
class _Test:
    """How two sides are compared: how values are rounded to find equal rows, and the random stream of the folds."""

    decimals: Sequence[int]
    seed: int


def c2st_auc(evaluation: Evaluation) -> Finding:
    """Area under the ROC curve of XGBoost telling synthetic from holdout rows; 0.5 = it cannot, 1 = always.

    Three-fold cross-validation, mean over the folds, equal numbers of rows of each class on both sides. The reference
    tells train from holdout rows. Equal rows stay in one fold, else a duplicated row tells its side. `formula_auc` in
    the detail also sees differences, ratios and equality of the most dependent numeric columns: an ordinary .54 hid
    .88 there. Interval: Hanley and McNeil 1982. Source: Lopez-Paz and Oquab 2017, arXiv:1610.06545.
    """
    parts = matched_tables(evaluation, at_least=MIN_ROWS)
    train, holdout, synthetic = encode(parts, parts[0].schema.modelled)
    if not train.names:
        raise NotMeasurable("there is no column to tell rows by")
    test = _Test(column_decimals(train.numeric), seed=int(evaluation.rng("c2st_auc").integers(2**31)))
    pairs = _dependent_pairs(train)
    sides = [(synthetic, holdout, []), (train, holdout, [])]
    sides += [(synthetic, holdout, pairs), (train, holdout, pairs)] if pairs else []
    value, reference, *formula = in_threads([partial(_separation, test, *side) for side in sides])
    low, high = auc_interval(value, len(synthetic), len(holdout))
    return Finding(
        metric="c2st_auc", family="fidelity", value=value, low=low, high=high, reference=reference,
        higher_is_better=False, n=len(synthetic),
        detail=dict(zip(("formula_auc", "formula_reference"), formula, strict=False)),
    )  # fmt: skip


def _separation(test: _Test, first: Encoded, second: Encoded, pairs: Sequence[Pair]) -> float:
    sides = (first, second)
    rows = np.vstack([np.hstack([side.matrix(), _formulas(side.numeric, pairs)]) for side in sides])
    kinds = [*first.kinds, *(["q"] * (rows.shape[1] - len(first.kinds)))]
    target = np.repeat(np.array([1, 0]), [len(side) for side in sides])
    keys = np.concatenate([side.keys(test.decimals) for side in sides])
    folds = _folds(keys, target, np.random.default_rng(test.seed))
    areas = []
    for fold in range(FOLDS):
        inside = folds == fold
        examples = Examples(rows[~inside], target[~inside], kinds)
        scores = class_probabilities(examples, rows[inside], classes=2, trees=JUDGE, seed=test.seed)[:, 1]
        areas.append(auc_influence(scores, target[inside] == 1)[0])
    return float(np.mean(areas))


def _folds(keys: np.ndarray[tuple[int, ...], np.dtype[np.uint64]], target: Index, rng: np.random.Generator) -> Index:
    """int64 [n]: the fold of each row; equal rows share one, and each fold has its share of both sides."""
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    shuffled = rng.permutation(len(first))
    by_side = shuffled[np.argsort(target[first[shuffled]], kind="stable")]
    fold_of_group = np.empty(len(first), dtype=np.int64)
    fold_of_group[by_side] = np.arange(len(first)) % FOLDS
    return fold_of_group[group]


def _dependent_pairs(train: Encoded) -> list[Pair]:
    """The pairs of numeric columns with the largest rank correlations, strongest first."""
    ranks = scipy_stats.rankdata(train.numeric, axis=0, nan_policy="omit")
    centred = np.nan_to_num(ranks - np.nanmean(ranks, axis=0)) if ranks.size else ranks
    norms = np.sqrt(np.square(centred).sum(axis=0))
    strength = {
        (a, b): abs(float(centred[:, a] @ centred[:, b])) / (norms[a] * norms[b])
        for a, b in combinations(range(len(norms)), 2)
        if norms[a] > 0 and norms[b] > 0
    }
    return sorted(strength, key=lambda pair: -strength[pair])[:FORMULA_PAIRS]


def _formulas(numeric: FloatArray, pairs: Sequence[Pair]) -> FloatArray:
    """Difference, ratio and equality of each pair, float64 [n, 3 * pairs]; undefined is NaN."""
    columns: list[FloatArray] = []
    for a, b in pairs:
        x, y = numeric[:, a], numeric[:, b]
        ratio = np.divide(x, y, out=np.full(len(x), np.nan), where=(y != 0) & np.isfinite(y))
        columns += [x - y, ratio, np.where(np.isnan(x - y), np.nan, x == y)]
    return np.column_stack([np.empty((len(numeric), 0)), *columns])
