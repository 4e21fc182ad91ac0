"""The class-conditional variational autoencoder of images as a synthesizer."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import torch

from synthgen import progress
from synthgen.config import ImageVaeConfig
from synthgen.datasets import Data, ImageSet, Labels
from synthgen.errors import ModelError, TrainingError
from synthgen.gan.batches import Batches
from synthgen.gan.spec import NetworkSpec
from synthgen.gan.training import suitable_threads
from synthgen.gan.vae import ConditionalVae, bound
from synthgen.synthesizers.device import best_device
from synthgen.synthesizers.image_drawing import asked_codes, drawn
from synthgen.synthesizers.image_files import Facts, spec_of
from synthgen.synthesizers.model_files import read_model, write_model
from synthgen.synthesizers.training_file import Parts, restore_training, save_training

_TICKS = 50
_NUMBERS = ("step", "seconds", "history")


@dataclass
class _State:
    """Everything that changes while training.

    Attributes:
        seconds: wall time trained so far, over all resumes.
    """

    network: ConditionalVae
    optimizer: torch.optim.Adam
    rng: torch.Generator
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def parts(self) -> Parts:
        return Parts({"network": self.network}, {"optimizer": self.optimizer}, {})

    def share(self, config: ImageVaeConfig) -> float:
        """Of the budget that is used up: of steps when they are limited, else of minutes."""
        if config.budget_steps:
            return min(1.0, self.step / config.budget_steps)
        return min(1.0, self.seconds / (60 * config.budget_minutes))


class ImageVae:
    """Draws z from a normal distribution and decodes it with the class."""

    def __init__(self, config: ImageVaeConfig) -> None:
        self.config = config
        self._network: ConditionalVae | None = None
        self._facts: Facts | None = None
        self._history: Sequence[dict[str, float]] = []

    @property
    def history(self) -> Sequence[dict[str, float]]:
        """Step, seconds and loss of each tick, in nats per image."""
        return self._history

    def fit(self, train: Data, valid: Data, rng: np.random.Generator, *, checkpoint: Path | None = None) -> Self:
        """Trains until the budget is used up; `valid` plays no part.

        Raises:
            TrainingError: the loss is no longer a number.
        """
        assert isinstance(train, ImageSet)
        facts, seed, device = Facts.of(train), int(rng.integers(2**63)), best_device()
        state = _initial(_spec(train, self.config), self.config, seed, device)
        settings = self.config.model_dump_json(exclude={"budget_minutes", "budget_steps"})
        key = " ".join([str(seed), train.fingerprint(), settings])
        for name, number in (restore_training(state.parts, state.rng, checkpoint, key=key) or {}).items():
            if name in _NUMBERS:
                setattr(state, name, number)
        keep = partial(_keep, directory=checkpoint, key=key)
        with suitable_threads(train.images.shape[2:], device):
            _train(state, Batches.of(train, facts.pixel_range, device), self.config, keep)
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
            network = _empty(spec_of(meta["network"]))
            network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
            vae._facts, vae._history = Facts.restore(meta["data"]), meta["history"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
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


def _empty(spec: NetworkSpec, seed: int = 0) -> ConditionalVae:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return ConditionalVae(spec)


def _initial(spec: NetworkSpec, config: ImageVaeConfig, seed: int, device: torch.device) -> _State:
    network = _empty(spec, seed).to(device)
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate, fused=True)
    return _State(network, optimizer, torch.Generator(device).manual_seed(seed))


def _train(state: _State, batches: Batches, config: ImageVaeConfig, keep: Callable[[_State], None]) -> None:
    started, share, device = time.monotonic() - state.seconds, state.share(config), state.rng.device
    losses = torch.zeros((), device=device)
    since = state.step
    while share < 1:
        images, codes = batches.draw(config.batch_size, state.rng)
        noise = torch.randn(len(codes), state.network.latent, device=device, generator=state.rng)
        loss = bound(state.network, images, codes, noise)
        state.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch ships it without types
        state.optimizer.step()
        losses += loss.detach()
        state.step, state.seconds = state.step + 1, time.monotonic() - started
        last, share = share, state.share(config)
        if int(last * _TICKS) == int(share * _TICKS):
            continue
        mean = float(losses / (state.step - since))
        losses.zero_()
        since = state.step
        if not math.isfinite(mean):
            message = f"training diverged at step {state.step}: the loss is no longer a number"
            raise TrainingError(message, where="synthesizer.learning_rate", hint="lower it")
        state.history.append({"step": state.step, "seconds": state.seconds, "loss": mean})
        progress.report(_tick(state, config, share, mean))
        keep(state)


def _tick(state: _State, config: ImageVaeConfig, share: float, loss: float) -> progress.Tick:
    return progress.Tick(
        stage="fit",
        unit="step",
        done=state.step,
        total=config.budget_steps,
        share=share,
        rate=state.step / max(state.seconds, 1e-9),
        seconds_left=state.seconds * (1 - share) / share,
        numbers={"loss": loss},
    )


def _keep(state: _State, *, directory: Path | None, key: str) -> None:
    numbers = {name: getattr(state, name) for name in _NUMBERS}
    save_training(state.parts, state.rng, numbers, directory, key=key)
