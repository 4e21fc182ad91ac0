"""Which drawn images look like the class they were asked for: what a classifier sees, and how far from real ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from synthgen.config import CurationConfig
from synthgen.datasets import ImageSet, Index, class_rows
from synthgen.metrics.image_classifier import SmallConvNet, fit_judge, in_batches, pixels, torch_generator
from synthgen.metrics.image_features import RANDOM_PX, Features, calibrated_network, standardised_features
from synthgen.metrics.neighbours import nearest_distances
from synthgen.stats import FloatArray

Mask = npt.NDArray[np.bool_]

# Share of real images that either bar would drop: candidates may be as odd as real images are, and no odder.
UNUSUAL = 0.02
# Fewer real images of a class set no bar for it.
MINIMUM_VALID = 20
NEIGHBOUR = 5


@dataclass(frozen=True)
class Looks:
    """Two bars for each class, set by images of valid that neither the classifier nor the distances rest on.

    Attributes:
        judge: a classifier that has learnt train; None: labels are not looked at.
        chance: lowest chance of the asked class that passes.
        network: an untrained network whose features measure distances; None: outliers are not looked at.
        reach: longest distance to the fifth nearest training image of the class that passes.
    """

    train: ImageSet
    judge: SmallConvNet | None
    chance: Mapping[str, float]
    network: SmallConvNet | None
    reach: Mapping[str, float]

    @classmethod
    def of(cls, train: ImageSet, valid: ImageSet, config: CurationConfig, rng: np.random.Generator) -> Self | None:
        """The bars of these images; None where the config asks for none, or valid has too few images for any."""
        known = [name for name in train.classes if len(class_rows(valid, name)) >= MINIMUM_VALID]
        if not known or config.labels == config.outliers == "keep":
            return None
        first, second = torch_generator(rng), torch_generator(rng)
        judge = fit_judge(train, first) if config.labels == "drop" else None
        network = calibrated_network(train, second) if config.outliers == "drop" else None
        bare = cls(train, judge, {}, network, {})
        rows = {name: class_rows(valid, name) for name in known}
        chances, distances = bare._chances(valid), bare._distances(valid)
        chance = {name: float(np.quantile(chances[index], UNUSUAL)) for name, index in rows.items()}
        reach = {name: float(np.quantile(distances[index], 1 - UNUSUAL)) for name, index in rows.items()}
        return cls(train, judge, chance, network, reach)

    def of_another_class(self, images: ImageSet) -> Mask:
        """True where the classifier gives the asked class less of a chance than it gives real images, bool [n]."""
        bars = np.array([self.chance.get(name, -np.inf) for name in images.classes])
        return np.asarray(self._chances(images) < bars[images.codes])

    def out_of_reach(self, images: ImageSet) -> Mask:
        """True farther from the training images of the class than real images are, bool [n]."""
        bars = np.array([self.reach.get(name, np.inf) for name in images.classes])
        return np.asarray(self._distances(images) > bars[images.codes])

    def _chances(self, images: ImageSet) -> FloatArray:
        if self.judge is None or len(images) == 0:
            return np.ones(len(images))
        chances = in_batches(self.judge, pixels(images)).softmax(1).double().numpy()
        return np.asarray(chances[np.arange(len(images)), self._codes(images)])

    def _distances(self, images: ImageSet) -> FloatArray:
        if self.network is None or len(images) == 0:
            return np.zeros(len(images))
        parts = [pixels(part, at_most_px=RANDOM_PX) for part in (self.train, images)]
        train, features = standardised_features(self.network, parts)
        distances, codes = np.zeros(len(images)), self._codes(images)
        for code in np.unique(codes):
            rows, known = codes == code, self.train.codes == code
            distances[rows] = nearest_distances(_points(features[rows]), _points(train[known]), NEIGHBOUR)
        return distances

    def _codes(self, images: ImageSet) -> Index:
        position = {name: code for code, name in enumerate(self.train.classes)}
        return np.array([position[name] for name in images.classes], dtype=np.int64)[images.codes]


def _points(features: Features) -> torch.Tensor:
    return torch.from_numpy(features.astype(np.float32))
