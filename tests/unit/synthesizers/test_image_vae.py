import logging
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from synthgen.config import ImageVaeConfig
from synthgen.datasets import ImageSet
from synthgen.errors import ModelError
from synthgen.gan.spec import NetworkSpec
from synthgen.gan.vae import ConditionalVae, bound
from synthgen.synthesizers.image_vae import ImageVae


def config(**changes):
    return ImageVaeConfig(kind="image-vae", **{"budget_steps": 6, "batch_size": 8, "width": 4, "latent": 4, **changes})


def images(shape=(1, 8, 8), n=60):
    rng = np.random.default_rng(0)
    codes = np.arange(n) % 2
    level = np.where(codes == 0, 40, 200).reshape(-1, *[1] * len(shape))
    return ImageSet(np.clip(rng.normal(level, 8, (n, *shape)), 0, 255).astype(np.uint8), codes, ("dark", "light"))


def fitted(settings, data=None, checkpoint=None):
    data = images() if data is None else data
    return ImageVae(settings).fit(data, data.take(np.arange(4)), np.random.default_rng(0), checkpoint=checkpoint)


def drawn(vae, n=6):
    return vae.sample(n, None, np.random.default_rng(1))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (1, 9, 14), (1, 8, 8, 8), (1, 7, 12, 9)])
def test_images_and_volumes_of_any_size_are_drawn(tmp_path, shape):
    vae = fitted(config(budget_steps=2), images(shape))
    assert drawn(vae).images.shape == (6, *shape)
    vae.save(tmp_path)
    assert drawn(ImageVae.load(tmp_path)).fingerprint() == drawn(vae).fingerprint()


def test_the_class_decides_what_is_drawn():
    sample = fitted(config(budget_steps=200, width=8)).sample(
        80, np.repeat(["dark", "light"], 40), np.random.default_rng(0)
    )
    means = [sample.images[sample.codes == code].mean() for code in (0, 1)]
    assert means == pytest.approx([40, 200], abs=12)


@contextmanager
def listening(emit):
    """Call `emit` with every tick of progress."""
    logger, handler = logging.getLogger("synthgen.progress"), logging.Handler()
    handler.emit = lambda record: emit(record.tick)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def stop_halfway(tick):
    if tick.share >= 0.5:
        raise KeyboardInterrupt


@pytest.mark.parametrize("budget", [{}, {"budget_steps": None, "budget_images": 45}], ids=str)
def test_training_goes_on_from_its_checkpoint_and_ends_at_the_same_bytes(tmp_path, budget):
    with pytest.raises(KeyboardInterrupt), listening(stop_halfway):
        fitted(config(**budget), checkpoint=tmp_path)
    resumed, straight = fitted(config(**budget), checkpoint=tmp_path), fitted(config(**budget))
    assert drawn(resumed).fingerprint() == drawn(straight).fingerprint()
    assert [tick["loss"] for tick in resumed.history] == [tick["loss"] for tick in straight.history]


@pytest.mark.parametrize(
    ("budget", "steps"),
    [
        ({"budget_steps": 3}, 3),
        ({"budget_images": 1}, 1),
        ({"budget_images": 40}, 5),
        ({"budget_images": 41}, 6),
        ({"budget_steps": 9, "budget_images": 40}, 5),
        ({"budget_steps": 3, "budget_images": 40}, 3),
    ],
    ids=str,
)
def test_the_budget_ends_at_the_first_of_steps_and_images_shown(budget, steps):
    history = fitted(config(**{"budget_steps": None, **budget})).history
    assert (history[-1]["step"], history[-1]["images"]) == (steps, 8 * steps)


def test_progress_is_told_in_images_shown():
    ticks = []
    with listening(ticks.append):
        fitted(config(budget_steps=None, budget_images=41))
    assert {(tick.unit, tick.total) for tick in ticks} == {("image", 48)}
    assert [tick.done for tick in ticks] == [8, 16, 24, 32, 40, 48]
    assert [tick.share for tick in ticks] == pytest.approx([number / 6 for number in range(1, 7)])


def test_the_bound_is_the_divergence_where_every_pixel_is_as_far_off():
    network = ConditionalVae(NetworkSpec((8, 8), 1, 2, "dcgan", width=4, latent=3)).eval()
    with torch.no_grad():
        for layer in (network.net.mu, network.net.logvar):
            layer.weight.zero_()
        network.net.mu.bias.copy_(torch.tensor([1.0, 0.0, -2.0]))
        network.net.logvar.bias.copy_(torch.tensor([0.0, 0.5, 0.0]))
    codes, noise = torch.tensor([0, 1]), torch.zeros(2, 3)
    made = network(torch.tensor([[1.0, 0.0, -2.0]]).repeat(2, 1), codes)
    # Each pixel off by 1: the logarithm of the error is 0.
    divergence = (1 + 4) / 2 + (np.exp(0.5) - 1 - 0.5) / 2
    assert bound(network, made.detach() + 1, codes, noise).item() == pytest.approx(divergence, abs=1e-4)


def test_a_model_with_other_weights_is_refused(tmp_path):
    fitted(config(budget_steps=1)).save(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError):
        ImageVae.load(tmp_path)
