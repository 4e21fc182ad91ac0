from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from synthgen.attributes import Attributes, joined
from synthgen.config import ImageGanConfig, ImageSource
from synthgen.config_reading import parse_config
from synthgen.datasets import ImageSet, concat
from synthgen.errors import ConfigError, DataError, ModelError
from synthgen.exporters.images import read_npz, write_folder, write_npz
from synthgen.exporters.parts import Part
from synthgen.sources import read
from synthgen.synthesizers import create, load_synthesizer
from synthgen.synthesizers.image_gan import ImageGan
from synthgen.synthesizers.model_files import read_model

BRIGHTNESS = {"north": 50, "south": 200}


def config(**changes):
    small = {"budget_steps": 6, "batch_size": 8, "width": 4, "latent": 4, "conditioning": "attributes"}
    return ImageGanConfig(kind="image-gan", **{**small, **changes})


def images(n=120, shape=(1, 8, 8)):
    """The site decides the brightness; three in four of class b are from the south, all of those are left."""
    rng = np.random.default_rng(0)
    codes = np.arange(n) % 2
    site = np.where(rng.random(n) < np.where(codes == 0, 0.5, 0.25), "north", "south")
    side = np.where(codes == 0, rng.choice(["left", "right"], n), np.where(site == "south", "left", "right"))
    level = np.vectorize(BRIGHTNESS.get)(site).reshape(-1, *[1] * len(shape))
    pixels = np.clip(rng.normal(level, 12, (n, *shape)), 0, 255).astype(np.uint8)
    attributes = Attributes.of({"site": site.tolist(), "side": side.tolist()})
    return ImageSet(pixels, codes, ("a", "b"), attributes=attributes)


def fitted(settings, data=None, checkpoint=None):
    data = images() if data is None else data
    return ImageGan(settings).fit(data, data.take(np.arange(12)), np.random.default_rng(0), checkpoint=checkpoint)


def drawn(gan, n=40, labels=None, **where):
    return gan.sample_where(n, labels, where, np.random.default_rng(1))


@pytest.fixture(scope="module")
def learned():
    return fitted(config(budget_steps=150, width=8))


def test_images_follow_the_attribute_that_is_asked_for(learned):
    means = {site: drawn(learned, 60, np.array(["a"] * 60), site=site).images.mean() for site in BRIGHTNESS}
    assert means["south"] > means["north"] + 80


def test_without_being_asked_levels_come_as_often_together_as_in_the_class(learned):
    sample = learned.sample(4000, np.repeat(["a", "b"], 2000), np.random.default_rng(0))
    real = images()
    for code in (0, 1):
        shares = [
            pd.DataFrame(part.take(np.flatnonzero(part.codes == code)).attributes.texts).value_counts(normalize=True)
            for part in (real, sample)
        ]
        assert set(shares[1].index) == set(shares[0].index)
        assert (shares[0] - shares[1]).abs().max() < 0.04


def test_the_discriminator_minds_the_attribute(learned):
    real = images()
    turned = {"site": np.where(real.attributes.texts["site"] == "north", "south", "north").tolist()}
    other = ImageSet(
        real.images, real.codes, real.classes,
        attributes=Attributes.of({**real.attributes.texts, **turned}, real.attributes.levels),
    )  # fmt: skip
    assert learned.realism(real).mean() > learned.realism(other).mean() + 0.5


@pytest.mark.parametrize("space", ["pixels", "latent"])
def test_a_model_told_attributes_is_saved_resumed_and_drawn_from_alike(tmp_path, space):
    data = images(40, (1, 16, 16))
    gan = fitted(config(space=space), data, tmp_path / "checkpoint")
    gan.save(tmp_path / "model")
    loaded = load_synthesizer(tmp_path / "model")
    assert drawn(loaded).fingerprint() == drawn(gan).fingerprint()
    assert loaded.realism(data) == pytest.approx(gan.realism(data), abs=1e-4)
    again = fitted(config(space=space), data, tmp_path / "checkpoint")
    assert drawn(again).fingerprint() == drawn(gan).fingerprint()


@pytest.mark.parametrize(
    ("where", "labels", "says"),
    [
        ({"sight": "north"}, None, "attribute 'sight' is not known.*'site'"),
        ({"site": "nord"}, None, "'nord'.*north"),
        ({"site": "south", "side": "right"}, ["b"] * 40, "no training image of class 'b' had site=south, side=right"),
    ],
)
def test_what_was_not_learned_is_refused(learned, where, labels, says):
    with pytest.raises(ModelError, match=says):
        drawn(learned, 40, None if labels is None else np.array(labels), **where)


def test_a_model_that_was_told_none_takes_no_where():
    gan = fitted(config(conditioning="class"))
    assert gan.sample(4, None, np.random.default_rng(0)).attributes is None
    with pytest.raises(ModelError, match="told no attributes"):
        drawn(gan, site="north")


def test_images_without_attributes_are_refused_before_training():
    data = images()
    with pytest.raises(ConfigError, match="nothing is known beside the class"):
        ImageGan(config()).check(ImageSet(data.images, data.codes, data.classes))


def test_a_model_of_other_levels_is_no_start(tmp_path):
    fitted(config(budget_steps=1)).save(tmp_path)
    data = images()
    renamed = Attributes({**data.attributes.levels, "site": ("east", "west")}, data.attributes.codes)
    with pytest.raises(ConfigError, match=r"has attributes .*north.* this run has .*east"):
        ImageGan(config(init_from=str(tmp_path))).check(
            ImageSet(data.images, data.codes, data.classes, attributes=renamed)
        )


