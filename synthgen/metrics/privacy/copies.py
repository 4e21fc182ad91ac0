"""Excess copies: does it repeat training rows more often than coincidence explains?"""

import numpy as np

from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.table_features import distinct_tables
from synthgen.stats import rate_difference_interval

THREAT_MODEL = "Anyone who reads the synthetic rows and finds a real person's row among them, value for value."
MIN_ROWS = 20
# One of six rules on privacy, which together may accuse an honest sample in 1 of 100 cases: at most 1 in 500 here. At
# .98 this one alone accused 3 of 100 (rows that repeat by nature, holdout a third of train).
LOW_CONFIDENCE = 0.996


def excess_copies(evaluation: Evaluation) -> Finding:
    """Distinct synthetic rows that equal a training row, less those that coincidence explains, as a share of all.

    (t / N_t - h / N_h) * N_t / n: t of N_t distinct training rows and h of N_h distinct holdout rows appear among n
    distinct synthetic rows, see `distinct_tables`. Rates compare sides of different size. Interval: Newcombe 1998, the
    low end at 99.6 %. Reference: 0, the expectation for any sample that does not know the side of a row.
    """
    train, holdout, synthetic = (part.keys for part in distinct_tables(evaluation))
    if min(len(train), len(holdout), len(synthetic)) < MIN_ROWS:
        raise NotMeasurable(f"fewer than {MIN_ROWS} different rows of the synthesised classes on one side")
    in_train, in_holdout = len(np.intersect1d(train, synthetic)), len(np.intersect1d(holdout, synthetic))
    scale = len(train) / len(synthetic)
    rates = (in_train, len(train)), (in_holdout, len(holdout))
    return Finding(
        metric="excess_copies", family="privacy",
        value=(in_train / len(train) - in_holdout / len(holdout)) * scale,
        low=rate_difference_interval(*rates, confidence=LOW_CONFIDENCE)[0] * scale,
        high=min(1.0, rate_difference_interval(*rates)[1] * scale),
        reference=0.0, higher_is_better=False, n=min(len(synthetic), len(holdout)), threat_model=THREAT_MODEL,
        detail={
            "equal_to_train": in_train, "equal_to_holdout": in_holdout,
            "distinct_train": len(train), "distinct_holdout": len(holdout), "distinct_synthetic": len(synthetic),
        },
    )  # fmt: skip
