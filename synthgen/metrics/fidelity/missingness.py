"""Missing values: as often, and together, as in real rows?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotApplicable
from synthgen.metrics.table_features import matched_tables
from synthgen.stats import rate_difference_interval

MIN_ROWS = 30

Counts = npt.NDArray[np.int64]


def missingness_gap(evaluation: Evaluation) -> Finding:
    """Largest difference of a share of missing values between synthetic and train rows, in [0, 1].

    Over the columns (share missing) and over the pairs of columns (share missing in both): values that are missing
    together in real rows, and only as often in synthetic ones, have equal columns and unequal pairs. Equally many rows
    of each class; the reference puts holdout rows in place of the synthetic ones, and is as much the largest of many.
    Interval: Newcombe 1998, of the column or pair that differs most.
    """
    parts = matched_tables(evaluation, at_least=MIN_ROWS)
    names = sorted(parts[0].schema.modelled)
    train, holdout, synthetic = (part.frame[names].isna().to_numpy(dtype=np.int64) for part in parts)
    if not (train.any() or holdout.any() or synthetic.any()):
        raise NotApplicable("no value is missing, neither in real nor in synthetic rows")
    n = len(train)
    real, found = _together(train), _together(synthetic)
    gap = Gap.of(real, found, n)
    columns = {
        name: {"real": int(real[i, i]) / n, "synthetic": int(found[i, i]) / n}
        for i, name in enumerate(names)
        if real[i, i] or found[i, i]
    }
    return Finding(
        metric="missingness_gap", family="fidelity", value=gap.value, low=gap.low, high=gap.high,
        reference=Gap.of(real, _together(holdout), n).value, higher_is_better=False, n=n,
        detail={"worst": sorted({names[i] for i in gap.at}), "columns": columns},
    )  # fmt: skip


def _together(missing: Counts) -> Counts:
    """int64 [p, p]: rows in which both columns are missing; the diagonal counts the columns themselves."""
    # In floating point, which is exact here and multiplies much faster.
    return np.rint(missing.T.astype(np.float64) @ missing).astype(np.int64)


@dataclass(frozen=True)
class Gap:
    """The largest difference, its interval, and between which columns (twice the same one for a single column)."""

    value: float
    low: float
    high: float
    at: tuple[int, int]

    @classmethod
    def of(cls, real: Counts, other: Counts, n: int) -> "Gap":
        """Of counts [p, p] among n rows on each side."""
        row, column = np.unravel_index(np.abs(other - real).argmax(), real.shape)
        more, less = sorted((int(real[row, column]), int(other[row, column])), reverse=True)
        low, high = rate_difference_interval((more, n), (less, n))
        return cls((more - less) / n, max(0.0, low), high, (int(row), int(column)))
