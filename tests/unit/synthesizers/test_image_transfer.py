import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from synthgen.config import ImageGanConfig, ImageVaeConfig
from synthgen.config_reading import load_config, parse_config
from synthgen.datasets import ImageSet
from synthgen.errors import ConfigError, ModelError, UsageError
from synthgen.scans import Scan
from synthgen.stages import fit, ingest, preflight, split_data
from synthgen.synthesizers import create
from synthgen.synthesizers.image_gan import ImageGan
from synthgen.synthesizers.image_vae import ImageVae
from synthgen.synthesizers.model_files import read_model, write_model
from synthgen.workspace import Workspace

CPU = torch.device("cpu")


def config(**changes):
    return ImageGanConfig(kind="image-gan", **{"budget_steps": 4, "batch_size": 8, "width": 4, "latent": 4, **changes})


def images(classes=("cat", "dog"), size=8, mirror=False):
    rng = np.random.default_rng(0)
    codes = np.arange(30) % len(classes)
    return ImageSet(
        rng.integers(0, 255, (30, 1, size, size)).astype(np.uint8),
        codes.astype(np.int64),
        classes,
        mirror_keeps_label=mirror,
    )


def fitted(settings, data):
    return ImageGan(settings).fit(data, data.take(np.arange(10)), np.random.default_rng(0))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    gan = fitted(config(), images())
    gan.save(folder)
    return gan, str(folder)


def state_of(settings, data, seed=1):
    gan = ImageGan(settings)
    return gan._initial_state(data, gan._source(data, CPU), seed, CPU)


def test_all_weights_are_taken_over_but_a_new_class_begins_untrained(source):
    gan, folder = source
    state = state_of(config(init_from=folder), images(("bird", "dog", "cat")))
    saved = gan._gan
    for ours, theirs in ((state.generator, saved.generator), (state.average, saved.generator),
                         (state.discriminator, saved.discriminator)):  # fmt: skip
        new, old = ours.state_dict(), theirs.state_dict()
        assert all(torch.equal(new[name], old[name]) for name in old if name != "embedding.weight")
        assert torch.equal(new["embedding.weight"][1:], old["embedding.weight"][[1, 0]])
        assert not any(torch.equal(new["embedding.weight"][0], row) for row in old["embedding.weight"])


def test_a_class_that_the_source_never_saw_is_not_taken_for_known(tmp_path):
    data = images(("cat", "dog", "unseen"))
    data = replace(data, codes=data.codes % 2)
    gan = fitted(config(), data)
    gan.save(tmp_path)
    state = state_of(config(init_from=str(tmp_path)), data, seed=5)
    assert not torch.equal(state.generator.embedding.weight[2], gan._gan.generator.embedding.weight[2])


def test_frozen_layers_stay_as_they_were_and_the_others_learn(source):
    gan, folder = source
    after = fitted(config(init_from=folder, freeze=1), images(("cat", "mouse")))
    before, now = gan._gan.discriminator.layers, after._gan.discriminator.layers
    assert torch.equal(before[0][0].weight, now[0][0].weight)
    assert not torch.equal(before[1][0].weight, now[1][0].weight)


def warmed(earlier, settings, data):
    gan = ImageGan(settings)
    gan.begin_from(earlier)
    return gan.fit(data, data.take(np.arange(10)), np.random.default_rng(1))


def test_a_warm_start_takes_over_an_earlier_model_that_fits_and_the_saved_model_says_so(source, tmp_path):
    gan = ImageGan(config(warm_start=True))
    gan.begin_from(source[0])
    state = gan._initial_state(images(), gan._source(images(), CPU), 1, CPU)
    theirs = source[0]._gan.discriminator.state_dict()
    assert all(torch.equal(ours, theirs[name]) for name, ours in state.discriminator.state_dict().items())
    warmed(source[0], config(warm_start=True), images()).save(tmp_path)
    assert json.loads((tmp_path / "synthesizer.json").read_text())["start"] == "warm"


