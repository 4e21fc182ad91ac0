"""Augmentation gain on tables: is a classifier better with the synthetic rows, and better than by cheaper means?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypedDict

import numpy as np

from synthgen.datasets import Index, Table, class_counts, take_per_class
from synthgen.findings import Finding
from synthgen.metrics.classifiers import Examples, in_threads
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.table_features import Encoded, encode, tables
from synthgen.metrics.utility.learner import (
    Task,
    balanced_mean,
    balanced_variance,
    class_codes,
    is_correct,
    macro_auc,
    make_task,
    rare_average_precision,
)
from synthgen.metrics.utility.smote import interpolated
from synthgen.stats import FloatArray, t_interval

CONTROLS = ("class weights", "random oversampling", "SMOTE")
# Thinning favours the synthetic arm, whose model has seen every row: tables are thinned only where time demands it.
ROWS_PER_MAX_ROWS = 12


class Gain(TypedDict):
    """A mean paired difference of balanced accuracy with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Materials:
    """What the arms are made of: real and synthetic training rows with their classes, int64 [n]."""

    real: Encoded
    target: Index
    synthetic: Encoded
    synthetic_target: Index

    @property
    def added(self) -> dict[int, int]:
        """How many rows of each class the synthetic ones add; the controls add as many."""
        codes, counts = np.unique(self.synthetic_target, return_counts=True)
        return dict(zip(codes.tolist(), counts.tolist(), strict=True))


@dataclass(frozen=True)
class Outcome:
    """One arm over all seeds.

    Attributes:
        correct: float64 [seeds, n], 1 where the most probable class of a test row is its own.
        balanced_accuracy, roc_auc, average_precision: float64 [seeds]; the last of the rarest class.
    """

    correct: FloatArray
    balanced_accuracy: FloatArray
    roc_auc: FloatArray
    average_precision: FloatArray


def augmentation_gain(evaluation: Evaluation) -> Finding:
    """Balanced accuracy on the holdout of a classifier trained on real + synthetic rows, minus on real rows alone.

    The same XGBoost for every arm, paired seeds. Controls, in the detail with their gains: class weights; real rows
    duplicated at random to the same class counts; SMOTE to the same class counts. The interval holds the spread over
    paired seeds and over test rows. No reference: held-out rows cannot both train and test a classifier.
    """
    train, holdout, synthetic = tables(evaluation)
    if len(synthetic) == 0:
        raise NotMeasurable("there are no synthetic rows to add")
    share = min(1.0, ROWS_PER_MAX_ROWS * evaluation.size.max_rows / (len(train) + len(synthetic)))
    rng = evaluation.rng("augmentation_gain")
    real, added = _thinned(train, share, rng), _thinned(synthetic, share, rng)
    real_rows, added_rows, test_rows = encode([real, added, holdout], train.schema.features)
    task = make_task(train, holdout, test_rows)
    codes = [class_codes(part, task.classes) for part in (real, added)]
    arms = _arms(Materials(real_rows, codes[0], added_rows, codes[1]), rng)
    outcomes = _outcomes(task, arms, evaluation.size.utility_seeds)
    sizes = {"train_rows": len(real), "synthetic_rows": len(added), "share_of_rows_used": share}
    return _finding(task, outcomes, sizes)


class ShareGain(Gain):
    """The same for one share of a plan; `roc_auc` is the mean difference of ROC-AUC, which no threshold changes."""

    roc_auc: float


def gains_by_share(train: Table, valid: Table, added: Mapping[float, Table], *, seeds: int) -> dict[float, ShareGain]:
    """Scores on valid with each set of added rows, minus those of the real rows alone; paired seeds.

    Raises:
        NotMeasurable: there is no label, one class, or too few valid rows.
    """
    real_rows, test_rows, *added_rows = encode([train, valid, *added.values()], train.schema.features)
    task = make_task(train, valid, test_rows)
    real = Examples(real_rows.matrix(), class_codes(train, task.classes), real_rows.kinds)
    arms = {"real": real} | {
        str(share): _extended(real, rows.matrix(), class_codes(table, task.classes))
        for (share, table), rows in zip(added.items(), added_rows, strict=True)
    }
    outcomes = _outcomes(task, arms, seeds)
    real_outcome = outcomes["real"]
    return {
        share: ShareGain(
            **_gain(task, outcome, real_outcome), roc_auc=float((outcome.roc_auc - real_outcome.roc_auc).mean())
        )
        for share, outcome in ((share, outcomes[str(share)]) for share in added)
    }


def _thinned(table: Table, share: float, rng: np.random.Generator) -> Table:
    """That share of the rows of each class, at least one."""
    counts = {name: max(1, round(count * share)) for name, count in class_counts(table).items()}
    thinned = take_per_class(table, counts, rng)
    assert isinstance(thinned, Table)
    return thinned


def _outcomes(task: Task, arms: Mapping[str, Examples], seeds: int) -> dict[str, Outcome]:
    jobs = [partial(_tested, task, examples, seed) for examples in arms.values() for seed in range(seeds)]
    found = in_threads(jobs)
    return {
        arm: Outcome(*(np.array(numbers) for numbers in zip(*found[at * seeds : (at + 1) * seeds], strict=True)))
        for at, arm in enumerate(arms)
    }


def _tested(task: Task, examples: Examples, seed: int) -> tuple[FloatArray, float, float, float]:
    probabilities = task.probabilities(examples, seed)
    correct = is_correct(task, probabilities).astype(np.float64)
    return (
        correct,
        balanced_mean(task, correct),
        macro_auc(task, probabilities)[0],
        rare_average_precision(task, probabilities),
    )


def _arms(materials: Materials, rng: np.random.Generator) -> dict[str, Examples]:
    """The training set of each arm, made once: seeds vary the classifier."""
    kinds, target = materials.real.kinds, materials.target
    real = Examples(materials.real.matrix(), target, kinds)
    again = np.concatenate([rng.choice(np.flatnonzero(target == code), n) for code, n in materials.added.items()])
    return {
        "real": real,
        "class weights": replace(real, weight=_balancing_weights(target)),
        "random oversampling": _extended(real, real.rows[again], target[again]),
        "SMOTE": _extended(real, *interpolated(materials.real, target, materials.added, rng)),
        "synthetic": _extended(real, materials.synthetic.matrix(), materials.synthetic_target),
    }


def _extended(real: Examples, rows: FloatArray, target: Index) -> Examples:
    return Examples(np.vstack([real.rows, rows]), np.concatenate([real.target, target]), real.kinds)


def _balancing_weights(target: Index) -> FloatArray:
    """float64 [n], mean 1: every class weighs the same."""
    counts = np.bincount(target)
    return np.asarray(len(target) / ((counts > 0).sum() * counts[target]), dtype=np.float64)


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


def _gain(task: Task, arm: Outcome, control: Outcome) -> Gain:
    """Mean paired difference of balanced accuracy with its interval."""
    differences = arm.balanced_accuracy - control.balanced_accuracy
    per_row = arm.correct.mean(axis=0) - control.correct.mean(axis=0)
    low, high = t_interval(differences, extra_variance=balanced_variance(task, per_row))
    return {"value": float(differences.mean()), "low": low, "high": high}
