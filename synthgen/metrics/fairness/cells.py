"""Rows of each class in each group, their shares at given class weights, and the worst of many numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from synthgen.datasets import Index
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.fairness.groups import Grouping, groupings
from synthgen.stats import FloatArray


@dataclass(frozen=True)
class Cells:
    """How many rows of one table, or images of one set, each class has in each group.

    Attributes:
        counts: float64 [classes, groups].
        totals: float64 [classes], with the rows of no group.
    """

    counts: FloatArray
    totals: FloatArray

    @classmethod
    def of(cls, classes: Index, groups: Index, shape: tuple[int, int]) -> "Cells":
        """The counts of rows with these classes and groups, int64 [n]; -1 is none of them."""
        known = classes >= 0
        inside = known & (groups >= 0)
        flat = np.bincount(classes[inside] * shape[1] + groups[inside], minlength=shape[0] * shape[1])
        totals = np.bincount(classes[known], minlength=shape[0])
        return cls(flat.reshape(shape).astype(np.float64), totals.astype(np.float64))

    @cached_property
    def rows(self) -> FloatArray:
        """Rows of each group, float64 [groups]."""
        return np.asarray(self.counts.sum(axis=0))

    def joint(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Share of each class and group at these class weights, and its variance, float64 [classes, groups].

        Half a row is added to each cell for the variance: an empty cell is no certainty.
        """
        weight = np.where(self.totals > 0, weights, 0.0)
        weight = (weight / max(weight.sum(), 1e-300))[:, None]
        totals = np.maximum(self.totals, 1.0)[:, None]
        smooth = (self.counts + 0.5) / (totals + 1)
        return weight * self.counts / totals, weight**2 * smooth * (1 - smooth) / totals

    def label_rates(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """P(class | group) at these class weights, and its variance (delta method), float64 [classes, groups]."""
        joint, variance = self.joint(weights)
        # Its square must not be 0 where a group has no row.
        share = np.maximum(joint.sum(axis=0), 1e-150)
        rate = joint / share
        others = variance.sum(axis=0) - variance
        return rate, ((1 - rate) ** 2 * variance + rate**2 * others) / share**2


@dataclass(frozen=True)
class Sides:
    """The cells of one grouping in train, holdout and synthetic rows.

    Attributes:
        weights: float64 [classes], sum 1: the class frequencies of the synthetic rows.
    """

    grouping: Grouping
    train: Cells
    holdout: Cells
    synthetic: Cells
    weights: FloatArray


def sides_of(evaluation: Evaluation) -> list[Sides]:
    """The cells of every grouping; raises NotApplicable or NotMeasurable when there is nothing to count."""
    parts = evaluation.train, evaluation.holdout, evaluation.synthetic
    classes = pd.Index(parts[0].classes)
    codes = [classes.get_indexer(pd.Index(part.labels)) for part in parts]
    frequencies = np.bincount(codes[2][codes[2] >= 0], minlength=len(classes)).astype(np.float64)
    found = groupings(evaluation.train, holdout=evaluation.holdout, synthetic=evaluation.synthetic)
    if not frequencies.sum():
        raise NotMeasurable("no synthetic row has a class that train knows")
    return [_side(grouping, codes, frequencies / frequencies.sum()) for grouping in found]


def _side(grouping: Grouping, classes: Sequence[Index], weights: FloatArray) -> Sides:
    shape = len(weights), len(grouping.names)
    cells = [Cells.of(*codes, shape) for codes in zip(classes, grouping.codes, strict=True)]
    return Sides(grouping, cells[0], cells[1], cells[2], weights)


@dataclass(frozen=True)
class Worst:
    """The largest of several numbers with its 95 % interval.

    Attributes:
        at: position of the largest estimate.
        least_known: position of the one whose upper end is largest: it decides whether all are small.
    """

    value: float
    low: float
    high: float
    at: int
    least_known: int


def worst_of(estimates: FloatArray, errors: FloatArray) -> Worst:
    """The largest of estimates with standard errors, float64 [m].

    The lower end is Bonferroni's: the worst is chosen afterwards, and any of the m could look bad by chance. The upper
    end needs no such correction: it lies below the largest true number only if that one number's own upper end does
    (intersection-union test, Berger 1982).
    """
    single, corrected = scipy_stats.norm.ppf([0.975, 1 - 0.025 / len(estimates)])
    high = estimates + single * errors
    return Worst(
        value=float(estimates.max()),
        low=float((estimates - corrected * errors).max()),
        high=float(high.max()),
        at=int(estimates.argmax()),
        least_known=int(high.argmax()),
    )
