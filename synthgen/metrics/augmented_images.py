"""Classifiers trained with and without the synthetic images: trained once, read by utility and by fairness."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import torch

from synthgen.datasets import ImageSet, Index, class_counts, class_rows
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.image_augmentation import classic_augmentation
from synthgen.metrics.image_classifier import (
    Augment,
    Recipe,
    fit_classifier,
    in_batches,
    in_parallel,
    pixels,
    torch_generator,
)
from synthgen.metrics.image_features import ImageSets, image_sets

# The same for every arm. Seeds x arms trainings have to take about a minute on two cores.
RECIPE = Recipe(steps=250)
# Fewer test images cannot show a gain.
MINIMUM_IMAGES = 50


@dataclass(frozen=True)
class Arm:
    """A training set, float32 [n, c, *size] and int64 [n], what is done to each batch, and how often each is drawn."""

    images: torch.Tensor
    codes: torch.Tensor
    augment: Augment | None = None
    weights: torch.Tensor | None = None

    @classmethod
    def of(cls, *parts: ImageSet) -> "Arm":
        """All images of these sets, one set after the other."""
        images, codes = ([pixels(part) for part in parts], [torch.from_numpy(part.codes) for part in parts])
        return cls(torch.cat(images), torch.cat(codes))

    def take(self, index: Index) -> "Arm":
        """The images at these positions, drawn equally often."""
        rows = torch.from_numpy(index)
        return Arm(self.images[rows], self.codes[rows], self.augment)

    def with_classic(self, train: ImageSet) -> "Arm":
        """The same images under classic augmentation, as train allows it."""
        return replace(self, augment=partial(classic_augmentation, mirror=train.mirror_keeps_label))


# Keyed by identity (Evaluation has eq=False), gone with its evaluation.
_TRAINED: WeakKeyDictionary[Evaluation, Mapping[str, Index]] = WeakKeyDictionary()


def augmented_images(evaluation: Evaluation) -> Mapping[str, Index]:
    """The class that each arm sees in each holdout image of `image_sets`, int64 [seeds, n]; trained once.

    Raises:
        NotMeasurable: there are too few images.
    """
    if evaluation not in _TRAINED:
        sets = image_sets(evaluation)
        enough_to_test(sets.holdout)
        arms = training_sets(sets, evaluation.rng("augmentation_gain/duplicated"))
        _TRAINED[evaluation] = predictions(sets.holdout, arms, network_seeds(evaluation))
    return _TRAINED[evaluation]


def enough_to_test(tested: ImageSet, part: str = "held-out") -> None:
    """Raises NotMeasurable when there are fewer than `MINIMUM_IMAGES` of that part."""
    if len(tested) < MINIMUM_IMAGES:
        raise NotMeasurable(f"a gain needs {MINIMUM_IMAGES} {part} images, there are {len(tested)}")


def network_seeds(evaluation: Evaluation) -> list[int]:
    """Of the trainings of each arm: one stream per seed, not per arm, so that pairs start from the same weights."""
    named = (f"augmentation_gain/{seed}" for seed in range(evaluation.size.utility_seeds))
    return [torch_generator(evaluation.rng(name)).initial_seed() for name in named]


def predictions(holdout: ImageSet, arms: Mapping[str, Arm], seeds: Sequence[int]) -> Mapping[str, Index]:
    """The class that a classifier trained on the arm sees in each image, int64 [seeds, n] for each arm."""
    test, classes = pixels(holdout), len(holdout.classes)
    trainings = [partial(_predicted, arm, test, classes, seed) for arm in arms.values() for seed in seeds]
    found = np.array(in_parallel(trainings)).reshape(len(arms), len(seeds), len(holdout))
    return dict(zip(arms, found, strict=True))


def _predicted(arm: Arm, test: torch.Tensor, classes: int, seed: int) -> Index:
    generator = torch.Generator().manual_seed(seed)
    network = fit_classifier(
        arm.images, arm.codes, classes, generator, recipe=RECIPE, weights=arm.weights, augment=arm.augment
    )
    return np.asarray(in_batches(network, test).argmax(1).numpy(), dtype=np.int64)


def training_sets(sets: ImageSets, rng: np.random.Generator) -> dict[str, Arm]:
    """The training set of each arm, made once: seeds vary the network."""
    real, synthetic = Arm.of(sets.train), Arm.of(sets.train, sets.synthetic)
    again = sets.train.take(drawn_again(sets.train, sets.synthetic, rng))
    return {
        "real": real,
        "class weights": replace(real, weights=1 / torch.bincount(real.codes).clamp(min=1).float()[real.codes]),
        "classic": real.with_classic(sets.train),
        "duplicated": Arm.of(sets.train, again),
        "synthetic": synthetic,
        "synthetic+classic": synthetic.with_classic(sets.train),
    }


def drawn_again(train: ImageSet, synthetic: ImageSet, rng: np.random.Generator) -> Index:
    """Positions in train: of each class as many as there are synthetic images."""
    wanted = class_counts(synthetic)
    drawn = [rng.choice(class_rows(train, name), count) for name, count in wanted.items() if count]
    return np.concatenate(drawn).astype(np.int64)
