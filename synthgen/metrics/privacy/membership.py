"""Membership inference on tables: can an attacker name who was in the training data?"""

from collections.abc import Iterator

import numpy as np
from scipy import stats as scipy_stats

from synthgen.datasets import Index
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.privacy.crowd import (
    LEAK_SHARE,
    MIN_ROWS,
    NEIGHBOURS,
    SMALLEST_DISTANCE,
    THREAT_MODEL,
    Exposure,
    exposure,
)
from synthgen.metrics.privacy.naming import FALSE_POSITIVE_RATE, Hits, hit_rate, hits
from synthgen.stats import FloatArray

# The attack on images keeps to the same numbers.
__all__ = [
    "FALSE_POSITIVE_RATE",
    "LEAK_SHARE",
    "MIN_ROWS",
    "NEIGHBOURS",
    "SMALLEST_DISTANCE",
    "Hits",
    "hits",
    "membership_share_of_leak",
    "membership_tpr_at_1pct_fpr",
]


def membership_tpr_at_1pct_fpr(evaluation: Evaluation) -> Finding:
    """Share of members an attacker names when 1 in 100 strangers is named wrongly; 0.01 is blind guessing.

    Members are training rows, strangers holdout rows, different ones and equally many of each class (see
    `distinct_tables`); the attacker sees all synthetic rows. Two attacks, the stronger counts: distance to the nearest
    synthetic row (Chen 2020, arXiv:1909.03935), and that distance over the distance to the fifth nearest other
    candidate, a density ratio as in DOMIAS (van Breugel 2023, arXiv:2302.12580). The embedding is fitted on members
    and strangers together. Interval: see `hits`.
    Reference: half of the holdout in place of the synthetic rows, the other half as strangers. Controls in the
    detail: independent columns, which cannot leak, and the same with 5 % training rows, a known leak.
    """
    exposed = exposure(evaluation)
    found, (control, leak) = exposed.hits, exposed.control_hits
    return Finding(
        metric="membership_tpr_at_1pct_fpr", family="privacy", value=found.rate, low=found.low, high=found.high,
        reference=exposed.fresh_hits.rate, higher_is_better=False, n=len(exposed.sides[1]), threat_model=THREAT_MODEL,
        detail={
            "attack": found.attack, "control_independent": control.rate, "control_leak": leak.rate,
            "share_of_leak": _share_of_leak(found.rate, control.rate, leak.rate),
        },
    )  # fmt: skip


def _share_of_leak(rate: float, independent: float, leak: float) -> float | None:
    """Excess over the independent columns as a share of the known leak's; None when the leak itself is not seen."""
    return (rate - independent) / (leak - independent) if leak > independent else None


def membership_share_of_leak(evaluation: Evaluation) -> Finding:
    """What the rows give away beyond independent columns, over what 5 % copied training rows give away beyond them.

    (rate - independent) / (leak - independent), rates as in `membership_tpr_at_1pct_fpr`: 0 for rows that know
    nothing of the side of a person, 1 for those that leak as a copy of every twentieth row does. Each split favours
    one side by chance (on one, an attack on independent columns had an AUC of .515); all three rates are of the same
    people, so that most of the chance cancels. Interval: Fieller 1954, variances and covariance by a bootstrap over
    members and over strangers that keeps the three scores of a person together. Not measurable when the known leak
    does not stand out from the independent columns by itself. Reference: held-out rows in place of the synthetic ones.
    """
    exposed = exposure(evaluation)
    rng, rounds = evaluation.rng("membership_share_of_leak"), evaluation.size.bootstrap_rounds
    rates = exposed.hits.rate, *(one.rate for one in exposed.control_hits)
    drawn = np.array([_excesses(*found) for found in _resampled(exposed, rounds, rng)])
    interval = _ratio_interval(_excesses(*rates), np.cov(drawn.T))
    if interval is None:
        raise NotMeasurable(
            f"the known leak, {rates[2]:.1%} of people named, does not stand out from independent columns, "
            f"{rates[1]:.1%}: too few people ({len(exposed.sides[1]):,}) or too few synthetic rows"
        )
    value, reference = (_share_of_leak(rate, *rates[1:]) for rate in (rates[0], exposed.fresh_hits.rate))
    assert value is not None
    return Finding(
        metric="membership_share_of_leak", family="privacy", value=value, low=interval[0], high=interval[1],
        reference=reference, higher_is_better=False, n=len(exposed.sides[1]), threat_model=THREAT_MODEL,
        detail=dict(zip(("named", "named_independent", "named_leak"), rates, strict=True)),
    )  # fmt: skip


def _excesses(rate: float, independent: float, leak: float) -> tuple[float, float]:
    return rate - independent, leak - independent


def _resampled(exposed: Exposure, rounds: int, rng: np.random.Generator) -> Iterator[tuple[float, float, float]]:
    """The three rates over resamples of the people."""
    crowd = exposed.crowd
    scores = [
        list(crowd.scores(distances).values())
        for distances in (exposed.to_synthetic, exposed.to_independent, exposed.to_leak)
    ]
    strangers = len(crowd.people) - crowd.members
    for _ in range(rounds):
        index = rng.integers(0, crowd.members, crowd.members), crowd.members + rng.integers(0, strangers, strangers)
        rates = [_strongest(attacks, *index) for attacks in scores]
        yield rates[0], rates[1], rates[2]


def _strongest(attacks: list[FloatArray], members: Index, strangers: Index) -> float:
    return max(hit_rate(score[members], score[strangers]) for score in attacks)


def _ratio_interval(pair: tuple[float, float], covariance: FloatArray) -> tuple[float, float] | None:
    """Fieller's 95 % interval of the ratio of two dependent estimates; None when the second may be 0."""
    z = float(scipy_stats.norm.ppf(0.975))
    (upper, lower), margin = pair, z * z * covariance
    certain = lower**2 - margin[1, 1]
    if lower <= 0 or certain <= 0:
        return None
    middle = upper * lower - margin[0, 1]
    spread = np.sqrt(max(0.0, middle**2 - certain * (upper**2 - margin[0, 0])))
    return float((middle - spread) / certain), float((middle + spread) / certain)
