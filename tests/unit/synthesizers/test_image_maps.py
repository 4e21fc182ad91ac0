import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image

from synthgen.config import ImageGanConfig
from synthgen.datasets import ImageSet
from synthgen.errors import ConfigError, ModelError
from synthgen.gan.autoencoder import Autoencoder, reconstruction_loss
from synthgen.gan.spec import MapSpec
from synthgen.synthesizers import image_maps
from synthgen.synthesizers.descent import Descent
from synthgen.synthesizers.image_gan import ImageGan
from synthgen.synthesizers.image_maps import map_spec


def config(**changes):
    small = {"budget_steps": 10, "batch_size": 8, "width": 4, "latent": 4, "space": "latent"}
    return ImageGanConfig(kind="image-gan", **{**small, **changes})


def images(shape=(1, 16, 16), n=40):
    rng = np.random.default_rng(0)
    codes = np.arange(n) % 2
    level = np.where(codes == 0, 40, 200).reshape(-1, *[1] * len(shape))
    return ImageSet(np.clip(rng.normal(level, 8, (n, *shape)), 0, 255).astype(np.uint8), codes, ("dark", "light"))


def fitted(settings, data=None, checkpoint=None):
    data = images() if data is None else data
    return ImageGan(settings).fit(data, data.take(np.arange(12)), np.random.default_rng(0), checkpoint=checkpoint)


def drawn(gan, n=6):
    return gan.sample(n, None, np.random.default_rng(1))


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 32), (1, 18, 27), (1, 16, 16, 16), (1, 17, 16, 22)])
def test_images_and_volumes_of_any_size_are_drawn_judged_and_saved(tmp_path, shape):
    data = images(shape)
    gan = fitted(config(budget_steps=3), data)
    assert drawn(gan).images.shape == (6, *shape)
    gan.save(tmp_path)
    loaded = ImageGan.load(tmp_path)
    assert drawn(loaded).fingerprint() == drawn(gan).fingerprint()
    assert loaded.realism(data) == pytest.approx(gan.realism(data), abs=1e-4)
    saved = json.loads((tmp_path / "synthesizer.json").read_text())
    assert saved["network"]["maps"]["size"] == list(shape[1:])


def test_sixteen_bits_come_back_as_such():
    data = images()
    deep = ImageSet(data.images.astype(np.uint16) * 200, data.codes, data.classes)
    assert drawn(fitted(config(budget_steps=3), deep)).images.dtype == np.uint16


def test_an_autoencoder_gives_back_the_size_and_its_maps_are_standardised():
    network = Autoencoder(MapSpec((17, 30), 3, 4, 4, 8))
    maps = network.encode(torch.zeros(2, 3, 17, 30))
    assert maps.shape == (2, 4, 5, 8)
    assert network.decode(maps).shape == (2, 3, 17, 30)


def test_the_class_decides_what_is_drawn():
    gan = fitted(config(budget_steps=200, width=8))
    sample = gan.sample(80, np.repeat(["dark", "light"], 40), np.random.default_rng(0))
    means = [sample.images[sample.codes == code].mean() for code in (0, 1)]
    assert means == pytest.approx([40, 200], abs=25)


# 30 % of ten steps are the autoencoder's: 1 and 2 of 3 are killed in its training, the others in the GAN's.
@pytest.mark.parametrize("ticks", [1, 2, 4, 8])
def test_training_goes_on_from_either_stage_and_ends_at_the_same_bytes(tmp_path, ticks):
    class Stop(logging.Handler):
        seen = 0

        def emit(self, record):
            self.seen += 1
            if self.seen > ticks:
                raise KeyboardInterrupt

    logger, handler = logging.getLogger("synthgen.progress"), Stop()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with pytest.raises(KeyboardInterrupt):
            fitted(config(), checkpoint=tmp_path)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    resumed, whole = fitted(config(), checkpoint=tmp_path), fitted(config())
    assert drawn(resumed).fingerprint() == drawn(whole).fingerprint()
    for name in ("reconstruction_error", "loss_generator"):
        curves = [[tick[name] for tick in gan.history if name in tick] for gan in (resumed, whole)]
        assert curves[0] == curves[1]
        assert curves[0]


