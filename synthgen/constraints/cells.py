"""Cells of one column: as JSON, compared with a value of the config, as numbers, and how many decimals they have."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.config import Scalar
from synthgen.constraints.rule import Cells, DType, Mask

Floats = npt.NDArray[np.float64]

_MAX_DECIMALS = 9
# Of a value: what is lost when a sum or product is computed another way round.
RELATIVE_ERROR = 1e-9


def as_json(column: Cells) -> list[Scalar]:
    """The cells as JSON scalars; dates as text, missing as None."""
    missing = column.isna().to_numpy(dtype=bool)
    return [None if gone else _plain(value) for value, gone in zip(column, missing, strict=True)]


def _plain(value: Any) -> Scalar:
    plain = value.item() if isinstance(value, np.generic) else value
    return plain if isinstance(plain, bool | int | float | str) else str(plain)


def typed(values: list[Scalar], dtype: DType) -> Cells:
    """The cells that `as_json` wrote."""
    cells: Cells = pd.Series(values, dtype=object)
    return cells.astype(dtype)


def equals(column: Cells, value: Scalar) -> Mask:
    """bool [n]: cells with this value; None asks for missing ones. A value that the dtype cannot hold is nowhere."""
    if value is None:
        return column.isna().to_numpy(dtype=bool)
    try:
        cell = typed([value], column.dtype).iloc[0]
    except (ValueError, TypeError, OverflowError):
        return np.zeros(len(column), dtype=bool)
    # 1.5 in a column of whole numbers would have become 1.
    if pd.isna(cell) or (isinstance(value, float) and float(cell) != value):
        return np.zeros(len(column), dtype=bool)
    return (column == cell).fillna(False).to_numpy(dtype=bool)


def numbers(column: Cells) -> Floats:
    """float64 [n]; NaN is missing."""
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def decimals(values: Floats) -> int | None:
    """How many decimals the finite values are written with, at most; None when they have more than nine."""
    finite = values[np.isfinite(values)]
    for digits in range(_MAX_DECIMALS + 1):
        if (np.abs(finite - np.round(finite, digits)) <= RELATIVE_ERROR * np.abs(finite)).all():
            return digits
    return None
