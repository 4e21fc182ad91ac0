"""Intervals against scipy, published examples and simulation."""

import numpy as np
import pytest
from scipy import stats as scipy_stats
from sklearn.metrics import roc_auc_score

from synthgen.stats import (
    auc_influence,
    auc_interval,
    bootstrap_interval,
    clopper_pearson,
    named_rng,
    normal_interval,
    paired_rate_variance,
    rate_difference_interval,
    rate_difference_low,
    t_interval,
    wilson_interval,
)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (1, 100), (5, 5), (37, 400), (1, 1)])
@pytest.mark.parametrize(("interval", "method"), [(clopper_pearson, "exact"), (wilson_interval, "wilson")])
def test_interval_of_a_rate_equals_scipy(successes, trials, interval, method):
    expected = scipy_stats.binomtest(successes, trials).proportion_ci(0.95, method=method)
    assert interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("interval", [clopper_pearson, wilson_interval])
def test_rate_of_no_trials_is_unknown(interval):
    assert interval(0, 0) == (0.0, 1.0)


def test_half_a_success_lies_between_none_and_one():
    lows, highs = zip(*(clopper_pearson(count, 50) for count in (0, 0.5, 1)), strict=True)
    assert sorted(lows) == list(lows)
    assert sorted(highs) == list(highs)
    assert highs[0] < highs[1] < highs[2]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    # Newcombe 1998, table II, method 10.
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 20), (0.6791, 1.0000)),
        ((0, 10), (0, 20), (-0.1611, 0.2775)),
    ],
)
def test_rate_difference_equals_newcombes_table(first, second, expected):
    assert rate_difference_interval(first, second) == pytest.approx(expected, abs=1e-4)


def test_rate_difference_without_trials_is_unknown():
    assert rate_difference_interval((0, 0), (1, 10)) == (-1.0, 1.0)


@pytest.mark.parametrize(("first", "second"), [((10, 2_000), (0, 2_000)), ((40, 900), (7, 300)), ((5, 9), (9, 9))])
def test_the_low_end_by_likelihood_is_where_the_ratio_is_chi_squared(first, second):
    low = rate_difference_low(first, second, confidence=0.9)
    (a, n), (b, m) = first, second
    q = np.linspace(max(0, -low), min(1, 1 - low), 2_000_003)[1:-1]
    best = scipy_stats.binom.logpmf(a, n, a / n) + scipy_stats.binom.logpmf(b, m, b / m)
    constrained = (scipy_stats.binom.logpmf(a, n, q + low) + scipy_stats.binom.logpmf(b, m, q)).max()
    assert 2 * (best - constrained) == pytest.approx(scipy_stats.chi2.ppf(0.9, 1), rel=1e-3)


def test_the_low_end_by_likelihood_misses_the_truth_no_more_often_than_it_says():
    rng, rates = np.random.default_rng(0), (0.004, 0.003)
    a, b = (rng.binomial(2_000, rate, 4_000) for rate in rates)
    pairs, counts = np.unique(np.column_stack([a, b]), axis=0, return_counts=True)
    above = [rate_difference_low((x, 2_000), (y, 2_000)) > rates[0] - rates[1] for x, y in pairs.tolist()]
    assert scipy_stats.binomtest(int(counts[above].sum()), 4_000, 0.025).pvalue > 0.001


@pytest.mark.parametrize(
    ("first", "second", "low"), [((0, 0), (1, 10), -1), ((3, 10), (0, 0), -1), ((0, 10), (10, 10), -1)]
)
def test_the_low_end_by_likelihood_is_never_below_minus_one(first, second, low):
    assert rate_difference_low(first, second) == low


def test_auc_interval_equals_hanley_and_mcneils_formula():
    q1, q2 = 0.8 / 1.2, 2 * 0.64 / 1.8
    error = np.sqrt((0.16 + 49 * (q1 - 0.64) + 99 * (q2 - 0.64)) / 5000)
    assert auc_interval(0.8, 50, 100) == pytest.approx((0.8 - 1.959964 * error, 0.8 + 1.959964 * error), abs=1e-6)


