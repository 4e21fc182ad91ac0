"""Another table brought to the schema of a first one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgen.config import TableSource
from synthgen.datasets import Table
from synthgen.errors import DataError
from synthgen.sources import coerce_like, ingest_frame, read_frame

N = 40


def model_frame() -> pd.DataFrame:
    when = pd.date_range("2024-01-01", periods=N)
    return pd.DataFrame({
        "id": [f"r{row}" for row in range(N)],
        "age": np.arange(N) + 20,
        "kids": pd.array([None, *[1, 2] * 19, 1], dtype="Int64"),
        "pay": np.linspace(1, 2, N),
        "code": ["01", "02"] * (N // 2),
        "rank": ["1", "2"] * (N // 2),
        "ok": [True, False] * (N // 2),
        "day": when,
        "hour": when.tz_localize("Europe/Berlin"),
        "class": [0, 1] * (N // 2),
    })  # fmt: skip


@pytest.fixture
def like() -> Table:
    source = TableSource(kind="table", path="train.parquet", label="class", ids=("id",))
    data = ingest_frame(model_frame(), source, split_column=None).data
    assert isinstance(data, Table)
    return data


def test_a_csv_copy_in_another_order_is_equal(like: Table, tmp_path: Path) -> None:
    model_frame().to_csv(tmp_path / "copy.csv", index=False, columns=sorted(model_frame().columns))
    same = coerce_like(read_frame(tmp_path / "copy.csv"), like)
    pd.testing.assert_frame_equal(same.frame, like.frame, check_freq=False)
    assert same.fingerprint() == like.fingerprint()


def test_ids_may_be_absent(like: Table) -> None:
    assert coerce_like(model_frame().drop(columns="id"), like).frame.columns.tolist() == like.schema.modelled


@pytest.mark.parametrize(
    ("name", "values", "dtype"),
    [
        ("age", np.arange(N) + 0.5, "float64"),
        ("age", [None, *range(N - 1)], "Int64"),
        ("age", [np.nan, *map(float, range(N - 1))], "Int64"),
        ("age", [None, 0.5, *range(N - 2)], "float64"),
        ("age", [1e19, *range(N - 1)], "float64"),
        ("age", [float(row) for row in range(N)], "int64"),
        ("age", [str(row) for row in range(N)], "int64"),
        ("kids", [None, *range(N - 1)], "Int64"),
        ("code", [1, 2] * (N // 2), "object"),
        ("rank", [1.0, None] * (N // 2), "object"),
        ("ok", ["true", "False"] * (N // 2), "bool"),
        ("ok", [1, 0] * (N // 2), "bool"),
        ("class", ["0", "1"] * (N // 2), "int64"),
        ("hour", pd.date_range("2024-01-01", periods=N), "datetime64[ns, Europe/Berlin]"),
        ("day", pd.date_range("2024-01-01", periods=N, tz="UTC"), "datetime64[ns]"),
    ],
)
def test_values_take_the_dtype_of_the_model_where_they_fit(like: Table, name: str, values: object, dtype: str) -> None:
    column = coerce_like(model_frame().assign(**{name: values}), like).frame[name]
    assert str(column.dtype) == dtype
    assert column.notna().sum() == pd.Series(values).notna().sum()


@pytest.mark.parametrize("second", [None, 2.5])
def test_numbers_become_the_texts_of_their_categories(like: Table, second: float | None) -> None:
    column = coerce_like(model_frame().assign(rank=[1.0, second] * (N // 2)), like).frame["rank"]
    assert (column.iloc[0], column.iloc[1]) == ("1", None if second is None else "2.5")


def test_dates_become_the_texts_that_stand_in_the_file(like: Table) -> None:
    column = coerce_like(model_frame().assign(code=pd.date_range("2024-01-01", periods=N)), like).frame["code"]
    assert column.iloc[1] == "2024-01-02"


def test_a_gap_moves_no_whole_number_beyond_2_to_the_53(like: Table) -> None:
    values = pd.array([None, *[2**53 + 1] * (N - 1)], dtype="Int64")
    column = coerce_like(model_frame().assign(age=values), like).frame["age"]
    assert int(column.iloc[1]) == 2**53 + 1


def test_a_gap_leaves_the_keys_of_all_other_rows_equal(like: Table) -> None:
    gappy = coerce_like(model_frame().assign(age=[None, *(np.arange(1, N) + 20)]), like)
    assert np.flatnonzero(gappy.row_keys() != like.row_keys()).tolist() == [0]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (model_frame().drop(columns=["age", "pay"]), "lacks column 'age', 'pay'"),
        (model_frame().assign(extra=1), "has further column 'extra'"),
        (model_frame().rename(columns={"age": "years"}), "lacks column 'age' and has further column 'years'"),
        (model_frame().assign(age=["old"] * N), "'age' of 'holdout.csv' is declared numeric, but 40 values are not"),
        (model_frame().assign(day=["soon"] * N), "'day' of 'holdout.csv' is declared datetime"),
        (model_frame().head(0), "has no rows"),
    ],
)
def test_another_schema_is_refused_with_the_columns(like: Table, frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        coerce_like(frame, like, name="holdout.csv")
