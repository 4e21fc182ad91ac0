"""Is a group lost, or blown up, by more than the plan's class frequencies explain?"""

from dataclasses import dataclass

import numpy as np

from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.fairness.cells import Cells, Sides, sides_of, worst_of
from synthgen.metrics.fairness.groups import MIN_ROWS, too_small
from synthgen.stats import FloatArray


@dataclass(frozen=True)
class Ratios:
    """Of each group of one grouping, float64 [groups].

    Attributes:
        expected: rows if class frequencies changed and nothing else.
        log, error: log ratio of rows to expected rows, half a row added to both, and its standard error.
    """

    sides: Sides
    rows: FloatArray
    expected: FloatArray
    log: FloatArray
    error: FloatArray

    @property
    def judged(self) -> list[int]:
        """Groups with enough training rows of the classes that were synthesised, of which enough rows are expected."""
        enough = self.sides.train.counts[self.sides.weights > 0].sum(axis=0) >= MIN_ROWS
        return np.flatnonzero(enough & (self.expected >= MIN_ROWS)).tolist()

    def detail(self, group: int) -> dict[str, str | int | float]:
        """What a report shows of one group."""
        real, rows, expected = (float(part[group]) for part in (self.sides.train.rows, self.rows, self.expected))
        return {
            **self.sides.grouping.labelled(group), "real": int(real), "synthetic": int(rows), "expected": expected,
            "ratio": float(np.exp(self.log[group])), "ratio_of_all": (real + rows) / (real + expected),
        }  # fmt: skip


def representation_ratio(evaluation: Evaluation) -> Finding:
    """Share of a group among synthetic rows over its share among real ones, r; the worst min(r, 1/r), in [0, 1].

    The real share is that of the training rows weighted to the class frequencies of the synthetic rows: a plan that
    adds rows of one class on purpose also adds the groups that are common in it, and that is no loss of a group.
    Among real + synthetic rows the ratio lies between this one and 1; both stand in the detail. Groups: every
    protected column (numbers cut at their quartiles) and every two, with at least 50 training rows and 50 synthetic
    rows expected. Interval: log ratio of stratified shares, half a row added (Walter 1975; Katz 1978); for the worst
    see `worst_of`. The reference has held-out rows in place of the synthetic ones, at the same class weights.
    """
    sides = sides_of(evaluation)
    found = [(ratios, group) for side in sides for ratios in [_ratios(side, side.synthetic)] for group in ratios.judged]
    if not found:
        raise NotMeasurable(f"of no group {MIN_ROWS} synthetic rows would be expected")
    logs = np.abs([ratios.log[group] for ratios, group in found])
    worst = worst_of(logs, np.array([ratios.error[group] for ratios, group in found]))
    groups = [ratios.detail(group) for ratios, group in found]
    least = groups[worst.least_known]
    return Finding(
        metric="representation_ratio", family="fairness", value=float(np.exp(-worst.value)),
        low=float(np.exp(-worst.high)), high=float(np.exp(-max(0.0, worst.low))), reference=_reference(sides),
        higher_is_better=True, n=int(min(float(least["real"]), float(least["expected"]))),
        detail={
            "worst_group": f"{groups[worst.at]['columns']}: {groups[worst.at]['group']}",
            "groups": groups,
            "not_measurable": too_small([side.grouping for side in sides]) + _too_few_expected(sides),
        },
    )  # fmt: skip


def _ratios(sides: Sides, cells: Cells) -> Ratios:
    total = float(cells.totals.sum())
    share, variance = (part.sum(axis=0) for part in cells.joint(sides.weights))
    real_share, real_variance = (part.sum(axis=0) for part in sides.train.joint(sides.weights))
    rows, expected = share * total + 0.5, real_share * total + 0.5
    error = total * np.sqrt(variance / rows**2 + real_variance / expected**2)
    return Ratios(sides, cells.rows, real_share * total, np.log(rows / expected), error)


def _reference(sides: list[Sides]) -> float | None:
    control = [_ratios(side, side.holdout) for side in sides]
    logs = [abs(float(ratios.log[group])) for ratios in control for group in ratios.judged]
    return float(np.exp(-max(logs))) if logs else None


def _too_few_expected(sides: list[Sides]) -> list[dict[str, str | int]]:
    """Groups of single columns with enough training rows, but too few of the synthesised classes, or expected."""
    return [
        {**ratios.sides.grouping.labelled(group), "real": int(ratios.sides.train.rows[group])}
        for ratios in (_ratios(side, side.synthetic) for side in sides if len(side.grouping.columns) == 1)
        for group in sorted(set(range(len(ratios.expected))) - set(ratios.judged))
    ]
