from dataclasses import replace

import numpy as np
import pytest

from synthgen.datasets import ImageSet, class_rows
from synthgen.metrics.evaluation import NotMeasurable
from synthgen.metrics.fidelity.class_agreement import class_agreement
from synthgen.metrics.fidelity.coverage import coverage, density
from synthgen.metrics.fidelity.diversity import intra_class_diversity
from synthgen.metrics.fidelity.frechet import frechet_ratio, frechet_ratio_random
from synthgen.metrics.fidelity.inception import inception_score, score_of
from synthgen.metrics.fidelity.kid import kid, squared_discrepancy
from synthgen.metrics.image_features import ClassRows, image_view
from synthgen.metrics.image_judges import JUDGES, dealt

FRECHET = (frechet_ratio, frechet_ratio_random)
METRICS = [*FRECHET, kid, coverage, density, intra_class_diversity]
# How far fresh real images may lie from the reference with 9 images on each side.
NOISE = {frechet_ratio: 1.5, frechet_ratio_random: 1.5, kid: 1.0, density: 0.5}


def one_image_repeated(images: ImageSet) -> ImageSet:
    first = {code: np.flatnonzero(images.codes == code)[0] for code in np.unique(images.codes)}
    return images.take(np.array([first[code] for code in images.codes], dtype=np.int64))


def with_wrong_labels(images: ImageSet, share: float) -> ImageSet:
    rng = np.random.default_rng(0)
    wrong = rng.random(len(images)) < share
    return replace(images, codes=np.where(wrong, rng.permutation(images.codes), images.codes))


def few_of_the_modes(images: ImageSet) -> ImageSet:
    """Of each class the third at one end of its first principal axis, each image three times."""
    kept = []
    for name in images.classes:
        rows = class_rows(images, name)
        flat = images.images[rows].reshape(len(rows), -1).astype(float)
        flat -= flat.mean(axis=0)
        side = flat @ np.linalg.svd(flat, full_matrices=False)[2][0]
        kept.append(np.repeat(rows[side > np.quantile(side, 2 / 3)], 3))
    return images.take(np.concatenate(kept))


@pytest.fixture(scope="module")
def fresh(evaluate, digits):
    return evaluate(digits["fresh"])


@pytest.fixture(scope="module")
def repeated(evaluate, digits):
    return evaluate(one_image_repeated(digits["fresh"]))


@pytest.mark.parametrize("metric", METRICS)
def test_fresh_real_images_score_like_the_reference(metric, fresh):
    finding = metric(fresh)
    assert finding.low <= finding.value <= finding.high
    assert finding.low < finding.reference + 0.1
    assert finding.high > finding.reference - 0.1
    assert finding.value == pytest.approx(finding.reference, abs=NOISE.get(metric, 0.25))


@pytest.mark.parametrize("metric", METRICS)
def test_one_image_repeated_is_far_from_real(metric, fresh, repeated):
    good, bad = metric(fresh), metric(repeated)
    assert bad.high < good.low if good.higher_is_better else bad.low > good.high


def test_coverage_sees_lost_modes_that_distances_within_a_class_may_not(evaluate, digits, fresh):
    finding = coverage(evaluate(few_of_the_modes(digits["fresh"])))
    assert finding.high < coverage(fresh).low
    assert finding.high < 0.8 * finding.reference


def test_the_inception_score_rewards_clear_classes_and_cannot_see_one_image_repeated(fresh, repeated, evaluate, digits):
    grey = replace(digits["fresh"], images=np.full_like(digits["fresh"].images, 90))
    assert inception_score(evaluate(grey)).high < inception_score(fresh).low
    assert inception_score(repeated).value > 0.8 * inception_score(repeated).reference


@pytest.mark.parametrize(
    ("chances", "score"),
    [
        (np.eye(4), 4.0),
        (np.full((5, 3), 1 / 3), 1.0),
        (np.repeat([[1.0, 0.0]], 6, axis=0), 1.0),
        (np.eye(2)[[0] * 3 + [1]], 1.7547654),
    ],
)
def test_inception_score_of_known_probabilities(chances, score):
    assert score_of(chances) == pytest.approx(score)


def test_squared_discrepancy_equals_the_double_loop():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(7, 3)), rng.normal(0.5, 1, size=(5, 3))

    def kernel(x, y):
        return (x @ y / 3 + 1) ** 3

    def within(side):
        pairs = [kernel(x, y) for i, x in enumerate(side) for j, y in enumerate(side) if i != j]
        return np.mean(pairs)

    between = np.mean([kernel(x, y) for x in first for y in second])
    assert squared_discrepancy(first, second) == pytest.approx(within(first) + within(second) - 2 * between)