@pytest.mark.parametrize("auc", [0.0, 1.0])
def test_perfect_auc_still_has_an_interval(auc):
    low, high = auc_interval(auc, 20, 20)
    assert low <= auc <= high
    assert high - low > 0


def test_t_interval_equals_scipy():
    values = np.array([0.1, 0.3, -0.05, 0.2])
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert t_interval(values) == pytest.approx((expected.low, expected.high))


def test_t_interval_with_shared_variance_equals_welch():
    # The same sum of a variance with 3 degrees of freedom and one that is known, as against 10^6 rows of it.
    values = np.array([0.1, 0.3, -0.05, 0.2])
    low, high = t_interval(values, extra_variance=0.01)
    shared = np.random.default_rng(0).normal(size=10**6)
    shared = (shared - shared.mean()) / shared.std(ddof=1) * 0.1 * 10**3
    expected = scipy_stats.ttest_ind(values, shared, equal_var=False).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_equal_seeds_leave_the_shared_variance():
    assert t_interval(np.full(3, 0.5), extra_variance=0.01) == pytest.approx((0.304, 0.696), abs=1e-3)


def test_one_value_has_no_t_interval():
    assert t_interval(np.array([0.4])) == (-np.inf, np.inf)


def test_bootstrap_interval_of_a_mean_equals_the_normal_one():
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = bootstrap_interval(
        lambda index: float(values[index].mean()), 400, rounds=2_000, rng=np.random.default_rng(1)
    )
    spread = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - spread, values.mean() + spread), abs=0.02)


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [(0.5, 0.1, (0.304, 0.696)), (0.99, 0.1, (0.794, 1.0)), (0.0, 0.0, (0.0, 0.0)), (0.01, 0.1, (0.0, 0.206))],
)
def test_normal_interval_stays_inside_its_bounds(value, error, expected):
    assert normal_interval(value, error, lowest=0.0, highest=1.0) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("decimals", [8, 1, 0])
def test_auc_equals_sklearn_with_and_without_ties(decimals):
    rng = np.random.default_rng(3)
    is_positive = rng.random(300) < 0.3
    scores = np.round(rng.normal(size=300) + is_positive, decimals)
    assert auc_influence(scores, is_positive)[0] == pytest.approx(roc_auc_score(is_positive, scores))


def test_auc_influence_is_the_effect_of_leaving_a_row_out():
    rng = np.random.default_rng(4)
    is_positive = np.arange(60) < 25
    scores = rng.normal(size=60) + is_positive
    auc, influence = auc_influence(scores, is_positive)
    assert influence[is_positive].sum() == pytest.approx(0)
    for row in (0, 7, 40):
        kept = np.arange(60) != row
        # Weight leaves one row and is spread over the other rows of its side.
        others = is_positive.sum() - 1 if is_positive[row] else (~is_positive).sum() - 1
        shift = auc - roc_auc_score(is_positive[kept], scores[kept])
        assert shift == pytest.approx(influence[row] * (others + 1) / others)


def test_auc_influence_gives_the_variance_of_fresh_samples():
    rng = np.random.default_rng(5)
    is_positive = np.arange(200) < 80
    found = [auc_influence(rng.normal(size=200) + is_positive, is_positive) for _ in range(400)]
    predicted = np.mean([np.square(influence).sum() for _, influence in found])
    assert predicted == pytest.approx(np.var([auc for auc, _ in found]), rel=0.2)


@pytest.mark.parametrize(
    ("differences", "expected"),
    # Agresti and Min 2005: ((b + .5 + c + .5) - (b - c)^2 / (n + 2)) / (n + 2)^2, b and c the discordant pairs.
    [([1, 1, -1, 0, 0, 0], (4 - 1 / 8) / 64), ([0] * 10, 1 / 144), ([], 1 / 4), ([1], (2 - 1 / 3) / 9)],
)
def test_paired_rate_variance_equals_agresti_and_min(differences, expected):
    assert paired_rate_variance(np.array(differences, dtype=float)) == pytest.approx(expected)


def test_named_streams_are_reproducible_and_apart():
    first, again, other = (named_rng(0, name).random(4).tolist() for name in ("fit", "fit", "sample"))
    assert first == again
    assert first != other
    assert first != named_rng(1, "fit").random(4).tolist()
