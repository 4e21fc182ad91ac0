"""Natural dtypes of text, kinds of dtypes, declared kinds."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from synthgen.errors import DataError
from synthgen.sources.kinds import convert, infer_kind, parse_text, plain_dtype


def text(*values: str | None) -> pd.Series:
    return pd.Series(values, dtype=object, name="x")


@pytest.mark.parametrize(
    ("values", "dtype", "kind"),
    [
        (("1", "-2", "0"), "int64", "integer"),
        (("1", None, "3"), "Int64", "integer"),
        (("9007199254740993", "1"), "int64", "integer"),
        (("12345678901234567890", "1"), "object", "categorical"),
        (("1.5", "2"), "float64", "numeric"),
        (("1e3", None), "float64", "integer"),
        (("001", "2"), "object", "categorical"),
        (("0.5", "0"), "float64", "numeric"),
        (("true", "False"), "bool", "boolean"),
        (("TRUE", None), "boolean", "boolean"),
        (("yes", "no"), "object", "categorical"),
        (("2024-01-31", "2024-02-01"), "datetime64[ns]", "datetime"),
        (("2024-01-31T10:00:00Z", None), "datetime64[ns, UTC]", "datetime"),
        (("2024-01-31 10:00:00+02:00", "2024-01-31 10:00:00+01:00"), "datetime64[ns, UTC]", "datetime"),
        (("2024-13-01", "2024-01-01"), "object", "categorical"),
        (("31/12/2024", "01/02/2024"), "object", "categorical"),
        (("1,5", "2,5"), "object", "categorical"),
        ((None, None), "float64", "numeric"),
        (("  ", "7"), "Int64", "integer"),
    ],
)
def test_text_takes_the_narrowest_type_that_fits_every_value(values: tuple[str, ...], dtype: str, kind: str) -> None:
    parsed = parse_text(text(*values))
    assert (str(parsed.dtype), infer_kind(parsed)) == (dtype, kind)
    assert parsed.isna().tolist() == [value is None or value.isspace() for value in values]


def test_integers_beyond_two_to_the_53_stay_exact_beside_a_gap() -> None:
    assert parse_text(text("9007199254740993", None)).iloc[0] == 9007199254740993


@pytest.mark.parametrize(
    ("column", "dtype", "kind"),
    [
        (pd.Series([1, None], dtype="Int64"), "Int64", "integer"),
        (pd.Series([True, None], dtype="boolean"), "boolean", "boolean"),
        (pd.Series(["a", None], dtype="string"), "string", "categorical"),
        (pd.Series([1.0, None]), "float64", "integer"),
        (pd.Series([1.5, None]), "float64", "numeric"),
        (pd.Series(["NA", "null", "None"]), "object", "categorical"),
        (pd.Series([True, None], dtype=object), "boolean", "boolean"),
        (pd.Series([1, None, 3], dtype=object), "Int64", "integer"),
        (pd.Series([decimal.Decimal("1.5")]), "float64", "numeric"),
        (pd.Series([datetime.date(2024, 1, 1), None]), "datetime64[ns]", "datetime"),
        (pd.Series(["a", "b"], dtype="category"), "object", "categorical"),
        (pd.Series([1, 2], dtype="category"), "Int64", "integer"),
        (
            pd.Series(pd.to_datetime(["2024-01-01"]).tz_localize("Europe/Berlin")),
            "datetime64[ns, Europe/Berlin]",
            "datetime",
        ),
        (pd.Series([None, None], dtype=object), "float64", "numeric"),
    ],
)
def test_types_of_parquet_are_kept_or_unpacked(column: pd.Series, dtype: str, kind: str) -> None:
    plain = plain_dtype(column.rename("x"), "file")
    assert (str(plain.dtype), infer_kind(plain)) == (dtype, kind)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.Series([1, "a"]), "holds int and str"),
        (pd.Series([[1], [2]]), "holds list"),
        (pd.Series([b"x"]), "holds bytes"),
        (pd.Series(pd.to_timedelta(["1s"])), "timedelta64"),
        (pd.Series([1j]), "complex"),
    ],
)
def test_cells_that_cannot_be_restored_are_refused(column: pd.Series, message: str) -> None:
    with pytest.raises(DataError, match=message):
        plain_dtype(column.rename("x"), "file")


@pytest.mark.parametrize(
    ("column", "kind", "expected"),
    [
        (text("1", "2.5", None), "numeric", [1.0, 2.5, None]),
        (text("1", "2", None), "integer", [1, 2, None]),
        (pd.Series([1.0, 2.0]), "integer", [1, 2]),
        (pd.Series([0, 1]), "boolean", [False, True]),
        (text("True", "false", None), "boolean", [True, False, None]),
        (text("31/12/2024", "01/02/2024"), "datetime", [pd.Timestamp("2024-12-31"), pd.Timestamp("2024-02-01")]),
        (text("01.02.2024"), "datetime", [pd.Timestamp("2024-02-01")]),
        (text("2024-02-01", None), "datetime", [pd.Timestamp("2024-02-01"), None]),
        (pd.Series([3, 4]), "categorical", [3, 4]),
    ],
)
def test_a_declared_kind_changes_the_column(column: pd.Series, kind: str, expected: list) -> None:
    converted = convert(column.rename("x"), kind, "file")
    assert [None if pd.isna(value) else value for value in converted] == expected


@pytest.mark.parametrize(
    ("column", "kind", "message"),
    [
        (text("1", "two", "three"), "numeric", r"2 values are not \(the first in row 2\)"),
        (pd.Series([1.0, 2.5]), "integer", r"1 values are not \(the first in row 2\)"),
        (text("1", "2.5"), "integer", "1 values are not"),
        (text("yes", "no"), "boolean", "2 values are not"),
        (text("01/02/2024", "03/04/2024"), "datetime", "2 values are not"),
        (pd.Series([20240101]), "datetime", "1 values are not"),
        (text("1234567890123456789"), "integer", "1 values are not"),
        (pd.Series([True, False]), "integer", "2 values are not"),
        (pd.Series(pd.to_datetime(["2024-01-01"])), "numeric", "1 values are not"),
    ],
)
def test_a_declared_kind_that_does_not_fit_says_where(column: pd.Series, kind: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        convert(column.rename("x"), kind, "file")


def test_int64_is_kept_when_declared_integer() -> None:
    assert convert(pd.Series([1, 2**60 + 1], name="x"), "integer", "file").tolist() == [1, 2**60 + 1]
    assert convert(pd.Series([1, 2], name="x"), "integer", "file").dtype == np.int64
