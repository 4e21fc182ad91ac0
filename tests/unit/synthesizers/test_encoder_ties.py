"""Columns with exactly the value of an earlier one: found when it is more than chance, and copied back."""

import numpy as np
import pandas as pd
import pytest

from synthgen.datasets import Schema, Table
from synthgen.synthesizers.encoding.columns import BinnedColumn
from synthgen.synthesizers.encoding.encoder import Encoder

ROWS = 2_000
RNG = np.random.default_rng(17)
AMOUNT = np.round(RNG.gamma(2, 400, ROWS), 2)
OTHER = np.round(RNG.gamma(2, 400, ROWS), 2)
DAYS = pd.Timestamp("1969-11-01") + pd.to_timedelta(RNG.integers(0, 9_000, ROWS), unit="D")
TIED = RNG.random(ROWS) < 0.13


def table(**columns: object) -> Table:
    frame = pd.DataFrame(columns)
    return Table(frame, Schema(dict.fromkeys(frame, "numeric"), None))


def ties(encoder: Encoder) -> dict[str, tuple[str, ...]]:
    return {column.name: column.ties for column in encoder.columns if isinstance(column, BinnedColumn) and column.ties}


def redrawn(data: Table, encoder: Encoder) -> Table:
    codes = encoder.encode(data)
    return encoder.decode(codes, np.random.default_rng(0).random(codes.shape))


def test_rows_with_the_value_of_an_earlier_column_keep_it_and_no_others_get_it() -> None:
    data = table(a=AMOUNT, b=np.where(TIED, AMOUNT, OTHER))
    encoder = Encoder.fit(data)
    frame = redrawn(data, encoder).frame
    assert ties(encoder) == {"b": ("a",)}
    # A draw beyond the range of the second column is clipped, and then no longer equal.
    reached = frame["a"].between(data.frame["b"].min(), data.frame["b"].max())
    assert ((frame["a"] == frame["b"]) == (data.frame["a"] == data.frame["b"]))[reached].all()
    assert reached.mean() > 0.99
    assert not np.array_equal(frame["a"], data.frame["a"])


