"""Two-sample tests of single columns, Holm-corrected, each with an effect size so that many rows are not all red."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from synthgen.datasets import Table
from synthgen.findings import Movement
from synthgen.metrics.table_features import is_numeric, numbers, texts
from synthgen.stats import FloatArray

# Chance that any column at all is flagged when nothing has moved.
_ERROR_RATE = 0.01
# Less than this moves no classifier: points of cumulative share, of category shares, of missing values.
LEAST_EFFECT, LEAST_MISSING = 0.05, 0.02
_LEAST_EXPECTED = 5.0


@dataclass(frozen=True)
class Tested:
    """A movement before the correction for the number of tests; `least`: the effect below which it is no movement."""

    movement: Movement
    p: float
    least: float


def table_movements(old: Table, new: Table) -> list[Movement]:
    """Values and missing values of every modelled column that both have with the same kind; never a value itself."""
    shared = [name for name in old.schema.modelled if new.schema.kinds.get(name) == old.schema.kinds[name]]
    tested: list[Tested] = []
    for name in shared:
        gone = [part.frame[name].isna().to_numpy(dtype=bool) for part in (old, new)]
        if any(mask.any() for mask in gone):
            tested.append(missing_test(name, *gone))
        if is_numeric(old.schema, name):
            values = [numbers(part.frame, name) for part in (old, new)]
            tested.append(numeric_test(name, *(column[np.isfinite(column)] for column in values)))
        else:
            tested.append(category_test(name, *(texts(part.frame, name) for part in (old, new))))
    return corrected(tested)


def numeric_test(name: str, old: FloatArray, new: FloatArray) -> Tested:
    """Kolmogorov-Smirnov: the largest difference of the shares of rows below a value; and the shift of the mean."""
    if not len(old) or not len(new):
        return Tested(Movement(name, "values", 0.0, 1.0, False, "no value to compare"), 1.0, LEAST_EFFECT)
    found = scipy_stats.ks_2samp(old, new, method="asymp")
    spread = float(old.std())
    shift = float(new.mean() - old.mean()) / spread if spread > 0 else 0.0
    way = "higher" if shift > 0 else "lower"
    words = f"the mean is {abs(shift):.2f} standard deviations {way}"
    if abs(shift) < LEAST_EFFECT:
        words = "the mean is where it was, the shape is another"
    return Tested(
        Movement(name, "values", float(found.statistic), 1.0, False, words), float(found.pvalue), LEAST_EFFECT
    )


def category_test(name: str, old: Iterable[object], new: Iterable[object]) -> Tested:
    """Chi-squared over the categories, rare ones pooled; the effect is the share of rows in another category."""
    known = [[value for value in values if value is not None] for values in (old, new)]
    if not all(known):
        return Tested(Movement(name, "values", 0.0, 1.0, False, "no value to compare"), 1.0, LEAST_EFFECT)
    codes, levels = pd.factorize(np.array([*known[0], *known[1]], dtype=object))
    sides = (codes[: len(known[0])], codes[len(known[0]) :])
    counts = np.array([np.bincount(side, minlength=len(levels)) for side in sides], dtype=np.float64)
    before, now = counts / counts.sum(axis=1, keepdims=True)
    effect, fresh = float(np.abs(before - now).sum() / 2), (counts[0] == 0) & (counts[1] > 0)
    words = f"{effect:.1%} of the rows are in other categories"
    if fresh.any():
        words += f"; {int(fresh.sum())} new categories have {now[fresh].sum():.1%} of the rows"
    return Tested(Movement(name, "values", effect, 1.0, False, words), _chi_squared(counts), LEAST_EFFECT)


def missing_test(name: str, old: np.ndarray, new: np.ndarray) -> Tested:
    """Whether values are missing as often."""
    counts = np.array([[(~gone).sum(), gone.sum()] for gone in (old, new)], dtype=np.float64)
    before, now = float(old.mean()), float(new.mean())
    p = float(scipy_stats.fisher_exact(counts)[1]) if counts.min() < _LEAST_EXPECTED else _chi_squared(counts)
    words = f"{before:.1%} were missing, {now:.1%} are"
    return Tested(Movement(name, "missing", abs(now - before), 1.0, False, words), p, LEAST_MISSING)


def corrected(tested: Sequence[Tested]) -> list[Movement]:
    """The movements with p-values corrected for their number (Holm 1979), those that moved first."""
    order = np.argsort([item.p for item in tested], kind="stable")
    found, highest = [], 0.0
    for rank, position in enumerate(order):
        item = tested[position]
        highest = max(highest, min(1.0, (len(tested) - rank) * item.p))
        moved = highest < _ERROR_RATE and item.movement.effect >= item.least
        found.append(replace(item.movement, p=highest, moved=moved))
    return sorted(found, key=lambda item: (not item.moved, -item.effect))


def _chi_squared(counts: FloatArray) -> float:
    expected = counts.sum(axis=0) * (counts.sum(axis=1).min() / counts.sum())
    rare = expected < _LEAST_EXPECTED
    pooled = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)]) if rare.any() else counts
    pooled = pooled[:, pooled.sum(axis=0) > 0]
    return float(scipy_stats.chi2_contingency(pooled)[1]) if pooled.shape[1] > 1 else 1.0
