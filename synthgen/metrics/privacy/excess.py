"""How much better an attack works on people in the training data than on strangers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats as scipy_stats

from synthgen.datasets import Index, Table
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.table_features import distinct_tables

Flags = npt.NDArray[np.bool_]
MIN_ROWS = 100
# A stratum of fewer people on one side has no rate of its own.
MIN_STRATUM = 10


@dataclass(frozen=True)
class Sides:
    """Equally many members and strangers whom an attack is tried on; everyone in train; the published rows."""

    members: Table
    strangers: Table
    train: Table
    synthetic: Table


def drawn_sides(evaluation: Evaluation, rng: np.random.Generator) -> Sides:
    """Different rows of each side, see `distinct_tables`; raises NotMeasurable under 100."""
    train, holdout, synthetic = (part.rows for part in distinct_tables(evaluation))
    n = min(len(train), len(holdout), evaluation.size.max_rows)
    if n < MIN_ROWS or len(synthetic) < MIN_ROWS:
        raise NotMeasurable(f"fewer than {MIN_ROWS} different rows of the synthesised classes on one side")
    members, strangers = (part.take(rng.permutation(len(part))[:n]) for part in (train, holdout))
    return Sides(members, strangers, train, synthetic)


@dataclass(frozen=True)
class Success:
    """Share of people on whom an attack succeeds, and the variance of that estimate."""

    rate: float
    variance: float


@dataclass(frozen=True)
class Excess:
    """Excess success on members, at most 1, with its 95 % interval."""

    value: float
    low: float
    high: float
    members: float
    strangers: float


def plain_success(hits: Flags) -> Success:
    """The share of hits. Half a hit and half a miss are added for the variance: no few hits in a row are certain."""
    guarded = (hits.sum() + 0.5) / (len(hits) + 1)
    return Success(float(hits.mean()), float(guarded * (1 - guarded) / len(hits)))


def matched_success(hits: Flags, strata: Index, members: int) -> tuple[Success, Success]:
    """Success on the first `members` people and on the others, as if both had the same share of each stratum.

    Direct standardisation to the strata (int64 [n] in 0 ..): who has a rare value is harder to guess, and one side has
    more of them by chance. Strata with few people on one side count as one.
    """
    is_member = np.arange(len(hits)) < members
    people = _people(strata, is_member)
    thin = people.min(axis=0) < MIN_STRATUM
    strata = np.where(thin[strata], len(thin), strata)
    people = _people(strata, is_member)
    weight = people.sum(axis=0) * (people > 0).all(axis=0)
    weight = weight / weight.sum()
    found = []
    for side, n in zip((is_member, ~is_member), people, strict=True):
        hit = np.bincount(strata[side], weights=hits[side], minlength=len(n))
        guarded, n = (hit + 0.5) / (n + 1), np.maximum(n, 1)
        found.append(Success(float(weight @ (hit / n)), float(weight**2 @ (guarded * (1 - guarded) / n))))
    return found[0], found[1]


def _people(strata: Index, is_member: Flags) -> Index:
    """int64 [2, strata]: members and strangers in each."""
    return np.stack([np.bincount(strata[side], minlength=int(strata.max()) + 1) for side in (is_member, ~is_member)])


def excess_success(members: Success, strangers: Success, *, tests: int = 1) -> Excess:
    """(a - c) / (1 - c): of those whom the attack misses as strangers, the share it hits because they took part.

    a is the success on members, c on strangers (Giomi 2023, arXiv:2211.10459). Negative where strangers are easier.
    Interval: Fieller 1954 for the ratio (1 - a) / (1 - c), in [-1, 1]. The low end holds for the largest of `tests`
    excesses together (Bonferroni); the largest of their high ends does so by itself.
    """
    missed = 1 - strangers.rate
    value = 1 - (1 - members.rate) / missed if missed > 0 else float(members.rate == 1) - 1
    low, high = (_fieller(members, strangers, 1 - 0.05 / count)[end] for end, count in ((0, tests), (1, 1)))
    return Excess(max(-1.0, value), low, high, members.rate, strangers.rate)


def _fieller(members: Success, strangers: Success, confidence: float) -> tuple[float, float]:
    z = float(scipy_stats.norm.ppf(0.5 + confidence / 2))
    missed_members, missed = 1 - members.rate, 1 - strangers.rate
    certain = missed**2 - z**2 * strangers.variance
    if missed <= 0 or certain <= 0:
        return -1.0, 1.0
    spread = z * float(np.sqrt(missed_members**2 * strangers.variance + members.variance * certain))
    low, high = ((missed_members * missed + sign * spread) / certain for sign in (1, -1))
    return max(-1.0, 1 - low), min(1.0, 1 - high)
