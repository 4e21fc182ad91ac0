"""The class-conditional variational autoencoder of images as a synthesizer."""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from synthgen.config import ImageVaeConfig
from synthgen.datasets import Data, ImageSet, Labels
from synthgen.device import best_device
from synthgen.errors import ModelError
from synthgen.gan.batches import Batches
from synthgen.gan.spec import NetworkSpec
from synthgen.gan.training import suitable_threads
from synthgen.gan.vae import ConditionalVae, bound
from synthgen.synthesizers.descent import Course, Descent
from synthgen.synthesizers.image_drawing import asked_codes, drawn
from synthgen.synthesizers.image_files import BROKEN, Facts, spec_of, with_weights
from synthgen.synthesizers.model_files import read_model, write_model


class ImageVae:
    """Draws z from a normal distribution and decodes it with the class."""

    def __init__(self, config: ImageVaeConfig) -> None:
        self.config = config
        self._network: ConditionalVae | None = None
        self._facts: Facts | None = None
        self._history: Sequence[dict[str, float]] = []

    @property
    def history(self) -> Sequence[dict[str, float]]:
        """Step, images shown, seconds and loss of each tick, in nats per image."""
        return self._history

    def fit(self, train: Data, valid: Data, rng: np.random.Generator, *, checkpoint: Path | None = None) -> Self:
        """Trains until the budget is used up; `valid` plays no part.

        Raises:
            TrainingError: the loss is no longer a number.
        """
        assert isinstance(train, ImageSet)
        facts, seed, device = Facts.of(train), int(rng.integers(2**63)), best_device()
        make = partial(ConditionalVae, _spec(train, self.config))
        state = Descent.initial(make, self.config.learning_rate, seed, device)
        settings = self.config.model_dump_json(exclude={"budget_minutes", "budget_steps", "budget_images"})
        key = " ".join([str(seed), train.fingerprint(), settings])
        state.restore(checkpoint, key)
        batch, seconds = self.config.batch_size, 60 * self.config.budget_minutes
        course = Course(_loss, "loss", batch, _steps(self.config), seconds, unit="image", per_step=batch)
        with suitable_threads(train.images.shape[2:], device):
            state.follow(course, Batches.of(train, facts.pixel_range, device), checkpoint, key)
        self._network, self._facts = state.network.eval().requires_grad_(False), facts
        self._history = state.history
        return self

    def sample(self, n: int, labels: Labels | None, rng: np.random.Generator) -> ImageSet:
        """Images of the labels asked for; without labels, of classes as frequent as in train."""
        network, facts = self._fitted()
        return drawn(network, asked_codes(n, labels, facts, rng), facts, rng)

    def save(self, directory: Path) -> None:
        """Write synthesizer.json and model.safetensors."""
        network, facts = self._fitted()
        meta = {"kind": self.config.kind, "config": self.config.model_dump(), "network": asdict(network.spec)}
        arrays = {name: value.cpu().numpy() for name, value in network.state_dict().items()}
        write_model(directory, {**meta, "data": asdict(facts), "history": self._history}, arrays)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The synthesizer that `save` wrote; raises ModelError when a file is missing, broken, or not of the other."""
        meta, arrays = read_model(directory)
        try:
            vae = cls(ImageVaeConfig.model_validate(meta["config"]))
            # It is told no attributes, whatever the file says.
            spec = replace(spec_of(meta["network"]), attributes=())
            weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
            network = with_weights(lambda: ConditionalVae(spec), weights)
            vae._facts, vae._history = Facts.restore(meta["data"], spec), meta["history"]
        except BROKEN as error:
            raise ModelError(f"saved image VAE cannot be rebuilt: {error}", where=str(directory)) from None
        vae._network = network.to(best_device()).eval().requires_grad_(False)
        return vae

    def _fitted(self) -> tuple[ConditionalVae, Facts]:
        if self._network is None or self._facts is None:
            raise ModelError("image-vae has not been fitted: call fit or load first")
        return self._network, self._facts


def _spec(train: ImageSet, config: ImageVaeConfig) -> NetworkSpec:
    channels, *size = train.images.shape[1:]
    return NetworkSpec(tuple(size), channels, len(train.classes), "dcgan", config.width, config.latent)


def _steps(config: ImageVaeConfig) -> int | None:
    """Until the budget of steps or of images is used up, whichever is first; None where only time limits it."""
    limits = [config.budget_steps, config.budget_images and math.ceil(config.budget_images / config.batch_size)]
    return min((limit for limit in limits if limit), default=None)


def _loss(network: ConditionalVae, images: Tensor, codes: Tensor, rng: torch.Generator) -> Tensor:
    noise = torch.randn(len(codes), network.latent, device=rng.device, generator=rng)
    return bound(network, images, codes, noise)
