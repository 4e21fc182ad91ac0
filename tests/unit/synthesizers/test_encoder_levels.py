"""Columns of many categories: the frequent ones have a code, the rare ones share one."""

import time

import numpy as np
import pandas as pd
import pytest

from synthgen.datasets import Schema, Table
from synthgen.errors import DataError, ModelError
from synthgen.synthesizers.encoding.encoder import Encoder

OSLO = pd.date_range("1960-01-01", periods=100, tz="Europe/Oslo")


def table(values: object, label: object = None) -> Table:
    frame = pd.DataFrame({"x": values})
    frame["y"] = "a" if label is None else label
    return Table(frame, Schema({"x": "categorical", "y": "categorical"}, "y"))


def names(counts: list[int]) -> list[str]:
    return [f"level {i}" for i, count in enumerate(counts) for _ in range(count)]


@pytest.mark.parametrize(
    ("counts", "size"),
    [
        ([5] * 40 + [1] * 8, 48),
        ([5] * 40 + [1] * 30, 41),
        ([5] * 40 + [2] * 30, 41),
        ([5] * 40 + [3] * 30, 70),
        ([5] * 60 + [1], 61),
        ([1] * 60, 1),
        ([3] * 1_000, 1_000),
        ([3] * 1_500, 1_001),
    ],
)
def test_rare_levels_of_a_column_with_many_share_a_code(counts: list[int], size: int) -> None:
    assert Encoder.fit(table(names(counts))).sizes[0] == size


def test_the_most_frequent_levels_have_their_own_code() -> None:
    values = names([3] * 600 + [4] * 700)
    encoder = Encoder.fit(table(values))
    codes = encoder.encode(table(values))[:, 0]
    alone = np.bincount(codes) == 4
    assert alone.sum() == 700
    assert (codes == 1_000).sum() == 3 * 300


def test_rare_levels_are_drawn_by_their_frequency() -> None:
    values = names([500] * 1_000 + [1, 2, 7])
    encoder = Encoder.fit(table(values))
    codes = np.tile([encoder.sizes[0] - 1, 0], (20_000, 1))
    drawn = encoder.decode(codes, np.random.default_rng(0).random(codes.shape)).frame["x"].value_counts()
    shares = [drawn[f"level {i}"] / 20_000 for i in (1_000, 1_001, 1_002)]
    assert shares == pytest.approx([0.1, 0.2, 0.7], abs=0.01)
    assert drawn.sum() == 20_000


def test_every_class_of_the_label_keeps_its_code() -> None:
    label = [f"class {i}" for i in range(1_200)]
    encoder = Encoder.fit(table(names([600, 600]), label))
    assert sorted(encoder.classes.tolist()) == sorted(label)


@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_rare_and_missing_stay_apart(dtype: str) -> None:
    values = pd.Series([*names([5] * 60 + [1] * 9), None, None]).astype(dtype)
    data = table(values)
    encoder = Encoder.fit(data)
    codes = encoder.encode(data)
    back = encoder.decode(codes, np.random.default_rng(0).random(codes.shape)).frame["x"]
    assert back.dtype == values.dtype
    assert back.isna().tolist() == values.isna().tolist()
    rare = codes[:, 0] == encoder.sizes[0] - 2
    assert rare.sum() == 9
    assert set(back[rare]) <= set(values[rare])
    assert back[~rare & values.notna()].tolist() == values[~rare & values.notna()].tolist()


def test_a_rare_level_can_be_asked_for() -> None:
    encoder = Encoder.fit(table(names([5] * 60 + [1] * 9)))
    codes = encoder.value_codes({"x": "level 63"})
    drawn = encoder.decode(np.tile([codes["x"], 0], (3, 1)), np.zeros((3, 2)), fixed={"x": "level 63"})
    assert drawn.frame["x"].tolist() == ["level 63"] * 3


