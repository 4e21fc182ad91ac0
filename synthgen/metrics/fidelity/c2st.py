"""Classifier two-sample test: can a strong classifier tell synthetic from real?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from synthgen.datasets import Index, Keys
from synthgen.findings import Finding
from synthgen.metrics.classifiers import Examples, Trees, class_probabilities, in_threads
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.formulas import Pair, dependent_pairs, formulas
from synthgen.metrics.table_features import Encoded, FeatureKind, column_decimals, encode, matched_tables, tables
from synthgen.stats import auc_influence, auc_interval

MIN_ROWS = 30
FOLDS = 3
JUDGE = Trees(rounds=80, depth=4, learning_rate=0.15)


@dataclass(frozen=True)
class Comparison:
    """How two sides are told apart.

    Attributes:
        decimals: of each numeric column, to which rows are equal.
        real: keys of all real rows.
        pairs: positions of numeric columns whose difference, ratio and equality the classifier sees too.
    """

    decimals: Sequence[int]
    real: Keys
    pairs: Sequence[Pair]
    seed: int


def c2st_auc(evaluation: Evaluation) -> Finding:
    """Area under the ROC curve of XGBoost telling synthetic from holdout rows; 0.5 = it cannot, 1 = always.

    Three-fold cross-validation, mean over the folds, equal numbers of rows of each class on both sides. The reference
    tells train from holdout rows. `formula_auc` in the detail also sees differences, ratios and equality of the most
    dependent numeric columns: an ordinary .54 hid .88 there. Source: Lopez-Paz and Oquab 2017, arXiv:1610.06545.
    Interval: Hanley and McNeil 1982, for the test rows; the training rows add a little (it covered .5 in 34 of 40 null
    comparisons).
    """
    matched, everyone = matched_tables(evaluation, at_least=MIN_ROWS), tables(evaluation)
    columns = everyone[0].schema.modelled
    train, holdout, synthetic, *real = encode([*matched, *everyone[:2]], columns)
    decimals = column_decimals(real[0].numeric)
    keys = np.concatenate([rows.keys(decimals) for rows in real])
    plain = Comparison(decimals, keys, (), seed=int(evaluation.rng("c2st_auc").integers(2**31)))
    with_formulas = replace(plain, pairs=dependent_pairs(train))
    kinds = [plain, with_formulas] if with_formulas.pairs else [plain]
    jobs = [partial(separation, kind, side, holdout) for kind in kinds for side in (synthetic, train)]
    value, reference, *formula = in_threads(jobs)
    low, high = auc_interval(value, len(synthetic), len(holdout))
    return Finding(
        metric="c2st_auc", family="fidelity", value=value, low=low, high=high, reference=reference,
        higher_is_better=False, n=len(synthetic),
        detail=dict(zip(("formula_auc", "formula_reference"), formula, strict=False)),
    )  # fmt: skip


def separation(how: Comparison, first: Encoded, second: Encoded) -> float:
    """AUC of the classifier that tells both sides apart, cross-validated."""
    sides = (first, second)
    rows = np.vstack([np.hstack([side.matrix(), formulas(side.numeric, how.pairs)]) for side in sides])
    more: list[FeatureKind] = ["q"] * (rows.shape[1] - len(first.kinds))
    target = np.repeat(np.array([1, 0]), [len(side) for side in sides])
    folds = _folds(_groups(np.concatenate([side.keys(how.decimals) for side in sides]), how.real), target, how.seed)
    areas = []
    for fold in range(FOLDS):
        inside = folds == fold
        examples = Examples(rows[~inside], target[~inside], first.kinds + more)
        scores = class_probabilities(examples, rows[inside], classes=2, trees=JUDGE, seed=how.seed)[:, 1]
        areas.append(auc_influence(scores, target[inside] == 1)[0])
    return float(np.mean(areas))


def _groups(keys: Keys, real: Keys) -> Keys:
    """uint64 [n]: equal for equal rows that occur in real data, else each its own.

    A split puts a duplicated real row on one side, and a classifier that meets it in two folds would know the side.
    A row that only the synthesizer repeats is no such accident.
    """
    return np.where(np.isin(keys, real), keys, np.arange(len(keys), dtype=np.uint64))


def _folds(groups: Keys, target: Index, seed: int) -> Index:
    """int64 [n]: the fold of each row; a group shares one, and each fold has its part of both sides."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(first))
    by_side = shuffled[np.argsort(target[first[shuffled]], kind="stable")]
    fold_of_group = np.empty(len(first), dtype=np.int64)
    fold_of_group[by_side] = np.arange(len(first)) % FOLDS
    folds = fold_of_group[group]
    sides = {(fold, side) for fold, side in zip(folds.tolist(), target.tolist(), strict=True)}
    if len(sides) == 2 * FOLDS:
        return folds
    # A side of one or two different rows cannot be spread by groups; that it repeats itself is worth telling.
    return _folds(np.arange(len(groups), dtype=np.uint64), target, seed)
