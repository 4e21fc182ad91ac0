"""Every loss with every penalty on every architecture: trains, draws the same again, and goes on bit by bit."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthgen.config import ImageGanConfig
from synthgen.datasets import ImageSet
from synthgen.gan.architectures import ARCHITECTURES
from synthgen.gan.losses import LOSSES
from synthgen.gan.penalties import PENALTIES
from synthgen.synthesizers import load_synthesizer
from synthgen.synthesizers.image_gan import ImageGan

COMBINATIONS = [
    (loss, penalty) for loss in LOSSES for penalty in ("none", *PENALTIES) if (loss, penalty) != ("wasserstein", "none")
]
# One for each loss and for each penalty.
SOME = [("relativistic", "r1r2"), ("hinge", "none"), ("wasserstein", "gp"), ("nonsaturating", "r1"),
        ("least_squares", "none")]  # fmt: skip


def config(**changes: Any) -> ImageGanConfig:
    settings = {"budget_steps": 3, "batch_size": 4, "width": 4, "latent": 4, "penalty_every": 2, **changes}
    if settings.get("penalty") == "none":
        del settings["penalty_every"]
    return ImageGanConfig(kind="image-gan", **settings)


def images(dim: int) -> ImageSet:
    rng = np.random.default_rng(0)
    codes = np.arange(24) % 2
    pixels = rng.integers(0, 120, (24, 1, *(8,) * dim)) + 120 * codes.reshape(-1, *(1,) * (dim + 1))
    return ImageSet(pixels.astype(np.uint8), codes.astype(np.int64), ("dark", "light"))


def fitted(settings: ImageGanConfig, dim: int = 2, checkpoint: Path | None = None) -> ImageGan:
    data = images(dim)
    return ImageGan(settings).fit(data, data.take(np.arange(8)), np.random.default_rng(0), checkpoint=checkpoint)


def drawn(gan: Any) -> str:
    return str(gan.sample(5, None, np.random.default_rng(1)).fingerprint())


@contextmanager
def killed_at(share: float) -> Iterator[None]:
    class Kill(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.tick.share >= share:  # type: ignore[attr-defined]
                raise KeyboardInterrupt

    logger, handler = logging.getLogger("synthgen.progress"), Kill()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def require_contract(settings: ImageGanConfig, folder: Path, dim: int = 2) -> None:
    gan = fitted(settings, dim)
    losses = [tick[name] for tick in gan.history for name in ("loss_discriminator", "loss_generator", "gradient")]
    assert len(gan.history) == 3
    assert np.isfinite(losses).all()
    assert len(np.unique(gan.sample(5, None, np.random.default_rng(1)).images)) > 5
    gan.save(folder / "model")
    assert drawn(load_synthesizer(folder / "model")) == drawn(gan)
    # Killed after the checkpoint of the first step.
    with killed_at(0.6), pytest.raises(KeyboardInterrupt):
        fitted(settings, dim, folder / "checkpoint")
    resumed = fitted(settings, dim, folder / "checkpoint")
    assert drawn(resumed) == drawn(gan)
    assert [tick["loss_generator"] for tick in resumed.history] == [tick["loss_generator"] for tick in gan.history]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("loss", "penalty"), SOME)
def test_a_combination_trains_repeats_and_resumes(tmp_path: Path, architecture: str, loss: str, penalty: str) -> None:
    require_contract(config(loss=loss, penalty=penalty, architecture=architecture), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("loss", "penalty"), [pair for pair in COMBINATIONS if pair not in SOME])
def test_every_other_combination_does_so_too(tmp_path: Path, architecture: str, loss: str, penalty: str) -> None:
    require_contract(config(loss=loss, penalty=penalty, architecture=architecture), tmp_path)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_volumes_do_so_too(tmp_path: Path, architecture: str) -> None:
    require_contract(config(architecture=architecture), tmp_path, dim=3)


@pytest.mark.parametrize(
    "changes",
    [
        {"conditioning": "none"},
        {"class_ramp_images": 10},
        {"discriminator_steps": 3},
        {"architecture": "progressive", "grow_images": 6},
        {"augmentation": ["contrast"]},
    ],
    ids=str,
)
def test_every_way_to_train_does_so_too(tmp_path: Path, changes: dict[str, Any]) -> None:
    require_contract(config(**changes), tmp_path)
