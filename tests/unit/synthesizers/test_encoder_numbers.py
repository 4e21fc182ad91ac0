"""Rasters of numbers and dates: decimals, units, summer time, and values far outside the training range."""

import numpy as np
import pandas as pd
import pytest

from synthgen.datasets import Schema, Table
from synthgen.synthesizers.encoding.encoder import Encoder

RNG = np.random.default_rng(23)
ROWS = 1_500


def table(column: object) -> Table:
    return Table(pd.DataFrame({"x": column}), Schema({"x": "numeric"}, None))


def drawn(column: object, seed: int = 0) -> pd.Series:
    encoder = Encoder.fit(table(column))
    codes = encoder.encode(table(column))
    return encoder.decode(codes, np.random.default_rng(seed).random(codes.shape)).frame["x"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["Europe/Oslo", "America/Sao_Paulo", "Australia/Lord_Howe", "UTC"])
def test_days_in_a_zone_with_summer_time_stay_days(zone: str, unit: str) -> None:
    days = pd.Series(pd.date_range("1955-03-01", "2031-01-01", freq="7D")).sample(ROWS, replace=True, random_state=1)
    noon = (
        (days + pd.Timedelta("12h")).dt.tz_localize(zone).astype(f"datetime64[{unit}, {zone}]").reset_index(drop=True)
    )
    back = drawn(noon)
    assert back.dtype == noon.dtype
    assert (back.dt.hour == 12).all()
    assert ((back.dt.tz_localize(None) - pd.Timestamp("1955-03-01T12:00")).dt.days % 7 == 0).all()
    assert not back.equals(noon)


def test_both_hours_of_the_end_of_summer_time_stay_apart() -> None:
    hours = pd.Series(pd.date_range("2024-10-26T22:00", "2024-10-27T04:00", freq="10min", tz="UTC"))
    local = hours.dt.tz_convert("Europe/Oslo")
    back = drawn(pd.concat([local] * 40, ignore_index=True))
    assert set(back) <= set(local)
    assert back[back.dt.hour == 2].dt.tz_convert("UTC").dt.hour.unique().size == 2


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([0.5, 0.25, 3.0, 12.125], 0.125),
        ([1e-12, 3e-12, 7.4e-11], 1e-12),
        ([1e15, 1.5e15, 2e15], 5e14),
        ([-0.3, 0.1, 0.7], 0.2),
    ],
)
def test_the_raster_is_the_coarsest_that_holds_all_values(values: list[float], step: float) -> None:
    given = np.tile(values, 5)
    grid = Encoder.fit(table(given)).columns[0].state()[0]["grid"]
    assert grid["step"] / 10 ** grid["decimals"] == pytest.approx(step)


def test_the_two_zeros_are_one_number() -> None:
    values = np.concatenate([np.full(40, -0.0), np.full(40, 0.0), RNG.normal(size=ROWS)])
    first, second = Encoder.fit(table(values)).state(), Encoder.fit(table(values[::-1])).state()
    assert first[0] == second[0]
    assert all(array.tobytes() == second[1][name].tobytes() for name, array in first[1].items())
    assert not np.signbit(drawn(values)[:80]).any()


def test_a_midnight_that_the_clock_skips_becomes_the_next_hour() -> None:
    days = pd.date_range("2000-01-01", "2018-12-31", tz=None)
    exist = days.tz_localize("America/Sao_Paulo", nonexistent="NaT").notna()
    assert (~exist).sum() > 15
    local = pd.Series(days[exist].tz_localize("America/Sao_Paulo"))
    back = pd.concat([drawn(local, seed) for seed in range(4)])
    assert back.notna().all()
    assert set(back.dt.hour) == {0, 1}
    assert (back.dt.hour == 1).sum() < 100


@pytest.mark.parametrize(
    ("given", "far"),
    [
        (pd.Series(RNG.integers(-(2**63), -(2**63) + 10**6, ROWS)), [2**63 - 1]),
        (pd.Series(np.uint64(2**64 - 1) - RNG.integers(0, 10**6, ROWS).astype(np.uint64)), [2**64 - 1]),
        (pd.Series(np.round(RNG.random(ROWS), 2)), [1e300]),
        (pd.Series(RNG.integers(0, 100, ROWS) * 1.5), [np.inf]),
        (pd.Series(RNG.random(ROWS)), [1e300]),
    ],
)
def test_a_value_far_above_gets_the_code_of_the_largest(given: pd.Series, far: list[object]) -> None:
    encoder = Encoder.fit(table(given))
    codes = encoder.encode(table(pd.Series([*far, given.max()], dtype=object).astype(given.dtype)))[:, 0]
    assert codes[0] == codes[1] == encoder.sizes[0] - 1


def test_bins_never_lead_to_a_value_that_has_its_own_code() -> None:
    values = np.where(RNG.random(ROWS) < 0.6, RNG.choice([10, 20, 21, 22, 30], ROWS), RNG.integers(0, 200, ROWS))
    encoder = Encoder.fit(table(values))
    codes = np.repeat(np.arange(encoder.sizes[0]), 500)[:, None]
    back = encoder.decode(codes, RNG.random(codes.shape)).frame["x"]
    own = [10, 20, 21, 22, 30]
    assert back.isin(own).sum() == 500 * len(own)
    assert np.array_equal(encoder.encode(table(back)), codes)
