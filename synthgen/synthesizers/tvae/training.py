"""Training of the variational autoencoder over codes: the evidence lower bound of `valid` decides what is kept."""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from synthgen import progress
from synthgen.config import TvaeConfig
from synthgen.errors import TrainingError
from synthgen.synthesizers.budget import Budget
from synthgen.synthesizers.codes import CodeRows, Layout
from synthgen.synthesizers.ctgan.groups import Groups
from synthgen.synthesizers.ctgan.package import build_decoder, build_encoder
from synthgen.synthesizers.training_file import Parts

_TICKS, _PATIENCE = 50, 12
# Of the reconstruction against the prior, and of the weights: both from the package.
_LOSS_FACTOR, _WEIGHT_DECAY = 2.0, 1e-5
_DECAY_FROM = 0.5
_VALID_ROWS = 4_096
_NUMBERS = ("step", "best_step", "bound", "seconds", "history")
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Rows:
    """Rows on the device.

    Attributes:
        codes: uint8 or int16 [n, columns].
        classes: int64 [n].
    """

    codes: Tensor
    classes: Tensor

    @classmethod
    def of(cls, rows: CodeRows, groups: Groups) -> "Rows":
        """The rows in the smallest type that holds the codes, where `groups` are."""
        dtype = torch.uint8 if max(groups.sizes) <= 256 else torch.int16 if max(groups.sizes) < 2**15 else torch.int32
        device = groups.offsets.device
        return cls(torch.from_numpy(rows.codes).to(dtype).to(device), torch.from_numpy(rows.classes).to(device))

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, index: Tensor) -> "Rows":
        """The rows at these positions int64 [m]."""
        return Rows(self.codes[index], self.classes[index])


@dataclass
class State:
    """Everything that changes during training; a checkpoint holds all of it.

    Attributes:
        best: the decoder with the highest bound on `valid` so far, at `best_step`; without `valid` the latest.
        bound: the bound of `best`, in nats per row.
    """

    encoder: nn.Module
    decoder: nn.Module
    best: nn.Module
    optimizer: torch.optim.Optimizer
    rng: torch.Generator
    step: int = 0
    best_step: int = 0
    bound: float = -np.inf
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def fresh(cls, config: TvaeConfig, levels: int, class_count: int, rng: torch.Generator) -> "State":
        """Untrained networks; `levels` of all columns together."""
        encoder = build_encoder(levels + class_count, config.width, config.latent, rng)
        decoder = build_decoder(config.latent + class_count, config.width, levels, rng)
        weights = [*encoder.parameters(), *decoder.parameters()]
        optimizer = torch.optim.Adam(weights, lr=config.learning_rate, weight_decay=_WEIGHT_DECAY, fused=True)
        return cls(encoder, decoder, copy.deepcopy(decoder).requires_grad_(False), optimizer, rng)

    @property
    def parts(self) -> Parts:
        """What a checkpoint keeps as tensors."""
        networks = {"encoder": self.encoder, "decoder": self.decoder, "best": self.best}
        return Parts(networks, {"optimizer": self.optimizer}, {})

    @property
    def numbers(self) -> dict[str, Any]:
        """What a checkpoint keeps as JSON."""
        return {name: getattr(self, name) for name in _NUMBERS}

    def resume(self, numbers: Mapping[str, Any]) -> None:
        """Take these numbers back."""
        for name in _NUMBERS:
            setattr(self, name, numbers[name])