@pytest.mark.parametrize(
    ("changes", "data", "reason"),
    [({}, images(size=10), "has another size"), ({"width": 5}, images(), "has another width")],
    ids=str,
)
def test_a_warm_start_is_cold_where_the_earlier_model_does_not_fit(source, changes, data, reason, tmp_path):
    settings = config(warm_start=True, **changes)
    warm, cold = warmed(source[0], settings, data), ImageGan(settings)
    cold.fit(data, data.take(np.arange(10)), np.random.default_rng(1))
    draw = [gan.sample(8, None, np.random.default_rng(0)).images for gan in (warm, cold)]
    assert np.array_equal(*draw)
    warm.save(tmp_path)
    assert json.loads((tmp_path / "synthesizer.json").read_text())["start"] == f"cold: the earlier model {reason}"


def test_a_checkpoint_of_another_earlier_model_is_not_gone_on_with(source, tmp_path):
    other = fitted(config(budget_steps=6), images())
    draws = []
    for earlier, folder in ((source[0], tmp_path), (other, tmp_path), (other, tmp_path / "alone")):
        gan = ImageGan(config(warm_start=True))
        gan.begin_from(earlier)
        gan.fit(images(), images().take(np.arange(10)), np.random.default_rng(1), checkpoint=folder)
        draws.append(gan.sample(8, None, np.random.default_rng(0)).images)
    assert np.array_equal(draws[1], draws[2])
    assert not np.array_equal(draws[0], draws[1])


def brightness_error(gan, data):
    drawn = gan.sample(len(data), data.labels, np.random.default_rng(0))
    return np.abs(drawn.images.mean((1, 2, 3)) - data.images.mean((1, 2, 3))).mean()


def test_a_head_start_is_ahead(tmp_path):
    codes = np.arange(200) % 2
    level = np.where(codes == 0, 40, 200)[:, None, None, None]
    pixels = np.clip(np.random.default_rng(0).normal(level, 8, (200, 1, 8, 8)), 0, 255).astype(np.uint8)
    data = ImageSet(pixels, codes, ("dark", "light"))
    fitted(config(budget_steps=150, width=8), data).save(tmp_path)
    others = replace(data, classes=("dark", "bright"))
    short = config(budget_steps=20, width=8)
    ahead = fitted(short.model_copy(update={"init_from": str(tmp_path)}), others)
    assert brightness_error(ahead, others) < 0.7 * brightness_error(fitted(short, others), others)


@pytest.mark.parametrize(
    ("changes", "data", "message"),
    [
        ({}, images(size=10), r"init_from has size \(8, 8\), this run has \(10, 10\)"),
        ({"width": 5}, images(), "has width 4, this run has 5"),
        ({"latent": 5}, images(), "has latent 4, this run has 5"),
        ({"architecture": "style"}, images(), "has architecture dcgan, this run has style"),
        ({"conditioning": "none"}, images(), "has is_conditional True, this run has False"),
        ({"freeze": 9}, images(), "freeze is 9, but the discriminator in init_from has 2 layers"),
    ],
    ids=str,
)
def test_a_model_of_other_images_or_networks_is_refused_before_training(source, changes, data, message):
    with pytest.raises(ConfigError, match=message):
        create(config(init_from=source[1], **changes), data)


def test_a_rgb_model_is_refused_for_grey_images(source):
    grey = images()
    with pytest.raises(ConfigError, match="has channels 1, this run has 3"):
        create(config(init_from=source[1]), replace(grey, images=grey.images.repeat(3, axis=1)))


def saved_before_axes_were_kept(gan, folder):
    """The model as synthgen wrote it while it held NIfTI in the order of its files."""
    gan.save(folder)
    meta, arrays = read_model(folder)
    del meta["data"]["scan"]["axes"]
    meta["data"].pop("is_in_file_order", None)
    write_model(folder, meta, arrays)
    return ImageGan.load(folder)


@pytest.mark.parametrize(("format", "is_old"), [("nifti", True), ("nifti", False), ("dicom", True)])
def test_a_nifti_model_of_before_volumes_were_slice_row_column_is_no_start(tmp_path, format, is_old):
    data = replace(images(), scan=Scan(format, "uint8"))
    gan = fitted(config(), data)
    earlier = saved_before_axes_were_kept(gan, tmp_path) if is_old else gan
    earlier.save(tmp_path / "again")
    fits = format == "dicom" or not is_old
    warmed(earlier, config(warm_start=True), data).save(tmp_path / "warm")
    start = json.loads((tmp_path / "warm" / "synthesizer.json").read_text())["start"]
    assert start == ("warm" if fits else "cold: the earlier model holds images in the order of their NIfTI files")
    for folder in (tmp_path, tmp_path / "again") if is_old else (tmp_path / "again",):
        if fits:
            create(config(init_from=str(folder)), data)
            continue
        with pytest.raises(ConfigError, match="init_from holds images in the order of their NIfTI files") as caught:
            create(config(init_from=str(folder)), data)
        assert "train it again" in caught.value.hint


