"""Is some group modelled worse than the others?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from synthgen.datasets import ImageSet, Index, Keys, Table
from synthgen.findings import Finding
from synthgen.metrics.classifiers import Examples, Trees, class_probabilities, in_threads
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.fairness.cells import worst_of
from synthgen.metrics.fairness.groups import MIN_ROWS, Grouping, groupings
from synthgen.metrics.image_classifier import pixels, torch_generator
from synthgen.metrics.image_features import RANDOM_PX, calibrated_network, standardised_features
from synthgen.metrics.table_features import FeatureKind, column_decimals, encode, matched_tables
from synthgen.stats import FloatArray, auc_influence

SIDES = ("train", "holdout", "synthetic")
FOLDS = 3
JUDGE = Trees(rounds=80, depth=4, learning_rate=0.15)


@dataclass(frozen=True)
class Seen:
    """What the classifier sees of one side.

    Attributes:
        rows: float64 [n, d], values and codes of categories, or features of images.
        keys: equal for equal rows.
        kinds: of the columns.
    """

    rows: FloatArray
    keys: Keys
    kinds: Sequence[FeatureKind]


@dataclass(frozen=True)
class Gap:
    """How much easier a group is to tell from real rows than everybody else, and the standard error."""

    grouping: Grouping
    group: int
    auc: float
    auc_of_others: float
    error: float

    @property
    def value(self) -> float:
        """In [-1, 1]."""
        return self.auc - self.auc_of_others


def group_fidelity_gap(evaluation: Evaluation) -> Finding:
    """AUC of telling a group's synthetic rows from its held-out ones, minus that of all other rows; the largest.

    One XGBoost for all rows (three-fold cross-validation, equal numbers of rows of each class), its scores compared
    within the group and outside it: 0 = the group is modelled as well, or as badly, as the others; where every AUC is
    near 1 it says nothing. Of images the classifier sees the features of a network that was never trained. Groups of
    each protected column and of every two with at least 50 rows on every side. The reference has training rows in place
    of the synthetic ones. Interval: DeLong 1988; for the worst see `worst_of`.
    """
    groupings(evaluation.train)
    rng = evaluation.rng("group_fidelity_gap")
    seed = int(rng.integers(2**31))
    found, rows = _compared(evaluation, rng)
    scores = in_threads([partial(_scores, side, rows[1], seed) for side in (rows[2], rows[0])])
    gaps, control = _gaps(found, scores[0], 3), _gaps(found, scores[1], 1)
    if not gaps:
        raise NotMeasurable(f"no group has {MIN_ROWS} held-out and {MIN_ROWS} synthetic rows beside the others")
    worst = worst_of(np.array([gap.value for gap in gaps]), np.array([gap.error for gap in gaps]))
    largest = gaps[worst.at]
    groups = [{**gap.grouping.labelled(gap.group), "auc": gap.auc, "auc_of_others": gap.auc_of_others} for gap in gaps]
    return Finding(
        metric="group_fidelity_gap", family="fairness", value=worst.value, low=max(-1.0, worst.low),
        high=min(1.0, worst.high), reference=max((gap.value for gap in control), default=None),
        higher_is_better=False, n=int((largest.grouping.codes[3] == largest.group).sum()),
        detail={"worst_group": "{columns}: {group}".format(**groups[worst.at]), "groups": groups},
    )  # fmt: skip


def _compared(evaluation: Evaluation, rng: np.random.Generator) -> tuple[list[Grouping], list[Seen]]:
    """Groups of all training rows, and of as many train, held-out and synthetic ones of each class; and those rows."""
    if isinstance(evaluation.train, Table):
        tables = matched_tables(evaluation, at_least=MIN_ROWS)
        encoded = encode(tables, tables[0].schema.modelled)
        decimals = column_decimals(encoded[0].numeric)
        seen = [Seen(side.matrix(), side.keys(decimals), side.kinds) for side in encoded]
        return groupings(evaluation.train, **dict(zip(SIDES, tables, strict=True))), seen
    matched = evaluation.matched
    images = [part for part in (matched.train, matched.holdout, matched.synthetic) if isinstance(part, ImageSet)]
    found = groupings(evaluation.train, **dict(zip(SIDES, images, strict=True)))
    network = calibrated_network(images[0], torch_generator(rng))
    features = standardised_features(network, [pixels(part, at_most_px=RANDOM_PX) for part in images])
    kinds: list[FeatureKind] = ["q"] * features[0].shape[1]
    return found, [Seen(rows, part.row_keys(), kinds) for rows, part in zip(features, images, strict=True)]


def _scores(side: Seen, holdout: Seen, seed: int) -> FloatArray:
    """How much a row that no model has seen looks like one of `side`, float64 [rows of side, then of holdout]."""
    rows = np.vstack([side.rows, holdout.rows])
    target = np.repeat(np.array([1, 0]), [len(side.rows), len(holdout.rows)])
    folds = _folds(np.concatenate([side.keys, holdout.keys]), target)
    scores = np.empty(len(rows))
    for fold in range(FOLDS):
        inside = folds == fold
        examples = Examples(rows[~inside], target[~inside], side.kinds)
        scores[inside] = class_probabilities(examples, rows[inside], classes=2, trees=JUDGE, seed=seed)[:, 1]
    return scores


def _folds(keys: Keys, target: Index) -> Index:
    """int64 [n]: equal rows share a fold, else a classifier would know the side that a split has put them all on."""
    folds = (keys % np.uint64(FOLDS)).astype(np.int64)
    if all(len(np.unique(target[folds != fold])) == 2 for fold in range(FOLDS)):
        return folds
    # One row repeated without end: that it repeats is worth telling.
    return np.arange(len(target)) % FOLDS


def _gaps(found: Sequence[Grouping], scores: FloatArray, side: int) -> list[Gap]:
    """The gap of each group that has enough rows; `side` and 2 (holdout) are the tables that were told apart."""
    return [
        gap
        for grouping in found
        for group in range(len(grouping.names))
        if (gap := _gap(grouping, group, scores, np.concatenate([grouping.codes[side], grouping.codes[2]])))
    ]


def _gap(grouping: Grouping, group: int, scores: FloatArray, codes: Index) -> Gap | None:
    is_made = np.arange(len(codes)) < len(grouping.codes[2])  # as many of each side
    inside = codes == group
    if min(int((mask & made).sum()) for mask in (inside, ~inside) for made in (is_made, ~is_made)) < MIN_ROWS:
        return None
    (auc, influence), (others, other_influence) = (
        auc_influence(scores[mask], is_made[mask]) for mask in (inside, ~inside)
    )
    error = float(np.sqrt(np.square(influence).sum() + np.square(other_influence).sum()))
    return Gap(grouping, group, auc, others, error)
