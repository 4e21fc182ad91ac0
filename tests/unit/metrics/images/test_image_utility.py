from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from synthgen.datasets import class_rows
from synthgen.metrics import augmented_images
from synthgen.metrics.image_augmentation import classic_augmentation
from synthgen.metrics.image_classifier import Recipe, build_network, fit_classifier, in_parallel, pixels
from synthgen.metrics.utility import images as utility


@pytest.fixture(scope="module")
def thin(evaluate, digits):
    """Three digits have 8 training images each; fresh real images of them play the synthetic ones."""
    train, fresh, rare = digits["train"], digits["fresh"], ("3", "5", "8")
    kept = [class_rows(train, name)[: 8 if name in rare else None] for name in train.classes]
    added = np.concatenate([class_rows(fresh, name) for name in rare])
    return evaluate(fresh.take(added), train=train.take(np.concatenate(kept)))


def test_real_images_of_rare_classes_help_and_every_arm_is_told(thin):
    finding = utility.augmentation_gain(thin)
    assert finding.low <= finding.value <= finding.high
    assert finding.value > 0.02
    assert set(finding.detail["arms"]) == {"real", "synthetic", "synthetic+classic", *utility.CONTROLS}
    assert finding.detail["best_control"] in utility.CONTROLS
    assert finding.value == pytest.approx(finding.detail["arms"]["synthetic"] - finding.detail["arms"]["real"])


def test_images_with_wrong_labels_do_harm(thin):
    synthetic = thin.synthetic
    shuffled = replace(synthetic, codes=(synthetic.codes + 1) % 10)
    finding = utility.augmentation_gain(replace(thin, synthetic=shuffled))
    assert finding.value < finding.detail["gains"]["duplicated"]["value"]


def test_the_same_seed_gives_the_same_gain(thin, monkeypatch):
    monkeypatch.setattr(augmented_images, "RECIPE", Recipe(steps=10))
    assert utility.augmentation_gain(replace(thin)) == utility.augmentation_gain(replace(thin))


def test_balanced_accuracy_equals_scikit_learn():
    rng = np.random.default_rng(0)
    codes, guesses = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    ours = utility._balanced((guesses == codes)[None], codes)
    assert ours[0] == pytest.approx(balanced_accuracy_score(codes, guesses))


def test_two_classifiers_that_are_always_right_are_not_certainly_alike():
    codes = np.repeat([0, 1, 2], [30, 60, 20])
    right = np.ones((5, len(codes)), dtype=bool)
    gain = utility.paired_gain(right, right, codes)
    assert gain["value"] == 0
    assert -0.1 < gain["low"] < -0.01
    assert 0.01 < gain["high"] < 0.1


def test_duplicates_have_the_class_counts_of_the_synthetic_images(thin):
    again = augmented_images.drawn_again(thin.train, thin.synthetic, np.random.default_rng(0))
    counts = np.bincount(thin.train.take(np.zeros(0, dtype=np.int64)).codes, minlength=10)
    drawn = thin.train.codes[again]
    assert (
        np.bincount(drawn, minlength=10).tolist() == (counts + np.bincount(thin.synthetic.codes, minlength=10)).tolist()
    )


@pytest.mark.parametrize("size", [(1, 8, 8), (3, 28, 28), (1, 17, 40), (3, 128, 128), (1, 5, 9)])
def test_a_network_fits_any_size(size):
    images = torch.zeros(4, *size)
    network = build_network(images, 3, torch.Generator().manual_seed(0)).eval()
    assert network.features(images).shape == (4, 64)
    assert network(images).shape == (4, 3)


def test_training_is_the_same_in_parallel_and_alone(digits):
    images, codes = pixels(digits["train"], at_most_px={2: 64}), torch.from_numpy(digits["train"].codes)

    def train() -> torch.Tensor:
        generator = torch.Generator().manual_seed(3)
        return fit_classifier(images, codes, 10, generator, recipe=Recipe(steps=15)).head.weight.detach()

    threads = torch.get_num_threads()
    first, second = in_parallel([train, train])
    assert torch.equal(first, second)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pixels_run_from_minus_one_to_one_and_large_images_shrink(digits, dtype):
    top = np.iinfo(dtype).max
    half = np.zeros((2, 1, 16, 32), dtype=dtype)
    half[:, :, :, 16:] = top
    shrunk = pixels(replace(digits["train"], images=half, codes=np.zeros(2, dtype=np.int64)), at_most_px={2: 8})
    assert shrunk.shape == (2, 1, 4, 8)
    assert shrunk[0, 0, 0].tolist() == [-1, -1, -1, -1, 1, 1, 1, 1]


def test_classic_augmentation_changes_every_image_a_little_and_mirrors_only_when_allowed():
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(200, 1, 16, 16) - 1
    images[:, :, :, :4] = 1  # bright on the left
    moved = classic_augmentation(images, generator, mirror=False)
    assert moved.shape == images.shape
    assert (moved != images).flatten(1).any(1).all()
    assert (moved[..., :8].mean((1, 2, 3)) > moved[..., 8:].mean((1, 2, 3))).all()
    mirrored = classic_augmentation(images, generator, mirror=True)
    share = (mirrored[..., :8].mean((1, 2, 3)) < mirrored[..., 8:].mean((1, 2, 3))).float().mean()
    assert 0.35 < share < 0.65


def test_each_control_is_compared_with_the_arm_that_goes_beside_it(thin):
    gains, over = utility.augmentation_gain(thin).detail, utility.gain_over_controls(thin)
    arms = gains["arms"]
    expected = {
        "duplicated": arms["synthetic"] - arms["duplicated"], "classic": arms["synthetic+classic"] - arms["classic"],
        "class weights": arms["synthetic"] - arms["class weights"],
    }  # fmt: skip
    assert {name: gain["value"] for name, gain in over.detail["over"].items()} == pytest.approx(expected)
    assert over.value == pytest.approx(min(expected.values()))
    assert over.low <= over.value <= over.high
