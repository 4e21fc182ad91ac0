"""What a column is: the natural dtype of text, the kind of a dtype, and the change to a kind that a user declares."""

import datetime
import decimal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from synthgen.config import ColumnKind
from synthgen.errors import DataError

INTEGER = r"[+-]?(?:0|[1-9]\d*)"
ZERO_PADDED = r"[+-]?0\d+"
# One comma among digits: a decimal comma ("1,5") or a comma between thousands ("1,234").
COMMA_NUMBER = r"[+-]?\d{1,3}(?:\.\d{3})*,\d+|[+-]?\d+,\d+|[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?"
ISO_DATE = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?"
ISO_ZONE = r"(?:Z|[+-]\d{2}:?\d{2})"
DATE_ORDERS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%Y%m%d", "%d-%m-%Y")
# Nineteen digits may not fit into int64.
INT64_DIGITS = 18
TRUTH = {"true": True, "false": False}


def parse_text(column: pd.Series) -> pd.Series:
    """Text as boolean, integer, float or datetime when every value reads as one; as text otherwise.

    Leading zeros keep a column text, since "001" is a code. Integers with gaps become nullable `Int64`.
    """
    # Arrow's regular expressions are ten times faster than Python's on a million values.
    texts = pa.array(column, pa.large_string(), from_pandas=True)
    blank = pc.utf8_is_space(texts)
    if pc.any(blank).as_py():
        return parse_text(column.mask(blank.to_numpy(zero_copy_only=False).astype(bool)))
    if texts.null_count == len(texts):
        return column.astype("float64")
    if pc.any(_matches(texts, ZERO_PADDED)).as_py():
        return column
    if pc.all(pc.is_in(pc.utf8_lower(texts.drop_null()), pa.array(TRUTH, pa.large_string()))).as_py():
        return _parse_truth(column)
    if pc.all(_matches(texts, INTEGER)).as_py():
        return _parse_integers(column)
    if pd.to_numeric(column.dropna(), errors="coerce").notna().all():
        return _exact_floats(column)
    return parse_dates(column) if pc.all(_matches(texts, f"{ISO_DATE}{ISO_ZONE}?")).as_py() else column


def _matches(texts: pa.Array, pattern: str) -> pa.Array:
    """Whether the pattern matches the whole text; null for a missing one."""
    return pc.match_substring_regex(texts, f"^(?:{pattern})$")


def _parse_truth(column: pd.Series) -> pd.Series:
    truth = column.str.lower().map(TRUTH).astype("boolean")
    return truth if column.isna().any() else truth.astype(bool)


def _parse_integers(column: pd.Series) -> pd.Series:
    # Longer numbers are codes and stay as they were written.
    if column.str.len().max() > INT64_DIGITS:
        return column
    return column.astype("Int64") if column.isna().any() else column.astype("int64")


def _exact_floats(column: pd.Series) -> pd.Series:
    # Python's float gives back the number that was written; pandas' own parser may differ in the last bit.
    return column.astype(object).where(column.notna(), np.nan).astype("float64")


def looks_like_dates(values: pd.Series) -> bool:
    """Whether every text is an ISO 8601 date or time."""
    return bool(values.str.fullmatch(f"{ISO_DATE}{ISO_ZONE}?").all())


def parse_dates(column: pd.Series) -> pd.Series:
    """ISO texts as datetime64; with a time zone they become UTC. Unreadable dates (month 13) leave the text."""
    zoned = pd.Series(column.dropna().unique()).str.contains(f"[T ].*{ISO_ZONE}$")
    try:
        return pd.to_datetime(column, format="ISO8601", utc=bool(zoned.any()))
    except (ValueError, OverflowError):
        return column