CASES: dict[str, tuple[pd.Series, pd.Series]] = {
    "cents and whole": (pd.Series(AMOUNT), pd.Series(np.where(TIED, np.floor(AMOUNT), OTHER.round()))),
    "integers and floats": (pd.Series(RNG.integers(0, 10**5, ROWS)), pd.Series(OTHER)),
    "whole floats with gaps": (pd.Series(RNG.integers(0, 10**5, ROWS)), pd.Series(OTHER.round()).mask(~TIED)),
    "Int64": (pd.Series(RNG.integers(0, 10**5, ROWS)).astype("Int64"), pd.Series(RNG.integers(0, 10**5, ROWS))),
    "float32": (pd.Series(AMOUNT, dtype="float32"), pd.Series(OTHER, dtype="float32")),
    "reals": (pd.Series(RNG.normal(size=ROWS)), pd.Series(RNG.normal(size=ROWS))),
    "steps of 5 and of 1": (pd.Series(RNG.integers(0, 10**4, ROWS) * 5), pd.Series(RNG.integers(0, 50_000, ROWS))),
    "dates": (pd.Series(DAYS), pd.Series(DAYS).sample(frac=1, random_state=1).reset_index(drop=True)),
    "seconds and nanoseconds": (pd.Series(DAYS).astype("datetime64[s]"), pd.Series(DAYS[::-1]).reset_index(drop=True)),
    "zones": (
        pd.Series(DAYS + pd.Timedelta("10h")).dt.tz_localize("UTC"),
        pd.Series(DAYS[::-1] + pd.Timedelta("5h")).dt.tz_localize("America/New_York"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values_are_copied_between_types_that_can_hold_them(name: str) -> None:
    first, second = CASES[name]
    if name != "cents and whole":
        whole = first.dt.tz_convert(second.dt.tz) if name == "zones" else first.astype(second.dtype)
        second = second.mask(TIED, whole)
    data = table(a=first, b=second)
    encoder = Encoder.fit(data)
    back = redrawn(data, encoder).frame
    if name == "cents and whole":
        # A floor is not equal but where the cents are 0: that is rarer than a tie has to be.
        assert ties(encoder) == {}
        return
    assert ties(encoder) == {"b": ("a",)}
    assert back.dtypes.to_dict() == data.frame.dtypes.to_dict()
    tied = (data.frame["a"] == data.frame["b"]).to_numpy(dtype=bool)
    codes = encoder.encode(data)
    inside = tied & (codes[:, 1] == encoder.sizes[1] - 1)
    assert inside.sum() > 100
    assert (back["a"] == back["b"]).to_numpy(dtype=bool)[inside].mean() > 0.98


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("chance", OTHER),
        ("one row in two hundred", np.where(RNG.random(ROWS) < 0.005, AMOUNT, OTHER)),
        ("another unit", DAYS),
    ],
)
def test_what_chance_gives_is_no_tie(name: str, second: object) -> None:
    assert ties(Encoder.fit(table(a=AMOUNT, b=second))) == {}


def test_coarse_columns_are_equal_by_chance() -> None:
    first, second = (RNG.integers(0, 20, ROWS) for _ in range(2))
    encoder = Encoder.fit(table(a=first, b=second), bins=2)
    assert (first == second).mean() > 0.04
    assert ties(encoder) == {}


def test_values_are_equal_where_they_were_and_nowhere_else_by_chance() -> None:
    arrival = pd.Series(DAYS)
    change = (arrival - pd.to_timedelta(RNG.integers(1, 4, ROWS), unit="D")).where(~TIED, arrival)
    data = table(change=change, arrival=arrival)
    encoder = Encoder.fit(data)
    codes = encoder.encode(data)
    # All at the same places in their bins: near one another, as the values are.
    frame = encoder.decode(codes, np.repeat(np.random.default_rng(0).random((ROWS, 1)), 2, axis=1)).frame
    assert ties(encoder) == {"arrival": ("change",)}
    assert (frame["change"] == frame["arrival"]).mean() == pytest.approx(TIED.mean(), abs=0.002)
    assert (encoder.encode(Table(frame, data.schema)) == codes).mean() > 0.995


def test_small_counts_are_spikes_and_no_tie() -> None:
    count = RNG.poisson(2, ROWS)
    assert ties(Encoder.fit(table(a=count, b=np.where(TIED, RNG.poisson(2, ROWS), count)))) == {}


def test_a_frequent_value_of_one_column_alone_stays_tied() -> None:
    bonus = np.where(RNG.random(ROWS) < 0.3, 500.0, OTHER)
    salary = np.where(RNG.random(ROWS) < 0.003, 500.0, AMOUNT)
    data = table(a=salary, b=np.where(TIED | (salary == 500), salary, bonus))
    encoder = Encoder.fit(data)
    frame, equal = redrawn(data, encoder).frame, data.frame["a"] == data.frame["b"]
    assert ((frame["a"] == frame["b"]) == equal)[data.frame["a"] == 500].all()


def test_several_ties_and_chains_decode_in_the_order_of_columns() -> None:
    third = RNG.random(ROWS) < 0.2
    b = np.where(TIED, AMOUNT, OTHER)
    c = np.where(third, b, np.where(RNG.random(ROWS) < 0.3, AMOUNT, np.round(RNG.gamma(2, 400, ROWS), 2)))
    data = table(a=AMOUNT, b=b, c=c)
    encoder = Encoder.fit(data)
    frame = redrawn(data, encoder).frame
    assert ties(encoder) == {"b": ("a",), "c": ("a", "b")}
    for one, other in (("a", "b"), ("a", "c"), ("b", "c")):
        same = (frame[one] == frame[other]) == (data.frame[one] == data.frame[other])
        assert same.mean() > 0.995, (one, other)


def test_one_tie_is_enough_for_three_equal_columns() -> None:
    data = table(a=AMOUNT, b=AMOUNT, c=AMOUNT)
    encoder = Encoder.fit(data)
    frame = redrawn(data, encoder).frame
    assert ties(encoder) == {"b": ("a",), "c": ("a",)}
    assert frame["a"].equals(frame["b"])
    assert frame["a"].equals(frame["c"])


def test_a_tie_to_a_missing_value_draws_another_value() -> None:
    first = pd.Series(AMOUNT).mask(RNG.random(ROWS) < 0.1)
    data = table(a=first, b=np.where(TIED & first.notna(), first, OTHER))
    encoder = Encoder.fit(data)
    codes = np.stack([np.full(400, encoder.sizes[0] - 1), np.full(400, encoder.sizes[1] - 1)], axis=1)
    frame = encoder.decode(codes, np.random.default_rng(0).random(codes.shape)).frame
    assert frame["a"].isna().all()
    assert frame["b"].between(data.frame["b"].min(), data.frame["b"].max()).all()
    assert frame["b"].nunique() > 100


def test_a_copied_value_is_clipped_into_the_range() -> None:
    wide = np.where(TIED, OTHER, OTHER * 9).round(2)
    data = table(a=wide, b=OTHER)
    encoder = Encoder.fit(data)
    codes = encoder.encode(data)
    codes[:, 1] = encoder.sizes[1] - 1
    back = encoder.decode(codes, np.random.default_rng(0).random(codes.shape)).frame
    assert ties(encoder) == {"b": ("a",)}
    assert back["b"].max() == data.frame["b"].max()
    assert (back["b"] == back["a"].clip(OTHER.min(), OTHER.max())).all()


def test_a_tie_follows_a_given_value() -> None:
    data = table(a=AMOUNT, b=np.where(TIED, AMOUNT, OTHER))
    encoder = Encoder.fit(data)
    codes = encoder.encode(data)
    frame = encoder.decode(codes, np.random.default_rng(0).random(codes.shape), fixed={"a": 321.09}).frame
    tied = codes[:, 1] == encoder.sizes[1] - 1
    assert tied.sum() > 200
    assert (frame["b"][tied] == 321.09).all()
    assert (frame["b"][~tied] != 321.09).all()


def test_rows_that_training_did_not_have_are_tied_too() -> None:
    data = table(a=AMOUNT, b=np.where(TIED, AMOUNT, OTHER))
    encoder = Encoder.fit(data)
    codes = encoder.encode(table(a=[321.09, 321.09, 10.0**9], b=[321.09, 4.56, 10.0**9]))
    assert (codes[:, 1] == encoder.sizes[1] - 1).tolist() == [True, False, False]


def test_equal_columns_take_rows_that_are_not_equal() -> None:
    encoder = Encoder.fit(table(a=AMOUNT, b=AMOUNT))
    back = redrawn(table(a=[5.0, 800.0], b=[900.0, 1.0]), encoder).frame
    assert back["b"][0] > back["b"][1]


def test_a_tie_has_no_rank_and_the_other_codes_keep_theirs() -> None:
    data = table(a=AMOUNT, b=np.where(TIED, AMOUNT, OTHER))
    ranks = Encoder.fit(data).layout.ranks[1]
    assert ranks is not None
    assert np.isnan(ranks).tolist() == [False] * (len(ranks) - 1) + [True]
    assert (np.diff(ranks[:-1]) > 0).all()


def test_ties_can_be_left_away() -> None:
    data = table(a=AMOUNT, b=np.where(TIED, AMOUNT, OTHER))
    assert ties(Encoder.fit(data, ties=False)) == {}


def test_a_stored_encoder_keeps_its_ties() -> None:
    data = table(a=AMOUNT, b=np.where(TIED, AMOUNT, OTHER))
    encoder = Encoder.fit(data)
    restored = Encoder.restore(*encoder.state())
    assert ties(restored) == {"b": ("a",)}
    assert redrawn(data, restored).fingerprint() == redrawn(data, encoder).fingerprint()


def test_ties_do_not_depend_on_the_order_of_rows() -> None:
    data = table(a=AMOUNT, b=np.where(TIED, AMOUNT, OTHER))
    order = np.random.default_rng(3).permutation(ROWS)
    shuffled = Encoder.fit(data.take(order))
    assert shuffled.state()[0] == Encoder.fit(data).state()[0]
    assert np.array_equal(shuffled.encode(data), Encoder.fit(data).encode(data))
