import numpy as np
import pandas as pd
import pytest

from synthgen.curation.calibrate import Real, _inclusion_chances, _raked, _systematic, calibrate
from synthgen.datasets import Schema, Table, class_counts
from synthgen.errors import TrainingError

SCHEMA = Schema({"x": "numeric", "c": "categorical", "y": "categorical"}, label="y")


def people(n: int, seed: int, *, link: float = 0.9, minority: float = 0.3) -> Table:
    """x is high where c is "b", with probability `link`; .5 means they are independent."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < minority, "yes", "no")
    c = np.where(rng.random(n) < np.where(y == "yes", 0.7, 0.3), "b", "a")
    high = (rng.random(n) < link) == (c == "b")
    x = np.round(rng.normal(np.where(high, 2.0, -2.0), 1.0), 3)
    return Table(pd.DataFrame({"x": x, "c": c, "y": y}), SCHEMA)


def link_of(table: Table) -> float:
    return float(((table.frame["x"] > 0) == (table.frame["c"] == "b")).mean())


TRAIN = people(1_500, 1)
REAL = Real(TRAIN, people(500, 9))
CANDIDATES = people(6_000, 2, link=0.7)


def test_every_class_gets_exactly_its_count_and_no_row_twice() -> None:
    counts = {"no": 137, "yes": 411}
    index, diagnostics = calibrate(CANDIDATES, REAL, counts, np.random.default_rng(0))
    assert class_counts(CANDIDATES.take(index)) == counts
    assert len(np.unique(index)) == len(index)
    assert diagnostics["uniqueness"] == 1.0


def test_chosen_rows_have_the_dependence_of_train() -> None:
    counts = class_counts(TRAIN)
    index, diagnostics = calibrate(CANDIDATES, REAL, counts, np.random.default_rng(0))
    assert diagnostics["applied"] == 1.0
    assert link_of(CANDIDATES) == pytest.approx(0.7, abs=0.02)
    assert link_of(CANDIDATES.take(index)) == pytest.approx(link_of(TRAIN), abs=0.02)


def test_the_same_holds_when_another_class_mix_is_asked_for() -> None:
    counts = {"no": 900, "yes": 900}
    index, _ = calibrate(CANDIDATES, REAL, counts, np.random.default_rng(0))
    chosen = CANDIDATES.take(index).frame
    for name in counts:
        real = (TRAIN.frame["c"][TRAIN.frame["y"] == name] == "b").mean()
        assert (chosen["c"][chosen["y"] == name] == "b").mean() == pytest.approx(real, abs=0.04)


def test_candidates_that_are_no_use_are_drawn_plainly_and_it_is_said() -> None:
    useless = people(2_000, 3, link=0.02)
    index, diagnostics = calibrate(useless, REAL, class_counts(TRAIN), np.random.default_rng(0))
    assert diagnostics["applied"] == 0.0
    assert diagnostics["effective_sample_size"] < 0.3
    assert diagnostics["cap_hits"] == 0.0
    assert class_counts(useless.take(index)) == class_counts(TRAIN)
    assert link_of(useless.take(index)) == pytest.approx(link_of(useless), abs=0.02)


def test_too_few_candidates_are_repeated_evenly() -> None:
    few = people(40, 4)
    counts = {"no": 100, "yes": 3}
    index, diagnostics = calibrate(few, REAL, counts, np.random.default_rng(0))
    assert class_counts(few.take(index)) == counts
    times = np.bincount(index, minlength=40)[few.labels == "no"]
    assert times.max() - times.min() <= 1
    assert diagnostics["uniqueness"] < 1


def test_a_class_without_candidates_is_named() -> None:
    only = CANDIDATES.take(np.flatnonzero(CANDIDATES.labels == "no"))
    with pytest.raises(TrainingError, match="no row of class 'yes'"):
        calibrate(only, REAL, {"yes": 1}, np.random.default_rng(0))


def test_nothing_wanted_gives_nothing() -> None:
    index, diagnostics = calibrate(CANDIDATES, REAL, {"no": 0}, np.random.default_rng(0))
    assert len(index) == 0
    assert set(diagnostics) == {"effective_sample_size", "uniqueness", "cap_hits", "applied"}


def test_same_seed_gives_the_same_choice() -> None:
    first, second = (calibrate(CANDIDATES, REAL, {"no": 50, "yes": 50}, np.random.default_rng(7))[0] for _ in "ab")
    assert np.array_equal(first, second)


def test_raking_gives_the_weights_of_a_two_by_two_table() -> None:
    real = np.repeat([[0, 0], [0, 1], [1, 0], [1, 1]], [40, 10, 20, 30], axis=0)
    drawn = np.repeat([[0, 0], [0, 1], [1, 0], [1, 1]], 25, axis=0)
    weights = _raked(np.ones(100), drawn, real, np.full(100, 0.01), [(0, 1), (0,), (1,)])
    expected = np.repeat([1.6, 0.4, 0.8, 1.2], 25)
    assert weights == pytest.approx(expected)


@pytest.mark.parametrize(
    ("weights", "count", "expected"),
    [
        ([1, 1, 1, 1], 2, [0.5, 0.5, 0.5, 0.5]),
        ([8, 1, 1], 2, [1, 0.5, 0.5]),
        ([100, 50, 1, 1], 3, [1, 1, 0.5, 0.5]),
        ([5, 1], 4, [2, 2]),
        ([0, 0, 3], 1, [0, 0, 1]),
    ],
)
def test_inclusion_chances_sum_to_the_count_and_stop_at_one(
    weights: list[float], count: int, expected: list[float]
) -> None:
    assert _inclusion_chances(np.asarray(weights, dtype=float), count) == pytest.approx(expected, abs=1e-9)


def test_systematic_draws_are_unbiased() -> None:
    chances = np.asarray([0.9, 0.5, 0.1, 1.0, 0.5])
    rng = np.random.default_rng(0)
    taken = np.mean([np.bincount(_systematic(chances, rng), minlength=5) for _ in range(4_000)], axis=0)
    assert taken == pytest.approx(chances, abs=0.03)
