"""Each gate on images must refuse the failure it exists for at 500 images a class, and must not refuse real images."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from synthgen.config import EvaluationSize
from synthgen.datasets import ImageSet, class_rows
from synthgen.findings import Verdict
from synthgen.gates import judge, rules_for
from synthgen.metrics.evaluation import Evaluation, NotMeasurable, canonical
from synthgen.metrics.fidelity.class_agreement import class_agreement
from synthgen.metrics.fidelity.coverage import coverage, density
from synthgen.metrics.fidelity.diversity import intra_class_diversity
from synthgen.metrics.fidelity.frechet import frechet_ratio, frechet_ratio_random
from synthgen.metrics.fidelity.mode_coverage import mode_coverage
from synthgen.metrics.image_features import image_sets
from synthgen.metrics.image_judges import JUDGES, cross_fitted
from synthgen.metrics.privacy.image_membership import membership_tpr_at_1pct_fpr
from synthgen.metrics.privacy.near_copies import near_copies

SIZE = EvaluationSize(max_rows=5_000, utility_seeds=2, bootstrap_rounds=60)
IMAGES, HELD_OUT, KINDS = 500, 350, 5
JUDGED = [frechet_ratio, frechet_ratio_random, density, class_agreement, coverage, mode_coverage]
JUDGED += [intra_class_diversity, near_copies, membership_tpr_at_1pct_fpr]


def strokes(per_class: int, rng: np.random.Generator, *, kinds: int = KINDS) -> ImageSet:
    """12x12 images of two classes: bars from left to right and bars from top to bottom.

    Each class has five kinds, which lie in different places; every bar bends in its own way.
    """
    n = 2 * per_class
    codes = np.repeat([0, 1], per_class)
    kind = rng.integers(0, kinds, n)
    bend, turn = rng.normal(0, 1.2, (2, n, 1))
    along = np.linspace(-1, 1, 12)
    middle = 1.5 + 2.2 * kind[:, None] + 0.5 * rng.normal(size=(n, 1)) + bend * along**2 + turn * along
    light, width = rng.uniform(120, 230, (n, 1, 1)), rng.uniform(0.7, 1.2, (n, 1, 1))
    bars = light * np.exp(-(((np.arange(12)[:, None] - middle[:, None, :]) / width) ** 2))
    pixels = np.where(codes[:, None, None] == 0, bars, bars.transpose(0, 2, 1)) + rng.normal(0, 6, (n, 12, 12))
    return ImageSet(pixels.clip(0, 255).round().astype(np.uint8)[:, None], codes, ("lying", "standing"))


def fresh(train: ImageSet, rng: np.random.Generator) -> ImageSet:
    """An independent real sample."""
    return strokes(len(train) // 2, rng)


def without_a_kind(train: ImageSet, rng: np.random.Generator) -> ImageSet:
    """The lying bars lack one kind of five."""
    whole, part = fresh(train, rng), strokes(len(train) // 2, rng, kinds=KINDS - 1)
    return replace(whole, images=np.where(whole.codes[:, None, None, None] == 0, part.images, whole.images))


def with_wrong_labels(train: ImageSet, rng: np.random.Generator) -> ImageSet:
    """One label in ten is wrong."""
    images = fresh(train, rng)
    return replace(images, codes=np.where(rng.random(len(images)) < 0.1, 1 - images.codes, images.codes))


def one_image_repeated(train: ImageSet, rng: np.random.Generator) -> ImageSet:
    """All lying bars are one image."""
    images = fresh(train, rng)
    return images.take(np.where(images.codes == 0, class_rows(images, "lying")[0], np.arange(len(images))))


def planted(
    failure: Callable[[ImageSet, np.random.Generator], ImageSet], seed: int, *, images: int = IMAGES
) -> Evaluation:
    rng = np.random.default_rng(seed)
    train, holdout = strokes(images, rng), strokes(HELD_OUT, rng)
    return Evaluation(train, holdout, failure(train, rng), SIZE, seed=seed)


def verdict(metric: Callable[[Evaluation], object], evaluation: Evaluation) -> Verdict:
    """What the default rule says."""
    rule = next(rule for rule in rules_for("images", "share", profile="full") if rule.metric == metric.__name__)
    return judge([rule], [metric(evaluation)], [])[0].verdict


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("failure", "metric"),
    [
        (without_a_kind, mode_coverage),
        (with_wrong_labels, class_agreement),
        (one_image_repeated, intra_class_diversity),
    ],
)
def test_the_failure_is_refused(failure, metric, seed):
    assert verdict(metric, planted(failure, seed)) is Verdict.FAIL


def test_fresh_real_images_are_refused_by_no_gate():
    given = planted(fresh, 3)
    assert {
        metric.__name__: verdict(metric, given) for metric in JUDGED if verdict(metric, given) is Verdict.FAIL
    } == {}


def test_fewer_than_two_hundred_images_of_a_class_decide_nothing():
    given = planted(one_image_repeated, 4, images=150)
    assert verdict(intra_class_diversity, given) is Verdict.INCONCLUSIVE
    assert verdict(intra_class_diversity, planted(one_image_repeated, 4, images=200)) is Verdict.FAIL


def test_copies_are_named_beside_a_true_zero_and_a_known_leak():
    honest = membership_tpr_at_1pct_fpr(planted(fresh, 5))
    copied = membership_tpr_at_1pct_fpr(planted(lambda train, rng: train, 5))
    assert copied.low > 0.5
    assert honest.low <= 0.02
    for finding in (honest, copied):
        assert finding.detail["control_independent"] < 0.03 < finding.detail["control_leak"] < 0.15
        assert finding.reference < 0.04


def test_membership_needs_a_hundred_strangers():
    given = planted(fresh, 6)
    few = replace(given, holdout=given.holdout.take(np.arange(40)))
    with pytest.raises(NotMeasurable, match=r"40 different held-out images .* at least 100"):
        membership_tpr_at_1pct_fpr(few)


def test_a_kind_that_is_drawn_half_as_often_has_half_its_share():
    given = planted(fresh, 7, images=900)
    rare = strokes(400, np.random.default_rng(8), kinds=KINDS - 1)
    whole = strokes(400, np.random.default_rng(9))
    mixed = whole.take(np.concatenate([np.arange(len(whole)), np.arange(len(whole))]))
    mixed = replace(mixed, images=np.concatenate([whole.images, rare.images]))
    found = mode_coverage(replace(given, synthetic=mixed))
    assert found.value == pytest.approx(0.5, abs=0.12)
    assert found.low < 0.5 < found.high < found.reference


def test_the_kind_that_is_missing_is_shown_by_training_images_of_it():
    given = planted(without_a_kind, 12)
    found = mode_coverage(given)
    shown = canonical(given.train).take(np.array(found.detail["rarest_kind_train_positions"]["lying"]))
    bars = shown.images[:, 0].astype(float).sum(axis=2)  # [8, 12], light by row
    places = bars @ np.arange(12) / bars.sum(axis=1)
    assert (found.detail["worst_class"], set(shown.labels)) == ("lying", {"lying"})
    # The fifth kind of lying bars is the lowest one; the fourth lies at 8.
    assert len(places) == 8
    assert (places > 8.8).all()


@pytest.mark.parametrize("images", [40, 500])
def test_training_images_as_they_are_lack_no_kind(images):
    copied = mode_coverage(planted(lambda train, rng: train, 10, images=images))
    assert copied.low < 1 < copied.high


def test_a_class_without_any_difference_has_one_kind():
    given = planted(one_image_repeated, 11)
    same = one_image_repeated(given.train, np.random.default_rng(0))
    flat = mode_coverage(replace(given, train=same, holdout=same, synthetic=same))
    assert flat.detail["per_class"]["lying"]["value"] == 1


def test_judges_are_trained_once_and_each_leaves_out_a_third_of_every_class():
    given = planted(fresh, 8, images=200)
    judges = cross_fitted(given, image_sets(given))
    assert cross_fitted(given, image_sets(given)) is judges
    for images, part in ((given.train, judges.train), (given.holdout, judges.holdout)):
        assert np.bincount(part).min() >= len(images) // JUDGES - 2


def test_images_of_a_group_are_left_out_together():
    given = planted(fresh, 8, images=200)
    groups = np.arange(len(given.train)) // 4
    given = replace(given, train=replace(given.train, groups=groups.astype(str)))
    sets = image_sets(given)
    part = cross_fitted(given, sets).train
    assert all(len(set(part[sets.train.groups == group])) == 1 for group in np.unique(sets.train.groups))
