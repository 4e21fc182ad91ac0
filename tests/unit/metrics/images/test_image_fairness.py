"""Groups of images are counted as those of tables are: a lost one is refused, fresh real images are not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthgen.attributes import Attributes
from synthgen.config import EvaluationSize, ImageGanConfig
from synthgen.datasets import ImageSet, Schema, Table, concat
from synthgen.findings import Finding, Verdict
from synthgen.gates import judge, rules_for
from synthgen.metrics import measure
from synthgen.metrics.evaluation import Evaluation, NotApplicable, NotMeasurable
from synthgen.metrics.fairness.equalized_odds import equalized_odds_change
from synthgen.metrics.fairness.group_fidelity import group_fidelity_gap
from synthgen.metrics.fairness.label_rates import label_rate_shift
from synthgen.metrics.fairness.representation import representation_ratio
from synthgen.synthesizers.image_gan import ImageGan

SIZE = EvaluationSize(max_rows=2_000, utility_seeds=2, bootstrap_rounds=50)
METRICS = (representation_ratio, label_rate_shift)
SIDES = ("train", "holdout", "synthetic")


def scans(n: int, rng: np.random.Generator, *, protected: tuple[str, ...] = ("sex", "site")) -> ImageSet:
    """Independent images of one population; a third are of women, who are ill less often."""
    sex = (rng.random(n) < 0.65).astype(np.int64)  # 1 is a man
    site = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    codes = (rng.random(n) < 0.3 + 0.2 * sex).astype(np.int64)
    levels = {"sex": ("f", "m"), "site": ("north", "south", "west"), "side": ("left", "right")}
    attributes = Attributes(levels, np.column_stack([sex, site, rng.integers(0, 2, n)]), protected)
    pixels = rng.integers(0, 256, (n, 1, 8, 8), dtype=np.uint8)
    return ImageSet(pixels, codes, ("healthy", "ill"), attributes=attributes)


def evaluation(seed: int, *, train: int = 8_000, holdout: int = 2_000, synthetic: int = 8_000) -> Evaluation:
    """Fresh real images on every side."""
    rng = np.random.default_rng(seed)
    return Evaluation(*(scans(n, rng) for n in (train, holdout, synthetic)), SIZE, seed=seed)


def women_halved(images: ImageSet, rng: np.random.Generator) -> ImageSet:
    men = images.attributes.texts["sex"] == "m"
    return images.take(np.flatnonzero(men | (rng.random(len(images)) < 0.5)))


def west_lost(images: ImageSet, rng: np.random.Generator) -> ImageSet:
    return images.take(np.flatnonzero(images.attributes.texts["site"] != "west"))


def women_never_ill(images: ImageSet, rng: np.random.Generator) -> ImageSet:
    cured = (images.attributes.texts["sex"] == "f") & (rng.random(len(images)) < 0.8)
    return replace(images, codes=np.where(cured, 0, images.codes))


def spoiled(given: Evaluation, spoil) -> Evaluation:
    return replace(given, synthetic=spoil(given.synthetic, np.random.default_rng(given.seed)))


def verdict(finding: Finding) -> Verdict:
    """By the default rules of an augmentation."""
    [rule] = [rule for rule in rules_for("images", "augment") if rule.metric == finding.metric]
    assert rule.blocks
    [judgement] = judge([rule], [finding], [])
    return judgement.verdict


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("metric", "spoil", "group"),
    [
        (representation_ratio, women_halved, "f"),
        (representation_ratio, west_lost, "west"),
        (label_rate_shift, women_never_ill, "f"),
    ],
)
def test_a_lost_or_distorted_group_of_images_is_refused(seed, metric, spoil, group):
    finding = metric(spoiled(evaluation(seed), spoil))
    assert verdict(finding) == Verdict.FAIL
    assert group in finding.detail["worst_group"].split(": ")[1].split(" × ")


def test_the_label_rates_of_a_group_without_images_are_left_out():
    finding = label_rate_shift(spoiled(evaluation(0), west_lost))
    assert {"north", "south"} <= {item["group"] for item in finding.detail["groups"]}
    assert not [item for item in finding.detail["groups"] if "west" in item["group"]]


def test_fresh_real_images_are_never_refused_and_pass_when_there_are_enough():
    verdicts = [verdict(metric(evaluation(seed))) for seed in range(5) for metric in METRICS]
    assert Verdict.FAIL not in verdicts
    large = evaluation(5, train=40_000, synthetic=40_000)
    assert [verdict(metric(large)) for metric in METRICS] == [Verdict.PASS] * 2


def west_smeared(images: ImageSet, rng: np.random.Generator) -> ImageSet:
    west = images.attributes.texts["site"] == "west"
    pixels = images.images.copy()
    pixels[west] = (pixels[west] // 2 + pixels[west][..., ::-1] // 2).astype(np.uint8)
    return replace(images, images=pixels)


def test_a_group_whose_images_are_smeared_is_found():
    given = evaluation(11, train=800, holdout=800, synthetic=800)
    smeared, fresh = group_fidelity_gap(spoiled(given, west_smeared)), group_fidelity_gap(given)
    assert smeared.low > 0.1
    assert smeared.detail["worst_group"].split(": ")[1].split(" × ")[-1] == "west"
    assert fresh.low < 0.02
    assert smeared.reference == fresh.reference


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("spoil", [lambda images, rng: images, women_halved, women_never_ill])
def test_images_and_rows_of_the_same_people_give_the_same_finding(metric, spoil):
    given = spoiled(evaluation(6, train=900, holdout=400, synthetic=900), spoil)
    assert metric(given) == metric(replace(given, **{side: rows(getattr(given, side)) for side in SIDES}))


def rows(images: ImageSet) -> Table:
    """A table of what is known of the images."""
    frame = pd.DataFrame({**images.attributes.texts, "state": images.labels}).astype(str)
    return Table(frame, Schema(dict.fromkeys(frame, "categorical"), "state", protected=("sex", "site")))


def test_groups_of_few_images_are_listed_and_those_of_one_attribute_only():
    given = evaluation(7)
    codes = given.train.attributes.codes.copy()
    codes[:30, 1] = 3
    levels = {**given.train.attributes.levels, "site": ("north", "south", "west", "island")}
    attributes = Attributes(levels, codes, protected=("site",))
    finding = representation_ratio(replace(given, train=replace(given.train, attributes=attributes)))
    assert finding.detail["not_measurable"] == [{"columns": "site", "group": "island", "real": 30}]
    assert {item["columns"] for item in finding.detail["groups"]} == {"site"}


@pytest.mark.parametrize("metric", [*METRICS, group_fidelity_gap])
def test_nothing_is_measured_where_no_attribute_is_protected_or_the_images_of_a_side_carry_none(metric):
    given = evaluation(8, train=300, holdout=100, synthetic=300)
    for undeclared in (None, replace(given.train.attributes, protected=())):
        with pytest.raises(NotApplicable, match=r"no protected attribute was declared \(source.protected,"):
            metric(replace(given, train=replace(given.train, attributes=undeclared)))
    with pytest.raises(NotApplicable, match=r"the synthetic images carry no 'sex'; image-gan .* conditioning"):
        metric(replace(given, synthetic=replace(given.synthetic, attributes=None)))
    for on_holdout in (metric, equalized_odds_change):
        with pytest.raises(NotMeasurable, match=r"the holdout images carry no 'sex', so groups cannot") as raised:
            on_holdout(replace(given, holdout=replace(given.holdout, attributes=None)))
        assert not isinstance(raised.value, NotApplicable)
    with pytest.raises(NotMeasurable, match="no group of a protected column has 50 training rows"):
        metric(replace(given, train=given.train.take(np.arange(40))))


def test_without_a_declared_group_no_rule_judges_images():
    bare = [replace(scans(8, np.random.default_rng(0)), attributes=None) for _ in SIDES]
    findings, missing = measure(Evaluation(*bare, SIZE), "images")
    names = {judgement.metric for judgement in judge(rules_for("images", "augment"), findings, missing)}
    assert "augmentation_gain" in names
    assert not names & {"representation_ratio", "label_rate_shift", "equalized_odds_change"}


def test_images_of_a_model_that_was_told_attributes_keep_every_group():
    settings = {"budget_steps": 2, "batch_size": 8, "width": 4, "latent": 4, "conditioning": "attributes"}
    rng = np.random.default_rng(9)
    train, holdout = (scans(n, rng, protected=("sex",)) for n in (1_500, 500))
    gan = ImageGan(ImageGanConfig(kind="image-gan", **settings)).fit(train, holdout, rng)
    given = Evaluation(train, holdout, gan.sample(3_000, None, rng), SIZE)
    assert verdict(representation_ratio(given)) == Verdict.PASS
    assert label_rate_shift(given).value < 0.1
    assert verdict(representation_ratio(spoiled(given, women_halved))) == Verdict.FAIL


def test_what_is_protected_stays_with_the_images(tmp_path):
    images = scans(20, np.random.default_rng(10))
    images.save(tmp_path)
    parts = [ImageSet.load(tmp_path), images.take(np.arange(5)), concat([images, replace(images, attributes=None)])]
    assert [part.attributes.protected for part in parts] == [("sex", "site")] * 3
    assert "protected" not in scans(2, np.random.default_rng(0), protected=()).attributes.state()
