"""`tvae`: the ctgan package's variational autoencoder (Xu 2019) over categorical codes, for a given class.

Kept from the package: its networks, the reconstruction counted twice, Adam with its weight decay. Different: every
column is a code and its loss a cross-entropy (the package has a Gaussian of learned width for numbers); the class goes
into the encoder and beside the latent of the decoder, so that a row is drawn for its label; codes are drawn from their
probabilities; the rate falls in the second half, and the weights with the best bound on `valid` are kept.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from synthgen.config import TvaeConfig
from synthgen.datasets import Index
from synthgen.device import best_device
from synthgen.synthesizers.budget import Budget
from synthgen.synthesizers.codes import Allowed, Arrays, CodeRows, Drawn, Layout
from synthgen.synthesizers.ctgan.groups import Groups
from synthgen.synthesizers.ctgan.package import build_decoder
from synthgen.synthesizers.model_files import below
from synthgen.synthesizers.training_file import restore_training, save_training, training_key
from synthgen.synthesizers.tvae.training import State, Task, train_autoencoder


class Tvae:
    """The autoencoder. Trains `budget_steps`, or 40 x sqrt(rows) steps from 600 to 6,000, while `valid` gains."""

    def __init__(self, config: TvaeConfig) -> None:
        self.config = config
        self._decoder: nn.Module | None = None
        self._groups: Groups | None = None
        self._class_count = 0
        self._history: list[dict[str, float]] = []

    @property
    def history(self) -> Sequence[dict[str, float]]:
        return self._history

    def fit(
        self, train: CodeRows, valid: CodeRows, layout: Layout, rng: np.random.Generator, *, checkpoint: Path | None
    ) -> Self:
        """Trains, going on from the checkpoint when it is one of the same data, config and seed.

        Raises:
            TrainingError: a loss is no longer a number.
        """
        seed = int(rng.integers(2**63))
        generator = torch.Generator(best_device()).manual_seed(seed)
        task = Task.of(train, valid, layout, self.config.latent, generator)
        state = State.fresh(self.config, sum(layout.sizes), layout.class_count, generator)
        key = training_key(seed, (train, valid), self.config) if checkpoint else ""
        if numbers := restore_training(state.parts, generator, checkpoint, key=key):
            state.resume(numbers)

        def on_tick(now: State) -> None:
            save_training(now.parts, now.rng, now.numbers, checkpoint, key=key)

        train_autoencoder(state, task, self.config, self._budget(len(train)), on_tick)
        self._decoder, self._groups, self._class_count = state.best, task.groups, layout.class_count
        self._history = state.history
        return self

    @torch.no_grad()
    def draw(self, classes: Index, allowed: Allowed, rng: np.random.Generator) -> Drawn:
        """Given the latent the columns are independent: forcing one leaves the others as they are."""
        assert self._decoder is not None
        assert self._groups is not None
        device = self._groups.offsets.device
        generator = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
        latent = torch.randn(len(classes), self.config.latent, generator=generator, device=device)
        condition = functional.one_hot(torch.from_numpy(classes).to(device), self._class_count).float()
        logits, log_weight = self._groups.restricted(self._decoder(torch.cat([latent, condition], dim=1)), allowed)
        codes = self._groups.draw(logits, generator).cpu().numpy().astype(np.int64)
        return Drawn(codes, log_weight.double().cpu().numpy())

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """The weights of the decoder; the encoder is not needed to draw."""
        assert self._decoder is not None
        weights = {f"decoder.{name}": t.cpu().numpy() for name, t in self._decoder.state_dict().items()}
        return {"history": self._history}, weights

    def restore(self, layout: Layout, meta: Mapping[str, Any], arrays: Arrays) -> Self:
        """The autoencoder whose `state` this is."""
        self._groups, self._class_count = Groups.of(layout.sizes, best_device()), layout.class_count
        inputs = self.config.latent + layout.class_count
        decoder = build_decoder(inputs, self.config.width, self._groups.width, torch.Generator(best_device()))
        decoder.load_state_dict({name: torch.from_numpy(array) for name, array in below("decoder.", arrays).items()})
        self._decoder = decoder.requires_grad_(False)
        self._history = list(meta["history"])
        return self

    def _budget(self, rows: int) -> Budget:
        steps = self.config.budget_steps or int(np.clip(40 * rows**0.5, 600, 6_000))
        return Budget(steps, self.config.budget_minutes * 60, self.config.budget_steps is not None)
