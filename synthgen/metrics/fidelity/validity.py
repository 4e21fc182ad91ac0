"""Validity: is every value one that could have been real?"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.datasets import Table
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.table_features import is_numeric, numbers, tables, texts


def validity(evaluation: Evaluation) -> Finding:
    """Share of synthetic values that are legal, in [0, 1]; a census, so the interval is the value.

    Legal: a number (whole if integer) or date within the range of train, a category that train has, missing only
    where train has missing values. The reference counts the values of the holdout.
    """
    train, holdout, synthetic = tables(evaluation)
    if len(synthetic) == 0:
        raise NotMeasurable("there are no synthetic rows")
    columns = train.schema.modelled
    shares = {name: float(_is_legal(train, synthetic, name).mean()) for name in columns}
    reference = float(np.mean([_is_legal(train, holdout, name).mean() for name in columns])) if len(holdout) else None
    value = float(np.mean(list(shares.values())))
    illegal = {name: 1 - share for name, share in shares.items() if share < 1}
    return Finding(
        metric="validity", family="fidelity", value=value, low=value, high=value, reference=reference,
        higher_is_better=True, n=len(synthetic), detail={"illegal_share": illegal},
    )  # fmt: skip


def _is_legal(train: Table, other: Table, name: str) -> npt.NDArray[np.bool_]:
    """bool [n]"""
    missing = other.frame[name].isna().to_numpy(dtype=bool)
    missing_is_legal = bool(train.frame[name].isna().any())
    present_is_legal = (
        _is_in_range(train, other, name) if is_numeric(train.schema, name) else _is_known(train, other, name)
    )
    return np.where(missing, missing_is_legal, present_is_legal)


def _is_in_range(train: Table, other: Table, name: str) -> npt.NDArray[np.bool_]:
    known, values = numbers(train.frame, name), numbers(other.frame, name)
    known = known[np.isfinite(known)]
    if len(known) == 0:
        return np.zeros(len(values), dtype=np.bool_)
    legal = (values >= known.min()) & (values <= known.max())
    if train.schema.kinds[name] == "integer":
        legal &= values == np.floor(values)
    return np.asarray(legal)


def _is_known(train: Table, other: Table, name: str) -> npt.NDArray[np.bool_]:
    return np.asarray(pd.Series(texts(other.frame, name)).isin(set(texts(train.frame, name)) - {None}), dtype=np.bool_)
