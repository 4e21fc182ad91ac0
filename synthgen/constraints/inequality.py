"""One column never above another: the higher one is modelled as the gap between them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthgen.config import ColumnKind, InequalityConfig
from synthgen.constraints.cells import decimals, numbers
from synthgen.constraints.rule import Cells, DType, Facts, Kinds, Mask, dtypes_of


@dataclass(frozen=True)
class Inequality:
    """Rows in which one of the two is missing keep it. Facts: decimals of gap and higher column."""

    config: InequalityConfig

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.config.low, self.config.high)

    def misfit(self, kinds: Kinds) -> str | None:
        """Both are numbers, or both dates."""
        found = [kinds[name] for name in self.columns]
        if set(found) <= {"numeric", "integer"} or set(found) == {"datetime"}:
            return None
        return f"compares {found[0]} with {found[1]}; two numbers or two dates are allowed"

    def learn(self, train: pd.DataFrame) -> Facts:
        """Decimals, where both have a number of them, and whether the gap tells the higher value in every row."""
        low, high = (_decimals(train[name]) for name in self.columns)
        gap = None if low is None or high is None else max(low, high)
        missing = [train[name].isna() for name in self.columns]
        has_gaps = not bool((missing[0] & ~missing[1]).any())
        return Facts(dtypes_of(train, self.columns), {"gap": gap, "high": high, "has_gaps": has_gaps})

    def violations(self, frame: pd.DataFrame, facts: Facts) -> Mask:
        """Rows with both values in the wrong order, or equal where that is not allowed."""
        low, high = (_amounts(frame[name]) for name in self.columns)
        broken = low >= high if self.config.strict else low > high
        return broken.fillna(False).to_numpy(dtype=bool)

    def derived(self, facts: Facts) -> tuple[str, ...]:
        """The higher column, unless a row has that alone: from a gap it could not be made."""
        return (self.config.high,) if facts.content["has_gaps"] else ()

    def inputs(self, facts: Facts) -> tuple[str, ...]:
        """The lower column."""
        return (self.config.low,)

    def reduced_kinds(self, kinds: Kinds, facts: Facts) -> dict[str, ColumnKind]:
        """The gap in place of the higher column; whole if both are."""
        is_whole = all(kinds[name] in ("integer", "datetime") for name in self.columns)
        return {**kinds, self.config.high: "integer" if is_whole else "numeric"}

    def reduce(self, frame: pd.DataFrame, facts: Facts, rng: np.random.Generator) -> pd.DataFrame:
        """The gap, in nanoseconds between dates."""
        low, high = (_amounts(frame[name]) for name in self.columns)
        return frame.assign(**{self.config.high: _rounded(high - low, facts.content["gap"])})

    def restore(self, frame: pd.DataFrame, facts: Facts) -> pd.DataFrame:
        """The lower value plus the gap."""
        low, gap = (_amounts(frame[name]) for name in self.columns)
        high = _rounded(low + gap, facts.content["high"])
        return frame.assign(**{self.config.high: _dated(high, facts.dtypes[self.config.high])})


def _decimals(column: Cells) -> int | None:
    return decimals(numbers(column)) if pd.api.types.is_float_dtype(column.dtype) else 0


def _amounts(column: Cells) -> Cells:
    """Whole numbers and dates (as nanoseconds since 1970) as Int64, others as Float64; both know missing values."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        missing = column.isna()
        return column.dt.as_unit("ns").astype("int64").astype("Int64").mask(missing)
    # Float64 from NumPy, where it means NaN by missing.
    is_whole = pd.api.types.is_integer_dtype(column.dtype)
    return column.astype("Int64" if is_whole else "Float64")


def _rounded(amounts: Cells, digits: int | None) -> Cells:
    if pd.api.types.is_integer_dtype(amounts.dtype):
        return amounts if amounts.isna().any() else amounts.astype("int64")
    values = numbers(amounts)
    return pd.Series(values if digits is None else np.round(values, digits), index=amounts.index)


def _dated(amounts: Cells, dtype: DType) -> Cells:
    if not pd.api.types.is_datetime64_any_dtype(dtype):
        return amounts
    dates = pd.Series(pd.to_datetime(amounts.fillna(0).astype("int64"), unit="ns"), index=amounts.index)
    zone = getattr(dtype, "tz", None)
    zoned = dates if zone is None else dates.dt.tz_localize("UTC").dt.tz_convert(zone)
    return zoned.astype(dtype).mask(amounts.isna())
