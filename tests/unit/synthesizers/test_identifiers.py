"""New ids look like the old ones and are none of them."""

import json
import re
import uuid

import numpy as np
import pandas as pd
import pytest

from synthgen.errors import DataError
from synthgen.synthesizers.encoding.identifiers import IdFormat, id_hashes, regenerated

RNG = np.random.default_rng(31)
ROWS = 600


def letters(alphabet: str, length: int) -> list[str]:
    return ["".join(RNG.choice(list(alphabet), length)) for _ in range(ROWS)]


def column(values: object, dtype: str = "object") -> pd.Series:
    return pd.Series(values, name="key").astype(dtype)


def uuids(count: int) -> list[str]:
    return [str(uuid.UUID(bytes=RNG.bytes(16), version=4)) for _ in range(count)]


UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
PLATES = [f"{a}-{n}" for a, n in zip(letters("ABCDEFGH", 2), RNG.integers(100, 999, ROWS), strict=True)]
FORMATS: dict[str, tuple[pd.Series, str]] = {
    "padded counter": (column([f"P-{i:05d}" for i in range(1, ROWS + 1)]), r"P-\d{5}"),
    "counter": (column([f"C{i}" for i in range(1, ROWS + 1)], "string"), r"C[1-9]\d*"),
    "counter with year": (column([f"2024-{i:06d}/B" for i in range(ROWS)]), r"2024-\d{6}/B"),
    "eight digits": (column([f"{i:08d}" for i in RNG.choice(10**8, ROWS, replace=False)]), r"\d{8}"),
    "plate": (column(PLATES), r"[A-H]{2}-[1-9]\d\d"),
    "uuid": (column(uuids(ROWS)), UUID4),
    "few uuids": (column(uuids(6)), UUID4),
    "upper hex": (column(letters("0123456789ABCDEF", 32), "string"), r"[0-9A-F]{32}"),
    "few hex": (column(letters("0123456789abcdef", 12)[:15]), r"[0-9a-f]{12}"),
    "two lengths": (column([text[: 6 + i % 2] for i, text in enumerate(letters("abcxyz123", 7))]), r"[abcxyz1-3]{6,7}"),
    "other letters": (column(letters("אבגדהוזחטיÅ🙂", 8)), r"[אבגדהוזחטיÅ🙂]{8}"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_texts_keep_their_format_and_none_is_old(name: str) -> None:
    old, pattern = FORMATS[name]
    assert old.dropna().map(lambda text: re.fullmatch(pattern, text) is not None).all()
    new = regenerated(old, 2_000, np.random.default_rng(0))
    assert new.dtype == old.dtype
    assert new.name == "key"
    assert new.is_unique
    assert not set(new) & set(old)
    assert [text for text in new if not re.fullmatch(pattern, text)] == []


def test_lengths_are_as_frequent_as_they_were() -> None:
    old = column([text[: 6 + (i % 4 == 0)] for i, text in enumerate(letters("abcdefghijk123", 7))])
    new = regenerated(old, 4_000, np.random.default_rng(0))
    assert (new.str.len() == 7).mean() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("dtype", ["int64", "int32", "Int64", "float64", "uint16"])
def test_running_numbers_go_on_beyond_the_largest(dtype: str) -> None:
    old = column(RNG.permutation(np.arange(1_000, 1_000 + ROWS)), dtype)
    new = regenerated(old, 500, np.random.default_rng(0))
    assert new.dtype == old.dtype
    assert new.is_unique
    assert new.is_monotonic_increasing
    assert new.min() > old.max()
    assert new.max() < 2 * old.max()


def test_gaps_between_running_numbers_stay_as_wide() -> None:
    old = column(np.arange(ROWS) * 3 + 7, "int64")
    new = regenerated(old, 1_000, np.random.default_rng(0))
    assert np.diff(new).mean() == pytest.approx(3, rel=0.05)


def test_sparse_numbers_keep_their_number_of_digits() -> None:
    old = column(RNG.choice(np.arange(10**8, 10**9, 1_001), ROWS, replace=False), "int64")
    new = regenerated(old, 5_000, np.random.default_rng(0))
    assert new.is_unique
    assert new.between(10**8, 10**9 - 1).all()
    assert not set(new) & set(old)
    assert new.min() < old.quantile(0.5) < new.max()


def test_every_row_gets_an_id_also_where_some_had_none() -> None:
    old = column([*range(100), None, None], "Int64")
    assert regenerated(old, 300, np.random.default_rng(0)).notna().all()
    text = column([*(f"x{i}" for i in range(100)), None, ""])
    assert (regenerated(text, 300, np.random.default_rng(0)).str.len() > 1).all()


@pytest.mark.parametrize("n", [0, 1, 7])
def test_any_number_of_ids_can_be_drawn(n: int) -> None:
    for old, _ in FORMATS.values():
        assert len(regenerated(old, n, np.random.default_rng(0))) == n


@pytest.mark.parametrize(
    ("old", "n", "left"),
    [
        (column([f"{a}{b}" for a in "ABCD" for b in "xyz"] * 30), 1, None),
        (column([f"{i:02d}" for i in range(40)]), 61, 60),
        (column([f"K{i:02d}" for i in range(95)]), 1, 0),
        (column(range(100), "int8"), 29, 28),
    ],
)
def test_an_exhausted_format_says_how_many_are_left(old: pd.Series, n: int, left: int | None) -> None:
    if left is None:
        # So few texts tell classes of letters, not single ones.
        assert len(regenerated(old, n, np.random.default_rng(0))) == n
        return
    with pytest.raises(DataError, match=f"'key' has only {left} ids left, {n} are needed") as caught:
        regenerated(old, n, np.random.default_rng(0))
    assert caught.value.where == "key"
    assert caught.value.message.count(".") == 0
    if left:
        assert len(regenerated(old, left, np.random.default_rng(0))) == left


def test_a_nearly_full_format_is_filled_to_its_last_id() -> None:
    every = [f"{a}{b}{c}" for a in "0123456789" for b in "ABCDEFGHIJ" for c in "0123456789"]
    old = column([text for i, text in enumerate(RNG.permutation(every)) if i < 900])
    new = regenerated(old, 100, np.random.default_rng(0))
    assert sorted([*old, *new]) == sorted(every)
    with pytest.raises(DataError, match="only 100 ids left, 101 are needed"):
        regenerated(old, 101, np.random.default_rng(0))


def test_digits_of_a_full_format_give_way() -> None:
    old = column([f"A{i}B{k}" for i in range(10, 20) for k in range(10)])
    new = regenerated(old, 500, np.random.default_rng(0))
    assert new.str.fullmatch(r"A[1-9]\dB\d").all()
    assert not set(new) & set(old)


def test_further_ids_can_be_avoided() -> None:
    old = column([f"P-{i:03d}" for i in range(100)])
    first = regenerated(old, 400, np.random.default_rng(0))
    avoid = np.concatenate([id_hashes(old), id_hashes(first)])
    second = IdFormat.fit(old).draw(300, np.random.default_rng(1), avoid)
    assert not set(second) & (set(first) | set(old))


@pytest.mark.parametrize("name", FORMATS)
def test_a_stored_format_draws_the_same_and_holds_no_id(name: str) -> None:
    old, _ = FORMATS[name]
    state = json.dumps(IdFormat.fit(old).state(), ensure_ascii=False)
    assert [text for text in old if text in state] == []
    drawn = IdFormat.restore(json.loads(state)).draw(50, np.random.default_rng(3), id_hashes(old))
    pd.testing.assert_series_equal(drawn, regenerated(old, 50, np.random.default_rng(3)))


@pytest.mark.parametrize(
    "old",
    [
        column(["Anna-Lise 7"]),
        column(["7f3a"] * 900),
        column(RNG.integers(10**6, 10**7, 5), "int64"),
        column([48_841], "int64"),
    ],
)
def test_the_format_of_few_ids_holds_none_of_them(old: pd.Series) -> None:
    state = json.dumps(IdFormat.fit(old).state())
    assert [value for value in old if str(value) in state] == []
    assert not set(regenerated(old, 20, np.random.default_rng(0))) & set(old)


@pytest.mark.parametrize(
    ("old", "message"),
    [
        (column([None, None]), "'key' has no value"),
        (column(["", ""]), "'key' has no value"),
        (column([0.5, 1.5], "float64"), "'key' of type float64"),
        (column(pd.date_range("2020-01-01", periods=3), "datetime64[ns]"), "'key' of type datetime64"),
        (column([True, False], "bool"), "'key' of type bool"),
        (column([2**64 - 1], "uint64"), "'key' of type uint64"),
    ],
)
def test_what_has_no_format_is_refused(old: pd.Series, message: str) -> None:
    with pytest.raises(DataError, match=message):
        IdFormat.fit(old)


def test_a_hundred_thousand_uuids_are_unique() -> None:
    old, _ = FORMATS["uuid"]
    assert regenerated(old, 100_000, np.random.default_rng(0)).is_unique
