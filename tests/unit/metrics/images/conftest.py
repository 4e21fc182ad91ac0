from dataclasses import replace

import numpy as np
import pytest

from synthgen.config import EvaluationSize
from synthgen.datasets import ImageSet
from synthgen.metrics import augmented_images, image_classifier
from synthgen.metrics.evaluation import Evaluation
from synthgen.sources import builtin

SMALL = EvaluationSize(max_rows=2_000, utility_seeds=2, bootstrap_rounds=50)


@pytest.fixture(autouse=True, scope="module")
def _short_trainings():
    # Enough for 8x8 digits. Undone after each module: other folders train at full length.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_classifier, "JUDGE", image_classifier.Recipe(steps=80))
        patch.setattr(augmented_images, "RECIPE", image_classifier.Recipe(steps=40))
        yield


@pytest.fixture(scope="session")
def digits() -> dict[str, ImageSet]:
    """Real 8x8 digits in three lots of which none has seen the other: train, holdout, and fresh ones."""
    every = builtin.digits().data
    assert isinstance(every, ImageSet)
    order = np.random.default_rng(0).permutation(len(every))
    lots = {"train": order[:700], "holdout": order[700:1250], "fresh": order[1250:]}
    return {name: every.take(index) for name, index in lots.items()}


@pytest.fixture(scope="session")
def evaluate(digits):
    """An evaluation of these images in place of the synthetic ones."""

    def build(synthetic: ImageSet, **changes) -> Evaluation:
        return replace(Evaluation(digits["train"], digits["holdout"], synthetic, SMALL), **changes)

    return build
