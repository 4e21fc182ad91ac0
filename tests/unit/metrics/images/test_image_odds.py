"""Images that teach a classifier to overlook the ill of one group are refused, fresh real images are not."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from synthgen.attributes import Attributes
from synthgen.config import EvaluationSize
from synthgen.datasets import ImageSet
from synthgen.findings import Finding, Verdict
from synthgen.gates import judge, rules_for
from synthgen.metrics import augmented_images
from synthgen.metrics.evaluation import Evaluation, NotApplicable, NotMeasurable
from synthgen.metrics.fairness.equalized_odds import equalized_odds_change
from synthgen.metrics.image_classifier import Recipe
from synthgen.metrics.image_features import image_sets

# Two seeds leave one degree of freedom: now and then an interval without end.
SIZE = EvaluationSize(max_rows=2_000, utility_seeds=3, bootstrap_rounds=50)


@pytest.fixture(autouse=True, scope="module")
def _shorter_trainings(_short_trainings):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augmented_images, "RECIPE", Recipe(width=8, steps=20, batch_size=32))
        yield


def scans(n: int, rng: np.random.Generator) -> ImageSet:
    """Independent images of one population: a band shows the sex, a spot of any strength the illness."""
    sex, codes = (rng.random((2, n)) < [[0.6], [0.4]]).astype(np.int64)  # 1 is a man, or ill
    pixels = rng.normal(80, 30, (n, 1, 8, 8))
    pixels[:, 0, :2] += 120 * sex[:, None, None]
    pixels[:, 0, 4:7, 2:6] += (codes * rng.normal(60, 20, n))[:, None, None]
    attributes = Attributes({"sex": ("f", "m")}, sex[:, None], protected=("sex",))
    return ImageSet(pixels.clip(0, 255).astype(np.uint8), codes, ("healthy", "ill"), attributes=attributes)


@cache
def fresh() -> Evaluation:
    """Real images on every side."""
    rng = np.random.default_rng(0)
    train, holdout, synthetic = (scans(n, rng) for n in (300, 700, 900))
    return Evaluation(train, holdout, synthetic, SIZE)


def women_never_ill(images: ImageSet) -> ImageSet:
    return replace(images, codes=np.where(images.attributes.texts["sex"] == "f", 0, images.codes))


def verdict(finding: Finding) -> Verdict:
    """By the default rules of an augmentation."""
    [rule] = [rule for rule in rules_for("images", "augment") if rule.metric == finding.metric]
    assert rule.blocks
    [judgement] = judge([rule], [finding], [])
    return judgement.verdict


@cache
def found() -> Finding:
    """What fresh real images change."""
    return equalized_odds_change(fresh())


def test_images_that_teach_a_classifier_to_overlook_a_group_are_refused_though_they_carry_no_attribute():
    spoiled = women_never_ill(fresh().synthetic)
    finding = equalized_odds_change(replace(fresh(), synthetic=replace(spoiled, attributes=None)))
    assert verdict(finding) == Verdict.FAIL
    assert finding.value > 0.2
    assert finding.detail["worst_group"] == "sex"
    assert finding.detail["against_real"] > 0.2


def test_fresh_real_images_are_not_refused():
    assert verdict(found()) != Verdict.FAIL
    assert abs(found().value) < 0.1
    assert found().n == 700


def test_its_gaps_are_those_of_the_classifiers_of_the_gain():
    holdout, predicted = image_sets(fresh()).holdout, augmented_images.augmented_images(fresh())
    assert predicted is augmented_images.augmented_images(fresh())
    women, ill = holdout.attributes.codes[:, 0] == 0, holdout.codes == 1
    [line] = found().detail["groupings"]
    for arm in ("real", "duplicated", "synthetic"):
        called_ill = predicted[arm] == 1
        gaps = [
            np.abs(called_ill[:, women & side].mean(axis=1) - called_ill[:, ~women & side].mean(axis=1))
            for side in (ill, ~ill)
        ]
        assert line[arm] == pytest.approx(np.max(gaps, axis=0).mean())


@pytest.mark.parametrize("protected", [None, ()])
def test_without_a_protected_attribute_nothing_is_trained(protected):
    train = fresh().train
    attributes = None if protected is None else replace(train.attributes, protected=protected)
    given = replace(fresh(), train=replace(train, attributes=attributes))
    with pytest.raises(NotApplicable, match=r"no protected attribute was declared \(source.protected,"):
        equalized_odds_change(given)
    assert given not in augmented_images._TRAINED


def test_images_of_one_class_have_no_odds():
    healthy = [replace(scans(200, np.random.default_rng(0)), codes=np.zeros(200, dtype=np.int64)) for _ in range(3)]
    given = Evaluation(*(replace(part, classes=("healthy",)) for part in healthy), SIZE)
    with pytest.raises(NotApplicable, match="all images are of one class"):
        equalized_odds_change(given)


@pytest.mark.parametrize(
    ("held_out", "reason"),
    [(150, "no two groups have 50 held-out rows of one class"), (40, "50 held-out images, there are 40")],
)
def test_groups_of_few_held_out_images_are_not_measurable(held_out, reason, monkeypatch):
    monkeypatch.setattr(augmented_images, "RECIPE", Recipe(steps=1))
    given = replace(fresh(), holdout=fresh().holdout.take(np.arange(held_out)))
    with pytest.raises(NotMeasurable, match=reason):
        equalized_odds_change(given)
