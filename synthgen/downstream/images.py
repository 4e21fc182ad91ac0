"""Small convolutional networks on real and augmented images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from synthgen.datasets import ImageSet
from synthgen.downstream.reading import Material
from synthgen.downstream.scores import Truth
from synthgen.downstream.training import Bench, Training, shares
from synthgen.metrics.augmented_images import RECIPE, Arm, training_sets
from synthgen.metrics.image_classifier import Recipe, fit_classifier, in_parallel, pixels, torch_generator
from synthgen.metrics.image_features import ImageSets
from synthgen.metrics.saved_classifier import LearntNetwork
from synthgen.metrics.utility.images import BESIDE
from synthgen.stats import FloatArray, named_rng

# Tried on valid, for every arm alike; the number of steps is the same in all.
SETTINGS: Mapping[str, Recipe] = {
    "learning rate 0.003": RECIPE,
    "learning rate 0.001": replace(RECIPE, learning_rate=1e-3),
}


def image_bench(material: Material) -> Bench:
    """The arms of `metrics.augmented_images`."""
    parts = (material.train, material.synthetic, material.valid, material.holdout)
    train, synthetic, valid, holdout = [part for part in parts if isinstance(part, ImageSet)]
    arms = training_sets(ImageSets(train, holdout, synthetic), named_rng(0, "downstream"))
    shown, tested = pixels(valid), pixels(holdout)
    shape = tuple(shown.shape[1:])

    def train_once(arm: str, setting: str, seed: int) -> Training:
        given, recipe = arms[arm], SETTINGS[setting]
        # One stream per seed, not per arm: paired trainings start from the same weights.
        generator = torch_generator(named_rng(seed, "downstream/network"))
        network = fit_classifier(
            given.images,
            given.codes,
            len(train.classes),
            generator,
            recipe=recipe,
            weights=given.weights,
            augment=given.augment,
        )
        learnt = LearntNetwork(network, shape, recipe.width)
        return Training(learnt, learnt.probabilities(shown), learnt.probabilities(tested))

    def train_all(arm: str, jobs: Sequence[tuple[str, int]]) -> list[Training]:
        return in_parallel([partial(train_once, arm, *job) for job in jobs]) if jobs else []

    return Bench(
        truth=Truth(valid.codes, holdout.codes, train.classes),
        label=None,
        frequency={name: _frequency(arm, len(train.classes)) for name, arm in arms.items()},
        settings=tuple(SETTINGS),
        pairs=(("real", "synthetic"), ("classic", "synthetic+classic")),
        beside={"real": "synthetic", "class weights": "synthetic", **BESIDE},
        train=train_all,
    )


def _frequency(arm: Arm, classes: int) -> FloatArray:
    weights = None if arm.weights is None else arm.weights.double().numpy()
    return shares(arm.codes.numpy(), weights, classes)
