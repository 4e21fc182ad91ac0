"""Volumes are measured by every metric of images."""

import math

import numpy as np
import pytest

from synthgen.datasets import ImageSet
from synthgen.metrics import measure, metrics_of
from synthgen.metrics.privacy.image_matching import nearest_correlations


def as_volumes(images: ImageSet) -> ImageSet:
    """Each digit as a body: its image in the middle slices, fainter towards both ends."""
    depth = np.linspace(-1, 1, 9)
    fade = np.exp(-2 * np.square(depth))[None, None, :, None, None]
    volumes = np.rint(images.images[:, :, None] * fade).astype(np.uint8)
    return ImageSet(volumes, images.codes, images.classes)


@pytest.fixture(scope="module")
def volumes(digits):
    return {name: as_volumes(images.take(np.arange(400))) for name, images in digits.items()}


@pytest.fixture(scope="module")
def measured(volumes, evaluate):
    def findings(synthetic):
        evaluation = evaluate(synthetic, train=volumes["train"], holdout=volumes["holdout"])
        found, missing = measure(evaluation, "images")
        return {item.metric: item for item in found}, {item.metric: item.reason for item in missing}

    return findings


def test_every_metric_of_images_measures_fresh_volumes(measured, volumes):
    found, missing = measured(volumes["fresh"])
    assert set(found) | set(missing) == set(metrics_of("images", "quick"))
    # Nobody asked a discriminator, and no attribute is protected.
    nobody = {"representation_ratio", "label_rate_shift", "group_fidelity_gap", "equalized_odds_change"}
    assert set(missing) == {"discriminator_membership", *nobody}
    assert all(math.isfinite(item.value) for item in found.values())
    assert found["near_copies"].low < 0.05
    assert found["class_agreement"].low < 0 < found["class_agreement"].high


def test_copies_of_training_volumes_are_seen_though_moved_and_mirrored(volumes):
    train = volumes["train"].take(np.arange(60))
    moved = np.roll(train.images, (1, 1), axis=(2, 3))[..., ::-1]
    correlation, which = nearest_correlations(ImageSet(moved, train.codes, train.classes), volumes["train"])
    fresh, _ = nearest_correlations(volumes["fresh"], volumes["train"])
    assert np.mean(which[:, 0] == np.arange(60)) > 0.95
    assert np.mean(correlation > np.quantile(fresh, 0.99)) > 0.95


def test_large_volumes_are_compared_by_candidates_as_well_as_in_full(volumes):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (12, 1, 18, 20, 22), dtype=np.uint8)
    train = ImageSet(images, np.zeros(12, dtype=np.int64), ("a",))
    shifted = ImageSet(np.roll(images[:4], 1, axis=2), np.zeros(4, dtype=np.int64), ("a",))
    correlation, which = nearest_correlations(shifted, train)
    assert which[:, 0].tolist() == [0, 1, 2, 3]
    assert correlation.min() > 0.99
