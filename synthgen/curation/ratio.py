"""How much of a plan to add: chosen on `valid` by what a classifier gains, and nothing when it gains nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthgen.datasets import Data, ImageSet, Splits, Table, load_data
from synthgen.metrics.augmented import thinned
from synthgen.metrics.evaluation import NotMeasurable
from synthgen.metrics.utility import augmentation, images
from synthgen.metrics.utility.controls import Gain

# Shares of the full plan that are tried; 0 is the real data alone.
SHARES = (0.05, 0.25, 1.0)
_SEEDS = 5
# Balanced accuracy alone would take any number of rows of a rare class: that moves the threshold, as class weights do,
# and rows that cost more than half a point of ROC-AUC also blur who is likelier to be what.
_MOST_RANKING_LOSS = 0.005


@dataclass(frozen=True)
class Ratio:
    """What was chosen, and the gain on valid of every share that was tried.

    Attributes:
        kept: the very rows or images of that share that were tested; of the smallest one where none may be taken.
    """

    share: float
    gains: Mapping[float, Gain]
    reason: str
    kept: Data


def choose_ratio(train: Data, valid: Data, synthetic: Data, rng: np.random.Generator) -> Ratio:
    """The share of the synthetic data with the largest gain on valid; 0 when no share may be taken.

    A share may be taken when the lower end of its gain of balanced accuracy is above 0, by intervals of 95 % for all
    shares together. A table's gain is that over the real rows alone, and may cost at most half a point of ROC-AUC; that
    of images is over as many real images drawn again, both with classic augmentation.
    """
    if isinstance(train, ImageSet) and isinstance(valid, ImageSet) and isinstance(synthetic, ImageSet):
        return _of_images(train, valid, {share: thinned(synthetic, share, rng) for share in SHARES}, rng)
    assert isinstance(train, Table)
    assert isinstance(valid, Table)
    assert isinstance(synthetic, Table)
    return _of_rows(train, valid, {share: thinned(synthetic, share, rng) for share in SHARES})


def _of_rows(train: Table, valid: Table, added: Mapping[float, Table]) -> Ratio:
    least = added[min(SHARES)]
    try:
        gains = augmentation.gains_by_share(train, valid, added, seeds=_SEEDS)
    except NotMeasurable as reason:
        return Ratio(0.0, {}, f"not measurable on valid: {reason}", least)
    if not (proven := _proven(gains)):
        return Ratio(0.0, gains, "no share helps a classifier on valid beyond chance", least)
    harmless = [share for share in proven if gains[share]["roc_auc"] >= -_MOST_RANKING_LOSS]
    if not harmless:
        return Ratio(
            0.0, gains, "every share that moves the threshold for the better ranks the valid rows worse", least
        )
    best = max(harmless, key=lambda share: gains[share]["value"])
    gain = gains[best]
    ranking = f"ROC-AUC {100 * gain['roc_auc']:+.1f}"
    return Ratio(best, gains, f"the largest gain on valid, {100 * gain['value']:+.1f} points ({ranking})", added[best])


def _of_images(train: ImageSet, valid: ImageSet, added: Mapping[float, ImageSet], rng: np.random.Generator) -> Ratio:
    least = added[min(SHARES)]
    try:
        gains = images.gains_by_share(train, valid, added, rng, seeds=_SEEDS)
    except NotMeasurable as reason:
        return Ratio(0.0, {}, f"not measurable on valid: {reason}", least)
    if not (proven := _proven(gains)):
        return Ratio(0.0, gains, "no share helps a classifier on valid more than real images drawn again", least)
    best = max(proven, key=lambda share: gains[share]["value"])
    gained = f"{100 * gains[best]['value']:+.1f} points"
    return Ratio(best, gains, f"the largest gain on valid over real images drawn again, {gained}", added[best])


def _proven(gains: Mapping[float, Gain]) -> list[float]:
    return [share for share in SHARES if gains[share]["low"] > 0]


def keep_best_share(parts: Splits, folder: Path, rng: np.random.Generator) -> dict[str, Any]:
    """Keep the share of the saved data that helps most on valid; the smallest, for the report, when none helps.

    Returns:
        The choice, JSON-ready.
    """
    ratio = choose_ratio(parts.train, parts.valid, load_data(folder), rng)
    ratio.kept.save(folder)
    return {"share": ratio.share, "gains": ratio.gains, "reason": ratio.reason}
