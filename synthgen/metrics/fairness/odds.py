"""Equalized-odds difference of classifiers, and how much larger that of one is than that of another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats as scipy_stats

from synthgen.datasets import Index
from synthgen.metrics.fairness.groups import MIN_ROWS
from synthgen.metrics.fairness.half_samples import HalfTrained
from synthgen.stats import FloatArray


@dataclass(frozen=True)
class Cell:
    """Rows of each group, bool [groups, n], which all are of a class or all are not."""

    label: int
    rows: npt.NDArray[np.bool_]


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

    @classmethod
    def of(cls, predicted: Index, cells: Sequence[Cell]) -> "Odds":
        """The difference of one arm from its predictions, int64 [seeds, n]."""
        gaps = [_gap(predicted == cell.label, cell.rows) for cell in cells]
        value = np.array([gap[0] for gap in gaps])  # [cells, seeds]
        widest, seeds = value.argmax(axis=0), np.arange(len(predicted))
        influence = np.array([gap[1] for gap in gaps])[widest, seeds]
        floor = np.array([gap[2] for gap in gaps])[widest, seeds]
        return cls(value[widest, seeds], influence.mean(axis=0), float(floor.mean()))


@dataclass(frozen=True)
class Change:
    """How much larger the difference of the synthetic arm is than that of the control.

    Attributes:
        corrected_low: lower end when the worst of several changes is chosen (Bonferroni).
        high: upper end of the 95 % interval.
        odds: mean difference of each arm.
    """

    columns: str
    value: float
    corrected_low: float
    high: float
    odds: dict[str, float]


def change_of(
    columns: str,
    predicted: Mapping[str, Index],
    halves: Sequence[tuple[HalfTrained, HalfTrained]],
    cells: Sequence[Cell],
    alpha: float,
) -> Change:
    """The change with the variances of paired seeds, of test rows and of training rows.

    Args:
        predicted: int64 [seeds, n] of real rows, of the control and of the synthetic arm, in this order.
        alpha: what may be wrong at both ends of the interval of which `corrected_low` is the lower one.
    """
    odds = {arm: Odds.of(found, cells) for arm, found in predicted.items()}
    _, control, ours = odds.values()
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


def cells_of(target: Index, classes: int, groups: Index) -> list[Cell]:
    """Of each class, and of the others, the groups that have `MIN_ROWS` test rows, where there are two.

    Args:
        target: int64 [n], class of each test row, of so many classes.
        groups: int64 [n]; -1 is none.
    """
    # Of two classes each mirrors the other.
    present = np.unique(target)
    labels = present if classes > 2 else present[-1:]
    inside = groups == np.arange(groups.max(initial=-1) + 1)[:, None]
    cells = []
    for label in labels.tolist():
        for side in (target == label, target != label):
            rows = inside & side
            enough = rows.sum(axis=1) >= MIN_ROWS
            if enough.sum() >= 2:
                cells.append(Cell(label, rows[enough]))
    return cells


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


def _half(trained: HalfTrained, cells: Sequence[Cell]) -> float:
    return float(Odds.of(trained.synthetic, cells).value[0] - Odds.of(trained.control, cells).value[0])
