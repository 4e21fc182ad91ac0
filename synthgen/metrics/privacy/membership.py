"""Membership inference on tables: can an attacker name who was in the training data?"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from synthgen.datasets import Table, class_counts, take_per_class
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.table_features import Encoded, distinct_tables, encode, independent_columns, joined
from synthgen.stats import FloatArray, clopper_pearson

THREAT_MODEL = (
    "An attacker holds a person's full record and all synthetic rows, knows the population, and says whether the "
    "person was in the training data; 1 wrong accusation in 100 strangers is accepted."
)
FALSE_POSITIVE_RATE = 0.01
# With fewer strangers no threshold has a false positive rate of 1 %.
MIN_ROWS = 100
LEAK_SHARE = 0.05
NEIGHBOURS = 5
# A block of distances to 30,000 rows then fits the cache.
BLOCK_ROWS = 256
# Keeps the ratio finite where a row is met exactly; columns of the embedding have length 1.
SMALLEST_DISTANCE = 1e-3


@dataclass(frozen=True)
class Hits:
    """Share of members named at a false positive rate of 1 %, with its 95 % interval."""

    rate: float
    low: float
    high: float
    attack: str = ""


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
    everyone, holdout, published = (part.rows for part in distinct_tables(evaluation))
    rng = evaluation.rng("membership")
    chosen = _equally_many(everyone, holdout, evaluation.size.max_rows, rng)
    members, others, train, synthetic = encode([*chosen, everyone, published], everyone.schema.modelled)
    crowd = Crowd.of(members, others)
    control, leak = _controls(crowd, train, len(synthetic), rng)
    found = crowd.attacked(crowd.distances(synthetic))
    half = len(others) // 2
    second = Crowd.of(members.take(np.arange(half, len(members))), others.take(np.arange(half, len(others))))
    fresh = second.attacked(second.distances(others.take(np.arange(half))))
    return Finding(
        metric="membership_tpr_at_1pct_fpr", family="privacy", value=found.rate, low=found.low, high=found.high,
        reference=fresh.rate, higher_is_better=False, n=len(others), threat_model=THREAT_MODEL,
        detail={
            "attack": found.attack, "control_independent": control.rate, "control_leak": leak.rate,
            "share_of_leak": _share_of_leak(found.rate, control.rate, leak.rate),
        },
    )  # fmt: skip


def _equally_many(train: Table, holdout: Table, at_most: int, rng: np.random.Generator) -> list[Table]:
    """Rows of train and of holdout, equally many of each class; raises NotMeasurable under 100."""
    counts = class_counts(holdout)
    shared = {name: min(count, counts.get(name, 0)) for name, count in class_counts(train).items()}
    total = sum(shared.values())
    if total < MIN_ROWS:
        raise NotMeasurable(
            f"{total} different held-out rows of the synthesised classes, at least {MIN_ROWS} are needed"
        )
    quota = {name: round(count * min(1.0, at_most / total)) for name, count in shared.items()}
    chosen = [take_per_class(part, quota, rng) for part in (train, holdout)]
    return [part for part in chosen if isinstance(part, Table)]


def _controls(crowd: "Crowd", train: Encoded, n: int, rng: np.random.Generator) -> tuple[Hits, Hits]:
    """The attack on n independent rows, and on the same with the first 5 % replaced by training rows."""
    leaked = rng.permutation(len(train))[: round(LEAK_SHARE * n)]
    independent = independent_columns(crowd.people, n, rng)
    head = crowd.distances(independent.take(np.arange(len(leaked))))
    tail = crowd.distances(independent.take(np.arange(len(leaked), n)))
    copied = crowd.distances(train.take(leaked))
    return crowd.attacked(np.minimum(head, tail)), crowd.attacked(np.minimum(copied, tail))


def _share_of_leak(rate: float, independent: float, leak: float) -> float | None:
    """Excess over the independent columns as a share of the known leak's; None when the leak itself is not seen."""
    return (rate - independent) / (leak - independent) if leak > independent else None


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
        points = _embed(people, people)
        return cls(people, len(members), points, nearest_distances(points, points, NEIGHBOURS + 1))

    def distances(self, published: Encoded) -> FloatArray:
        """Distance of each person to the nearest published row, float64 [n]; infinite without rows."""
        if len(published) == 0:
            return np.full(len(self.people), np.inf)
        return nearest_distances(self.points, _embed(published, self.people), 1)

    def attacked(self, distances: FloatArray) -> Hits:
        """The stronger of the two attacks, given the distance of each person to the nearest published row."""
        near = np.log(distances + SMALLEST_DISTANCE)
        scores = {"nearest neighbour": -near, "density ratio": np.log(self.isolation + SMALLEST_DISTANCE) - near}
        found = [
            replace(hits(score[: self.members], score[self.members :]), attack=name) for name, score in scores.items()
        ]
        return max(found, key=lambda one: one.rate)


