from dataclasses import replace

import numpy as np
import pytest

from synthgen.config import EVALUATION_SIZES
from synthgen.datasets import ImageSet, concat
from synthgen.findings import Verdict
from synthgen.gates import judge, rules_for
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.privacy.image_matching import nearest_correlations
from synthgen.metrics.privacy.near_copies import Bar, near_copies
from synthgen.sources.builtin import mnist_5k


@pytest.fixture(scope="module")
def mnist() -> dict[str, ImageSet]:
    images = mnist_5k().data
    assert isinstance(images, ImageSet)
    order = np.random.default_rng(0).permutation(len(images))
    return {
        "train": images.take(order[:1_000]),
        "holdout": images.take(order[1_000:1_600]),
        "fresh": images.take(order[1_600:2_200]),
    }


def changed(images: ImageSet, pixels: np.ndarray) -> ImageSet:
    return replace(images, images=np.clip(np.round(pixels), 0, 255).astype(np.uint8))


def shifted_with_noise(images: ImageSet) -> ImageSet:
    noise = np.random.default_rng(1).normal(0, 13, images.images.shape)
    return changed(images, np.roll(images.images, (1, -1), axis=(2, 3)) + noise)


PLANTED = {
    "as they are": lambda images: images,
    "shifted by 1 px with noise": shifted_with_noise,
    "shifted by 2 px": lambda images: changed(images, np.roll(images.images, (-2, 2), axis=(2, 3))),
    "mirrored": lambda images: changed(images, images.images[..., ::-1]),
    "with less contrast": lambda images: changed(images, images.images * 0.6 + 40),
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_copies_of_training_images_are_flagged(mnist, plant):
    copies = plant(mnist["train"].take(np.arange(200)))
    finding = near_copies(Evaluation(mnist["train"], mnist["holdout"], copies, EVALUATION_SIZES["quick"]))
    assert finding.value >= 0.95
    assert finding.threat_model
    rules = [rule for rule in rules_for("images", "share") if rule.metric == "near_copies"]
    assert judge(rules, [finding], [])[0].verdict is Verdict.FAIL


def test_fresh_real_images_are_hardly_ever_flagged(mnist):
    finding = near_copies(Evaluation(mnist["train"], mnist["holdout"], mnist["fresh"], EVALUATION_SIZES["quick"]))
    assert finding.value <= 0.02
    assert finding.low <= finding.value <= finding.high
    assert finding.reference == pytest.approx(0.01, abs=0.002)


def test_images_of_which_the_near_copies_were_dropped_pass(mnist):
    # As the flow drops them: by a threshold of other real images than those of the audit.
    valid, holdout = (mnist["holdout"].take(np.arange(first, 600, 2)) for first in (0, 1))
    flagged = Bar.of(valid, mnist["train"]).flags(mnist["fresh"])
    kept = mnist["fresh"].take(np.flatnonzero(~flagged))
    finding = near_copies(Evaluation(mnist["train"], holdout, kept, EVALUATION_SIZES["quick"]))
    rules = [rule for rule in rules_for("images", "share") if rule.metric == "near_copies"]
    assert judge(rules, [finding], [])[0].verdict is Verdict.PASS


def test_real_twins_do_not_raise_the_bar(mnist):
    bar = Bar.of(mnist["holdout"], mnist["train"])
    twins = shifted_with_noise(mnist["train"].take(np.arange(90)))
    with_twins = concat([mnist["holdout"], twins])
    assert isinstance(with_twins, ImageSet)
    twinned = Bar.of(with_twins, mnist["train"])
    assert twinned.height < bar.height + 1.5
    assert np.quantile(twinned.closeness(with_twins)[0], 0.99) > bar.height + 5


def test_copies_of_what_train_has_twice_are_flagged(mnist):
    twice = concat([mnist["train"], mnist["train"]])
    copies = shifted_with_noise(mnist["train"].take(np.arange(200)))
    finding = near_copies(Evaluation(twice, mnist["holdout"], copies, EVALUATION_SIZES["quick"]))
    assert finding.value >= 0.9


def test_copies_are_flagged_where_all_images_of_a_class_look_alike():
    # One face with faint folds: fresh ones correlate by .97 with the nearest, noisy copies hardly more.
    rng = np.random.default_rng(2)
    waves = np.cos(np.pi / 28 * np.outer(np.arange(1, 6), np.arange(28) + 0.5))
    folds = np.einsum("nij,ia,jb->nab", rng.normal(0, 6, (900, 5, 5)), waves, waves)
    face = 220 * np.exp(-(np.hypot(np.arange(28)[:, None] - 13.5, np.arange(28) - 13.5) ** 2) / 90)
    pixels = np.clip(face + folds, 0, 255).astype(np.uint8)[:, None]
    faces = ImageSet(pixels, np.zeros(900, dtype=np.int64), ("face",))
    train, holdout, fresh = (faces.take(np.arange(first, first + 300)) for first in (0, 300, 600))
    given = [
        Evaluation(train, holdout, images, EVALUATION_SIZES["quick"]) for images in (shifted_with_noise(train), fresh)
    ]
    copied, honest = map(near_copies, given)
    assert honest.value <= 0.03
    assert copied.detail["median_correlation_real"] > 0.95
    assert copied.value >= 0.95


def test_the_nearest_image_is_the_one_that_was_copied(mnist):
    copied = np.arange(50, 90)
    correlation, index = nearest_correlations(shifted_with_noise(mnist["train"].take(copied)), mnist["train"])
    assert index[:, 0].tolist() == copied.tolist()
    assert (correlation > 0.97).all()


def test_large_images_are_found_through_the_coarse_pass(mnist):
    enlarged = {
        name: replace(
            images, images=np.repeat(np.repeat(images.images[:150], 2, axis=2), 2, axis=3), codes=images.codes[:150]
        )
        for name, images in mnist.items()
    }
    copied = np.arange(20)
    correlation, index = nearest_correlations(shifted_with_noise(enlarged["train"].take(copied)), enlarged["train"])
    assert index[:, 0].tolist() == copied.tolist()
    assert (correlation > 0.97).all()
    assert np.median(nearest_correlations(enlarged["fresh"], enlarged["train"])[0]) < 0.9


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colour_and_sixteen_bits_are_compared_too(channels, dtype):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, np.iinfo(dtype).max, (6, channels, 12, 20)).astype(dtype)
    images = ImageSet(pixels, np.zeros(6, dtype=np.int64), ("a",))
    correlation, index = nearest_correlations(images, images)
    assert correlation == pytest.approx(1, abs=1e-4)
    assert index[:, 0].tolist() == list(range(6))


def test_images_without_contrast_correlate_with_nothing():
    flat = ImageSet(np.full((3, 1, 8, 8), 7, dtype=np.uint8), np.zeros(3, dtype=np.int64), ("a",))
    assert nearest_correlations(flat, flat)[0].tolist() == [[0], [0], [0]]


def test_no_image_to_look_at_gives_no_correlation(mnist):
    none = mnist["fresh"].take(np.arange(0))
    assert nearest_correlations(none, mnist["train"])[0].shape == (0, 1)
    assert nearest_correlations(mnist["fresh"], none)[0].shape == (600, 0)


def test_too_few_held_out_images_set_no_bar(mnist):
    few = mnist["holdout"].take(np.arange(40))
    with pytest.raises(NotMeasurable, match="50 held-out images, there are 40"):
        near_copies(Evaluation(mnist["train"], few, mnist["fresh"], EVALUATION_SIZES["quick"]))
