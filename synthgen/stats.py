"""Confidence intervals and named random streams."""

import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import optimize, special
from scipy import stats as scipy_stats

FloatArray = npt.NDArray[np.float64]


def named_rng(seed: int, name: str) -> np.random.Generator:
    """The random stream of one purpose: adding a stage does not move the randomness of another."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(name.encode()),))))


def clopper_pearson(successes: float, trials: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a rate, in [0, 1]. No trials: (0, 1). Source: Clopper and Pearson 1934.

    A fraction of a success (an expected count over ties) or of a trial (an effective number of rows) is interpolated by
    the beta distribution.
    """
    if trials == 0:
        return 0.0, 1.0
    alpha = 1 - confidence
    low = scipy_stats.beta.ppf(alpha / 2, successes, trials - successes + 1) if successes else 0.0
    high = scipy_stats.beta.ppf(1 - alpha / 2, successes + 1, trials - successes) if successes < trials else 1.0
    return float(low), float(high)


def wilson_interval(successes: float, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a rate, in [0, 1]. No trials: (0, 1). Source: Wilson 1927."""
    if trials == 0:
        return 0.0, 1.0
    z = float(scipy_stats.norm.ppf(0.5 + confidence / 2))
    rate = successes / trials
    centre = rate + z * z / (2 * trials)
    spread = z * float(np.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)))
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def rate_difference_interval(
    first: tuple[int, int], second: tuple[int, int], *, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of rate(first) - rate(second), each (successes, trials). Source: Newcombe 1998, method 10."""
    (a, n), (b, m) = first, second
    if n == 0 or m == 0:
        return -1.0, 1.0
    p, q = a / n, b / m
    p_low, p_high = wilson_interval(a, n, confidence=confidence)
    q_low, q_high = wilson_interval(b, m, confidence=confidence)
    low = p - q - float(np.hypot(p - p_low, q_high - q))
    high = p - q + float(np.hypot(p_high - p, q - q_low))
    return low, high


def rate_difference_low(first: tuple[int, int], second: tuple[int, int], *, confidence: float = 0.95) -> float:
    """Low end of rate(first) - rate(second), each (successes, trials), by the likelihood ratio; -1 without trials.

    The lowest difference d at which 2 (log L - max log L given d) stays within z^2. Where one side has no success
    Newcombe's interval is far wider than it need be. Source: Miettinen and Nurminen 1985, the likelihood in place of
    the score.
    """
    (a, n), (b, m) = first, second
    if n == 0 or m == 0:
        return -1.0
    z = float(scipy_stats.norm.ppf(0.5 + confidence / 2))
    best = _log_likelihood(a, n, a / n) + _log_likelihood(b, m, b / m)

    def excess(difference: float) -> float:
        low, high = max(0.0, -difference), min(1.0, 1 - difference)
        likeliest = optimize.minimize_scalar(
            lambda q: -_log_likelihood(a, n, q + difference) - _log_likelihood(b, m, q),
            bounds=(low, high), method="bounded", options={"xatol": 1e-9},
        )  # fmt: skip
        return float(2 * (best + likeliest.fun) - z * z)

    return float(optimize.brentq(excess, -1 + 1e-9, a / n - b / m, xtol=1e-9)) if excess(-1 + 1e-9) > 0 else -1.0


def _log_likelihood(successes: int, trials: int, rate: float) -> float:
    return float(special.xlogy(successes, rate) + special.xlog1py(trials - successes, -rate))


def auc_interval(auc: float, positives: int, negatives: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of an area under the ROC curve, in [0, 1]. Source: Hanley and McNeil 1982."""
    if positives == 0 or negatives == 0:
        return 0.0, 1.0
    q1, q2 = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (q1 - auc * auc) + (negatives - 1) * (q2 - auc * auc)
    # At auc = 0 or 1 the formula gives 0: keep at least the width of one discordant pair.
    floor = 1 / (4 * positives * negatives)
    spread = float(scipy_stats.norm.ppf(0.5 + confidence / 2)) * float(
        np.sqrt(max(variance / (positives * negatives), floor))
    )
    return max(0.0, auc - spread), min(1.0, auc + spread)


def t_interval(values: FloatArray, *, extra_variance: float = 0.0, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the mean of paired differences, float64 [k], k >= 2, Student's t.

    Args:
        values: one difference per seed.
        extra_variance: variance of the mean that all seeds share, such as that of the test rows; taken as known.
    """
    k = len(values)
    if k < 2:
        return -np.inf, np.inf
    of_seeds = float(np.var(values, ddof=1)) / k
    variance = of_seeds + extra_variance
    # Welch-Satterthwaite: few seeds make the interval wide only as far as the seeds make the variance.
    freedom = (k - 1) * (variance / of_seeds) ** 2 if of_seeds > 0 else np.inf
    spread = float(scipy_stats.t.ppf(0.5 + confidence / 2, freedom)) * float(np.sqrt(variance))
    mean = float(np.mean(values))
    return mean - spread, mean + spread


def bootstrap_interval(
    statistic: Callable[[npt.NDArray[np.int64]], float],
    n: int,
    *,
    rounds: int,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of `statistic(index)` over `rounds` resamples of n rows. Source: Efron 1979."""
    draws = np.array([statistic(rng.integers(0, n, n)) for _ in range(rounds)])
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def normal_interval(
    value: float, standard_error: float, *, lowest: float = -np.inf, highest: float = np.inf, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of an estimate with a known standard error, cut to [lowest, highest]."""
    spread = float(scipy_stats.norm.ppf(0.5 + confidence / 2)) * standard_error
    return max(lowest, value - spread), min(highest, value + spread)


def auc_influence(scores: FloatArray, is_positive: npt.NDArray[np.bool_]) -> tuple[float, FloatArray]:
    """Area under the ROC curve and how far each row moves it, float64 [n].

    The influences sum to 0 within each side, and the sum of their squares is the variance of the area. That is the
    limit of a bootstrap over rows, without its noise. Both sides must have a row. Source: DeLong 1988.
    """
    ranks = scipy_stats.rankdata(scores)
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    placement = np.empty(len(scores))
    # Share of the other side that a row lies on the right side of; a tie counts one half.
    placement[is_positive] = (ranks[is_positive] - scipy_stats.rankdata(scores[is_positive])) / negatives
    placement[~is_positive] = 1 - (ranks[~is_positive] - scipy_stats.rankdata(scores[~is_positive])) / positives
    auc = float(placement[is_positive].mean())
    return auc, (placement - auc) / np.where(is_positive, positives, negatives)


def paired_rate_variance(differences: FloatArray) -> float:
    """Variance of the mean of paired differences of correct and wrong, float64 [n] in [-1, 1].

    Half an observation is added to each of the four outcomes, so that few rows without a difference do not claim
    certainty. Source: Agresti and Min 2005.
    """
    n = len(differences) + 2
    mean = float(differences.sum()) / n
    return (float(np.square(differences).sum() + 1) / n - mean * mean) / n
