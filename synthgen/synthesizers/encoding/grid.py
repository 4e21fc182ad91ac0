"""The numbers of a column as exact integer ticks where they have a raster, so that what is decoded is always legal."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.errors import DataError
from synthgen.synthesizers.encoding.table_state import Cells, DType

# int64 ticks, or float64 where a column has no raster.
Numbers = npt.NDArray[Any]

# Half of the int64 range: the sum of a tick and a rounding can then not overflow.
MAX_SPAN = 2**62
_MAX_DECIMALS = 15
_FIRST_LOOK_ROWS = 1_000
# Decimals of a second that a unit of datetimes counts in.
_UNIT_DECIMALS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_DAY_S = 86_400


@dataclass(frozen=True)
class Grid:
    """value = (base + step * tick) / 10 ** decimals; decimals None: the values are reals and are their own ticks.

    Integers, dates and decimal fractions have a raster: ages are whole, prices have two decimals, dates have no time.

    Attributes:
        by_clock: ticks count on the clock of the time zone instead of UTC. Midnights in a zone with summer time lie
            23, 24 or 25 hours apart, but whole days on its clock.
    """

    base: int
    step: int
    decimals: int | None
    by_clock: bool = False

    @classmethod
    def fit(cls, name: str, column: Cells) -> "Grid":
        """The coarsest raster on which all values (none missing) lie.

        Raises:
            DataError: integers so far apart that their distance does not fit into 62 bits, or an infinite value.
        """
        decimals = _decimals(name, column)
        if decimals is None or column.empty:
            return cls(0, 1, decimals if column.empty else None)
        if isinstance(column.dtype, pd.DatetimeTZDtype) and str(column.dtype.tz) != "UTC":
            by_clock = replace(_coarsest(name, _whole(column.dt.tz_localize(None), 0), 0), by_clock=True)
            if by_clock._is_daily(column):
                return by_clock
        return _coarsest(name, _whole(column, decimals), decimals)

    def _is_daily(self, column: Cells) -> bool:
        if self.step % (_DAY_S * 10 ** unit_decimals(column.dtype)):
            return False
        back = self.values(self.ticks(column), column.dtype)
        return np.array_equal(back.astype("int64").to_numpy(), column.astype("int64").to_numpy())

    def ticks(self, column: Cells) -> Numbers:
        """int64 [n], or float64 [n] for reals. Values beyond the base or between ticks get the tick below."""
        if self.decimals is None:
            # Adding zero makes one number of the two zeros.
            return np.asarray(column.to_numpy(dtype=np.float64) + 0.0)
        whole = _whole(column.dt.tz_localize(None) if self.by_clock else column, self.decimals)
        span = np.iinfo(whole.dtype)
        # A value far outside would wrap around, and come out at the other end.
        reach, rest = MAX_SPAN * self.step, self.base % self.step
        near = np.clip(whole, max(self.base - reach, span.min + rest), min(self.base + reach, span.max))
        # Divided before it is subtracted: dates of three centuries are further apart than int64 counts nanoseconds.
        tick = (near - whole.dtype.type(rest)) // whole.dtype.type(self.step)
        return np.asarray((tick - whole.dtype.type(self.base // self.step)).astype(np.int64), dtype=np.int64)

    def values(self, ticks: Numbers, dtype: DType) -> Cells:
        """The values at these ticks, in the dtype of the column."""
        if self.decimals is None:
            return pd.Series(ticks).astype(dtype)
        unsigned = str(dtype).lower() == "uint64"
        integer = np.uint64 if unsigned else np.int64
        whole = ticks.astype(integer) * integer(self.step) + integer(self.base)
        if self.by_clock:
            return _at_clock(whole, dtype)
        fraction = whole if _is_whole(dtype) else whole / 10**self.decimals
        return pd.Series(fraction).astype(dtype)

    def state(self) -> dict[str, object]:
        """JSON-ready content."""
        return asdict(self)


def unit_decimals(dtype: DType) -> int:
    """Decimals of a second that a datetime dtype counts in."""
    unit = dtype.unit if isinstance(dtype, pd.DatetimeTZDtype) else np.datetime_data(str(dtype))[0]
    return _UNIT_DECIMALS[unit]


def _coarsest(name: str, whole: npt.NDArray[Any], decimals: int) -> Grid:
    base, top = int(whole.min()), int(whole.max())
    # Modulo 2^64 the distance is right although it may be beyond int64.
    step = max(1, int(np.gcd.reduce(whole.astype(np.uint64) - np.uint64(base % 2**64))))
    if max(step, (top - base) // step) > MAX_SPAN:
        raise DataError(
            f"column {name!r} spans more than 2^62", where=name, hint="declare it as id, or give it a smaller unit"
        )
    return Grid(base, step, decimals)


def _at_clock(whole: npt.NDArray[np.int64], dtype: DType) -> Cells:
    """Datetimes at which the clock of the zone shows this; the first of two, the next after a gap."""
    assert isinstance(dtype, pd.DatetimeTZDtype)
    clock = pd.Series(whole.astype(f"datetime64[{dtype.unit}]"))
    first = np.ones(len(clock), dtype=bool)
    return clock.dt.tz_localize(dtype.tz, ambiguous=first, nonexistent="shift_forward")


def _is_whole(dtype: DType) -> bool:
    return pd.api.types.is_integer_dtype(dtype) or pd.api.types.is_datetime64_any_dtype(dtype)


def _whole(column: Cells, decimals: int) -> npt.NDArray[Any]:
    if not _is_whole(column.dtype):
        with np.errstate(over="ignore"):
            scaled = np.rint(column.to_numpy(dtype=np.float64) * 10**decimals)
        return np.asarray(np.clip(scaled, -MAX_SPAN, MAX_SPAN), dtype=np.int64)
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
        # Most columns fail at their first rows: reals would else be rounded whole, sixteen times.
        if _has_decimals(given[:_FIRST_LOOK_ROWS], decimals, single) and _has_decimals(given, decimals, single):
            return decimals
    return None


def _has_decimals(given: npt.NDArray[np.float64], decimals: int, single: type[np.floating[Any]]) -> bool:
    # Rounding divides an integer by a power of ten, and so gives the very double that the decimal text is read as.
    return np.array_equal(np.round(given, decimals).astype(single), given.astype(single))