def hits(members: FloatArray, strangers: FloatArray) -> Hits:
    """Share of members that score at least as high as the top 1 % of strangers.

    Strangers tied at the threshold are accused by coin, and so are members. The interval joins the error of the rate
    (Clopper-Pearson) and that of the threshold (the rates at both ends of the Clopper-Pearson interval of the
    accused strangers) by the method of variance estimates recovery (Zou and Donner 2008). Its low end is at
    1 - .05 / 2, because the stronger of two attacks is reported.
    """
    m = len(strangers)
    accused = FALSE_POSITIVE_RATE * m
    rate = _hit_rate(members, strangers, accused)
    ends = []
    for side, confidence in ((0, 0.975), (1, 0.95)):
        sampled = clopper_pearson(rate * len(members), len(members), confidence=confidence)[side]
        threshold = clopper_pearson(accused, m, confidence=confidence)[side] * m
        ends.append(float(np.hypot(sampled - rate, _hit_rate(members, strangers, threshold) - rate)))
    return Hits(rate, max(0.0, rate - ends[0]), min(1.0, rate + ends[1]))


def _hit_rate(members: FloatArray, strangers: FloatArray, accused: float) -> float:
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


def nearest_distances(queries: torch.Tensor, points: torch.Tensor, k: int) -> FloatArray:
    """Euclidean distance of each query (float32 [n, d]) to its k-th nearest point (float32 [m, d]), float64 [n]."""
    squares = points.square().sum(1)
    found = []
    for block in torch.split(queries, BLOCK_ROWS):
        # |x - y|^2 less |x|^2, which does not change the order within a row.
        order = torch.addmm(squares, block, points.T, alpha=-2)
        nearest = order.argmin(1) if k == 1 else order.topk(min(k, len(points)), largest=False).indices[:, -1]
        # Again, exactly: the expanded square loses all digits near 0, where copies are.
        found.append((block - points[nearest]).square().sum(1).sqrt())
    return torch.cat(found).numpy().astype(np.float64)


def _embed(rows: Encoded, reference: Encoded) -> torch.Tensor:
    """float32 [n, d]: numbers as ranks among the reference in [0, 1], categories one-hot with mismatch 1."""
    columns = [_ranks(x, known) for x, known in zip(rows.numeric.T, reference.numeric.T, strict=True)]
    for codes, levels in zip(rows.codes.T, rows.levels, strict=True):
        columns.append(np.sqrt(0.5) * (codes[:, None] == np.arange(-1, levels)))
    return torch.from_numpy(np.concatenate([*columns, np.empty((len(rows), 0))], axis=1).astype(np.float32))


def _ranks(values: FloatArray, reference: FloatArray) -> FloatArray:
    """float64 [n, 2]: mid-rank and whether missing; a change of unit moves neither."""
    known = np.sort(reference[np.isfinite(reference)])
    missing = ~np.isfinite(values)
    if len(known) == 0:
        return np.column_stack([np.zeros(len(values)), missing])
    ranks = (np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")) / (2 * len(known))
    return np.column_stack([np.where(missing, 0.5, ranks), missing])
