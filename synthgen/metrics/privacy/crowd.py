"""The people a membership attack asks about, and how near the published rows and both controls come to each."""

from dataclasses import dataclass, replace
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import torch

from synthgen.datasets import Index, Table, class_counts, take_per_class
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.neighbours import embed, nearest, nearest_distances
from synthgen.metrics.privacy.naming import Hits, hits
from synthgen.metrics.table_features import Encoded, distinct_tables, encode, independent_columns, joined
from synthgen.stats import FloatArray

THREAT_MODEL = (
    "An attacker holds a person's full record and all synthetic rows, knows the population, and says whether the "
    "person was in the training data; 1 wrong accusation in 100 strangers is accepted."
)
# With fewer strangers no threshold has a false positive rate of 1 %.
MIN_ROWS = 100
LEAK_SHARE = 0.05
NEIGHBOURS = 5
# Keeps the ratio finite where a row is met exactly; columns of the embedding have length 1.
SMALLEST_DISTANCE = 1e-3


@dataclass(frozen=True)
class Crowd:
    """The people an attacker asks about: `members` members first, then strangers.

    Attributes:
        points: float32 [n, d] in the embedding.
        isolation: float64 [n], distance to the fifth nearest other person.
    """

    people: Encoded
    members: int
    points: torch.Tensor
    isolation: FloatArray

    @classmethod
    def of(cls, members: Encoded, strangers: Encoded) -> "Crowd":
        """The crowd of both, each its own reference for the ranks of the embedding."""
        people = joined(members, strangers)
        points = embed(people, people)
        return cls(people, len(members), points, nearest_distances(points, points, NEIGHBOURS + 1))

    def distances(self, published: Encoded) -> FloatArray:
        """Distance of each person to the nearest published row, float64 [n]; infinite without rows."""
        if len(published) == 0:
            return np.full(len(self.people), np.inf)
        return nearest_distances(self.points, embed(published, self.people), 1)

    def nearest_people(self, published: Encoded) -> "Nearest":
        """The two nearest members of each published row, and the nearest stranger."""
        rows = embed(published, self.people)
        return Nearest(nearest(rows, self.points[: self.members], 2), nearest(rows, self.points[self.members :], 1))

    def scores(self, distances: FloatArray) -> dict[str, FloatArray]:
        """What each person scores in each attack, float64 [n], given the distance to the nearest published row."""
        near = np.log(distances + SMALLEST_DISTANCE)
        return {"nearest neighbour": -near, "density ratio": np.log(self.isolation + SMALLEST_DISTANCE) - near}

    def attacked(self, distances: FloatArray) -> Hits:
        """The stronger of the two attacks."""
        found = [
            replace(hits(score[: self.members], score[self.members :]), attack=name)
            for name, score in self.scores(distances).items()
        ]
        return max(found, key=lambda one: one.rate)


@dataclass(frozen=True)
class Nearest:
    """Positions and distances, [n, 2] of members and [n, 1] of strangers, nearest first; see `nearest`."""

    members: tuple[Index, FloatArray]
    strangers: tuple[Index, FloatArray]


@dataclass(frozen=True)
class Exposure:
    """A crowd, and the distance of each person to the nearest row of what was published and of its controls.

    Attributes:
        sides: members and strangers as tables, in the order of the crowd.
        synthetic: of the different rows that were published, as many as there are strangers, at most.
        to_synthetic, to_independent, to_leak: float64 [n]: the published rows; as many of which each column is drawn
            alone, which cannot leak; the same with 5 % training rows, a known leak.
        fresh, second, to_fresh: half of the strangers in place of the published rows, and what they show of the other
            half and of as many members.
    """

    crowd: Crowd
    sides: tuple[Table, Table]
    synthetic: Encoded
    to_synthetic: FloatArray
    to_independent: FloatArray
    to_leak: FloatArray
    fresh: Encoded
    second: Crowd
    to_fresh: FloatArray

    @cached_property
    def hits(self) -> Hits:
        """What the published rows give away."""
        return self.crowd.attacked(self.to_synthetic)

    @cached_property
    def control_hits(self) -> tuple[Hits, Hits]:
        """What independent columns and the known leak give away."""
        return self.crowd.attacked(self.to_independent), self.crowd.attacked(self.to_leak)

    @cached_property
    def fresh_hits(self) -> Hits:
        """What held-out rows give away: the reference."""
        return self.second.attacked(self.to_fresh)

    @cached_property
    def second_sides(self) -> tuple[Table, Table]:
        """The tables of the second crowd."""
        members, strangers = (side.take(np.arange(len(self.fresh), len(side))) for side in self.sides)
        return members, strangers

    @cached_property
    def nearest_people(self) -> "Nearest":
        """Whom the sampled synthetic rows lie nearest to."""
        return self.crowd.nearest_people(self.synthetic)


# An evaluation is compared by identity; what was computed for it lives as long as it does.
_EXPOSURES: WeakKeyDictionary[Evaluation, Exposure] = WeakKeyDictionary()


def exposure(evaluation: Evaluation) -> Exposure:
    """What every membership metric of the evaluation looks at, computed once; NotMeasurable under 100 people a side."""
    if evaluation not in _EXPOSURES:
        _EXPOSURES[evaluation] = _exposure(evaluation)
    return _EXPOSURES[evaluation]


def _exposure(evaluation: Evaluation) -> Exposure:
    everyone, holdout, published = (part.rows for part in distinct_tables(evaluation))
    rng = evaluation.rng("membership")
    sides = _equally_many(everyone, holdout, evaluation.size.max_rows, rng)
    members, others, train, synthetic = encode([*sides, everyone, published], everyone.schema.modelled)
    crowd = Crowd.of(members, others)
    independent, leak = _controls(crowd, train, len(synthetic), rng)
    half = len(others) // 2
    fresh = others.take(np.arange(half))
    second = Crowd.of(members.take(np.arange(half, len(members))), others.take(np.arange(half, len(others))))
    found = crowd.distances(synthetic)
    sample = synthetic.take(rng.permutation(len(synthetic))[: len(others)])
    return Exposure(crowd, sides, sample, found, independent, leak, fresh, second, second.distances(fresh))


def _equally_many(train: Table, holdout: Table, at_most: int, rng: np.random.Generator) -> tuple[Table, Table]:
    """Rows of train and of holdout, equally many of each class; raises NotMeasurable under 100."""
    counts = class_counts(holdout)
    shared = {name: min(count, counts.get(name, 0)) for name, count in class_counts(train).items()}
    total = sum(shared.values())
    if total < MIN_ROWS:
        raise NotMeasurable(
            f"{total} different held-out rows of the synthesised classes, at least {MIN_ROWS} are needed"
        )
    quota = {name: round(count * min(1.0, at_most / total)) for name, count in shared.items()}
    members, strangers = (take_per_class(part, quota, rng) for part in (train, holdout))
    assert isinstance(members, Table)
    assert isinstance(strangers, Table)
    return members, strangers


def _controls(crowd: Crowd, train: Encoded, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Distances to n independent rows, and to the same with the first 5 % replaced by training rows."""
    leaked = rng.permutation(len(train))[: round(LEAK_SHARE * n)]
    independent = independent_columns(crowd.people, n, rng)
    head = crowd.distances(independent.take(np.arange(len(leaked))))
    tail = crowd.distances(independent.take(np.arange(len(leaked), n)))
    copied = crowd.distances(train.take(leaked))
    return np.minimum(head, tail), np.minimum(copied, tail)
