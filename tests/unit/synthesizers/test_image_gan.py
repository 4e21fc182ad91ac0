import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from synthgen.config import ImageGanConfig
from synthgen.datasets import ImageSet
from synthgen.errors import ModelError
from synthgen.synthesizers.image_drawing import at_once
from synthgen.synthesizers.image_gan import ImageGan

CLASSES = ("dark", "light", "never seen")


def config(**changes):
    return ImageGanConfig(kind="image-gan", **{"budget_steps": 4, "batch_size": 8, "width": 4, "latent": 4, **changes})


def tiny(n=30, shape=(1, 8, 8), dtype=np.uint8, top=255):
    rng = np.random.default_rng(0)
    codes = np.arange(n) % 3 // 2
    images = rng.integers(0, top // 2, (n, *shape)) + top // 2 * codes.reshape(-1, *[1] * len(shape))
    return ImageSet(images.astype(dtype), codes.astype(np.int64), CLASSES, mirror_keeps_label=True)


def fitted(data=None, seed=0, checkpoint=None, **changes):
    data = tiny() if data is None else data
    return ImageGan(config(**changes)).fit(
        data, data.take(np.arange(6)), np.random.default_rng(seed), checkpoint=checkpoint
    )


def drawn(model, n=7, seed=1):
    return model.sample(n, None, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def model():
    return fitted()


@pytest.mark.parametrize(
    ("shape", "dtype", "top"),
    [
        ((1, 8, 8), np.uint8, 255),
        ((3, 8, 8), np.uint8, 200),
        ((1, 10, 14), np.uint16, 60_000),
        ((3, 12, 12), np.uint16, 4095),
        ((1, 8, 8, 8), np.uint8, 255),
    ],
)
def test_samples_have_shape_dtype_range_and_classes_of_train(shape, dtype, top):
    data = tiny(shape=shape, dtype=dtype, top=top)
    sample = drawn(fitted(data, budget_steps=2))
    assert sample.images.shape == (7, *shape)
    assert sample.images.dtype == dtype
    assert data.images.min() <= sample.images.min()
    assert sample.images.max() <= data.images.max()
    assert sample.classes == CLASSES
    assert sample.mirror_keeps_label


def test_labels_are_exactly_those_asked_for_in_their_order(model):
    # More than one batch, so that the seams are covered.
    labels = np.random.default_rng(0).choice(CLASSES[:2], 600)
    sample = model.sample(600, labels, np.random.default_rng(0))
    assert sample.labels.tolist() == labels.tolist()


def test_without_labels_classes_are_as_frequent_as_in_train(model):
    sample = model.sample(3000, None, np.random.default_rng(0))
    assert np.mean(sample.codes == 0) == pytest.approx(2 / 3, abs=0.03)
    assert not np.any(sample.codes == 2)


@pytest.mark.parametrize(
    ("label", "message"),
    [("lihgt", "did you mean 'light'"), ("never seen", "known: 'dark', 'light'")],
)
def test_a_class_that_was_not_learned_is_refused_with_the_known_ones(model, label, message):
    with pytest.raises(ModelError, match=message):
        model.sample(1, np.array([label]), np.random.default_rng(0))


def test_a_loaded_model_draws_the_same_images(model, tmp_path):
    model.save(tmp_path)
    loaded = ImageGan.load(tmp_path)
    assert drawn(loaded).fingerprint() == drawn(model).fingerprint()
    assert loaded.history == model.history
    assert loaded.config == model.config
    assert json.loads((tmp_path / "synthesizer.json").read_text())["kind"] == "image-gan"
    assert {path.name for path in tmp_path.iterdir()} == {
        "synthesizer.json",
        "model.safetensors",
        "discriminator.safetensors",
    }


@pytest.mark.parametrize("architecture", ["dcgan", "residual", "style"])
def test_a_loaded_model_adds_up_in_the_order_in_which_it_was_trained(architecture, tmp_path):
    # Sixteen bits show a difference in the last digits that eight hide.
    model = fitted(tiny(shape=(1, 32, 32), dtype=np.uint16, top=65_535), architecture=architecture, width=16, latent=16)
    model.save(tmp_path)
    assert drawn(ImageGan.load(tmp_path), 32).fingerprint() == drawn(model, 32).fingerprint()


def test_large_volumes_go_through_the_network_a_few_at_a_time(model, monkeypatch):
    whole = drawn(model, 300)
    monkeypatch.setattr("synthgen.synthesizers.image_drawing._PIXELS_AT_ONCE", 5 * 64)
    assert at_once((8, 8)) == 5
    assert at_once((64, 64, 64)) == 1
    assert drawn(model, 300).fingerprint() == whole.fingerprint()


def _edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda folder: (folder / "model.safetensors").unlink(), id="no weights"),
        pytest.param(lambda folder: (folder / "model.safetensors").write_bytes(b"\x80\x04."), id="a pickle as weights"),
        pytest.param(lambda folder: (folder / "discriminator.safetensors").unlink(), id="no discriminator"),
        pytest.param(
            lambda folder: (folder / "model.safetensors").replace(folder / "discriminator.safetensors"), id="swapped"
        ),
        pytest.param(lambda folder: (folder / "synthesizer.json").write_text("{"), id="half a JSON"),
        pytest.param(lambda folder: _edit(folder / "synthesizer.json", lambda c: c.pop("network")), id="no network"),
        pytest.param(
            lambda folder: _edit(folder / "synthesizer.json", lambda c: c["network"].update(width=5)), id="other width"
        ),
        pytest.param(
            lambda folder: _edit(folder / "synthesizer.json", lambda c: c["data"].pop("classes")), id="no classes"
        ),
    ],
)
def test_a_damaged_model_is_refused(model, tmp_path, damage):
    model.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(ModelError):
        ImageGan.load(tmp_path)