def test_a_longer_training_keeps_the_autoencoder_of_the_shorter(tmp_path):
    short = fitted(config(), checkpoint=tmp_path)
    long = fitted(config(budget_steps=20), checkpoint=tmp_path)
    assert [tick["step"] for tick in long.history if "loss_generator" in tick] == list(range(1, 15))
    weights = [gan._fitted().autoencoder.state_dict() for gan in (short, long)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_the_budget_is_shared():
    for changes, expected in (({"budget_steps": 10}, [3, 7]), ({"budget_steps": None, "budget_images": 80}, [3, 7])):
        history = fitted(config(**changes)).history
        steps = [
            [tick["step"] for tick in history if name in tick][-1] for name in ("reconstruction_error", "accuracy")
        ]
        assert steps == expected


def test_the_album_shows_images(tmp_path):
    fitted(config(), checkpoint=tmp_path)
    with Image.open(sorted((tmp_path / "pictures").glob("*.png"))[-1]) as grid:
        assert grid.size == (6 * 16, 2 * 16)


def test_training_goes_on_from_a_saved_model_with_its_autoencoder(tmp_path):
    first = fitted(config())
    first.save(tmp_path)
    second = fitted(config(space="auto", init_from=str(tmp_path)))
    before, after = (gan._fitted().autoencoder.state_dict() for gan in (first, second))
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any("reconstruction_error" in tick for tick in second.history)


@pytest.mark.parametrize(
    ("changes", "shape", "says"),
    [
        ({}, (1, 12, 20), "has 12 px, and 16 are needed"),
        ({"augmentation": ["translation", "contrast"]}, (1, 16, 16), "translation alone"),
        ({"space": "pixels", "init_from": "model"}, (1, 16, 16), "has space latent, .* this run has pixels"),
        ({"space": "auto", "init_from": "model"}, (1, 18, 18), "from 16 x 16 px .* from 18 x 18 px"),
    ],
)
def test_what_cannot_be_trained_on_maps_is_refused_before_training(tmp_path, changes, shape, says):
    if "init_from" in changes:
        fitted(config(budget_steps=2)).save(tmp_path)
        changes = {**changes, "init_from": str(tmp_path)}
    with pytest.raises(ConfigError, match=says):
        ImageGan(config(**changes)).check(images(shape))


@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_a_damaged_autoencoder_is_refused(tmp_path, harm):
    fitted(config(budget_steps=2)).save(tmp_path)
    file = tmp_path / "autoencoder.safetensors"
    file.unlink() if harm == "missing" else file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match=r"autoencoder\.safetensors"):
        ImageGan.load(tmp_path)


@pytest.mark.parametrize(
    ("shape", "changes", "is_latent"),
    [
        ((1, 64, 64), {}, True),
        ((1, 63, 64), {}, False),
        ((1, 64, 64), {"augmentation": ["contrast"]}, False),
        ((1, 64, 64), {"augmentation": ["translation"]}, True),
        ((1, 512, 8), {}, False),
        ((1, 28, 28, 28), {}, True),
        ((1, 27, 28, 28), {}, False),
        ((1, 100, 100, 8), {}, False),
    ],
)
def test_large_images_are_learned_by_maps_unless_told_otherwise(shape, changes, is_latent):
    data = ImageSet(np.zeros((2, *shape), dtype=np.uint8), np.arange(2), ("a", "b"))
    assert (map_spec(data, config(space="auto", **changes), None) is not None) == is_latent


def test_no_gradient_of_the_autoencoder_of_volumes_is_long(monkeypatch):
    lengths, stepped = [], Descent._stepped

    def watched(state, course, batches):
        loss = stepped(state, course, batches)
        lengths.append(float(torch.stack([p.grad.norm() for p in state.network.parameters()]).norm()))
        return loss

    monkeypatch.setattr(Descent, "_stepped", watched)
    monkeypatch.setattr(image_maps, "_loss", lambda *given: 1e6 * reconstruction_loss(given[0], given[1], given[3]))
    fitted(config(), images((1, 16, 16, 16)))
    assert lengths == pytest.approx([0.1] * 3, rel=1e-3)
