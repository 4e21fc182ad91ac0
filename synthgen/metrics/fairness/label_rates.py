"""Does the label become more or less frequent in a group than the plan's class frequencies explain?"""

from dataclasses import dataclass

import numpy as np

from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotApplicable, NotMeasurable
from synthgen.metrics.fairness.cells import Cells, Sides, sides_of, worst_of
from synthgen.metrics.fairness.groups import MIN_ROWS
from synthgen.stats import FloatArray


@dataclass(frozen=True)
class Shift:
    """P(label | group) of some rows, minus that of the real ones at the same class weights, and its standard error."""

    sides: Sides
    label: int
    group: int
    expected: float
    rate: float
    error: float

    @property
    def size(self) -> float:
        """In [0, 1]."""
        return abs(self.rate - self.expected)

    def detail(self, classes: tuple[str, ...]) -> dict[str, str | float]:
        """What a report shows of it."""
        train = self.sides.train
        real = float(train.counts[self.label, self.group] / train.rows[self.group])
        rates = {"real": real, "expected": self.expected, "synthetic": self.rate}
        return {**self.sides.grouping.labelled(self.group), "label": classes[self.label], **rates}


def label_rate_shift(evaluation: Evaluation) -> Finding:
    """Largest change of P(label | group) from real to synthetic rows, in [0, 1].

    Real rows are weighted to the class frequencies of the synthetic rows: a plan that changes them on purpose is not
    counted as a shift of a group. Groups as for `representation_ratio`, with at least 50 synthetic rows. Interval:
    difference of stratified rates by the delta method, half a row added to each cell (Agresti and Caffo 2000); for the
    worst see `worst_of`. The reference has held-out rows in place of the synthetic ones, at the same class weights.
    """
    classes = evaluation.train.classes
    sides = sides_of(evaluation)
    if classes == ("",):
        raise NotApplicable("the table has no label")
    if (sides[0].weights > 0).sum() < 2:
        raise NotApplicable("all synthetic rows have one class, whose groups representation_ratio compares")
    found = [shift for side in sides for shift in _shifts(side, side.synthetic)]
    if not found:
        raise NotMeasurable(f"no group has {MIN_ROWS} training rows and {MIN_ROWS} synthetic rows")
    worst = worst_of(np.array([shift.size for shift in found]), np.array([shift.error for shift in found]))
    control = [shift.size for side in sides for shift in _shifts(side, side.holdout)]
    largest, least = found[worst.at], found[worst.least_known]
    return Finding(
        metric="label_rate_shift", family="fairness", value=worst.value, low=max(0.0, worst.low),
        high=min(1.0, worst.high), reference=max(control, default=None), higher_is_better=False,
        n=int(min(cells.rows[least.group] for cells in (least.sides.train, least.sides.synthetic))),
        detail={
            "worst_group": "{columns}: {group}".format(**largest.sides.grouping.labelled(largest.group)),
            "groups": [shift.detail(classes) for shift in _largest_per_group(found)],
        },
    )  # fmt: skip


def _shifts(sides: Sides, cells: Cells) -> list[Shift]:
    expected, real_variance = sides.train.label_rates(sides.weights)
    rate, variance = cells.label_rates(sides.weights)
    error = np.sqrt(real_variance + variance)
    groups = np.flatnonzero((cells.rows >= MIN_ROWS) & (expected.sum(axis=0) > 0)).tolist()
    return [
        Shift(sides, label, group, *(float(part[label, group]) for part in (expected, rate, error)))
        for group in groups
        for label in _labels(sides.train.totals, sides.weights)
    ]


def _labels(totals: FloatArray, weights: FloatArray) -> list[int]:
    """Classes that were synthesised; of two, whose shifts are equal, the rarer one."""
    present = np.flatnonzero(weights > 0)
    return present.tolist() if len(present) > 2 else [int(present[totals[present].argmin()])]


def _largest_per_group(found: list[Shift]) -> list[Shift]:
    largest: dict[tuple[int, int], Shift] = {}
    for shift in sorted(found, key=lambda shift: shift.size):
        largest[id(shift.sides), shift.group] = shift
    return list(largest.values())
