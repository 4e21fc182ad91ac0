"""What holds for every table: decoded values are legal, codes come back, a stored encoder is the same encoder."""

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen.datasets import Schema, Table
from synthgen.synthesizers.encoding.columns import BinnedColumn
from synthgen.synthesizers.encoding.encoder import Encoder

Maker = Callable[[np.random.Generator, int], pd.Series]


def _times(rng: np.random.Generator, n: int, step_s: int, unit: str) -> pd.Series:
    seconds = rng.integers(-(10**9) // step_s, 2 * 10**9 // step_s, n) * step_s
    return pd.Series(seconds.astype("datetime64[s]").astype(f"datetime64[{unit}]"))


def _local_days(rng: np.random.Generator, n: int) -> pd.Series:
    return _times(rng, n, 86_400, "s").dt.tz_localize("Europe/Oslo")


MAKERS: dict[str, Maker] = {
    "int8": lambda rng, n: pd.Series(rng.integers(-128, 128, n), dtype="int8"),
    "small integers": lambda rng, n: pd.Series(rng.poisson(2, n)),
    "integers beyond 2^53": lambda rng, n: pd.Series(rng.integers(-(2**61), 2**61, n)),
    "uint64": lambda rng, n: pd.Series(np.uint64(2**64 - 1) - rng.integers(0, 10**6, n).astype(np.uint64)),
    "UInt64": lambda rng, n: pd.Series(rng.integers(0, 2**40, n)).astype("UInt64"),
    "Int64": lambda rng, n: pd.Series(rng.integers(-(10**9), 10**9, n)).astype("Int64"),
    "real": lambda rng, n: pd.Series(rng.normal(size=n) * 10.0 ** rng.integers(-12, 12)),
    "Float64": lambda rng, n: pd.Series(rng.normal(size=n)).astype("Float64"),
    "float32": lambda rng, n: pd.Series(rng.normal(size=n), dtype="float32"),
    "float32 decimals": lambda rng, n: pd.Series(np.round(rng.normal(size=n), 2), dtype="float32"),
    "decimals": lambda rng, n: pd.Series(np.round(rng.gamma(2, 50, n), int(rng.integers(0, 6)))),
    "mixed decimals": lambda rng, n: pd.Series(rng.choice([0.0, -0.0, 0.125, 1.5, 7.0, 3.1, 1e-13, 12.34], n)),
    "zero inflated": lambda rng, n: pd.Series(np.where(rng.random(n) < 0.7, -0.0, np.round(rng.normal(size=n), 2))),
    "constant": lambda rng, n: pd.Series(np.full(n, np.round(rng.normal(), 3))),
    "seconds": lambda rng, n: _times(rng, n, 1, "s"),
    "milliseconds": lambda rng, n: _times(rng, n, 3600, "ms"),
    "microseconds": lambda rng, n: _times(rng, n, 60, "us"),
    "days": lambda rng, n: _times(rng, n, 86_400, "ns"),
    "days in a zone": _local_days,
    "instants": lambda rng, n: _times(rng, n, 1800, "ns").dt.tz_localize("UTC").dt.tz_convert("America/New_York"),
    "bool": lambda rng, n: pd.Series(rng.random(n) < 0.3),
    "boolean": lambda rng, n: pd.Series(rng.random(n) < 0.3).astype("boolean"),
    "text": lambda rng, n: pd.Series(rng.choice(["a", "Å", "שלום", "🙂\n", ""], n)).astype(object),
    "string": lambda rng, n: pd.Series([f"level {i}" for i in rng.geometric(0.02, n)]).astype("string"),
}
CANNOT_MISS = {"int8", "small integers", "integers beyond 2^53", "uint64", "bool"}
EDGES = np.asarray([0.0, 0.5, np.nextafter(1.0, 0.0)])


def made(name: str, rng: np.random.Generator, n: int) -> pd.Series:
    column = MAKERS[name](rng, n)
    if name in CANNOT_MISS or rng.random() < 0.5:
        return column
    return column.mask(rng.random(n) < rng.choice([0.1, 0.9, 1.0]), None if column.dtype == object else pd.NA)


def table_of(names: list[str], rows: int, seed: int) -> Table:
    rng = np.random.default_rng(seed)
    columns = {f"{i} {name}": made(name, rng, rows) for i, name in enumerate(names)}
    kinds = {name: "categorical" if column.dtype == object else "numeric" for name, column in columns.items()}
    return Table(
        pd.DataFrame({**columns, "y": rng.choice(["no", "yes"], rows)}), Schema({**kinds, "y": "boolean"}, "y")
    )


def decimals(column: pd.Series) -> int:
    return max(-int(Decimal(repr(value)).normalize().as_tuple().exponent) for value in column.astype(float).tolist())


def assert_legal(drawn: pd.Series, given_: pd.Series) -> None:
    assert drawn.dtype == given_.dtype
    assert given_.isna().any() or not drawn.isna().any()
    drawn, given_ = drawn.dropna(), given_.dropna()
    if drawn.empty:
        return
    if drawn.dtype == object or drawn.dtype in ("bool", "boolean", "string"):
        assert set(drawn) <= set(given_)
        return
    assert drawn.min() >= given_.min()
    assert drawn.max() <= given_.max()
    # More digits than a double tells apart are no format.
    if drawn.dtype in ("float64", "Float64") and given_.abs().max() * 10.0 ** decimals(given_) < 2**53:
        assert decimals(drawn) <= max(decimals(given_), 0)
    if isinstance(drawn.dtype, pd.DatetimeTZDtype) and (given_ == given_.dt.normalize()).all() and len(given_) > 1:
        assert (drawn == drawn.dt.normalize()).all()


TABLES = {
    "names": st.lists(st.sampled_from(sorted(MAKERS)), min_size=1, max_size=5),
    "rows": st.one_of(st.integers(1, 40), st.integers(200, 1_500)),
    "seed": st.integers(0, 2**32 - 1),
}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(**TABLES)
def test_any_codes_at_any_positions_are_legal_values(names: list[str], rows: int, seed: int) -> None:
    data = table_of(names, rows, seed)
    encoder, rng = Encoder.fit(data), np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, 300) for size in encoder.sizes], axis=1)
    positions = np.where(rng.random(codes.shape) < 0.2, rng.choice(EDGES, codes.shape), rng.random(codes.shape))
    drawn = encoder.decode(codes, positions).frame
    for name in data.frame:
        assert_legal(drawn[name], data.frame[name])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(**TABLES)
