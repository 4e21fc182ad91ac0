"""Repeated rows: does the synthesizer say the same few things again and again?"""

import numpy as np

from synthgen.datasets import Index, Keys
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.table_features import column_decimals, encode, matched_tables
from synthgen.stats import clopper_pearson

MIN_ROWS = 30


def repeated_rows(evaluation: Evaluation) -> Finding:
    """Share of synthetic rows that equal another synthetic row, in [0, 1].

    The reference is the share among as many real rows of the same classes, the mean of train and holdout: few values in
    few columns repeat in real data, too. Numbers are equal when they are equal in the decimals of train. Interval:
    Clopper-Pearson at the effective number of rows (Korn and Graubard 1998), from the variance of the jackknife, which
    is not too small on average (Efron and Stein 1981): a row that goes takes its only twin along.
    """
    parts = matched_tables(evaluation, at_least=MIN_ROWS)
    encoded = encode(parts, parts[0].schema.modelled)
    decimals = column_decimals(encoded[0].numeric)
    *real, synthetic = [_multiplicities(rows.keys(decimals)) for rows in encoded]
    value = float((synthetic > 1).mean())
    low, high = _interval(synthetic)
    return Finding(
        metric="repeated_rows", family="fidelity", value=value, low=low, high=high,
        reference=float(np.mean([(rows > 1).mean() for rows in real])), higher_is_better=False, n=len(synthetic),
        detail={
            "distinct": _distinct(synthetic), "distinct_real": max(map(_distinct, real)),
            "most_frequent": int(synthetic.max()), "most_frequent_real": max(int(rows.max()) for rows in real),
        },
    )  # fmt: skip


def _multiplicities(keys: Keys) -> Index:
    """int64 [n]: how often the row of each position occurs."""
    _, position, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return np.asarray(counts[position], dtype=np.int64)


def _distinct(multiplicities: Index) -> int:
    return round(float((1 / multiplicities).sum()))


def _interval(multiplicities: Index) -> tuple[float, float]:
    n = len(multiplicities)
    value = float((multiplicities > 1).mean())
    # How many repeated rows fewer there are without this row.
    taken = np.select([multiplicities == 1, multiplicities == 2], [0, 2], 1)
    binomial = value * (1 - value)
    effect = max(1.0, float(taken.var()) / binomial) if binomial else 1.0
    return clopper_pearson(value * n / effect, n / effect)
