"""The numbers of a column as exact integer ticks where they have a raster, so that what is decoded is always legal."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.errors import DataError
from synthgen.synthesizers.table_state import Cells, DType

# int64 ticks, or float64 where a column has no raster.
Numbers = npt.NDArray[Any]

# Half of the int64 range: the sum of a tick and a rounding can then not overflow.
_MAX_SPAN = 2**62
_MAX_DECIMALS = 9


@dataclass(frozen=True)
class Grid:
    """value = (base + step * tick) / 10 ** decimals; decimals None: the values are reals and are their own ticks.

    Integers, dates and decimal fractions have a raster: ages are whole, prices have two decimals, dates have no time.
    """

    base: int
    step: int
    decimals: int | None

    @classmethod
    def fit(cls, name: str, column: Cells) -> "Grid":
        """The coarsest raster on which all values (none missing) lie.

        Raises:
            DataError: integers so far apart that their distance does not fit into 62 bits, or an infinite value.
        """
        decimals = _decimals(name, column)
        if decimals is None or column.empty:
            return cls(0, 1, decimals if column.empty else None)
        whole = _whole(column, decimals)
        base, top = int(whole.min()), int(whole.max())
        if top - base > _MAX_SPAN:
            raise DataError(
                f"column {name!r} spans more than 2^62", where=name, hint="declare it as id, or give it a smaller unit"
            )
        step = int(np.gcd.reduce((whole - whole.min()).astype(np.int64)))
        return cls(base, max(step, 1), decimals)

    def ticks(self, column: Cells) -> Numbers:
        """int64 [n], or float64 [n] for reals. Values beyond the base or between ticks get the tick below."""
        if self.decimals is None:
            return column.to_numpy(dtype=np.float64)
        whole = _whole(column, self.decimals)
        offset = (whole - whole.dtype.type(self.base)).astype(np.int64)
        return np.asarray(offset // self.step, dtype=np.int64)

    def values(self, ticks: Numbers, dtype: DType) -> Cells:
        """The values at these ticks, in the dtype of the column."""
        if self.decimals is None:
            return pd.Series(ticks).astype(dtype)
        unsigned = str(dtype).lower() == "uint64"
        integer = np.uint64 if unsigned else np.int64
        whole = ticks.astype(integer) * integer(self.step) + integer(self.base)
        fraction = whole if _is_whole(dtype) else whole / 10**self.decimals
        return pd.Series(fraction).astype(dtype)

    def state(self) -> dict[str, object]:
        """JSON-ready content."""
        return asdict(self)


def _is_whole(dtype: DType) -> bool:
    return pd.api.types.is_integer_dtype(dtype) or pd.api.types.is_datetime64_any_dtype(dtype)


def _whole(column: Cells, decimals: int) -> npt.NDArray[Any]:
    if not _is_whole(column.dtype):
        return np.asarray(np.rint(column.to_numpy(dtype=np.float64) * 10**decimals), dtype=np.int64)
    if str(column.dtype).lower() == "uint64":
        return np.asarray(column.to_numpy(dtype=np.uint64))
    return np.asarray(column.astype("int64").to_numpy(dtype=np.int64))


def _decimals(name: str, column: Cells) -> int | None:
    if _is_whole(column.dtype):
        return 0
    given = column.to_numpy(dtype=np.float64)
    if not np.isfinite(given).all():
        raise DataError(f"column {name!r} has {int((~np.isfinite(given)).sum())} infinite values", where=name)
    single = np.float32 if "32" in str(column.dtype) else np.float64
    largest = float(np.abs(given).max(initial=0.0))
    for decimals in range(_MAX_DECIMALS + 1):
        if largest * 10**decimals >= 2**53:
            return None
        # Rounding divides an integer by a power of ten, and so gives the very double that the decimal text is read as.
        if np.array_equal(np.round(given, decimals).astype(single), given.astype(single)):
            return decimals
    return None
