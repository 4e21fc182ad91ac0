"""Membership inference on those it hits first: the rarest people, and each protected group."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from synthgen.datasets import Table
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.privacy.crowd import THREAT_MODEL, Crowd, exposure
from synthgen.metrics.privacy.naming import hits, holm, no_better_than_guessing, surely_named
from synthgen.metrics.table_features import Encoded, is_numeric, numbers, texts
from synthgen.stats import FloatArray

Flags = npt.NDArray[np.bool_]

RARE = "the rarest tenth"
RARE_SHARE = 0.1
# Under this the interval of the rare rows is all of [0, 1] whatever they give away.
MIN_RARE = 20
# With fewer people on a side an honest group would often seem to give away more than 5 %.
MIN_GROUP = 300
QUARTERS = 4


@dataclass(frozen=True)
class Named:
    """What an attacker learns of one group.

    Attributes:
        low, high: of 95 %; low holds for all groups together, high for this one.
        n: people of the group, on the smaller side.
        p_guessing: p-value of mere guessing, adjusted for all groups.
    """

    group: str
    rate: float
    low: float
    high: float
    n: int
    p_guessing: float


def membership_rare(evaluation: Evaluation) -> Finding:
    """The largest share of members named, of the rarest people and of each protected group; 0.01 is guessing.

    The attacks of `membership_tpr_at_1pct_fpr`, with 1 wrong accusation in 100 strangers of the group itself. An
    average over everyone hides who is alone: outliers are the first that a generator remembers (Stadler 2022,
    arXiv:2011.07018). Rare are 10 %, those farthest from their fifth nearest other person, whichever side that is on
    (as Meeus 2023, arXiv:2306.10308), and those whose values are rarest one by one; groups are the values of the
    protected columns, quarters of the numeric ones.
    Groups under 300 people on a side are listed as not measurable. Low end: `surely_named`, corrected for both attacks
    and all groups (the first step of a Holm test, which decides whether any is beyond a limit; half of the error for
    the rare); high end: `hits`, the largest of all groups. Detail: p-values against guessing, adjusted by Holm 1979.
    Reference: half of the holdout in place of the synthetic rows, the other half as strangers. Controls in the detail:
    the largest share of the same groups with independent columns, which cannot leak, and with 5 % training rows among
    them, a known leak.
    """
    exposed = exposure(evaluation)
    groups = _groups(exposed.crowd, exposed.sides)
    rare = _smaller_side(exposed.crowd, groups[RARE])
    if rare < MIN_RARE:
        raise NotMeasurable(f"{rare} rare people on one side, at least {MIN_RARE} are needed")
    measured = {
        name: inside for name, inside in groups.items()
        if name == RARE or _smaller_side(exposed.crowd, inside) >= MIN_GROUP
    }  # fmt: skip
    found, independent, leak = (
        _named(exposed.crowd, distances, measured)
        for distances in (exposed.to_synthetic, exposed.to_independent, exposed.to_leak)
    )
    second = _groups(exposed.second, exposed.second_sides)
    fresh = _named(exposed.second, exposed.to_fresh, {name: second[name] for name in measured})
    return Finding(
        metric="membership_rare", family="privacy", value=max(one.rate for one in found),
        low=max(one.low for one in found), high=max(one.high for one in found),
        reference=max(one.rate for one in fresh), higher_is_better=False, n=max(found, key=lambda one: one.high).n,
        threat_model=THREAT_MODEL,
        detail={
            "control_independent": max(one.rate for one in independent), "control_leak": max(one.rate for one in leak),
            "rare": found[0].rate, "worst": max(found, key=lambda one: one.rate).group,
            "groups": [asdict(one) for one in found],
            "not_measurable": [name for name in groups if name not in measured], "group_needs": MIN_GROUP,
        },
    )  # fmt: skip


def _groups(crowd: Crowd, sides: tuple[Table, Table]) -> dict[str, Flags]:
    """The rarest people first, then each group of each protected column: who of the crowd is in it."""
    groups = {RARE: _are_rare(crowd)}
    for name in sides[0].schema.protected:
        if all(name in side.frame for side in sides):
            groups |= dict(_groups_of(sides, name))
    return groups


def _are_rare(crowd: Crowd) -> Flags:
    """The tenth that is rarest in one of two ways: far from everybody in ranks, or in the tails and rare categories.

    Each way alone missed half of a replay of the rarest rows that the other way found.
    """
    rarity = np.maximum(*(rankdata(one) for one in (crowd.isolation, _surprise(crowd.people))))
    return np.asarray(rarity >= np.quantile(rarity, 1 - RARE_SHARE))


def _surprise(people: Encoded) -> FloatArray:
    """How rare the values of each row are one by one, float64 [n]: minus the log of the share of values as rare."""
    shares = [_tail(values) for values in people.numeric.T]
    for codes in people.codes.T:
        _, position, counts = np.unique(codes, return_inverse=True, return_counts=True)
        shares.append(counts[position] / len(people))
    return np.asarray(-np.log(shares).sum(axis=0))


def _tail(values: FloatArray) -> FloatArray:
    known = np.isfinite(values)
    tail = np.full(len(values), np.mean(~known))
    ranks = rankdata(values[known]) / (known.sum() + 1)
    tail[known] = 2 * np.minimum(ranks, 1 - ranks)
    return tail


def _groups_of(sides: tuple[Table, Table], name: str) -> Iterator[tuple[str, Flags]]:
    if not is_numeric(sides[0].schema, name):
        values = np.concatenate([texts(side.frame, name) for side in sides])
        for level in sorted({value for value in values if value is not None}):
            yield f"{name} = {level}", values == level
        return
    amounts = np.concatenate([numbers(side.frame, name) for side in sides])
    known = amounts[np.isfinite(amounts)]
    quarter = np.searchsorted(np.quantile(known, np.arange(1, QUARTERS) / QUARTERS), amounts) if len(known) else amounts
    for number in range(QUARTERS):
        yield f"{name}, quarter {number + 1} of {QUARTERS}", np.isfinite(amounts) & (quarter == number)


def _smaller_side(crowd: Crowd, inside: Flags) -> int:
    return int(min(inside[: crowd.members].sum(), inside[crowd.members :].sum()))


def _named(crowd: Crowd, distances: FloatArray, groups: Mapping[str, Flags]) -> list[Named]:
    """What the published rows at these distances give away of each group, the rarest first."""
    attacks = list(crowd.scores(distances).values())
    # The rare are the question of this metric: half of the error is theirs, however many groups there are.
    others = len(groups) - 1
    tests = [len(attacks) * (min(2, len(groups)) if name == RARE else 2 * others) for name in groups]
    found = [
        _named_one(crowd, attacks, inside, tests=count) for inside, count in zip(groups.values(), tests, strict=True)
    ]
    guessing = holm([chance for *_, chance in found])
    return [
        Named(group, *numbers[:3], _smaller_side(crowd, inside), chance)
        for (group, inside), numbers, chance in zip(groups.items(), found, guessing, strict=True)
    ]


def _named_one(
    crowd: Crowd, attacks: Sequence[FloatArray], inside: Flags, *, tests: int
) -> tuple[float, float, float, float]:
    """Rate, low end and high end of the stronger attack, and how likely guessing is as good as it."""
    members, strangers = (
        np.flatnonzero(inside[: crowd.members]),
        crowd.members + np.flatnonzero(inside[crowd.members :]),
    )
    scores = [(score[members], score[strangers]) for score in attacks]
    hit = max((hits(*score) for score in scores), key=lambda one: one.rate)
    low = max(surely_named(*score, tests=tests) for score in scores)
    chance = len(attacks) * min(no_better_than_guessing(*score) for score in scores)
    return hit.rate, min(low, hit.rate), hit.high, chance
