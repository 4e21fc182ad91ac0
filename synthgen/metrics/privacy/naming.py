"""How many members an attacker names when 1 in 100 strangers is named wrongly, given what each person scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats as scipy_stats

from synthgen.stats import FloatArray, clopper_pearson

FALSE_POSITIVE_RATE = 0.01


@dataclass(frozen=True)
class Hits:
    """Share of members named at a false positive rate of 1 %, with its 95 % interval."""

    rate: float
    low: float
    high: float
    attack: str = ""


def hits(members: FloatArray, strangers: FloatArray, *, attacks: int = 2) -> Hits:
    """Share of members that score at least as high as the top 1 % of strangers.

    Strangers tied at the threshold are accused by coin, and so are members. The interval joins the error of the rate
    (Clopper-Pearson) and that of the threshold (the rates at both ends of the Clopper-Pearson interval of the
    accused strangers) by the method of variance estimates recovery (Zou and Donner 2008). Its low end is at
    1 - .05 / attacks, because the strongest of so many is reported.
    """
    m = len(strangers)
    accused = FALSE_POSITIVE_RATE * m
    rate = hit_rate(members, strangers)
    ends = []
    for side, confidence in ((0, 1 - 0.05 / attacks), (1, 0.95)):
        sampled = clopper_pearson(rate * len(members), len(members), confidence=confidence)[side]
        threshold = clopper_pearson(accused, m, confidence=confidence)[side] * m
        ends.append(float(np.hypot(sampled - rate, _rate_between(members, strangers, threshold) - rate)))
    return Hits(rate, max(0.0, rate - ends[0]), min(1.0, rate + ends[1]))


def hit_rate(members: FloatArray, strangers: FloatArray) -> float:
    """Share of members named, without its interval."""
    return _rate_between(members, strangers, FALSE_POSITIVE_RATE * len(strangers))


def _rate_between(members: FloatArray, strangers: FloatArray, accused: float) -> float:
    """Share of members named when so many strangers (a fraction is interpolated) are accused."""
    below = int(np.floor(accused))
    rates = [_rate_at(members, strangers, count) for count in (below, below + 1)]
    return rates[0] + (accused - below) * (rates[1] - rates[0])


def _rate_at(members: FloatArray, strangers: FloatArray, accused: int) -> float:
    if accused == 0:
        return 0.0
    if accused > len(strangers):
        return 1.0
    threshold = np.partition(strangers, len(strangers) - accused)[len(strangers) - accused]
    coin = (accused - (strangers > threshold).sum()) / (strangers == threshold).sum()
    return float((members > threshold).mean() + coin * (members == threshold).mean())


def surely_named(members: FloatArray, strangers: FloatArray, *, tests: int = 1) -> float:
    """A share of members that an attacker names for certain: the low end of `hits` for few strangers and many tests.

    The threshold is the lowest that surely accuses at most 1 % of all strangers (a tolerance limit, Wilks 1941), and
    the share above it is taken at the low end of Clopper-Pearson. When so few strangers assure no such threshold the
    attacker accuses who scores higher than all of them, and of those as many by coin as bring the rate to 1 %. The low
    end of 95 % holds for all of `tests` shares together (Bonferroni), half of the error for each of the two bounds.
    """
    error = 0.05 / (4 * tests)
    m, counts = len(strangers), np.arange(int(FALSE_POSITIVE_RATE * len(strangers)) + 1)
    sure = scipy_stats.beta.ppf(1 - error, counts + 1, m - counts)
    above = max(0, int((sure <= FALSE_POSITIVE_RATE).sum()) - 1)
    threshold = np.partition(strangers, m - above - 1)[m - above - 1]
    named, accused = (members > threshold).sum(), above
    if (strangers == threshold).sum() > 1:
        named, accused = (members >= threshold).sum(), int((strangers >= threshold).sum())
    wrongly = clopper_pearson(accused, m, confidence=1 - 2 * error)[1]
    share = clopper_pearson(float(named), len(members), confidence=1 - 2 * error)[0]
    return share * min(1.0, FALSE_POSITIVE_RATE / wrongly)


def no_better_than_guessing(members: FloatArray, strangers: FloatArray) -> float:
    """Probability that so many of the highest 1 % of scores belong to members if membership moved no score.

    Hypergeometric, exact for any number of rows; people tied at the threshold count for neither side.
    """
    both = np.concatenate([members, strangers])
    top = max(1, round(FALSE_POSITIVE_RATE * len(both)))
    threshold = np.partition(both, len(both) - top)[len(both) - top]
    if (both >= threshold).sum() > top:
        return _surprise(members > threshold, both > threshold)
    return _surprise(members >= threshold, both >= threshold)


def _surprise(named: FloatArray, accused: FloatArray) -> float:
    return float(scipy_stats.hypergeom.sf(named.sum() - 1, len(accused), accused.sum(), len(named)))


def holm(probabilities: Sequence[float]) -> list[float]:
    """The p-values, adjusted so that all of them together err in 5 of 100 cases when each is held against .05.

    Source: Holm 1979.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    order = np.argsort(p)
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty(len(p))
    found[order] = np.minimum(1.0, adjusted)
    return [float(one) for one in found]
