"""Excess copies: does it repeat training rows more often than coincidence explains?"""

import numpy as np

from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.table_features import distinct_tables
from synthgen.stats import rate_difference_interval, rate_difference_low

THREAT_MODEL = "Anyone who reads the synthetic rows and finds a real person's row among them, value for value."
MIN_ROWS = 20
# One of six rules on privacy, which together may accuse an honest sample in 1 of 100 cases: at most 1 in 500 here. The
# likelihood ratio at .998 errs on that side in at most .15 % of the cases (.3 % at .996; computed for 2,000 rows).
LOW_CONFIDENCE = 0.998


def excess_copies(evaluation: Evaluation) -> Finding:
    """Distinct synthetic rows that equal a training row, less those that coincidence explains, as a share of all.

    (t / N_t - h / N_h) * N_t / n: t of N_t distinct training rows and h of N_h distinct holdout rows appear among n
    distinct synthetic rows, see `distinct_tables`. Rates compare sides of different size. Interval: the low end by the
    likelihood ratio at 99.8 %, the high end by Newcombe 1998. Reference: 0, the expectation for any sample that does
    not know the side of a row. The report says that the low end is not at 95 %: see LOW_CONFIDENCE.
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
        low=rate_difference_low(*rates, confidence=LOW_CONFIDENCE) * scale,
        high=min(1.0, rate_difference_interval(*rates)[1] * scale),
        reference=0.0, higher_is_better=False, n=min(len(synthetic), len(holdout)), threat_model=THREAT_MODEL,
        detail={
            "equal_to_train": in_train, "equal_to_holdout": in_holdout,
            "low_confidence": LOW_CONFIDENCE,
            "distinct_train": len(train), "distinct_holdout": len(holdout), "distinct_synthetic": len(synthetic),
        },
    )  # fmt: skip
