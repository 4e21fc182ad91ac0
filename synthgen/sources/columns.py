"""Columns that no synthesizer should learn, refused with what to do about them."""

import numpy as np
import pandas as pd

from synthgen.config import ColumnKind
from synthgen.errors import DataError
from synthgen.sources.kinds import COMMA_NUMBER, ZERO_PADDED

UNIQUE_SHARE = 0.9
MIN_ROWS_FOR_UNIQUE = 50
MAX_CATEGORIES = 10_000
# The square of a larger number is beyond float64, and so is every variance.
MAX_NUMBER = 1e150
# Whole numbers further apart are hashes or codes; the encoding counts them in int64 with room for a rounding.
MAX_SPAN = 2**62


def check_column(column: pd.Series, kind: ColumnKind, *, declared: bool, file: str) -> None:
    """Raise DataError for infinite or huge numbers, numbers written as text, names and other near-unique texts."""
    if kind in ("numeric", "integer"):
        _check_numbers(column, file)
        _check_span(column, file)
    if kind == "categorical" and pd.api.types.is_string_dtype(column.dtype):
        if not declared:
            check_numbers_as_text(column, file)
        _check_near_unique(column, file)
        check_category_count(column, file)


def _check_numbers(column: pd.Series, file: str) -> None:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    for bad, what in (
        (np.isinf(values), "infinite values"),
        (np.abs(values) > MAX_NUMBER, f"values above {MAX_NUMBER:g}"),
    ):
        if bad.any():
            first = int(column.index[bad][0]) + 1
            message = f"column {column.name!r} of {file!r} has {int(bad.sum()):,} {what} (the first in row {first})"
            raise DataError(message, where=file, hint="leave the cell empty where the value is not known")


def _check_span(column: pd.Series, file: str) -> None:
    present = column.dropna()
    if (
        pd.api.types.is_integer_dtype(column.dtype)
        and len(present)
        and int(present.max()) - int(present.min()) > MAX_SPAN
    ):
        message = f"column {column.name!r} of {file!r} has whole numbers that are more than 2^62 apart"
        hint = f"name {column.name!r} under ids if it identifies a row, else under drop"
        raise DataError(message, where=file, hint=hint)


def check_numbers_as_text(column: pd.Series, file: str) -> None:
    """Raise DataError for a text column of numbers with a comma, or of numbers and fewer other texts."""
    if holds_comma_numbers(column):
        message = f"column {column.name!r} of {file!r} holds numbers with a comma as text"
        hint = f"write 1.5, not 1,5; or name {column.name!r} under drop, or under types as categorical"
        raise DataError(message, where=file, hint=hint)
    counts = column.value_counts()
    values = counts.index.to_series().astype(object)
    readable = pd.to_numeric(values, errors="coerce").notna()
    padded = values.str.fullmatch(ZERO_PADDED).any()
    texts, total = int(counts[~readable].sum()), int(counts.sum())
    if texts and not padded and texts <= total / 2:
        first = int(column.index[column.isin(values[~readable])][0]) + 1
        message = f"column {column.name!r} of {file!r} mixes numbers and text: {texts:,} of {total:,} values are text"
        hint = f"empty these cells, or say types: {{{column.name!r}: categorical}}"
        raise DataError(f"{message} (the first in row {first})", where=file, hint=hint)


def holds_comma_numbers(column: pd.Series) -> bool:
    """Whether a text column holds numbers like "1,5" or "1,234"."""
    values = pd.Series(column.dropna().unique(), dtype=object)
    comma = values.str.fullmatch(COMMA_NUMBER)
    return bool(comma.any()) and bool((comma | values.str.fullmatch(r"[+-]?\d+")).all())


def is_near_unique(column: pd.Series) -> bool:
    """Whether a text column has a value of its own in almost every row, as names and numbers of people have."""
    count = int(column.notna().sum())
    is_text = pd.api.types.is_string_dtype(column.dtype)
    return is_text and count > MIN_ROWS_FOR_UNIQUE and column.nunique() > UNIQUE_SHARE * count


def _check_near_unique(column: pd.Series, file: str) -> None:
    if is_near_unique(column):
        count, different = int(column.notna().sum()), column.nunique()
        message = f"text column {column.name!r} of {file!r} has {different:,} different values in {count:,} rows"
        hint = f"name {column.name!r} under ids if it identifies a row, else under drop"
        raise DataError(message, where=file, hint=hint)


def check_category_count(column: pd.Series, file: str) -> None:
    """Raise DataError for more than MAX_CATEGORIES different values."""
    if (different := column.nunique()) > MAX_CATEGORIES:
        message = (
            f"column {column.name!r} of {file!r} has {different:,} categories; at most {MAX_CATEGORIES:,} are allowed"
        )
        raise DataError(message, where=file, hint="group rare categories, or name the column under drop")
