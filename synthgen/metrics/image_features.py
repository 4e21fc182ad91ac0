"""What the image metrics look at: two families of features, and rows of each class at equal numbers.

A classifier trained on the real images sees wrong labels; a random network with calibrated batch statistics sees lost
modes. Neither sees both, so both are always computed. Nothing is downloaded.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch

from synthgen.datasets import Data, ImageSet, Index, class_counts, class_rows, take_per_class
from synthgen.metrics.evaluation import Evaluation, NotMeasurable, canonical
from synthgen.metrics.image_classifier import (
    SmallConvNet,
    build_network,
    fit_judge,
    in_batches,
    pixels,
    torch_generator,
)

Features = npt.NDArray[np.float64]
FeatureFamily = Literal["classifier", "random"]

# Below this a class says nothing about its distribution.
MINIMUM_IMAGES = 20
# The random network costs no training and looks at a finer picture than the classifier.
RANDOM_PX = 64


@dataclass(frozen=True)
class ImageSets:
    """The images of an evaluation in canonical order, with the same class codes."""

    train: ImageSet
    holdout: ImageSet
    synthetic: ImageSet


@dataclass(frozen=True)
class FeatureSpace:
    """Features of one family, standardised with mean and deviation of the train images.

    Attributes:
        holdout, synthetic: float64 [n, 64].
        axes: float64 [64, 64], principal axes of train as columns, strongest first.
    """

    holdout: Features
    synthetic: Features
    axes: Features


@dataclass(frozen=True)
class ClassRows:
    """Positions of the images of one class."""

    name: str
    holdout: Index
    synthetic: Index

    @property
    def half(self) -> int:
        """Images on each side of a comparison: half of the smaller set."""
        return min(len(self.holdout), len(self.synthetic)) // 2

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


@dataclass(frozen=True)
class ImageView:
    """Features and classes of one evaluation, computed once.

    Attributes:
        classes: those with enough held-out and synthetic images.
        too_few: names of classes that have synthetic images but not enough to judge.
    """

    spaces: Mapping[FeatureFamily, FeatureSpace]
    classes: tuple[ClassRows, ...]
    too_few: tuple[str, ...]


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


def _look(evaluation: Evaluation) -> ImageView:
    whole = image_sets(evaluation)
    sets = ImageSets(*(_at_most(evaluation, part) for part in (whole.train, whole.holdout, whole.synthetic)))
    rows = [
        ClassRows(name, class_rows(sets.holdout, name), class_rows(sets.synthetic, name)) for name in sets.train.classes
    ]
    enough = tuple(item for item in rows if item.half * 2 >= MINIMUM_IMAGES)
    if not enough:
        raise NotMeasurable(f"no class has {MINIMUM_IMAGES} held-out and {MINIMUM_IMAGES} synthetic images")
    parts = sets.train, sets.holdout, sets.synthetic
    generator = torch_generator(evaluation.rng("image-features"))
    fine = [pixels(part, at_most_px=RANDOM_PX) for part in parts]
    random = _calibrated(build_network(fine[0], len(sets.train.classes), generator), fine[0])
    spaces: dict[FeatureFamily, FeatureSpace] = {
        "classifier": _space(fit_judge(sets.train, generator), [pixels(part) for part in parts]),
        "random": _space(random, fine),
    }
    too_few = tuple(item.name for item in rows if len(item.synthetic) and item not in enough)
    return ImageView(spaces, enough, too_few)


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
def _calibrated(network: SmallConvNet, images: torch.Tensor) -> SmallConvNet:
    # Random weights shift and scale the output of every layer; statistics of real images put it back to mean 0, norm 1.
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # plain average over all batches
    network.train()
    for batch in torch.split(images, 500):
        network(batch)
    return network.eval()


def _space(network: SmallConvNet, images: list[torch.Tensor]) -> FeatureSpace:
    train, holdout, synthetic = (in_batches(network.features, part).double().numpy() for part in images)
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    # A feature that is constant on real images must not divide by zero, nor blow up what is new in synthetic ones.
    scale = np.where(deviation > 1e-3 * deviation.max(), deviation, deviation.max() + 1e-12)
    train, holdout, synthetic = ((part - mean) / scale for part in (train, holdout, synthetic))
    _, axes = np.linalg.eigh(np.cov(train, rowvar=False))
    return FeatureSpace(holdout, synthetic, axes=axes[:, ::-1])