def plain_dtype(column: pd.Series, where: str) -> pd.Series:
    """A column of a dtype that a synthesizer can restore: categories, dates, decimals and object booleans unpacked.

    Raises:
        DataError: cells of several types, or of a type that is not a number, a text, a truth value or a date.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
        column = column.convert_dtypes() if not holds_text(column) else column
    if pd.api.types.is_string_dtype(column.dtype) and column.dtype != object:
        return column
    if column.dtype == object:
        return _plain_object(column, where)
    if column.dtype.kind in "biufM":
        return column
    raise DataError(f"column {column.name!r} of {where!r} has type {column.dtype}, which is not supported",
                    where=where, hint="name it under drop, or write it as numbers, text or dates")  # fmt: skip


def holds_text(column: pd.Series) -> bool:
    """Whether every value that is there is a text."""
    return all(isinstance(value, str) for value in column.dropna().unique())


def _plain_object(column: pd.Series, where: str) -> pd.Series:
    types = set(column.dropna().map(type))
    if types <= {str}:
        # One mark for a missing text, so that what is saved equals what is loaded.
        return column.where(column.notna(), None) if types else column.astype("float64")
    if types <= {bool, np.bool_}:
        return column.astype("boolean") if column.isna().any() else column.astype(bool)
    if types <= {datetime.date, datetime.datetime, pd.Timestamp}:
        return pd.to_datetime(column)
    if types <= {decimal.Decimal, float, np.float64}:
        return column.astype("float64")
    if types <= {int, np.int64}:
        return column.astype("Int64")
    names = " and ".join(sorted(kind.__name__ for kind in types))
    raise DataError(f"column {column.name!r} of {where!r} holds {names}, one type of cell is allowed", where=where,
                    hint="write the column as text or as numbers, or name it under drop")  # fmt: skip


def infer_kind(column: pd.Series) -> ColumnKind:
    """The kind of a column by its dtype; floats that are all whole numbers are integers."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return "boolean"
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return "datetime"
    if pd.api.types.is_integer_dtype(column.dtype):
        return "integer"
    if pd.api.types.is_float_dtype(column.dtype):
        values = numbers(column)
        return "integer" if len(values) and np.array_equal(values, np.trunc(values)) else "numeric"
    return "categorical"


def numbers(column: pd.Series) -> npt.NDArray[np.float64]:
    """The values that are there, float64 [<= n]."""
    return column.dropna().to_numpy(dtype=np.float64)


def convert(column: pd.Series, kind: ColumnKind, where: str) -> pd.Series:
    """The column as a declared kind; raises DataError with count and first row when values do not allow it."""
    match kind:
        case "numeric":
            converted = _as_number(column)
        case "integer":
            converted = _as_integer(column)
        case "datetime":
            converted = _as_dates(column)
        case "boolean":
            converted = column if infer_kind(column) == "boolean" else _as_truth(column)
        case _:
            return column
    failed = (converted.isna() & column.notna()).to_numpy(dtype=bool)
    if failed.any():
        first = int(column.index[failed][0]) + 1
        message = f"column {column.name!r} of {where!r} is declared {kind}, but {int(failed.sum()):,} values are not"
        hint = "write dates as YYYY-MM-DD" if kind == "datetime" else None
        raise DataError(f"{message} (the first in row {first})", where=f"source.types.{column.name}", hint=hint)
    return converted


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)


def _as_number(column: pd.Series) -> pd.Series:
    if _is_number(column):
        return column
    if infer_kind(column) == "datetime":
        return pd.Series(np.nan, index=column.index, name=column.name)
    readable = pd.to_numeric(column, errors="coerce").notna()
    return _exact_floats(column.where(readable))


def _as_integer(column: pd.Series) -> pd.Series:
    if _is_number(column):
        return column.where(column % 1 == 0).astype(column.dtype)
    texts = column.astype("string")
    return texts.where(texts.str.fullmatch(INTEGER) & (texts.str.len() <= INT64_DIGITS)).astype("Int64")


def _as_truth(column: pd.Series) -> pd.Series:
    texts = column.astype("string").str.lower()
    truth = texts.map({**TRUTH, "1": True, "0": False, "1.0": True, "0.0": False}).astype("boolean")
    return truth if truth.isna().any() else truth.astype(bool)


def _as_dates(column: pd.Series) -> pd.Series:
    """Dates by the one order that fits all values; NaT everywhere when two orders fit and disagree."""
    if infer_kind(column) == "datetime":
        return column
    if holds_text(column):
        iso = parse_dates(column) if looks_like_dates(column.dropna()) else column
        if infer_kind(iso) == "datetime":
            return iso
        readings = [pd.to_datetime(column, format=order, errors="coerce") for order in DATE_ORDERS]
        complete = [reading for reading in readings if reading.notna().equals(column.notna())]
        if complete and all(reading.equals(complete[0]) for reading in complete):
            return complete[0]
    return pd.Series(pd.NaT, index=column.index, name=column.name)
