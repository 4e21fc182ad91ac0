"""Augmentation gain on tables: is a classifier better with the synthetic rows, and better than by cheaper means?"""

from collections.abc import Mapping

from synthgen.datasets import Table
from synthgen.findings import Finding
from synthgen.metrics.augmented import CONTROLS, Outcome, augmented, extended, share_used, tested, thinned
from synthgen.metrics.classifiers import Examples
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.learner import Task, class_codes, make_task
from synthgen.metrics.table_features import encode, tables
from synthgen.metrics.utility.controls import Gain, balanced_estimate, over_controls


def augmentation_gain(evaluation: Evaluation) -> Finding:
    """Balanced accuracy on the holdout of a classifier trained on real + synthetic rows, minus on real rows alone.

    The same XGBoost for every arm, paired seeds. Controls, in the detail with their gains: class weights; real rows
    duplicated at random to the same class counts; SMOTE to the same class counts. The interval holds the spread over
    paired seeds and over test rows. No reference: held-out rows cannot both train and test a classifier.
    """
    arms = augmented(evaluation)
    return _finding(arms.task, arms.outcomes, arms.sizes)


def gain_over_controls(evaluation: Evaluation) -> Finding:
    """The smallest gain of real + synthetic rows over a control: class weights, duplicated real rows, SMOTE.

    Balanced accuracy on the holdout, as in `augmentation_gain`. Value and both ends of the interval are the smallest
    over the controls: the rows must keep up with each of them, so no correction for their number is due.
    """
    arms = augmented(evaluation)
    gains = {name: _gain(arms.task, arms.outcomes["synthetic"], arms.outcomes[name]) for name in CONTROLS}
    return over_controls(gains, n=len(arms.task.target))


class ShareGain(Gain):
    """The same for one share of a plan; `roc_auc` is the mean difference of ROC-AUC, which no threshold changes."""

    roc_auc: float


def gains_by_share(train: Table, valid: Table, added: Mapping[float, Table], *, seeds: int) -> dict[float, ShareGain]:
    """Scores on valid with each set of added rows, minus those of the real rows alone; paired seeds.

    The intervals hold with 95 % all together: whoever takes the best of several has tried them all (Bonferroni).

    Raises:
        NotMeasurable: there is no label, one class, or too few valid rows.
    """
    real_rows, test_rows, *added_rows = encode([train, valid, *added.values()], train.schema.features)
    task = make_task(train, valid, test_rows)
    real = Examples(real_rows.matrix(), class_codes(train, task.classes), real_rows.kinds)
    arms = {"real": real} | {
        str(share): extended(real, rows.matrix(), class_codes(table, task.classes))
        for (share, table), rows in zip(added.items(), added_rows, strict=True)
    }
    outcomes = tested(task, arms, seeds)
    real_outcome, confidence = outcomes["real"], 1 - 0.05 / len(added)
    return {
        share: ShareGain(
            **_gain(task, outcome, real_outcome, confidence=confidence),
            roc_auc=float((outcome.roc_auc - real_outcome.roc_auc).mean()),
        )
        for share, outcome in ((share, outcomes[str(share)]) for share in added)
    }


def gain_between(ours: Evaluation, theirs: Evaluation, *, alone: bool) -> Gain:
    """Balanced accuracy on the holdout of a classifier that learns from our synthetic rows, minus from theirs.

    Args:
        ours, theirs: with the same train, holdout, size and seed.
        alone: the classifier sees no real row; else it learns from all of train besides.

    Raises:
        NotMeasurable: there is no label, one class, or too few holdout rows.
    """
    train, holdout, first = tables(ours)
    second = tables(theirs)[2]
    share = share_used(ours, len(train) + len(first))
    # Each by the same stream: equal rows on both sides come to a gain of exactly 0.
    parts = [thinned(part, share, ours.rng("gain_between")) for part in (train, first, second)]
    test_rows, *rows = encode([holdout, *parts], train.schema.features)
    task = make_task(train, holdout, test_rows)
    real, *added = (
        Examples(part.matrix(), class_codes(table, task.classes), part.kinds)
        for part, table in zip(rows, parts, strict=True)
    )
    arms = {
        name: examples if alone else extended(real, examples.rows, examples.target)
        for name, examples in zip(("ours", "theirs"), added, strict=True)
    }
    outcomes = tested(task, arms, ours.size.utility_seeds)
    return _gain(task, outcomes["ours"], outcomes["theirs"])


def _finding(task: Task, outcomes: Mapping[str, Outcome], sizes: Mapping[str, float]) -> Finding:
    gains = {arm: _gain(task, outcome, outcomes["real"]) for arm, outcome in outcomes.items() if arm != "real"}
    best_control = max(CONTROLS, key=lambda arm: gains[arm]["value"])
    gain = gains["synthetic"]
    return Finding(
        metric="augmentation_gain", family="utility", value=gain["value"], low=gain["low"], high=gain["high"],
        reference=None, higher_is_better=True, n=len(task.target),
        detail={
            "score": "balanced accuracy",
            "arms": {arm: float(outcome.balanced_accuracy.mean()) for arm, outcome in outcomes.items()},
            "roc_auc": {arm: float(outcome.roc_auc.mean()) for arm, outcome in outcomes.items()},
            "average_precision": {arm: float(outcome.average_precision.mean()) for arm, outcome in outcomes.items()},
            "gains": gains,
            "best_control": best_control,
            "gain_over_best_control": _gain(task, outcomes["synthetic"], outcomes[best_control]),
            "seeds": len(outcomes["real"].roc_auc),
            **sizes,
        },
    )  # fmt: skip


def _gain(task: Task, arm: Outcome, control: Outcome, *, confidence: float = 0.95) -> Gain:
    """Mean paired difference of balanced accuracy with its interval."""
    return balanced_estimate(arm.correct - control.correct, task.target, confidence=confidence)
