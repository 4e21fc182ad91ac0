"""Validity: is every value one that could have been real?"""

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from synthgen.constraints import Mask, violations
from synthgen.constraints.cells import RELATIVE_ERROR, decimals
from synthgen.datasets import Table
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.table_features import is_numeric, numbers, tables, texts
from synthgen.stats import FloatArray

# Fewer held-out rows cannot say how often real rows bring something new: then nothing new is legal.
MIN_ROWS = 30
# Of calling a table of fresh real rows illegal; shared among the columns.
FALSE_ALARM = 1e-3


def validity(evaluation: Evaluation) -> Finding:
    """Share of synthetic values that are legal, in [0, 1]; a census, so the interval is the value.

    A fraction in a column of whole numbers is always illegal, as is a broken constraint (each counts like a column).
    New values (beyond the range of train, a category that train does not have, more decimals than train has, missing
    where train has no missing value) are illegal in a column that has more of them than held-out real rows let expect:
    fresh real rows bring some, too. Fisher's exact test decides.
    """
    train, holdout, synthetic = tables(evaluation)
    if len(synthetic) == 0:
        raise NotMeasurable("there are no synthetic rows")
    columns = train.schema.modelled
    new = {name: _new(train, synthetic, name) for name in columns}
    illegal = {name: _malformed(train, synthetic, name) for name in columns}
    for name in columns:
        if _exceeds(new[name], _new(train, holdout, name), len(columns)):
            illegal[name] |= new[name]
    broken, broken_by_real = (violations(other, train) for other in (synthetic, holdout))
    of_holdout = [_malformed(train, holdout, name) for name in columns]
    value = _legal_share([*illegal.values(), *broken.values()])
    reference = _legal_share([*of_holdout, *broken_by_real.values()]) if len(holdout) else None
    detail = {
        "illegal_share": {name: float(rows.mean()) for name, rows in illegal.items() if rows.any()},
        "new_share": {name: float(rows.mean()) for name, rows in new.items() if rows.any()},
        "constraint_violations": {name: int(rows.sum()) for name, rows in broken.items()},
    }
    return Finding(
        metric="validity", family="fidelity", value=value, low=value, high=value, reference=reference,
        higher_is_better=True, n=len(synthetic), detail=detail,
    )  # fmt: skip


def _legal_share(illegal: list[Mask]) -> float:
    return float(1 - np.mean([rows.mean() for rows in illegal])) if illegal else 1.0


def _exceeds(new: Mask, expected: Mask, columns: int) -> bool:
    """Whether new values are more frequent than among as many real rows, at an error of FALSE_ALARM in all."""
    if len(expected) < MIN_ROWS:
        return bool(new.any())
    counts = [[int(new.sum()), int((~new).sum())], [int(expected.sum()), int((~expected).sum())]]
    return float(scipy_stats.fisher_exact(counts, alternative="greater").pvalue) < FALSE_ALARM / columns


def _new(train: Table, other: Table, name: str) -> Mask:
    """bool [n]: values that train does not have or does not span."""
    missing = other.frame[name].isna().to_numpy(dtype=bool)
    missing_is_new = not bool(train.frame[name].isna().any())
    if not is_numeric(train.schema, name):
        known_texts = set(texts(train.frame, name)) - {None}
        known = pd.Series(texts(other.frame, name)).isin(known_texts).to_numpy(dtype=bool)
        return np.asarray(np.where(missing, missing_is_new, ~known))
    real, values = numbers(train.frame, name), numbers(other.frame, name)
    real = real[np.isfinite(real)]
    legal = (values >= real.min()) & (values <= real.max()) if len(real) else np.zeros(len(values), dtype=bool)
    if train.schema.kinds[name] == "numeric":
        legal &= ~_has_more_decimals(values, decimals(real))
    return np.asarray(np.where(missing, missing_is_new, ~legal))


def _malformed(train: Table, other: Table, name: str) -> Mask:
    """bool [n]: fractions in a column of whole numbers."""
    if not is_numeric(train.schema, name) or train.schema.kinds[name] != "integer":
        return np.zeros(len(other), dtype=bool)
    return _has_more_decimals(numbers(other.frame, name), 0)


def _has_more_decimals(values: FloatArray, digits: int | None) -> Mask:
    if digits is None:
        return np.zeros(len(values), dtype=bool)
    return np.isfinite(values) & (np.abs(values - np.round(values, digits)) > RELATIVE_ERROR * np.abs(values))
