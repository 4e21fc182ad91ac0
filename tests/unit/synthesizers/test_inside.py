import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from synthgen.datasets import Schema, Table
from synthgen.synthesizers.encoding.columns import BinnedColumn
from synthgen.synthesizers.encoding.encoder import Encoder
from synthgen.synthesizers.encoding.inside import Inside, InsideKind

ROWS = 8_000
NAMES = ["first", "second", "spiked", "alone"]


def dependent_table(n: int = ROWS) -> Table:
    rng = np.random.default_rng(4)
    first = rng.gamma(2.0, 10.0, n)
    second = first * 1.02 + rng.normal(0, 0.1, n)
    spiked = np.where(rng.random(n) < 0.5, 0.0, second - 3 + rng.normal(0, 0.1, n))
    spiked[rng.random(n) < 0.1] = np.nan
    frame = pd.DataFrame({"first": first, "second": second, "spiked": spiked, "alone": rng.normal(size=n)})
    frame["answer"] = np.where(rng.random(n) < 0.3, "yes", "no")
    kinds = {**dict.fromkeys(NAMES, "numeric"), "answer": "categorical"}
    return Table(frame, Schema(kinds, label="answer"))  # type: ignore[arg-type]


TABLE = dependent_table()
ENCODER = Encoder.fit(TABLE)
CODES = ENCODER.encode(TABLE)


def positions_of(column: int) -> np.ndarray:
    frame = TABLE.frame
    return ENCODER.columns[column].positions(frame[NAMES[column]], CODES[:, column], np.random.default_rng(0))


def in_bins(column: int) -> np.ndarray:
    binned = ENCODER.columns[column]
    assert isinstance(binned, BinnedColumn)
    spikes = len(binned.spikes)
    return (CODES[:, column] >= spikes) & (CODES[:, column] < spikes + binned.bins.count)


def fitted(kind: InsideKind = "trees", *, seed: int = 1) -> Inside:
    return Inside.fit(ENCODER, TABLE, CODES, kind=kind, rng=np.random.default_rng(seed))


TREES = fitted()
DRAWN = TREES.draw(CODES, np.random.default_rng(2))


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def test_dependence_inside_the_bins_survives() -> None:
    same = CODES[:, 0] == CODES[:, 1]
    real = correlation(positions_of(0)[same], positions_of(1)[same])
    uniform = fitted("uniform").draw(CODES, np.random.default_rng(2))
    assert correlation(DRAWN[same, 0], DRAWN[same, 1]) > 0.9 * real > 0.5
    assert abs(correlation(uniform[same, 0], uniform[same, 1])) < 0.05


@pytest.mark.parametrize(("column", "source", "slope", "offset"), [(1, 0, 1.02, 0.0), (2, 1, 1.0, -3.0)])
def test_decoded_columns_stay_as_close_to_each_other(column: int, source: int, slope: float, offset: float) -> None:
    def median_distance(positions: np.ndarray) -> float:
        frame = ENCODER.decode(CODES, positions).frame[in_bins(column)]
        return float((frame[NAMES[column]] - slope * frame[NAMES[source]] - offset).abs().median())

    uniform = fitted("uniform").draw(CODES, np.random.default_rng(2))
    assert median_distance(DRAWN) < 0.6 * median_distance(uniform)


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("kind", ["trees", "uniform"])
def test_positions_stay_uniform_over_all_bins_of_a_column(kind: InsideKind, column: int) -> None:
    drawn = fitted(kind).draw(CODES, np.random.default_rng(2))
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert kstest(drawn[in_bins(column), column], "uniform").statistic < 0.03


def test_the_distribution_inside_every_bin_survives() -> None:
    worst = 0.0
    for column in range(4):
        for code in np.unique(CODES[in_bins(column), column]).tolist():
            rows = CODES[:, column] == code
            worst = max(worst, kstest(DRAWN[rows, column], positions_of(column)[rows]).statistic)
    # 100 to 250 rows in a bin: two samples of one distribution differ by 0.17 once in a hundred.
    assert worst < 0.2


def test_a_column_on_its_own_depends_on_nothing() -> None:
    assert abs(correlation(DRAWN[:, 3], positions_of(3))) < 0.06


@pytest.mark.parametrize("part", ["knots", "ranks"])
def test_what_is_saved_is_no_training_value(part: str) -> None:
    _, arrays = TREES.state()
    for column in range(4):
        saved = arrays[f"inside.{column}.{part}"].ravel()
        inner = saved[(saved > 1e-6) & (saved < 1 - 1e-6)]
        real = positions_of(column)[in_bins(column)].astype(np.float32)
        # Of float32 numbers a few are equal by chance; kept order statistics all would be.
        assert np.isin(inner, real).mean() < 0.005


def test_thresholds_stand_on_the_raster_between_ranks() -> None:
    _, arrays = TREES.state()
    for column in range(4):
        inner = arrays[f"inside.{column}.feature"] >= 0
        assert inner.any() or column in (0, 3)
        assert (arrays[f"inside.{column}.threshold"][inner] * 2 % 1 == 0).all()


def test_a_drawn_value_is_not_a_training_value() -> None:
    decoded = ENCODER.decode(CODES, DRAWN).frame
    for name in ("first", "second", "alone"):
        assert np.isin(decoded[name], TABLE.frame[name]).mean() < 0.002


def test_same_seed_gives_the_same_positions_and_another_seed_others() -> None:
    assert (fitted().draw(CODES, np.random.default_rng(2)) == DRAWN).all()
    assert (TREES.draw(CODES, np.random.default_rng(3)) != DRAWN).any()


@pytest.mark.parametrize("kind", ["trees", "uniform"])
def test_restored_positions_are_the_same(kind: InsideKind) -> None:
    inside = fitted(kind)
    meta, arrays = inside.state()
    restored = Inside.restore(ENCODER, meta, arrays)
    drawn = [one.draw(CODES, np.random.default_rng(2)) for one in (inside, restored)]
    assert (drawn[0] == drawn[1]).all()


def test_uniform_keeps_nothing() -> None:
    assert fitted("uniform").state()[1] == {}


@pytest.mark.parametrize("n", [1, 30, 60])
def test_few_rows_are_enough(n: int) -> None:
    table = dependent_table(n)
    encoder = Encoder.fit(table)
    codes = encoder.encode(table)
    inside = Inside.fit(encoder, table, codes, kind="trees", rng=np.random.default_rng(0))
    drawn = inside.draw(codes, np.random.default_rng(0))
    assert drawn.shape == codes.shape
    assert ((drawn >= 0) & (drawn < 1)).all()
    assert inside.draw(codes[:0], np.random.default_rng(0)).shape == (0, 5)
