"""Distances to the closest record, as vendors report them: familiar terms, for information, never a gate."""

import numpy as np
from scipy import stats as scipy_stats

from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.neighbours import nearest
from synthgen.metrics.privacy.crowd import Crowd, Exposure, Nearest, exposure
from synthgen.stats import FloatArray, normal_interval

THREAT_MODEL = "Nobody attacks: it is an average over all synthetic rows, in which a few copied people drown."
# An order statistic of fewer rows says nothing of a median.
MIN_ROWS = 20


def dcr_share(evaluation: Evaluation) -> Finding:
    """Share of synthetic rows that lie nearer to a training row than to any held-out row, ties by half; 0.5 is ideal.

    Distance to closest record (Zhao 2021, arXiv:2102.08369) among equally many training and held-out rows, in the
    embedding of `membership_tpr_at_1pct_fpr`. It must not gate: with 3 % verbatim training rows planted it was .515,
    which honest rows reach by chance, because the other 97 rows in 100 make the average.
    Interval: where people lie is given, half of them are on either side at random, and each takes along the w
    synthetic rows that it is nearest to: standard error sqrt(sum of (w - mean)^2) / 2n.
    Reference: half of the held-out rows in place of the synthetic ones, the other half as the other side.
    """
    exposed = _exposed(evaluation)
    second = exposed.second
    share, error = _nearer_to_members(exposed.nearest_people, exposed.crowd)
    low, high = normal_interval(share, error, lowest=0.0, highest=1.0)
    return Finding(
        metric="dcr_share", family="privacy", value=share, low=low, high=high,
        reference=_nearer_to_members(second.nearest_people(exposed.fresh), second)[0], higher_is_better=False,
        n=len(exposed.synthetic), threat_model=THREAT_MODEL,
    )  # fmt: skip


def nndr(evaluation: Evaluation) -> Finding:
    """Median over synthetic rows of the distance to the nearest training row over that to the second, in [0, 1].

    Nearest neighbour distance ratio (Lowe 2004; of synthetic rows Zhao 2021, arXiv:2102.08369): near 0 where rows
    point at one person, near 1 where they lie between people. It must not gate, for the same reason as `dcr_share`: a
    few copies move no median. Interval: order statistics (binomial). Reference: held-out rows in place of the
    synthetic ones. Detail: the 5 % quantile, which papers print, of both.
    """
    exposed = _exposed(evaluation)
    crowd = exposed.crowd
    held_out = nearest(crowd.points[crowd.members :], crowd.points[: crowd.members], 2)[1]
    found, expected = (_ratios(distances) for distances in (exposed.nearest_people.members[1], held_out))
    interval = scipy_stats.quantile_test(found, p=0.5).confidence_interval(0.95)
    value = float(np.median(found))
    return Finding(
        metric="nndr", family="privacy", value=value, low=float(interval.low), high=float(interval.high),
        reference=float(np.median(expected)), higher_is_better=True, n=len(found), threat_model=THREAT_MODEL,
        detail={
            "low_quantile": float(np.quantile(found, 0.05)), "low_quantile_real": float(np.quantile(expected, 0.05)),
        },
    )  # fmt: skip


def _exposed(evaluation: Evaluation) -> Exposure:
    exposed = exposure(evaluation)
    if len(exposed.synthetic) < MIN_ROWS:
        raise NotMeasurable(f"{len(exposed.synthetic)} different synthetic rows, at least {MIN_ROWS} are needed")
    return exposed


def _nearer_to_members(near: Nearest, crowd: Crowd) -> tuple[float, float]:
    """The share and its standard error."""
    (members, to_members), (strangers, to_strangers) = near.members, near.strangers
    difference = to_strangers[:, 0] - to_members[:, 0]
    won = np.where(difference == 0, 0.5, difference > 0)
    carried = np.zeros(len(crowd.people))
    np.add.at(carried, members[:, 0], won)
    np.add.at(carried, crowd.members + strangers[:, 0], 1 - won)
    return float(won.mean()), float(carried.std() * np.sqrt(len(carried))) / (2 * len(won))


def _ratios(distances: FloatArray) -> FloatArray:
    """First over second of each row, float64 [n]; 1 where both are 0: two people, not one."""
    first, second = distances[:, 0], distances[:, -1]
    return np.divide(first, second, out=np.ones(len(first)), where=second > 0)
