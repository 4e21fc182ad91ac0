"""Naming members: bounds, exact tests and their correction, against formulas, libraries and fresh samples."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from synthgen.metrics.privacy.naming import hit_rate, hits, holm, no_better_than_guessing, surely_named
from synthgen.stats import clopper_pearson


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.2], [0.2]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.0, 0.9, 0.001], [0.0, 0.9, 0.002]),
    ],
)
def test_holm_multiplies_by_the_tests_that_are_left(p, adjusted):
    assert holm(p) == pytest.approx(adjusted)


@pytest.mark.parametrize("strangers", [20, 50, 200])
def test_few_strangers_leave_a_coin_to_the_attacker(strangers):
    # All 100 members score higher than all strangers.
    low = surely_named(np.arange(100) + 1_000.0, np.arange(strangers, dtype=float))
    wrongly = clopper_pearson(0, strangers, confidence=0.975)[1]
    assert low == pytest.approx(clopper_pearson(100, 100, confidence=0.975)[0] * 0.01 / wrongly)


def test_many_strangers_assure_a_threshold():
    low = surely_named(np.arange(100) + 1_000.0, np.arange(1_000, dtype=float))
    assert low == pytest.approx(clopper_pearson(100, 100, confidence=0.975)[0])


def test_people_tied_with_the_highest_strangers_are_named_by_coin():
    members, strangers = np.repeat([1.0, 0.0], [600, 400]), np.repeat([1.0, 0.0], [20, 980])
    low = surely_named(members, strangers)
    named = clopper_pearson(600, 1_000, confidence=0.975)[0]
    assert low == pytest.approx(named * 0.01 / clopper_pearson(20, 1_000, confidence=0.975)[1])
    assert low < hit_rate(members, strangers) == pytest.approx(0.3)


@pytest.mark.parametrize("tests", [1, 10])
@pytest.mark.parametrize("shift", [0.0, 1.5, 3.0])
@pytest.mark.parametrize(("members", "strangers"), [(150, 150), (900, 600)])
def test_the_sure_share_is_seldom_above_the_true_one(members, strangers, shift, tests):
    rng = np.random.default_rng(7)
    true = scipy_stats.norm.sf(scipy_stats.norm.isf(0.01) - shift)
    found = [surely_named(rng.normal(shift, 1, members), rng.normal(size=strangers), tests=tests) for _ in range(60)]
    assert np.mean(np.array(found) > true) <= 0.05


def test_guessing_is_tested_exactly():
    rng = np.random.default_rng(8)
    members, strangers = rng.normal(0.8, 1, 300), rng.normal(size=200)
    accused = np.sort(np.concatenate([members, strangers]))[-5]
    table = [[(side >= accused).sum(), (side < accused).sum()] for side in (members, strangers)]
    assert no_better_than_guessing(members, strangers) == pytest.approx(
        scipy_stats.fisher_exact(table, alternative="greater").pvalue
    )


def test_guessing_is_not_rejected_too_often_even_with_ties():
    rng = np.random.default_rng(9)
    found = [no_better_than_guessing(*rng.poisson(2, (2, 400)).astype(float)) for _ in range(200)]
    assert np.mean(np.array(found) <= 0.05) <= 0.07


def test_rate_lies_between_its_ends():
    rng = np.random.default_rng(10)
    for _ in range(20):
        members, strangers = rng.normal(1, 1, 120), rng.normal(size=150)
        found = hits(members, strangers)
        assert found.low <= found.rate == hit_rate(members, strangers) <= found.high
        assert surely_named(members, strangers) <= found.rate