def test_mirroring_needs_the_word_of_the_source():
    asked = config(augmentation=("contrast", "mirror"))
    with pytest.raises(ConfigError, match="does not say that a mirrored image keeps its label"):
        create(asked, images())
    create(asked, images(mirror=True))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"loss": "wasserstein", "penalty": "none"}, "without bound"),
        ({"penalty": "none", "penalty_gamma": 1}, "penalty none has neither"),
        ({"freeze": 1}, "needs init_from"),
        ({"grow_images": 5}, "for architecture progressive alone"),
        ({"conditioning": "none", "class_ramp_images": 5}, "needs conditioning class"),
        ({"warm_start": True, "init_from": "x"}, "two models to begin with"),
        ({"loss": "hing"}, "'hinge'"),
        ({"architecture": "stile"}, "'style'"),
    ],
    ids=str,
)
def test_parts_that_do_not_go_together_are_refused_with_one_sentence(section, message):
    raw = {"source": {"kind": "builtin", "name": "digits"}, "synthesizer": {"kind": "image-gan", **section}}
    with pytest.raises(ConfigError, match=message):
        parse_config(raw)


def digits_config(tmp_path, **changes):
    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / "digits.yaml"
    section = {"kind": "image-gan", "budget_steps": 2, "batch_size": 8, "width": 4, **changes}
    lines = ", ".join(f"{name}: {value}" for name, value in section.items())
    path.write_text(f"source: {{kind: builtin, name: digits}}\nsynthesizer: {{{lines}}}\n")
    return load_config(path)


def trained(config, workspace):
    return fit(config, workspace, split_data(config, workspace, ingest(config, workspace)))


def test_a_stage_goes_on_from_a_model_beside_the_config_and_is_built_again_when_that_model_changes(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    model = trained(digits_config(tmp_path), workspace).directory / "model"
    model.rename(tmp_path / "saved")
    config = digits_config(tmp_path, init_from="saved")
    preflight(config, workspace)
    first = trained(config, workspace)
    assert trained(config, workspace).reused
    fitted(config.synthesizer.model_copy(update={"init_from": None}), ImageSet(
        np.arange(64 * 30, dtype=np.uint8).reshape(30, 1, 8, 8), np.arange(30) % 10, tuple("0123456789")
    )).save(tmp_path / "saved")  # fmt: skip
    second = trained(config, workspace)
    assert not second.reused
    assert second.key != first.key


def test_an_unknown_run_is_named_before_training(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    with pytest.raises(UsageError, match="no run has the id 'nobody'"):
        preflight(digits_config(tmp_path, init_from="nobody"), workspace)


def test_a_table_model_is_no_start_for_images(tmp_path):
    (tmp_path / "synthesizer.json").write_text('{"kind": "ctgan"}')
    with pytest.raises(ModelError):
        create(config(init_from=str(tmp_path)), images())


def test_an_image_vae_is_no_start_for_a_gan(tmp_path):
    settings = ImageVaeConfig(kind="image-vae", budget_steps=2, batch_size=8, width=4, latent=4)
    ImageVae(settings).fit(images(), images(), np.random.default_rng(0)).save(tmp_path)
    with pytest.raises(ModelError, match="saved model is of kind 'image-vae', and only 'image-gan' is allowed"):
        create(config(init_from=str(tmp_path)), images())


def test_a_grid_of_each_tick_stays_in_the_artifact(tmp_path):
    folder = trained(digits_config(tmp_path), Workspace(tmp_path / "ws")).directory
    files = sorted((folder / "pictures").iterdir())
    assert [path.name for path in files] == ["0000000008.png", "0000000016.png"]
    assert sum(path.stat().st_size for path in files) < 20_000
    with Image.open(files[0]) as first, Image.open(files[1]) as last:
        assert (first.size, first.mode) == ((6 * 8, 10 * 8), "L")
        assert np.asarray(first).std() > 0
        assert not np.array_equal(first, last)