def test_decoded_codes_are_encoded_to_themselves(names: list[str], rows: int, seed: int) -> None:
    encoder, rng = Encoder.fit(table_of(names, rows, seed), ties=False), np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, 300) for size in encoder.sizes], axis=1)
    back = encoder.encode(encoder.decode(codes, rng.random(codes.shape)))
    for j, column in enumerate(encoder.columns):
        # A real number may by chance be a spike: it has no raster from which spikes could be left out.
        allowed = 3 if isinstance(column, BinnedColumn) and column.grid.decimals is None else 0
        assert (back[:, j] != codes[:, j]).sum() <= allowed, column.name


@settings(max_examples=40, deadline=None, derandomize=True)
@given(**TABLES)
def test_training_values_come_back_from_their_codes_and_positions(names: list[str], rows: int, seed: int) -> None:
    data = table_of(names, rows, seed)
    encoder, rng = Encoder.fit(data), np.random.default_rng(seed)
    codes = encoder.encode(data)
    for j, column in enumerate(encoder.columns):
        cells = data.frame[column.name]
        positions = column.positions(cells, codes[:, j], rng)
        assert positions.min() >= 0
        assert positions.max() < 1
        again = column.encode(column.decode(codes[:, j], positions))
        if not (isinstance(column, BinnedColumn) and column.ties):
            assert np.array_equal(again, codes[:, j])


@settings(max_examples=30, deadline=None, derandomize=True)
@given(**TABLES)
def test_a_restored_encoder_is_equal(names: list[str], rows: int, seed: int) -> None:
    data = table_of(names, rows, seed)
    encoder, rng = Encoder.fit(data), np.random.default_rng(seed)
    text, arrays = encoder.state()
    restored = Encoder.restore(text, arrays)
    codes = np.stack([rng.integers(0, size, 100) for size in encoder.sizes], axis=1)
    positions = rng.random(codes.shape)
    assert np.array_equal(restored.encode(data), encoder.encode(data))
    pd.testing.assert_frame_equal(restored.decode(codes, positions).frame, encoder.decode(codes, positions).frame)
    assert restored.state()[0] == text
    assert all(np.array_equal(restored.state()[1][name], array) for name, array in arrays.items())


@settings(max_examples=30, deadline=None, derandomize=True)
@given(**TABLES)
def test_the_order_of_rows_changes_no_code(names: list[str], rows: int, seed: int) -> None:
    data = table_of(names, rows, seed)
    order = np.random.default_rng(seed).permutation(rows)
    shuffled = Encoder.fit(data.take(order))
    assert shuffled.state()[0] == Encoder.fit(data).state()[0]
    assert np.array_equal(shuffled.encode(data), Encoder.fit(data).encode(data))


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_one_row_comes_back(name: str) -> None:
    frame = pd.DataFrame({"x": MAKERS[name](np.random.default_rng(1), 1), "y": ["a"]})
    data = Table(frame, Schema({"x": "numeric", "y": "categorical"}, "y"))
    encoder = Encoder.fit(data)
    pd.testing.assert_frame_equal(encoder.decode(encoder.encode(data), np.asarray([[0.3, 0.3]])).frame, data.frame)


@pytest.mark.parametrize("name", sorted(set(MAKERS) - {"text", "string", "bool", "boolean"}))
def test_numbers_and_dates_that_training_did_not_have_get_a_code(name: str) -> None:
    rng = np.random.default_rng(2)
    first, other = (pd.DataFrame({"x": MAKERS[name](rng, 500)}) for _ in range(2))
    schema = Schema({"x": "numeric"}, None)
    encoder = Encoder.fit(Table(first, schema))
    codes = encoder.encode(Table(other, schema))
    assert codes.min() >= 0
    assert codes.max() < encoder.sizes[0]