def test_wrong_labels_lower_agreement_below_the_rule_and_fresh_images_stay_near_zero(evaluate, digits):
    right = class_agreement(evaluate(digits["fresh"]))
    wrong = class_agreement(evaluate(with_wrong_labels(digits["fresh"], 0.4)))
    assert right.detail["mean_difference"] == pytest.approx(0, abs=0.03)
    assert right.high > -0.02
    assert wrong.high < -0.02
    assert wrong.detail["mean_difference"] == pytest.approx(-0.36, abs=0.08)


def test_agreement_is_judged_only_where_there_are_synthetic_images(evaluate, digits):
    rare = digits["fresh"].take(np.flatnonzero(np.isin(digits["fresh"].codes, (3, 8))))
    finding = class_agreement(evaluate(rare))
    assert set(finding.detail["per_class"]) == {"3", "8"}


def test_a_class_with_few_held_out_images_is_judged_beside_those_of_train(evaluate, digits):
    holdout, fresh = digits["holdout"], digits["fresh"]
    rare = holdout.take(np.concatenate([np.flatnonzero(holdout.codes != 3), class_rows(holdout, "3")[:9]]))
    as_threes = replace(fresh, codes=np.where(fresh.codes == 8, 3, fresh.codes))
    eights = as_threes.take(class_rows(fresh, "8"))
    finding = class_agreement(evaluate(eights, holdout=rare))
    assert (finding.detail["worst_class"], finding.detail["too_few"]) == ("3", [])
    assert finding.high < -0.5
    few = np.concatenate([class_rows(fresh, "2"), class_rows(fresh, "3")[:5]])
    assert class_agreement(evaluate(fresh.take(few))).detail["too_few"] == ["3"]


@pytest.mark.parametrize("groups", [1, 2, 3, 50])
def test_every_judge_sees_every_class_though_groups_stay_together(digits, groups):
    images = replace(digits["train"], groups=np.array([f"g{code % groups}" for code in digits["train"].codes]))
    parts = dealt(images, np.random.default_rng(0))
    for own in range(JUDGES):
        assert set(images.codes[parts != own]) == set(images.codes)
    by_image = replace(images, groups=np.array([f"g{row % 50}" for row in range(len(images))]))
    together = dealt(by_image, np.random.default_rng(0))
    assert all(len(np.unique(together[by_image.groups == name])) == 1 for name in np.unique(by_image.groups))


def test_the_same_seed_gives_the_same_finding_whatever_the_order_of_the_rows(evaluate, digits, fresh):
    backwards = digits["fresh"].take(np.arange(len(digits["fresh"]))[::-1].copy())
    assert frechet_ratio(evaluate(backwards)) == frechet_ratio(fresh)


def test_features_are_computed_once_per_evaluation(fresh):
    assert image_view(fresh) is image_view(fresh)


def test_classes_with_too_few_images_are_named_and_without_any_other_nothing_is_measured(evaluate, digits):
    fresh = digits["fresh"]
    few = class_rows(fresh, "1")[:5]
    with pytest.raises(NotMeasurable, match="no class has 20"):
        image_view(evaluate(fresh.take(few)))
    view = image_view(evaluate(fresh.take(np.concatenate([few, class_rows(fresh, "2")]))))
    assert [rows.name for rows in view.classes] == ["2"]
    assert view.notes == {"too_few": ["1"], "fewest_images": 5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: replace(images, images=images.images[:, :, :6]), "differ in size"),
        (lambda images: replace(images, classes=(*images.classes[:-1], "ten")), "class that train does not know"),
        (lambda images: images.take(np.arange(0)), "no images"),
    ],
)
def test_images_that_cannot_be_compared_say_why(evaluate, digits, change, message):
    with pytest.raises(NotMeasurable, match=message):
        image_view(evaluate(change(digits["fresh"])))


def test_halves_of_the_real_images_never_overlap():
    rows = ClassRows("a", np.arange(30), np.arange(100, 121), np.arange(50))
    for synthetic, real, control in rows.halves(20, np.random.default_rng(0)):
        assert len(synthetic) == len(real) == len(control) == rows.half == 10
        assert not set(real) & set(control)
        assert set(real) | set(control) <= set(range(100, 121))


def test_the_global_random_state_is_left_alone(evaluate, digits):
    import torch

    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - it is what must not change
    image_view(evaluate(digits["fresh"], seed=1))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
