import numpy as np
import pandas as pd
import pytest

from synthgen.config import ColumnKind
from synthgen.datasets import Schema, Table
from synthgen.errors import DataError, ModelError
from synthgen.synthesizers.encoding.encoder import Encoder

ROWS = 1_200


def table(column: object, kind: ColumnKind = "numeric") -> Table:
    frame = pd.DataFrame({"x": column})
    frame["y"] = np.where(np.arange(len(frame)) % 3 == 0, "b", "a")
    return Table(frame, Schema({"x": kind, "y": "categorical"}, label="y"))


def redrawn(data: Table, rng: np.random.Generator) -> Table:
    encoder = Encoder.fit(data)
    codes = encoder.encode(data)
    return encoder.decode(codes, rng.random(codes.shape))


def _gaps(values: np.ndarray) -> pd.Series:
    return pd.Series(values).mask(np.arange(len(values)) % 7 == 0)


RNG = np.random.default_rng(11)
COLUMNS: dict[str, pd.Series] = {
    "int64": pd.Series(RNG.integers(-50_000, 90_000, ROWS)),
    "beyond 2^53": pd.Series(2**61 + RNG.integers(0, 10**12, ROWS)),
    "uint64 beyond 2^63": pd.Series(np.uint64(2**63) + RNG.integers(0, 10**6, ROWS).astype(np.uint64)),
    "int8": pd.Series(RNG.integers(-128, 128, ROWS), dtype="int8"),
    "Int64 with gaps": _gaps(RNG.integers(0, 10**6, ROWS)).astype("Int64"),
    "Float64 with gaps": _gaps(RNG.normal(size=ROWS)).astype("Float64"),
    "float32": pd.Series(np.round(RNG.normal(size=ROWS), 3), dtype="float32"),
    "real": pd.Series(RNG.normal(size=ROWS)),
    "whole floats with gaps": _gaps(RNG.integers(0, 10**5, ROWS)),
    "zero inflated": pd.Series(np.where(RNG.random(ROWS) < 0.8, 0.0, np.round(RNG.gamma(2, 500, ROWS), 2))),
    "constant": pd.Series(np.full(ROWS, 3.25)),
    "all missing": pd.Series(np.full(ROWS, np.nan)),
    "nullable all missing": pd.Series([pd.NA] * ROWS, dtype="Int64"),
    "bool": pd.Series(RNG.random(ROWS) < 0.2),
    "boolean with gaps": _gaps(RNG.random(ROWS) < 0.2).astype("boolean"),
    "text with gaps": _gaps(RNG.choice(["a", "Å", "שלום"], ROWS)),
    "string dtype": _gaps(RNG.choice(["a", "b"], ROWS)).astype("string"),
    "ordered category": pd.Series(pd.Categorical(RNG.choice(["lo", "hi"], ROWS), ["lo", "mid", "hi"], ordered=True)),
    "integer category": pd.Series(pd.Categorical(RNG.choice([3, 1, 2], ROWS))),
    "date": pd.Series(pd.Timestamp("1999-12-31") + pd.to_timedelta(RNG.integers(0, 9_000, ROWS), unit="D")),
    "date with gaps": _gaps(pd.Timestamp("1999-12-31") + pd.to_timedelta(RNG.integers(0, 9_000, ROWS), unit="D")),
    "time zone": pd.Series(
        pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 10**7, ROWS), unit="s")
    ).dt.tz_localize("UTC").dt.tz_convert("Europe/Oslo"),
    "seconds unit": pd.Series(
        pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 10**7, ROWS), unit="s")
    ).astype("datetime64[s]"),
}  # fmt: skip
KINDS: dict[str, ColumnKind] = {"bool": "boolean", "text with gaps": "categorical", "ordered category": "categorical"}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_comes_back_in_its_dtype_range_and_gaps(name: str) -> None:
    column = COLUMNS[name]
    back = redrawn(table(column, KINDS.get(name, "numeric")), np.random.default_rng(0)).frame["x"]
    assert back.dtype == column.dtype
    assert back.isna().tolist() == column.isna().tolist()
    if column.notna().any() and not isinstance(column.dtype, pd.CategoricalDtype) and column.dtype != object:
        assert back.min() >= column.min()
        assert back.max() <= column.max()


@pytest.mark.parametrize("name", COLUMNS)
def test_state_restores_an_equal_encoder(name: str) -> None:
    data = table(COLUMNS[name], KINDS.get(name, "numeric"))
    encoder = Encoder.fit(data)
    restored = Encoder.restore(*encoder.state())
    codes, positions = encoder.encode(data), np.random.default_rng(0).random((ROWS, 2))
    assert np.array_equal(restored.encode(data), codes)
    assert restored.decode(codes, positions).fingerprint() == encoder.decode(codes, positions).fingerprint()


