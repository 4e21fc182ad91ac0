"""Training of the column networks by maximum likelihood; the weights of the best validation likelihood are kept."""

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from synthgen import progress
from synthgen.config import AutoregressiveConfig
from synthgen.errors import TrainingError
from synthgen.synthesizers.autoregressive_network import ColumnNetworks, build_networks, start_at_marginals
from synthgen.synthesizers.codes import Layout
from synthgen.synthesizers.training_file import Parts

logger = logging.getLogger(__name__)

_TICKS = 20
# Ticks without a better validation likelihood after which training ends.
_PATIENCE = 5
_MIN_STEPS = 600
# Smaller batches below: on 5,463 rows x 46 columns a validation loss of 85.55 with 64, 85.90 with 200.
_MANY_ROWS = 10_000
_EMA_DECAY, _WEIGHT_DECAY = 0.995, 1e-2
_WARMUP_STEPS, _DECAY_FROM = 30, 0.4
_MAX_ROLLBACKS = 3
_CHUNK_ROWS = 2_048


@dataclass(frozen=True)
class Plan:
    """How long training lasts: `steps`, and at the latest `seconds`.

    Attributes:
        is_reproducible: the schedule follows the steps alone; else the clock too, lest its end be cut off.
    """

    steps: int
    seconds: float
    batch_size: int
    is_reproducible: bool

    @classmethod
    def of(cls, config: AutoregressiveConfig, rows: int) -> "Plan":
        """The config's steps or epochs; batches of 200 rows, 64 below 10,000 rows."""
        batch_size = config.batch_size or (200 if rows >= _MANY_ROWS else 64)
        steps = config.budget_steps or max(round(config.epochs * rows / batch_size), _MIN_STEPS)
        return cls(steps, config.budget_minutes * 60, batch_size, config.budget_steps is not None)

    def share(self, step: int, seconds: float) -> float:
        """Of the schedule that is behind us, in [0, 1]."""
        return min(1.0, step / self.steps) if self.is_reproducible else self.used(step, seconds)

    def used(self, step: int, seconds: float) -> float:
        """Share of the budget that is used up, in [0, 1]; training ends at 1."""
        return min(1.0, max(step / self.steps, seconds / self.seconds))


@dataclass
class State:
    """Everything that changes during training; a checkpoint holds all of it.

    Attributes:
        average: the networks with exponentially averaged weights.
        best: the average at its best validation likelihood: what is kept.
        best_loss: its loss on the validation rows, in nats per row.
        rate_factor: of the learning rate; halved by each rollback.
    """

    networks: ColumnNetworks
    average: ColumnNetworks
    best: ColumnNetworks
    optimizer: torch.optim.Optimizer
    rng: torch.Generator
    step: int = 0
    seconds: float = 0.0
    best_loss: float = np.inf
    ticks_since_best: int = 0
    rollbacks: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def fresh(cls, layout: Layout, config: AutoregressiveConfig, train: Tensor, rng: torch.Generator) -> "State":
        """Untrained networks, which start at the marginals of train: int32 [n, 1 + columns], the class first."""
        networks = build_networks(layout, config, rng)
        start_at_marginals(networks, train[:, 1:])
        optimizer = torch.optim.AdamW(
            networks.parameters(), lr=config.learning_rate, weight_decay=_WEIGHT_DECAY, fused=True
        )
        average, best = (copy.deepcopy(networks).requires_grad_(False) for _ in range(2))
        return cls(networks, average, best, optimizer, rng)

    @property
    def parts(self) -> Parts:
        """All networks and the optimizer's moments."""
        networks = {"networks": self.networks, "average": self.average, "best": self.best}
        return Parts(networks, {"optimizer": self.optimizer}, {})

    @property
    def numbers(self) -> dict[str, Any]:
        """All else but the random state, JSON-ready."""
        names = ("step", "seconds", "best_loss", "ticks_since_best", "rollbacks", "history")
        return {name: getattr(self, name) for name in names}


