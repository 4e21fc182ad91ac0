from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from synthgen.config import EvaluationSize
from synthgen.datasets import ImageSet
from synthgen.metrics.evaluation import Evaluation

SMALL = EvaluationSize(max_rows=2_000, utility_seeds=2, bootstrap_rounds=50)


@pytest.fixture(scope="session")
def digits() -> dict[str, ImageSet]:
    """Real 8x8 digits in three lots of which none has seen the other: train, holdout, and fresh ones."""
    raw = load_digits()
    images = ImageSet(
        (raw.images * 255 / 16).astype(np.uint8)[:, None], raw.target.astype(np.int64), tuple("0123456789")
    )
    order = np.random.default_rng(0).permutation(len(images))
    lots = {"train": order[:700], "holdout": order[700:1250], "fresh": order[1250:]}
    return {name: images.take(index) for name, index in lots.items()}


@pytest.fixture(scope="session")
def evaluate(digits):
    """An evaluation of these images in place of the synthetic ones."""

    def build(synthetic: ImageSet, **changes) -> Evaluation:
        return replace(Evaluation(digits["train"], digits["holdout"], synthetic, SMALL), **changes)

    return build