def test_attributes_stay_with_their_images(tmp_path):
    data = images(20)
    assert data.take(np.array([3, 1])).attributes.texts["site"].tolist() == [
        data.attributes.texts["site"][row] for row in (3, 1)
    ]
    data.save(tmp_path)
    assert ImageSet.load(tmp_path).fingerprint() == data.fingerprint()
    bare = ImageSet(data.images, data.codes, data.classes)
    assert bare.fingerprint() != data.fingerprint()
    both = concat([data, bare])
    assert both.attributes.texts["site"].tolist() == [*data.attributes.texts["site"].tolist(), *[""] * 20]
    assert concat([bare, bare]).attributes is None
    assert joined([(None, 2), (data.attributes, 20)]).codes.shape == (22, 2)


def test_a_model_told_attributes_of_other_names_is_no_start(tmp_path):
    data = images(20)
    earlier = fitted(config(budget_steps=1), data)
    earlier.save(tmp_path)
    levels = dict(zip(["ward", "side"], data.attributes.levels.values(), strict=True))
    renamed = replace(data, attributes=Attributes(levels, data.attributes.codes))
    with pytest.raises(ConfigError, match=r"has attributes \(\('site', .*this run has \(\('ward', "):
        create(config(init_from=str(tmp_path)), renamed)
    create(config(init_from=str(tmp_path)), data)
    warm = ImageGan(config(budget_steps=1, warm_start=True))
    warm.begin_from(earlier)
    warm.fit(renamed, renamed, np.random.default_rng(0)).save(tmp_path / "warm")
    assert read_model(tmp_path / "warm")[0]["start"] == "cold: the earlier model has another attributes"


@pytest.mark.parametrize("write", [write_folder, write_npz])
def test_emitted_images_carry_them(tmp_path, write):
    data = images(12)
    bare = ImageSet(data.images, data.codes, data.classes)
    part = Part("train", concat([data, bare]), np.arange(24) >= 12, "run")
    write([part], tmp_path)
    index = pd.read_parquet(tmp_path / "index.parquet") if write is write_folder else read_npz(tmp_path, "train")[1]
    assert index["site"][:12].tolist() == data.attributes.texts["site"].tolist()
    assert index["side"][12:].isna().all()


def manifest(folder, **columns):
    rng = np.random.default_rng(0)
    for row in range(40):
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{row}.png")
    frame = pd.DataFrame({"path": [f"{row}.png" for row in range(40)], "label": ["a", "b"] * 20, **columns})
    frame.to_csv(folder / "images.csv", index=False)
    return folder / "images.csv"


def test_a_manifest_names_them(tmp_path):
    path = manifest(tmp_path, site=["x", "y"] * 20, age=[30, 40, 50, 60] * 10)
    source = ImageSource(kind="images", path=str(path), attributes=("age", "site"), protected=("site",))
    data = read(source, seed=0).data
    assert data.attributes.levels == {"age": ("30", "40", "50", "60"), "site": ("x", "y")}
    assert data.attributes.texts["age"][:5].tolist() == ["30", "40", "50", "60", "30"]
    assert data.attributes.protected == ("site",)


@pytest.mark.parametrize(
    ("columns", "asked", "says"),
    [
        ({"site": ["x"] * 40}, "sight", "'sight'.*'site'"),
        ({"site": ["x", None] * 20}, "site", "missing in 20 of 40"),
        ({"site": [f"s{row}" for row in range(40)] }, "site", "has 40 values"),
    ],
    ids=["unknown", "missing", "too many"],
)  # fmt: skip
def test_columns_that_cannot_be_attributes_are_refused(tmp_path, monkeypatch, columns, asked, says):
    monkeypatch.setattr("synthgen.sources.layouts.MOST_LEVELS", 39)
    path = manifest(tmp_path, **columns)
    with pytest.raises(DataError, match=says):
        read(ImageSource(kind="images", path=str(path), attributes=(asked,)), seed=0)


def test_folders_have_no_attributes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / "1.png")
    with pytest.raises(ConfigError, match=r"source\.attributes is 'site', but only a manifest has columns"):
        read(ImageSource(kind="images", path=str(tmp_path), attributes=("site",)), seed=0)


@pytest.mark.parametrize(("names", "says"), [(["site", "site"], "more than once"), (["label"], "has a column 'label'")])
def test_names_that_clash_are_refused(names, says):
    source = {"kind": "images", "path": "x.csv", "label": "diagnosis", "attributes": names}
    with pytest.raises(ConfigError, match=says):
        parse_config({"name": "x", "source": source})


@pytest.mark.parametrize(
    ("attributes", "protected", "says"),
    [
        (
            ["site", "sex"],
            ["sx"],
            r"source\.protected: attribute 'sx' is not known .*'site', 'sex'.*did you mean 'sex'",
        ),
        ([], ["sex"], r"source\.protected: 'sex' is no attribute: source\.attributes names none"),
    ],
)
def test_only_an_attribute_can_be_protected(attributes, protected, says):
    source = {"kind": "images", "path": "x.csv", "attributes": attributes, "protected": protected}
    with pytest.raises(ConfigError, match=says):
        parse_config({"name": "x", "source": source})
