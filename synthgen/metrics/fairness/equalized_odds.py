"""Does the classifier that learnt from synthetic rows treat groups more differently?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats as scipy_stats

from synthgen.datasets import Index, Table
from synthgen.findings import Finding
from synthgen.metrics.augmented import Augmented, augmented
from synthgen.metrics.evaluation import Evaluation, NotApplicable, NotMeasurable
from synthgen.metrics.fairness.groups import MIN_ROWS, Grouping, groupings
from synthgen.metrics.fairness.half_samples import HalfTrained, half_trained
from synthgen.metrics.learner import Task
from synthgen.stats import FloatArray

# Real rows alone, at the class counts of the synthetic arm.
CONTROL = "random oversampling"
ARMS = ("real", CONTROL, "synthetic")


@dataclass(frozen=True)
class Odds:
    """Equalized-odds difference of one arm.

    Attributes:
        value: float64 [seeds].
        influence: float64 [n], how far each test row moves the mean over seeds.
        floor: variance of half a row in the cells that the value rests on: few rows that agree are no certainty.
    """

    value: FloatArray
    influence: FloatArray
    floor: float


@dataclass(frozen=True)
class Change:
    """How much larger the difference of the synthetic arm is than that of the control.

    Attributes:
        high: upper end of the 95 % interval.
        corrected_low: lower end when the worst of several changes is chosen (Bonferroni).
        odds: mean difference of each arm.
    """

    columns: str
    value: float
    corrected_low: float
    high: float
    odds: dict[str, float]


def equalized_odds_change(evaluation: Evaluation) -> Finding:
    """Equalized-odds difference on the holdout of the augmented classifier, minus that of its control; the worst.

    Equalized-odds difference, in [0, 1]: the largest gap between two groups in how often a class is predicted, among
    rows of the class or among the others (fairlearn's, each class against the rest; Hardt 2016, arXiv:1610.02413).
    Groups of each protected column and of every two; each rate rests on at least 50 held-out rows. The control learnt
    from real rows alone, duplicated to the same class counts: balancing by itself moves the threshold and with it the
    gaps (fresh real rows of the rare class: +.09 by sex on Adult, duplicated ones +.07), which is no fault of the
    synthetic rows. Changes against real rows as they are stand in the detail. Classifiers, seeds and pairing are those
    of `augmentation_gain`. Interval: Student's, with the variances of paired seeds, of test rows (by influence), and of
    training rows: another sample of them gives another classifier, and 1,500 fresh real rows moved the gap by up to
    .08. That one is the squared difference between random halves of the training rows, over 4 (Shao and Wu 1989). For
    the worst of several groupings Bonferroni at the lower end, none needed at the upper (Berger 1982). No reference:
    held-out rows cannot both train and test a classifier.
    """
    if evaluation.train.classes == ("",):
        raise NotApplicable("the table has no label")
    train = evaluation.train
    assert isinstance(train, Table)
    groupings([train])  # nothing to train for when there is no group
    arms = augmented(evaluation)
    found = groupings([train, arms.holdout])
    cells = {" × ".join(grouping.columns): _cells(arms.task, grouping) for grouping in found}
    measured = {columns: cells[columns] for columns in cells if cells[columns]}
    if not measured:
        raise NotMeasurable(f"no two groups have {MIN_ROWS} held-out rows of one class")
    halves = half_trained(arms, evaluation.rng("equalized_odds_change"))
    changes = [_change(columns, arms, halves, inside, 0.05 / len(measured)) for columns, inside in measured.items()]
    worst = max(changes, key=lambda change: change.value)
    return Finding(
        metric="equalized_odds_change", family="fairness", value=worst.value,
        low=max(change.corrected_low for change in changes), high=max(change.high for change in changes),
        reference=None, higher_is_better=False, n=len(arms.task.target),
        detail={
            "worst_group": worst.columns,
            "control": CONTROL,
            "against_real": worst.odds["synthetic"] - worst.odds["real"],
            "control_against_real": worst.odds[CONTROL] - worst.odds["real"],
            "groupings": [{"columns": change.columns, "change": change.value, **change.odds} for change in changes],
            "seeds": len(arms.outcomes["real"].roc_auc),
        },
    )  # fmt: skip


@dataclass(frozen=True)
class _Cell:
    """Rows of each group, bool [groups, n], which all are of a class or all are not."""

    label: int
    rows: npt.NDArray[np.bool_]


def _cells(task: Task, grouping: Grouping) -> list[_Cell]:
    # Of two classes each mirrors the other.
    labels = task.present if len(task.classes) > 2 else task.present[-1:]
    inside = grouping.codes[1] == np.arange(len(grouping.names))[:, None]
    cells = []
    for label in labels.tolist():
        for side in (task.target == label, task.target != label):
            rows = inside & side
            enough = rows.sum(axis=1) >= MIN_ROWS
            if enough.sum() >= 2:
                cells.append(_Cell(label, rows[enough]))
    return cells


def _odds(predicted: Index, cells: list[_Cell]) -> Odds:
    """The difference of one arm from its predictions, int64 [seeds, n]."""
    gaps = [_gap(predicted == cell.label, cell.rows) for cell in cells]
    value = np.array([gap[0] for gap in gaps])  # [cells, seeds]
    widest, seeds = value.argmax(axis=0), np.arange(len(predicted))
    influence = np.array([gap[1] for gap in gaps])[widest, seeds]
    floor = np.array([gap[2] for gap in gaps])[widest, seeds]
    return Odds(value[widest, seeds], influence.mean(axis=0), float(floor.mean()))


def _gap(hits: npt.NDArray[np.bool_], rows: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Largest rate less the smallest, [seeds], each row's influence on it, [seeds, n], and variance of half a row."""
    sizes = rows.sum(axis=1)
    rates = hits @ rows.T.astype(np.float64) / sizes  # [seeds, groups]
    top, bottom = rates.argmax(axis=1), rates.argmin(axis=1)
    seeds = np.arange(len(hits))
    ends = [(1.0, top, rates[seeds, top][:, None]), (-1.0, bottom, rates[seeds, bottom][:, None])]
    influence = sum(sign * rows[group] * (hits - rate) / sizes[group][:, None] for sign, group, rate in ends)
    floor = 1 / sizes[top] ** 2 + 1 / sizes[bottom] ** 2
    return rates[seeds, top] - rates[seeds, bottom], np.asarray(influence), floor


def _change(
    columns: str,
    arms: Augmented,
    halves: list[tuple[HalfTrained, HalfTrained]],
    cells: list[_Cell],
    alpha: float,
) -> Change:
    odds = {arm: _odds(arms.outcomes[arm].predicted, cells) for arm in ARMS}
    ours, control = odds["synthetic"], odds[CONTROL]
    differences = ours.value - control.value
    of_seeds = float(np.var(differences, ddof=1)) / len(differences)
    of_rows = float(np.square(ours.influence - control.influence).sum()) + max(ours.floor, control.floor)
    of_training = float(np.mean([(_half(one, cells) - _half(other, cells)) ** 2 for one, other in halves])) / 4
    variance = of_seeds + of_rows + of_training
    # Welch-Satterthwaite: few seeds and splits widen the interval as far as the variance is theirs.
    freedom = variance**2 / (of_seeds**2 / (len(differences) - 1) + of_training**2 / len(halves) + 1e-300)
    wide, ordinary = scipy_stats.t.ppf([1 - alpha / 2, 0.975], freedom) * np.sqrt(variance)
    value = float(differences.mean())
    means = {arm: float(found.value.mean()) for arm, found in odds.items()}
    return Change(columns, value, value - float(wide), value + float(ordinary), means)


def _half(trained: HalfTrained, cells: list[_Cell]) -> float:
    return float(_odds(trained.synthetic, cells).value[0] - _odds(trained.control, cells).value[0])
