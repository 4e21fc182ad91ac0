"""What an arm scores on the holdout once everything about it was chosen on valid, and what it gains over another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from synthgen.datasets import Index
from synthgen.metrics.learner import balanced_mean, macro_auc, rare_average_precision
from synthgen.metrics.utility.controls import Gain, balanced_estimate
from synthgen.stats import FloatArray, t_interval

# How far the decision leans towards classes that are rare in training, from not at all to as if all were as frequent.
# An arm that only shifts this threshold, as class weights do, then gains nothing over one that does not.
TILTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Truth:
    """Classes of the rows of valid and holdout, int64 [n] each."""

    valid: Index
    holdout: Index
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Answers:
    """Probabilities of one arm over all seeds, float64 [seeds, n, classes].

    Attributes:
        setting: what was chosen for the classifier on valid.
        frequency: float64 [classes], share of each class in what the arm learnt from.
    """

    valid: FloatArray
    holdout: FloatArray
    setting: str
    frequency: FloatArray

    def weights(self, tilt: float) -> FloatArray:
        """float64 [classes], what probabilities are multiplied with before the largest is taken."""
        return np.asarray(np.maximum(self.frequency, 1e-9) ** -tilt, dtype=np.float64)


@dataclass(frozen=True)
class Result:
    """One arm, decided on valid and tested on the holdout."""

    name: str
    answers: Answers
    truth: Truth
    tilt: float

    @classmethod
    def of(cls, name: str, answers: Answers, truth: Truth) -> "Result":
        """The arm with the tilt that has the best balanced accuracy on valid, the smallest of several."""
        scores = [_right(answers.valid, answers.weights(tilt), truth.valid) for tilt in TILTS]
        balanced = [balanced_mean(truth.valid, right.mean(axis=0)) for right in scores]
        return cls(name, answers, truth, TILTS[int(np.argmax(balanced))])

    @cached_property
    def correct(self) -> FloatArray:
        """float64 [seeds, n], 1 where the class of a holdout row was found."""
        return _right(self.answers.holdout, self.answers.weights(self.tilt), self.truth.holdout)

    @property
    def valid_score(self) -> float:
        """Balanced accuracy on valid, mean over seeds."""
        right = _right(self.answers.valid, self.answers.weights(self.tilt), self.truth.valid)
        return balanced_mean(self.truth.valid, right.mean(axis=0))

    def numbers(self) -> dict[str, float]:
        """Scores on the holdout, means over seeds; the balanced accuracy with its interval."""
        target, every = self.truth.holdout, self.answers.holdout
        of_seeds = np.array([balanced_mean(target, right) for right in self.correct])
        low, high = t_interval(of_seeds, extra_variance=_rate_variance(self.correct.mean(axis=0), target))
        return {
            "balanced_accuracy": float(of_seeds.mean()),
            "balanced_accuracy.low": max(0.0, low),
            "balanced_accuracy.high": min(1.0, high),
            "roc_auc": float(np.mean([macro_auc(target, one)[0] for one in every])),
            "average_precision_rarest": float(np.mean([rare_average_precision(target, one) for one in every])),
        }


def gain(arm: Result, control: Result) -> Gain:
    """Mean paired difference of balanced accuracy on the holdout."""
    return balanced_estimate(arm.correct - control.correct, arm.truth.holdout)


@dataclass(frozen=True)
class ClassGain:
    """One class: holdout rows, the share of them that each arm finds, and the difference with its interval."""

    name: str
    rows: int
    real: float
    augmented: float
    gain: Gain


def gains_by_class(arm: Result, control: Result) -> Sequence[ClassGain]:
    """The gain of the share of right answers in each class that the holdout has."""
    truth, found = arm.truth, []
    for code in np.unique(truth.holdout).tolist():
        inside = truth.holdout == code
        ours, theirs = arm.correct[:, inside], control.correct[:, inside]
        estimate = balanced_estimate(ours - theirs, truth.holdout[inside])
        found.append(
            ClassGain(truth.classes[code], int(inside.sum()), float(theirs.mean()), float(ours.mean()), estimate)
        )
    return found


def _rate_variance(right: FloatArray, target: Index) -> float:
    """Variance of a balanced accuracy from the test rows: two more of each answer (Agresti and Coull 1998)."""
    variances = []
    for code in np.unique(target):
        n = int((target == code).sum()) + 4
        rate = (float(right[target == code].sum()) + 2) / n
        variances.append(rate * (1 - rate) / n)
    return sum(variances) / len(variances) ** 2


def best_setting(valid: Mapping[str, FloatArray], target: Index) -> str:
    """The setting whose probabilities, float64 [n, classes], rank the valid rows best; the first of several."""
    return max(valid, key=lambda name: macro_auc(target, valid[name])[0])


def _right(probabilities: FloatArray, weights: FloatArray, target: Index) -> FloatArray:
    return np.asarray((probabilities * weights).argmax(axis=2) == target, dtype=np.float64)