def test_training_continues_from_its_checkpoint_and_ends_at_the_same_bytes(tmp_path):
    class Stop(logging.Handler):
        def emit(self, record):
            if record.tick.share >= 0.5:
                raise KeyboardInterrupt

    # Killed one tick after the checkpoint of half time was written.
    logger, handler = logging.getLogger("synthgen.progress"), Stop()
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        with pytest.raises(KeyboardInterrupt):
            fitted(checkpoint=tmp_path, budget_steps=6)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert (tmp_path / "checkpoint.safetensors").exists()
    assert (
        drawn(fitted(checkpoint=tmp_path, budget_steps=6)).fingerprint() == drawn(fitted(budget_steps=6)).fingerprint()
    )


def test_a_checkpoint_of_other_data_is_not_continued(tmp_path):
    fitted(checkpoint=tmp_path)
    data = tiny()
    other = replace(data, images=255 - data.images)
    assert drawn(fitted(other, checkpoint=tmp_path)).fingerprint() == drawn(fitted(other)).fingerprint()


def test_a_dozen_seconds_on_real_digits_teach_the_classes():
    digits = load_digits()
    pixels, codes = (digits.images * 15).astype(np.uint8), digits.target.astype(np.int64)
    data = ImageSet(pixels[:, None], codes, tuple("0123456789"))
    # Steps, not minutes: the same result on a busy machine.
    gan = ImageGan(ImageGanConfig(kind="image-gan", budget_steps=300))
    gan.fit(data.take(np.arange(1200)), data.take(np.arange(1200, 1797)), np.random.default_rng(0))
    sample = gan.sample(500, np.repeat(data.classes, 50), np.random.default_rng(1))
    judge = LogisticRegression(max_iter=200).fit(pixels.reshape(-1, 64) / 255, codes)
    assert np.mean(judge.predict(sample.images.reshape(-1, 64) / 255) == sample.codes) > 0.85  # noise: 0.1
    # Not one image per class: with a weaker discriminator pixels varied .28 times as much as within real classes.
    spread = [
        np.mean([x[codes == k].std(0).mean() for k in range(10)])
        for x, codes in ((pixels, codes), (sample.images[:, 0], sample.codes))
    ]
    assert spread[1] > 0.4 * spread[0]
