"""Excess copies: does it repeat training rows more often than coincidence explains?"""

import numpy as np

from synthgen.datasets import Keys
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.table_features import column_decimals, encode, tables
from synthgen.stats import rate_difference_interval

THREAT_MODEL = "Anyone who reads the synthetic rows and finds a real person's row among them, value for value."
MIN_ROWS = 20
# An honest sample is then accused in at most 1 of 100 cases.
LOW_CONFIDENCE = 0.98


def excess_copies(evaluation: Evaluation) -> Finding:
    """Distinct synthetic rows that equal a training row, less those that coincidence explains, as a share of all.

    (t / N_t - h / N_h) * N_t / n: t of N_t distinct training rows and h of N_h distinct holdout rows appear among n
    distinct synthetic rows, in the classes that were synthesised. Rates over distinct rows compare sides of different
    size, and a popular row, which a split puts on one side, counts once: otherwise honest data are blamed (1.5 % on a
    set with natural duplicates). Numbers are equal when they are equal in the decimals of train. Interval: Newcombe
    1998, the low end at 98 %. Reference: 0, the expectation for any sample that does not depend on which side of the split a row is.
    """
    train, holdout, synthetic = _distinct(evaluation)
    if min(len(train), len(holdout), len(synthetic)) < MIN_ROWS:
        raise NotMeasurable(f"fewer than {MIN_ROWS} distinct rows of the synthesised classes on one side")
    in_train, in_holdout = len(np.intersect1d(train, synthetic)), len(np.intersect1d(holdout, synthetic))
    scale = len(train) / len(synthetic)
    value = (in_train / len(train) - in_holdout / len(holdout)) * scale
    rates = (in_train, len(train)), (in_holdout, len(holdout))
    low = rate_difference_interval(*rates, confidence=LOW_CONFIDENCE)[0] * scale
    high = min(1.0, rate_difference_interval(*rates)[1] * scale)
    return Finding(
        metric="excess_copies", family="privacy", value=value, low=low, high=high, reference=0.0,
        higher_is_better=False, n=min(len(synthetic), len(holdout)), threat_model=THREAT_MODEL,
        detail={
            "equal_to_train": in_train, "equal_to_holdout": in_holdout,
            "distinct_train": len(train), "distinct_holdout": len(holdout), "distinct_synthetic": len(synthetic),
        },
    )  # fmt: skip


def _distinct(evaluation: Evaluation) -> list[Keys]:
    """Keys of the distinct rows of train, holdout and synthetic, of the classes that were synthesised."""
    parts = tables(evaluation)
    classes = parts[2].classes
    encoded = encode(parts, parts[0].schema.modelled)
    decimals = column_decimals(encoded[0].numeric)
    return [
        np.unique(rows.keys(decimals)[np.isin(part.labels, classes)]) for rows, part in zip(encoded, parts, strict=True)
    ]
