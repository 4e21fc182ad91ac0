"""Which drawn images look like the class they were asked for: what a classifier sees, and how far from real ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from synthgen.config import CurationConfig
from synthgen.datasets import ImageSet, Index, class_counts
from synthgen.metrics.image_classifier import (
    SmallConvNet,
    fit_judge,
    in_batches,
    in_parallel,
    pixels,
    torch_generator,
)
from synthgen.metrics.image_features import RANDOM_PX, Features, calibrated_network, standardised
from synthgen.metrics.image_judges import JUDGES, dealt
from synthgen.metrics.neighbours import nearest_distances
from synthgen.stats import FloatArray

Mask = npt.NDArray[np.bool_]

# Share of real images that either bar would drop: candidates may be as odd as real images are, and no odder.
UNUSUAL = 0.02
# Fewer real images of a class set no bar for it.
MINIMUM_REAL = 20
NEIGHBOUR = 5


@dataclass(frozen=True)
class Looks:
    """Two bars for each class, set by real images that neither the classifiers nor the distances rest on.

    They are those of valid; where these are fewer than `MINIMUM_REAL`, those of train too, each judged by the
    classifier that has not seen it and measured against the others.

    Attributes:
        judges: classifiers cross-fitted on train; none: labels are not looked at.
        chance: lowest chance of the asked class that passes, the mean over judges.
        network: an untrained network whose features measure distances; None: outliers are not looked at.
        reach: longest distance to the fifth nearest training image of the class that passes.
        unknown: classes of train whose images are too few for a bar.
    """

    train: ImageSet
    judges: tuple[SmallConvNet, ...]
    chance: Mapping[str, float]
    network: SmallConvNet | None
    reach: Mapping[str, float]
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, train: ImageSet, valid: ImageSet, config: CurationConfig, rng: np.random.Generator) -> Self | None:
        """The bars of these images; None where the config asks for none."""
        if config.labels == config.outliers == "keep":
            return None
        of_train, of_valid = class_counts(train), class_counts(valid)
        learnt = [name for name, count in of_train.items() if count]
        known = [name for name in learnt if of_train[name] + of_valid.get(name, 0) >= MINIMUM_REAL]
        unknown = tuple(sorted(set(learnt) - set(known)))
        if not known:
            return cls(train, (), {}, None, {}, unknown)
        valid = valid.take(np.flatnonzero(np.isin(valid.labels, learnt)))
        few = [name for name in known if of_valid.get(name, 0) < MINIMUM_REAL]
        more = np.flatnonzero(np.isin(train.labels, few))
        folds = dealt(train, rng)
        network = calibrated_network(train, torch_generator(rng)) if config.outliers == "drop" else None
        judges = _fit_judges(train, folds, rng) if config.labels == "drop" else ()
        bare = cls(train, judges, {}, network, {}, unknown)
        labels = np.concatenate([valid.labels, train.labels[more]])
        chances = np.concatenate([bare._chances(valid), bare._chances_unseen(more, folds[more])])
        distances = np.concatenate([bare._distances(valid), bare._distances(train.take(more), beyond=1)])
        chance = {name: float(np.quantile(chances[labels == name], UNUSUAL)) for name in known}
        reach = {name: float(np.quantile(distances[labels == name], 1 - UNUSUAL)) for name in known}
        return replace(bare, chance=chance, reach=reach)

    def of_another_class(self, images: ImageSet) -> Mask:
        """True where the classifier gives the asked class less of a chance than it gives real images, bool [n]."""
        bars = np.array([self.chance.get(name, -np.inf) for name in images.classes])
        return np.asarray(self._chances(images) < bars[images.codes])

    def out_of_reach(self, images: ImageSet) -> Mask:
        """True farther from the training images of the class than real images are, bool [n]."""
        bars = np.array([self.reach.get(name, np.inf) for name in images.classes])
        return np.asarray(self._distances(images) > bars[images.codes])

    def _chances(self, images: ImageSet) -> FloatArray:
        if not self.judges or len(images) == 0:
            return np.ones(len(images))
        return np.asarray(np.mean([self._chance_by(judge, images) for judge in self.judges], axis=0))

    def _chances_unseen(self, rows: Index, folds: Index) -> FloatArray:
        """Of these training images, each by the judge that has not seen it."""
        chances = np.ones(len(rows))
        for fold, judge in enumerate(self.judges):
            own = folds == fold
            if own.any():
                chances[own] = self._chance_by(judge, self.train.take(rows[own]))
        return chances

    def _chance_by(self, judge: SmallConvNet, images: ImageSet) -> FloatArray:
        chances = in_batches(judge, pixels(images)).softmax(1).double().numpy()
        return np.asarray(chances[np.arange(len(images)), self._codes(images)])

    def _distances(self, images: ImageSet, *, beyond: int = 0) -> FloatArray:
        """To the fifth nearest; `beyond`: 1 where each image is its own nearest."""
        if self.network is None or len(images) == 0:
            return np.zeros(len(images))
        train, features = standardised([self._train_features, _features(self.network, images)])
        distances, codes = np.zeros(len(images)), self._codes(images)
        for code in np.unique(codes):
            rows, known = codes == code, self.train.codes == code
            near = nearest_distances(_points(features[rows]), _points(train[known]), NEIGHBOUR + beyond)
            distances[rows] = near
        return distances

    @cached_property
    def _train_features(self) -> Features:
        assert self.network is not None
        return _features(self.network, self.train)

    def _codes(self, images: ImageSet) -> Index:
        position = {name: code for code, name in enumerate(self.train.classes)}
        return np.array([position[name] for name in images.classes], dtype=np.int64)[images.codes]


def _features(network: SmallConvNet, images: ImageSet) -> Features:
    found: Features = in_batches(network.features, pixels(images, at_most_px=RANDOM_PX)).double().numpy()
    return found


def _points(features: Features) -> torch.Tensor:
    return torch.from_numpy(features.astype(np.float32))


def _fit_judges(train: ImageSet, folds: Index, rng: np.random.Generator) -> tuple[SmallConvNet, ...]:
    seen = [train.take(np.flatnonzero(folds != fold)) for fold in range(JUDGES)]
    return tuple(in_parallel([partial(fit_judge, part, torch_generator(rng)) for part in seen]))