def test_a_hundred_thousand_categories_are_coded_in_seconds() -> None:
    values = np.asarray([f"level {i}" for i in range(100_000)], dtype=object)
    data = table(values[np.random.default_rng(0).integers(0, 100_000, 300_000)])
    started = time.process_time()
    encoder = Encoder.fit(data)
    codes = encoder.encode(data)
    assert time.process_time() - started < 5
    assert encoder.sizes[0] == 1_001
    assert codes[:, 0].max() == 1_000


@pytest.mark.parametrize(
    ("values", "value", "found"),
    [
        ([True, False], True, True),
        ([True, False], 1, True),
        ([True, False], "yes", False),
        ([True, False], None, False),
        ([1, 2], 1.7, False),
        (["a", "b"], "b", True),
        (["a", None], None, True),
        (["a", None], float("nan"), True),
        (["1", "2"], 1, True),
    ],
)
def test_a_value_is_asked_for_as_it_is(values: list[object], value: object, found: bool) -> None:
    frame = pd.DataFrame({"x": [0.5] * 2, "y": values})
    encoder = Encoder.fit(Table(frame, Schema({"x": "numeric", "y": "categorical"}, "y")))
    if found:
        assert encoder.value_codes({"y": value})["y"] in (0, 1)
        return
    with pytest.raises(ModelError, match="'y' has no value"):
        encoder.value_codes({"y": value})


@pytest.mark.parametrize(
    ("values", "value", "found"),
    [
        (pd.Series(range(100)), 39, True),
        (pd.Series(range(100)), 39.5, False),
        (pd.Series(range(100)), "39", True),
        (pd.Series(range(100)), 100, False),
        (pd.Series(range(100)), "many", False),
        (pd.Series(range(100)), None, False),
        (pd.Series(range(100)) / 4, 3.25, True),
        (pd.Series(range(100)) / 4, 3.3, False),
        (pd.Series(range(100), dtype="float32") / 10, 3.3, True),
        (pd.Series([*range(100), None]).astype("Int64"), None, True),
        (pd.Series([*range(100), None]).astype("Int64"), 1.5, False),
        (pd.Series(pd.date_range("1960-01-01", periods=100)), "1960-02-01", True),
        (pd.Series(pd.date_range("1960-01-01", periods=100)), "1961-02-01", False),
        (pd.Series(pd.date_range("1960-01-01", periods=100)), "1960-02-01T12:00", False),
        (pd.Series(pd.date_range("1960-01-01", periods=100)), "soon", False),
        (pd.Series(OSLO), "1960-02-01", True),
        (pd.Series(OSLO), pd.Timestamp("1960-02-01", tz="Europe/Oslo"), True),
        (pd.Series(OSLO), pd.Timestamp("1960-01-31T23:00", tz="UTC"), True),
        (pd.Series(OSLO), "1960-02-01T00:00Z", False),
    ],
)  # fmt: skip
def test_a_number_or_date_is_asked_for_as_it_is(values: pd.Series, value: object, found: bool) -> None:
    encoder = Encoder.fit(Table(pd.DataFrame({"x": values}), Schema({"x": "numeric"}, None)))
    if not found:
        with pytest.raises(ModelError, match="'x' has no value"):
            encoder.value_codes({"x": value})
        return
    codes = np.full((4, 1), encoder.value_codes({"x": value})["x"])
    drawn = encoder.decode(codes, np.zeros((4, 1)), fixed={"x": value}).frame["x"]
    assert drawn.dtype == values.dtype
    assert (encoder.encode(Table(drawn.to_frame(), encoder.schema)) == codes).all()


def test_rows_with_levels_that_training_did_not_have_are_not_known() -> None:
    encoder = Encoder.fit(table(names([5] * 60 + [1] * 9)))
    others = table(["level 3", "level 65", "unheard", None])
    assert encoder.known(others).frame["x"].tolist() == ["level 3", "level 65"]
    with pytest.raises(DataError, match="2 values"):
        encoder.encode(others)