@pytest.mark.parametrize("name", ["bool", "string dtype", "ordered category", "integer category", "constant", "int8"])
def test_levels_come_back_exactly(name: str) -> None:
    column = COLUMNS[name] if name != "int8" else COLUMNS["int8"] // 16
    back = redrawn(table(column, KINDS.get(name, "numeric")), np.random.default_rng(0)).frame["x"]
    pd.testing.assert_series_equal(back, column.rename("x"))


@pytest.mark.parametrize(
    ("values", "step"),
    [(np.round(RNG.normal(50, 9, ROWS), 2), 0.01), (RNG.integers(0, 4_000, ROWS) * 250, 250.0),
     (RNG.integers(0, 4_000, ROWS) * 0.5 + 7, 0.5)],
)  # fmt: skip
def test_values_stay_on_the_raster_of_training(values: np.ndarray, step: float) -> None:
    back = redrawn(table(values), np.random.default_rng(0)).frame["x"].to_numpy()
    ticks = (back - values.min()) / step
    assert np.abs(ticks - np.rint(ticks)).max() < 1e-6
    assert not np.array_equal(back, values)


def test_decimals_are_the_very_doubles_of_their_text() -> None:
    values = np.round(RNG.gamma(2, 30, ROWS), 2)
    back = redrawn(table(values), np.random.default_rng(0)).frame["x"]
    assert all(float(f"{value:.2f}") == value for value in back)


def test_frequent_values_get_a_code_of_their_own() -> None:
    data = table(COLUMNS["zero inflated"])
    back = redrawn(data, np.random.default_rng(0)).frame["x"]
    assert ((back == 0) == (data.frame["x"] == 0)).all()


def test_in_bin_draws_keep_the_distribution() -> None:
    values = np.random.default_rng(3).gamma(2, 10, 20_000)
    back = np.sort(redrawn(table(values), np.random.default_rng(0)).frame["x"].to_numpy())
    edges = np.quantile(values, np.linspace(0, 1, 200))
    distance = np.abs(np.searchsorted(back, edges) - np.searchsorted(np.sort(values), edges)).max() / len(values)
    assert distance < 0.005


@pytest.mark.parametrize(("rows", "most"), [(200, 8), (5_000, 16), (12_000, 32)])
def test_small_tables_get_fewer_bins(rows: int, most: int) -> None:
    encoder = Encoder.fit(table(np.random.default_rng(0).normal(size=rows)))
    assert most // 2 < encoder.sizes[0] <= most


def test_codes_do_not_depend_on_the_order_of_rows() -> None:
    data = table(COLUMNS["zero inflated"])
    order = np.random.default_rng(0).permutation(len(data))
    shuffled = Encoder.fit(data.take(order)).encode(data.take(order))
    assert np.array_equal(shuffled, Encoder.fit(data).encode(data)[order])


def test_values_beyond_the_range_get_the_outermost_code() -> None:
    data = table(np.arange(ROWS) * 1.5)
    encoder = Encoder.fit(data)
    codes = encoder.encode(table([-1e6, 0.0, 1e6, (ROWS - 1) * 1.5]))[:, 0]
    assert codes[0] == codes[1]
    assert codes[2] == codes[3]


def test_an_integer_label_is_a_class_and_not_a_number() -> None:
    frame = pd.DataFrame({"x": RNG.normal(size=ROWS), "y": np.arange(ROWS) % 300})
    data = Table(frame, Schema({"x": "numeric", "y": "integer"}, label="y"))
    encoder = Encoder.fit(data)
    assert encoder.classes.tolist() == [str(i) for i in range(300)]
    assert redrawn(data, np.random.default_rng(0)).labels.tolist() == data.labels.tolist()


def test_a_table_without_label_has_one_nameless_class() -> None:
    encoder = Encoder.fit(Table(pd.DataFrame({"x": [1.0, 2.0]}), Schema({"x": "numeric"}, label=None)))
    assert encoder.classes.tolist() == [""]
    assert encoder.label_position is None


@pytest.mark.parametrize(
    ("column", "message"),
    [([1.0, np.inf] * 600, "600 infinite"), ([-(2**62), 2**62] * 600, r"spans more than 2\^62")],
)
def test_numbers_that_cannot_be_coded_are_refused(column: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        Encoder.fit(table(column))
    assert caught.value.where == "x"


def test_an_unknown_level_is_counted_and_not_shown() -> None:
    encoder = Encoder.fit(table(["secret", "other"] * 600, "categorical"))
    with pytest.raises(DataError, match="'x' has 1 values that the training rows do not have") as caught:
        encoder.encode(table(["secret", "unheard", "other"], "categorical"))
    assert "unheard" not in caught.value.message


def test_a_missing_value_that_training_did_not_have_is_refused() -> None:
    encoder = Encoder.fit(table(COLUMNS["real"]))
    with pytest.raises(DataError, match="1 values"):
        encoder.encode(table([0.5, np.nan]))


def test_an_unknown_class_names_the_nearest() -> None:
    with pytest.raises(ModelError, match="'aa' is not known"):
        Encoder.fit(table(COLUMNS["real"])).label_codes(np.asarray(["a", "aa"]))