def train_networks(state: State, train: Tensor, valid: Tensor, plan: Plan, save: Callable[[State], None]) -> None:
    """Trains `state` in place until the budget is used up or the validation likelihood no longer grows.

    Args:
        train, valid: int32 [n, 1 + columns], the class first; neither is empty.
        save: called at every tick.

    Raises:
        TrainingError: the loss is no longer a number, also at a lower learning rate.
    """
    base_rate = state.optimizer.defaults["lr"]
    good = state.parts.copied()
    started = time.monotonic() - state.seconds
    ticked_step, ticked_at = state.step, time.monotonic()
    used = plan.used(state.step, state.seconds)
    total = torch.zeros((), device=train.device)
    while used < 1 and state.ticks_since_best < _PATIENCE:
        share = plan.share(state.step, state.seconds)
        for group in state.optimizer.param_groups:
            group["lr"] = base_rate * _rate(share, state.step) / 2**state.rollbacks

        # Descend.
        picked = torch.randint(len(train), (plan.batch_size,), generator=state.rng, device=train.device)
        loss = state.networks.losses(train[picked].long(), state.networks.draw_keep(plan.batch_size, state.rng)).sum()
        state.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch ships it without types
        state.optimizer.step()
        total += loss.detach()

        # Average the weights; early on over a shorter time.
        decay = min(_EMA_DECAY, (1 + state.step) / (10 + state.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(state.average.parameters()), list(state.networks.parameters()), 1 - decay)

        state.step += 1
        state.seconds = time.monotonic() - started
        before, used = used, plan.used(state.step, state.seconds)
        # Rounded: 0.58 * 50 is 28.999... and would come a step late.
        if int(round(used * _TICKS, 6)) == int(round(before * _TICKS, 6)):
            continue

        # Tick.
        numbers = {
            "train_loss": total.item() / (state.step - ticked_step),
            "valid_loss": mean_loss(state.average, valid),
        }
        total.zero_()
        now = time.monotonic()
        rate = (state.step - ticked_step) / max(now - ticked_at, 1e-9)
        ticked_step, ticked_at = state.step, now
        if not np.isfinite(list(numbers.values())).all():
            _roll_back(state, good, base_rate)
            continue
        _remember_best(state, numbers["valid_loss"])
        good = state.parts.copied()
        left = min((plan.steps - state.step) / rate, plan.seconds - state.seconds)
        progress.report(progress.Tick("fit", "step", state.step, plan.steps, used, rate, left, numbers))
        state.history.append({"step": float(state.step), "seconds": state.seconds, **numbers})
        save(state)
    if not np.isfinite(state.best_loss):
        _give_up(state, base_rate)


def _rate(share: float, step: int) -> float:
    warm = min(1.0, (step + 1) / _WARMUP_STEPS)
    if share < _DECAY_FROM:
        return warm
    return warm * (0.5 * (1 + float(np.cos(np.pi * (share - _DECAY_FROM) / (1 - _DECAY_FROM)))) + 0.01)


def _remember_best(state: State, loss: float) -> None:
    if loss >= state.best_loss:
        state.ticks_since_best += 1
        return
    state.best_loss, state.ticks_since_best = loss, 0
    state.best.load_state_dict(state.average.state_dict())


def _roll_back(state: State, good: dict[str, Tensor], base_rate: float) -> None:
    state.rollbacks += 1
    if state.rollbacks > _MAX_ROLLBACKS:
        _give_up(state, base_rate)
    logger.warning("roll back training step=%d rollbacks=%d", state.step, state.rollbacks)
    state.parts.fill(good)
    rollbacks = float(state.rollbacks)
    state.history.append({"step": float(state.step), "seconds": state.seconds, "rollbacks": rollbacks})


def _give_up(state: State, base_rate: float) -> NoReturn:
    raise TrainingError(
        f"training diverged: the loss is no longer a number at step {state.step}",
        where="synthesizer.learning_rate",
        hint=f"set a learning_rate below {base_rate / 2**_MAX_ROLLBACKS:g}",
    )


@torch.no_grad()
def mean_loss(networks: ColumnNetworks, rows: Tensor) -> float:
    """Mean negative log-likelihood of rows int [n, 1 + columns], in nats per row."""
    parts = torch.split(rows, _CHUNK_ROWS)
    return sum(float(networks.losses(part.long()).sum()) * len(part) for part in parts) / len(rows)
