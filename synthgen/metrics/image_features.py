"""What the image metrics look at: two families of features, and rows of each class at equal numbers.

A classifier trained on the real images sees wrong labels; a random network with calibrated batch statistics sees lost
modes. Neither sees both, so both are always computed. Nothing is downloaded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch

from synthgen.datasets import Data, ImageSet, Index, class_counts, class_rows, take_per_class
from synthgen.device import best_device
from synthgen.metrics.evaluation import Evaluation, NotMeasurable, canonical
from synthgen.metrics.image_classifier import (
    SmallConvNet,
    build_network,
    fit_judge,
    in_batches,
    pixels,
)

Features = npt.NDArray[np.float64]
FeatureFamily = Literal["classifier", "random"]
FAMILIES: tuple[FeatureFamily, ...] = ("classifier", "random")

# Below this a class says nothing about its distribution.
MINIMUM_IMAGES = 20
# The random network costs no training and looks at a finer picture than the classifier.
RANDOM_PX = {2: 64, 3: 28}


@dataclass(frozen=True)
class ImageSets:
    """The images of an evaluation in canonical order, with the same class codes."""

    train: ImageSet
    holdout: ImageSet
    synthetic: ImageSet

    @property
    def parts(self) -> tuple[ImageSet, ImageSet, ImageSet]:
        """All three, in this order."""
        return self.train, self.holdout, self.synthetic


@dataclass(frozen=True)
class FeatureSpace:
    """Features of one family, standardised with mean and deviation of the train images.

    Attributes:
        train, holdout, synthetic: float64 [n, 64].
        axes: float64 [64, 64], principal axes of train as columns, strongest first.
    """

    train: Features
    holdout: Features
    synthetic: Features
    axes: Features


@dataclass(frozen=True)
class ClassRows:
    """Positions of the images of one class."""

    name: str
    train: Index
    holdout: Index
    synthetic: Index

    @property
    def sides(self) -> tuple[Index, Index, Index]:
        """All three, in this order."""
        return self.train, self.holdout, self.synthetic

    @property
    def fewest(self) -> int:
        """Images in the smallest of the three sets."""
        return min(map(len, self.sides))

    @property
    def half(self) -> int:
        """Images on each side of a comparison: half of the smaller set."""
        return min(len(self.holdout), len(self.synthetic)) // 2

    def local_halves(self, rounds: int, rng: np.random.Generator) -> Iterator[tuple[Index, Index, Index]]:
        """The same, as positions among the images of the class."""
        places = (np.arange(len(side)) for side in (self.holdout, self.synthetic))
        return ClassRows(self.name, self.train, *places).halves(rounds, rng)

    def halves(self, rounds: int, rng: np.random.Generator) -> Iterator[tuple[Index, Index, Index]]:
        """Per round `half` synthetic images, and two disjoint lots of as many held-out ones.

        A statistic of random halves varies as much as the same statistic of whole samples does between samples
        (delete-half jackknife, Shao and Wu 1989), so its quantiles over the rounds are its interval; resampling
        with replacement would not do, for repeated images look like collapse.
        """
        for _ in range(rounds):
            real = rng.permutation(self.holdout)
            synthetic = rng.permutation(self.synthetic)[: self.half]
            yield synthetic, real[: self.half], real[self.half : 2 * self.half]


@dataclass(frozen=True, eq=False)
class ImageView:
    """Features and classes of one evaluation, each family computed once, when it is first asked for.

    Attributes:
        classes: those with enough images on every side.
        seeds: of the random network and of the classifier.
        notes: for the detail of every finding: classes that have synthetic images but too few to measure, and how
            many images the smallest synthesised class has.
    """

    sets: ImageSets
    classes: tuple[ClassRows, ...]
    seeds: tuple[int, int]
    notes: Mapping[str, object]

    def space(self, family: FeatureFamily) -> FeatureSpace:
        """The features of that family."""
        return self._classifier if family == "classifier" else self._random

    @cached_property
    def chances(self) -> tuple[Features, Features]:
        """What the classifier of train takes held-out and synthetic images for, float64 [n, classes] each."""
        holdout, synthetic = (
            in_batches(self._judge, pixels(part)).softmax(1).double().numpy()
            for part in (self.sets.holdout, self.sets.synthetic)
        )
        return holdout, synthetic

    @cached_property
    def _judge(self) -> SmallConvNet:
        return fit_judge(self.sets.train, torch.Generator().manual_seed(self.seeds[1]))

    @cached_property
    def _classifier(self) -> FeatureSpace:
        return _space(self._judge, [pixels(part) for part in self.sets.parts])

    @cached_property
    def _random(self) -> FeatureSpace:
        network = calibrated_network(self.sets.train, torch.Generator().manual_seed(self.seeds[0]))
        return _space(network, [pixels(part, at_most_px=RANDOM_PX) for part in self.sets.parts])


# Keyed by identity (Evaluation has eq=False), gone with its evaluation.
_VIEWS: WeakKeyDictionary[Evaluation, ImageView] = WeakKeyDictionary()


def image_sets(evaluation: Evaluation) -> ImageSets:
    """Train, holdout and synthetic images in canonical order; raises NotMeasurable when they cannot be compared."""
    parts = [_images(canonical(part)) for part in (evaluation.train, evaluation.holdout, evaluation.synthetic)]
    classes = parts[0].classes
    for part in parts:
        if len(part) == 0:
            raise NotMeasurable("train, holdout or synthetic has no images")
        if part.images.shape[1:] != parts[0].images.shape[1:]:
            raise NotMeasurable("train, holdout and synthetic images differ in size or channels")
        if not set(part.labels.tolist()) <= set(classes):
            raise NotMeasurable("holdout or synthetic images have a class that train does not know")
    return ImageSets(*(_with_codes_of(part, classes) for part in parts))


def image_view(evaluation: Evaluation) -> ImageView:
    """The view of this evaluation; raises NotMeasurable when no class has enough images."""
    if evaluation not in _VIEWS:
        _VIEWS[evaluation] = _look(evaluation)
    return _VIEWS[evaluation]


def fewest_images(synthetic: ImageSet) -> int:
    """Images of the smallest class that was synthesised; gates give no verdict on fewer than 200."""
    return min(count for count in class_counts(synthetic).values() if count)


def _look(evaluation: Evaluation) -> ImageView:
    whole = image_sets(evaluation)
    sets = ImageSets(*(_at_most(evaluation, part) for part in whole.parts))
    rows = [ClassRows(name, *(class_rows(part, name) for part in sets.parts)) for name in sets.train.classes]
    enough = tuple(item for item in rows if item.fewest >= MINIMUM_IMAGES)
    if not enough:
        raise NotMeasurable(f"no class has {MINIMUM_IMAGES} held-out and {MINIMUM_IMAGES} synthetic images")
    first, second = evaluation.rng("image-features").integers(2**63, size=2).tolist()
    too_few = [item.name for item in rows if len(item.synthetic) and item not in enough]
    notes = {"too_few": too_few, "fewest_images": fewest_images(whole.synthetic)}
    return ImageView(sets, enough, (first, second), notes)


def _images(data: Data) -> ImageSet:
    if not isinstance(data, ImageSet):
        raise NotMeasurable("this metric needs images")
    return data


def _with_codes_of(data: ImageSet, classes: tuple[str, ...]) -> ImageSet:
    position = {name: code for code, name in enumerate(classes)}
    codes = np.asarray([position.get(name, -1) for name in data.classes], dtype=np.int64)[data.codes]
    return replace(data, codes=codes, classes=classes)


def _at_most(evaluation: Evaluation, data: ImageSet) -> ImageSet:
    if len(data) <= evaluation.size.max_rows:
        return data
    quota = {name: evaluation.size.max_rows // len(data.classes) for name in class_counts(data)}
    return _images(canonical(take_per_class(data, quota, evaluation.rng("image-features/rows"))))


@torch.no_grad()
def calibrated_network(data: ImageSet, generator: torch.Generator) -> SmallConvNet:
    """An untrained network whose batch norms know the statistics of these images, at up to 64 px, of volumes 28."""
    images = pixels(data, at_most_px=RANDOM_PX)
    network = build_network(images, len(data.classes), generator)
    # Random weights shift and scale the output of every layer; statistics of real images put it back to mean 0, norm 1.
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            module.momentum = None  # plain average over all batches
    network.train()
    for batch in torch.split(images, 500):
        network(batch.to(best_device()))
    return network.eval()


def standardised_features(network: SmallConvNet, parts: Sequence[torch.Tensor]) -> list[Features]:
    """Features of each part, float64 [n, 64], at mean 0 and deviation 1 of the first part."""
    return standardised([in_batches(network.features, part).double().numpy() for part in parts])


def standardised(features: Sequence[Features]) -> list[Features]:
    """All parts at mean 0 and deviation 1 of the first, float64 [n, 64]."""
    mean, deviation = features[0].mean(axis=0), features[0].std(axis=0)
    # A feature that is constant on real images must not divide by zero, nor blow up what is new in synthetic ones.
    scale = np.where(deviation > 1e-3 * deviation.max(), deviation, deviation.max() + 1e-12)
    return [(part - mean) / scale for part in features]


def _space(network: SmallConvNet, images: list[torch.Tensor]) -> FeatureSpace:
    train, holdout, synthetic = standardised_features(network, images)
    _, axes = np.linalg.eigh(np.cov(train, rowvar=False))
    return FeatureSpace(train, holdout, synthetic, axes=axes[:, ::-1])
