"""How much of a plan to add: chosen on `valid` by what a classifier gains, and nothing when it gains nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthgen.datasets import Table, class_counts, take_per_class
from synthgen.metrics.evaluation import NotMeasurable
from synthgen.metrics.utility.augmentation import Gain, gains_by_share

# Shares of the full plan that are tried; 0 is the real rows alone.
SHARES = (0.05, 0.25, 1.0)
_SEEDS = 5


@dataclass(frozen=True)
class Ratio:
    """What was chosen, and the gain on valid of every share that was tried."""

    share: float
    gains: Mapping[float, Gain]
    reason: str


def choose_ratio(train: Table, valid: Table, synthetic: Table, rng: np.random.Generator) -> Ratio:
    """The share of the synthetic rows with the largest gain on valid; 0 when the lower end of no gain is above 0."""
    try:
        gains = gains_by_share(train, valid, {share: thinned(synthetic, share, rng) for share in SHARES}, seeds=_SEEDS)
    except NotMeasurable as reason:
        return Ratio(0.0, {}, f"not measurable on valid: {reason}")
    best = max(SHARES, key=lambda share: gains[share]["value"])
    if gains[best]["low"] <= 0:
        return Ratio(0.0, gains, "no share helps a classifier on valid beyond chance")
    return Ratio(best, gains, f"the largest gain on valid, {100 * gains[best]['value']:+.1f} points")


def thinned(synthetic: Table, share: float, rng: np.random.Generator) -> Table:
    """That share of the rows of each class, at least one of each."""
    counts = {name: max(1, round(share * count)) for name, count in class_counts(synthetic).items()}
    chosen = take_per_class(synthetic, counts, rng)
    assert isinstance(chosen, Table)
    return chosen
