"""Classifiers trained with and without the synthetic rows: trained once, read by utility and by fairness."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from synthgen.datasets import ImageSet, Index, Table, class_counts, take_per_class
from synthgen.metrics.classifiers import Examples, in_threads
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.learner import Task, balanced_mean, class_codes, macro_auc, make_task, rare_average_precision
from synthgen.metrics.smote import interpolated
from synthgen.metrics.table_features import Encoded, encode, tables
from synthgen.stats import FloatArray

D = TypeVar("D", bound=Table | ImageSet)
CONTROLS = ("class weights", "random oversampling", "SMOTE")
# Thinning favours the synthetic arm, whose model has seen every row: tables are thinned only where time demands it.
ROWS_PER_MAX_ROWS = 12


@dataclass(frozen=True)
class Outcome:
    """One arm over all seeds.

    Attributes:
        predicted: int64 [seeds, n], position of the most probable class of each test row.
        correct: float64 [seeds, n], 1 where that is the class of the row.
        balanced_accuracy, roc_auc, average_precision: float64 [seeds]; the last of the rarest class.
    """

    predicted: Index
    correct: FloatArray
    balanced_accuracy: FloatArray
    roc_auc: FloatArray
    average_precision: FloatArray


@dataclass(frozen=True)
class Augmented:
    """The arms of one evaluation.

    Attributes:
        holdout: the test rows, in the order of `task` and of the predictions.
        examples: what each arm learnt from; those of "synthetic" are the real rows, then the synthetic ones.
        outcomes: "real", "synthetic" (real + synthetic rows) and every control.
        sizes: how many rows the arms were made of.
    """

    task: Task
    holdout: Table
    examples: Mapping[str, Examples]
    outcomes: Mapping[str, Outcome]
    sizes: Mapping[str, float]


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


# Keyed by identity (Evaluation has eq=False), gone with its evaluation.
_TRAINED: WeakKeyDictionary[Evaluation, Augmented] = WeakKeyDictionary()


def augmented(evaluation: Evaluation) -> Augmented:
    """The arms of this evaluation; raises NotMeasurable when nothing can be added, learnt or tested."""
    if evaluation not in _TRAINED:
        _TRAINED[evaluation] = _train(evaluation)
    return _TRAINED[evaluation]


def _train(evaluation: Evaluation) -> Augmented:
    train, holdout, synthetic = tables(evaluation)
    if len(synthetic) == 0:
        raise NotMeasurable("there are no synthetic rows to add")
    share = share_used(evaluation, len(train) + len(synthetic))
    rng = evaluation.rng("augmentation_gain")
    real, added = thinned(train, share, rng), thinned(synthetic, share, rng)
    real_rows, added_rows, test_rows = encode([real, added, holdout], train.schema.features)
    task = make_task(train, holdout, test_rows)
    codes = [class_codes(part, task.classes) for part in (real, added)]
    arms = training_sets(Materials(real_rows, codes[0], added_rows, codes[1]), rng)
    sizes = {"train_rows": len(real), "synthetic_rows": len(added), "share_of_rows_used": share}
    return Augmented(task, holdout, arms, tested(task, arms, evaluation.size.utility_seeds), sizes)


def share_used(evaluation: Evaluation, rows: int) -> float:
    """Of so many rows to learn from, the share that a classifier learns from, in (0, 1]."""
    return min(1.0, ROWS_PER_MAX_ROWS * evaluation.size.max_rows / rows)


def thinned(data: D, share: float, rng: np.random.Generator) -> D:
    """That share of the rows of each class that has any, at least one."""
    counts = {name: max(1, round(count * share)) for name, count in class_counts(data).items() if count}
    taken = take_per_class(data, counts, rng)
    assert isinstance(taken, type(data))
    return taken


def tested(task: Task, arms: Mapping[str, Examples], seeds: int) -> dict[str, Outcome]:
    """Each arm, trained with as many seeds and tested."""
    jobs = [partial(_tested_once, task, examples, seed) for examples in arms.values() for seed in range(seeds)]
    found = in_threads(jobs)
    return {
        arm: Outcome(*(np.array(numbers) for numbers in zip(*found[at * seeds : (at + 1) * seeds], strict=True)))
        for at, arm in enumerate(arms)
    }


def _tested_once(task: Task, examples: Examples, seed: int) -> tuple[Index, FloatArray, float, float, float]:
    probabilities = task.probabilities(examples, seed)
    predicted = probabilities.argmax(1).astype(np.int64)
    correct = (predicted == task.target).astype(np.float64)
    return (
        predicted,
        correct,
        balanced_mean(task.target, correct),
        macro_auc(task.target, probabilities)[0],
        rare_average_precision(task.target, probabilities),
    )


def training_sets(materials: Materials, rng: np.random.Generator) -> dict[str, Examples]:
    """The training set of each arm, made once: seeds vary the classifier."""
    kinds, target = materials.real.kinds, materials.target
    real = Examples(materials.real.matrix(), target, kinds)
    again = np.concatenate([rng.choice(np.flatnonzero(target == code), n) for code, n in materials.added.items()])
    return {
        "real": real,
        "class weights": replace(real, weight=_balancing_weights(target)),
        "random oversampling": extended(real, real.rows[again], target[again]),
        "SMOTE": extended(real, *interpolated(materials.real, target, materials.added, rng)),
        "synthetic": extended(real, materials.synthetic.matrix(), materials.synthetic_target),
    }


def extended(real: Examples, rows: FloatArray, target: Index) -> Examples:
    """The real examples and these rows, float64 [n, d], with their classes, int64 [n]."""
    return Examples(np.vstack([real.rows, rows]), np.concatenate([real.target, target]), real.kinds)


def _balancing_weights(target: Index) -> FloatArray:
    """float64 [n], mean 1: every class weighs the same."""
    counts = np.bincount(target)
    return np.asarray(len(target) / ((counts > 0).sum() * counts[target]), dtype=np.float64)
