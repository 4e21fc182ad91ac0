"""Where the image GAN works: on pixels, or on the maps of an autoencoder that part of the budget trains first."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from synthgen.config import AugmentationName, ImageGanConfig
from synthgen.datasets import ImageSet
from synthgen.device import best_device
from synthgen.errors import ConfigError
from synthgen.gan.autoencoder import Autoencoder, encoded, reconstruction_loss
from synthgen.gan.batches import Batches
from synthgen.gan.spec import MapSpec
from synthgen.gan.training import suitable_threads
from synthgen.synthesizers.descent import Course, Descent
from synthgen.synthesizers.image_files import FittedGan

# Of the budget, for the autoencoder.
_SHARE = 0.3
_BATCH = {2: 8, 3: 4}
# Of the rate of the GAN.
_RATE = {2: 1, 3: 2}
# Of volumes; one training in a few explodes where they are not cut. Decision 0014.
_LONGEST_GRADIENT = {3: 0.1}
_FACTOR, _DEPTH, _WIDTH = 4, 4, 16
# On a CPU, by the number of axes; decision 0014 says what maps do to smaller images.
_LARGE: Mapping[int, int] = {2: 64**2, 3: 28**3}
_LARGE_ON_GPU: Mapping[int, int] = {2: 128**2, 3: 64**3}
# The edge of the smallest map that has something to double.
_SMALLEST_MAP = 4
# A moved map is the map of a moved image; brightness, contrast and mirroring have no such counterpart.
_SAFE_ON_MAPS: Sequence[AugmentationName] = ("translation",)


@dataclass(frozen=True)
class Material:
    """What a GAN learns from.

    Attributes:
        batches, held_out: images, or their maps.
        config: with the budget that is left.
        key: identity of the training.
        autoencoder: what made the maps; None for images.
        history: of the autoencoder's training.
    """

    batches: Batches
    held_out: Batches | None
    config: ImageGanConfig
    key: str
    autoencoder: Autoencoder | None = None
    history: Sequence[dict[str, float]] = ()

    def mapped(
        self, autoencoder: Autoencoder, history: Sequence[dict[str, float]], config: ImageGanConfig
    ) -> "Material":
        """The maps of these images."""
        held_out = encoded(self.held_out, autoencoder) if self.held_out else None
        # A GAN goes on only with the maps that it has learned.
        key = f"{self.key} {_fingerprint(autoencoder)}"
        return Material(encoded(self.batches, autoencoder), held_out, config, key, autoencoder, history)


def map_spec(train: ImageSet, config: ImageGanConfig, source: FittedGan | None) -> MapSpec | None:
    """The maps of these images; None where the GAN works on pixels.

    Raises:
        ConfigError: the images are too small for maps, or an augmentation is for pixels.
    """
    channels, *size = train.images.shape[1:]
    if not _uses_maps(config, source, size):
        return None
    if min(size) < _SMALLEST_MAP * _FACTOR:
        message = (
            f"space is latent, but an edge of the images has {min(size)} px, and {_SMALLEST_MAP * _FACTOR} are needed"
        )
        raise ConfigError(message, where="synthesizer.space", hint="space: pixels")
    if not _augments_maps(config):
        message = (
            f"augmentation names {', '.join(config.augmentation)}, but maps of an autoencoder take translation alone"
        )
        raise ConfigError(message, where="synthesizer.augmentation", hint="leave it out, or space: pixels")
    return MapSpec(tuple(size), channels, _FACTOR, _DEPTH, _WIDTH)


def with_maps(
    images: Material, spec: MapSpec, source: FittedGan | None, *, seed: int, checkpoint: Path | None
) -> Material:
    """The maps of the source's autoencoder, or of one that part of the budget trains, from its checkpoint on."""
    if source is not None and source.autoencoder is not None:
        return images.mapped(source.autoencoder, [], images.config)
    batch, rate = _BATCH[len(spec.size)], _RATE[len(spec.size)] * images.config.learning_rate
    steps, seconds, rest = _divided(images.config, batch)
    device, folder = images.batches.codes.device, checkpoint and checkpoint / "autoencoder"
    state = Descent.initial(partial(Autoencoder, spec), rate, seed, device)
    state.restore(folder, images.key)
    # One that is ready stays as it is, lest the GAN's maps change below it when a longer budget goes on.
    if not state.is_finished:
        course = Course(
            loss=_loss,
            loss_name="reconstruction_error",
            batch_size=batch,
            steps=steps,
            seconds=seconds,
            unit="autoencoder step",
            longest_gradient=_LONGEST_GRADIENT.get(len(spec.size)),
        )
        with suitable_threads(spec.size, device):
            state.follow(course, images.batches, folder, images.key)
    autoencoder = state.network.eval().requires_grad_(False)
    autoencoder.standardise(images.batches)
    return images.mapped(autoencoder, state.history, rest)


def safe_on_maps(config: ImageGanConfig) -> Sequence[AugmentationName]:
    """What may be done to a map."""
    return _SAFE_ON_MAPS if config.augmentation == "auto" else config.augmentation


def _uses_maps(config: ImageGanConfig, source: FittedGan | None, size: Sequence[int]) -> bool:
    """As configured; else as the model to go on from does; else for large images and volumes."""
    if config.space != "auto":
        return config.space == "latent"
    if source is not None:
        return source.autoencoder is not None
    large = (_LARGE if best_device().type == "cpu" else _LARGE_ON_GPU)[len(size)]
    return math.prod(size) >= large and min(size) >= _SMALLEST_MAP * _FACTOR and _augments_maps(config)


def _augments_maps(config: ImageGanConfig) -> bool:
    return config.augmentation == "auto" or set(config.augmentation) <= set(_SAFE_ON_MAPS)


def _fingerprint(autoencoder: Autoencoder) -> str:
    digest = hashlib.sha256()
    for name, weight in autoencoder.state_dict().items():
        digest.update(name.encode() + weight.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _loss(network: Autoencoder, images: Tensor, codes: Tensor, rng: torch.Generator) -> Tensor:
    return reconstruction_loss(network, images, rng)


def _divided(config: ImageGanConfig, batch: int) -> tuple[int | None, float, ImageGanConfig]:
    """Steps (None without a limit) and seconds for the autoencoder, and the configuration with the rest."""
    rest: dict[str, float] = {"budget_minutes": config.budget_minutes * (1 - _SHARE)}
    limits = []
    if config.budget_steps:
        limits.append(max(1, round(_SHARE * config.budget_steps)))
        rest["budget_steps"] = max(1, config.budget_steps - limits[-1])
    if config.budget_images:
        limits.append(max(1, round(_SHARE * config.budget_images / batch)))
        rest["budget_images"] = max(1, config.budget_images - limits[-1] * batch)
    return min(limits, default=None), 60 * config.budget_minutes * _SHARE, config.model_copy(update=rest)