@dataclass(frozen=True)
class Task:
    """Everything constant during training.

    Attributes:
        noise: float32 [rows of valid, latent], the same for every look at `valid`, so that only the weights differ.
    """

    groups: Groups
    class_count: int
    train: Rows
    valid: Rows
    noise: Tensor

    @classmethod
    def of(cls, train: CodeRows, valid: CodeRows, layout: Layout, latent: int, rng: torch.Generator) -> "Task":
        """The task for these rows, with at most `_VALID_ROWS` of valid, on the device of `rng`."""
        groups = Groups.of(layout.sizes, rng.device)
        seen = Rows.of(valid.take(np.arange(min(len(valid), _VALID_ROWS))), groups)
        noise = torch.randn(len(seen), latent, generator=rng, device=rng.device)
        return cls(groups, layout.class_count, Rows.of(train, groups), seen, noise)

    def losses(self, state: State, rows: Rows, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of all columns and divergence from the prior, in nats per row. Source: Kingma 2014, eq. 10."""
        condition = functional.one_hot(rows.classes, self.class_count).float()
        mean, deviation, log_variance = state.encoder(torch.cat([self.groups.one_hot(rows.codes), condition], dim=1))
        logits = state.decoder(torch.cat([mean + deviation * noise, condition], dim=1))
        chosen = self.groups.softmax(logits).gather(1, rows.codes.long() + self.groups.offsets)
        entropy = -chosen.clamp_min(_TINY).log().sum() / len(rows)
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum() / len(rows)
        return entropy, divergence


def train_autoencoder(
    state: State, task: Task, config: TvaeConfig, budget: Budget, save: Callable[[State], None]
) -> None:
    """Trains `state` in place until the budget is used up or `valid` stops to gain; `save` is called at every tick."""
    started = time.monotonic() - state.seconds
    ticked_step, ticked_at = state.step, time.monotonic()
    used, patience = budget.used(state.step, state.seconds), _PATIENCE * budget.steps // _TICKS
    while used < 1 and (len(task.valid) == 0 or state.step - state.best_step < patience):
        share = budget.share(state.step, state.seconds)
        for group in state.optimizer.param_groups:
            group["lr"] = config.learning_rate * float(np.clip((1 - share) / (1 - _DECAY_FROM), 0.02, 1))

        # One step on random rows.
        device = task.noise.device
        index = torch.randint(len(task.train), (config.batch_size,), generator=state.rng, device=device)
        noise = torch.randn(config.batch_size, config.latent, generator=state.rng, device=device)
        entropy, divergence = task.losses(state, task.train.take(index), noise)
        loss = _LOSS_FACTOR * entropy + divergence
        state.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch ships it without types
        state.optimizer.step()

        state.step += 1
        state.seconds = time.monotonic() - started
        before, used = used, budget.used(state.step, state.seconds)
        # Rounded: 0.58 * 50 is 28.999... and would come a step late.
        if int(round(used * _TICKS, 6)) == int(round(before * _TICKS, 6)):
            continue

        # Tick.
        numbers = {"loss": loss.item(), "divergence": divergence.item(), **_judge(state, task)}
        if not np.isfinite(list(numbers.values())).all():
            raise TrainingError(
                f"training diverged: a loss is no longer a number at step {state.step}",
                where="synthesizer.learning_rate",
                hint=f"set a learning_rate below {config.learning_rate:g}",
            )
        now = time.monotonic()
        rate = (state.step - ticked_step) / max(now - ticked_at, 1e-9)
        ticked_step, ticked_at = state.step, now
        left = min((budget.steps - state.step) / rate, budget.seconds - state.seconds)
        progress.report(progress.Tick("fit", "step", state.step, budget.steps, used, rate, left, numbers))
        state.history.append({"step": float(state.step), "seconds": state.seconds, **numbers})
        save(state)


@torch.no_grad()
def _judge(state: State, task: Task) -> dict[str, float]:
    """The bound on `valid`; keeps the decoder where it is the best so far."""
    if len(task.valid) == 0:
        state.best.load_state_dict(state.decoder.state_dict())
        return {}
    entropy, divergence = task.losses(state, task.valid, task.noise)
    bound = -float(entropy + divergence)
    if bound > state.bound:
        state.bound, state.best_step = bound, state.step
        state.best.load_state_dict(state.decoder.state_dict())
    return {"valid_bound": bound}
