"""Training of the column networks by maximum likelihood; each keeps its weights of the best validation likelihood."""

import copy
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from synthgen import progress
from synthgen.config import AutoregressiveConfig
from synthgen.errors import TrainingError
from synthgen.synthesizers.autoregressive.network import ColumnNetworks, build_networks, start_at_marginals
from synthgen.synthesizers.budget import Budget
from synthgen.synthesizers.codes import Layout
from synthgen.synthesizers.training_file import Parts

logger = logging.getLogger(__name__)

_TICKS = 20
# Ticks without a better validation likelihood after which a column learns no more.
_PATIENCE = 5
# Tick from which the embeddings stay: columns that share them cannot each stop at a time of their own. Columns with a
# tight relation learn on long after the others over-fit; 5,463 rows x 46 columns, validation loss in nats: all stopped
# together 85.77, each by itself 84.9.
_EMBEDDING_TICKS = 2
_MIN_STEPS = 600
# Smaller batches below: on 5,463 rows x 46 columns a validation loss of 85.55 with 64, 85.90 with 200.
_MANY_ROWS = 10_000
_EMA_DECAY, _WEIGHT_DECAY = 0.995, 1e-2
_WARMUP_STEPS, _DECAY_FROM = 30, 0.4
_MAX_ROLLBACKS = 3
_CHUNK_ROWS = 2_048


@dataclass(frozen=True)
class Plan:
    """How long training lasts, and the rows of a batch."""

    budget: Budget
    batch_size: int

    @classmethod
    def of(cls, config: AutoregressiveConfig, rows: int) -> "Plan":
        """The config's steps or epochs; batches of 200 rows, 64 below 10,000 rows."""
        batch_size = config.batch_size or (200 if rows >= _MANY_ROWS else 64)
        steps = config.budget_steps or max(round(config.epochs * rows / batch_size), _MIN_STEPS)
        return cls(Budget(steps, config.budget_minutes * 60, config.budget_steps is not None), batch_size)


@dataclass
class State:
    """Everything that changes during training; a checkpoint holds all of it.

    Attributes:
        average: the networks with exponentially averaged weights.
        best: each column as the average had it at its best validation likelihood: what is kept.
        best_losses: of each column on the validation rows, in nats per row.
        train_losses: of each column since the last tick, or before it stopped.
        rate_factor: of the learning rate; halved by each rollback.
    """

    networks: ColumnNetworks
    average: ColumnNetworks
    best: ColumnNetworks
    optimizer: torch.optim.Optimizer
    rng: torch.Generator
    step: int = 0
    seconds: float = 0.0
    best_losses: list[float] = field(default_factory=list)
    train_losses: list[float] = field(default_factory=list)
    ticks_since_best: list[int] = field(default_factory=list)
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
        state = cls(networks, average, best, optimizer, rng)
        columns = len(layout.sizes)
        state.best_losses, state.train_losses = [np.inf] * columns, [np.inf] * columns
        state.ticks_since_best = [0] * columns
        return state

    @property
    def parts(self) -> Parts:
        """All networks and the optimizer's moments."""
        networks = {"networks": self.networks, "average": self.average, "best": self.best}
        return Parts(networks, {"optimizer": self.optimizer}, {})

    @property
    def numbers(self) -> dict[str, Any]:
        """All else but the random state, JSON-ready."""
        names = ("step", "seconds", "best_losses", "train_losses", "ticks_since_best", "rollbacks", "history")
        return {name: getattr(self, name) for name in names}

    @property
    def learning(self) -> list[int]:
        """The columns that still learn."""
        return [j for j, ticks in enumerate(self.ticks_since_best) if ticks < _PATIENCE]


def train_networks(state: State, train: Tensor, valid: Tensor, plan: Plan, save: Callable[[State], None]) -> None:
    """Trains `state` in place until the budget is used up or no column's validation likelihood grows any more.

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
    used = plan.budget.used(state.step, state.seconds)
    if is_frozen := _tick(used) >= _EMBEDDING_TICKS:
        _freeze_embeddings(state)
    learning = state.learning
    total = torch.zeros(len(learning), device=train.device)
    while used < 1 and learning:
        share = plan.budget.share(state.step, state.seconds)
        for group in state.optimizer.param_groups:
            group["lr"] = base_rate * _rate(share, state.step) / 2**state.rollbacks

        # Descend.
        picked = torch.randint(len(train), (plan.batch_size,), generator=state.rng, device=train.device)
        keep = state.networks.draw_keep(plan.batch_size, len(learning), state.rng)
        losses = state.networks.losses(train[picked].long(), learning, keep)
        state.optimizer.zero_grad()
        losses.sum().backward()  # type: ignore[no-untyped-call]  # torch ships it without types
        state.optimizer.step()
        total += losses.detach()

        # Average the weights; early on over a shorter time.
        decay = min(_EMA_DECAY, (1 + state.step) / (10 + state.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(state.average.parameters()), list(state.networks.parameters()), 1 - decay)

        state.step += 1
        state.seconds = time.monotonic() - started
        before, used = used, plan.budget.used(state.step, state.seconds)
        if _tick(used) == _tick(before):
            continue

        # Tick.
        train_losses = total / (state.step - ticked_step)
        total.zero_()
        if _tick(used) >= _EMBEDDING_TICKS:
            _freeze_embeddings(state)
        valid_losses = mean_losses(state.average, valid, learning)
        now = time.monotonic()
        rate = (state.step - ticked_step) / max(now - ticked_at, 1e-9)
        ticked_step, ticked_at = state.step, now
        if not torch.isfinite(train_losses + valid_losses).all():
            _roll_back(state, good, base_rate)
            continue
        if not is_frozen:
            # The losses so far were those of other embeddings.
            state.best_losses = [np.inf] * len(state.best_losses)
            is_frozen = _tick(used) >= _EMBEDDING_TICKS
        _remember_best(state, learning, train_losses.tolist(), valid_losses.tolist())
        learning = state.learning
        total = total[: len(learning)]
        numbers = {"train_loss": sum(state.train_losses), "valid_loss": sum(state.best_losses)}
        good = state.parts.copied()
        left = min((plan.budget.steps - state.step) / rate, plan.budget.seconds - state.seconds)
        progress.report(progress.Tick("fit", "step", state.step, plan.budget.steps, used, rate, left, numbers))
        state.history.append({"step": float(state.step), "seconds": state.seconds, **numbers})
        save(state)
    if not np.isfinite(state.best_losses).all():
        _give_up(state, base_rate)


def _rate(share: float, step: int) -> float:
    warm = min(1.0, (step + 1) / _WARMUP_STEPS)
    if share < _DECAY_FROM:
        return warm
    return warm * (0.5 * (1 + float(np.cos(np.pi * (share - _DECAY_FROM) / (1 - _DECAY_FROM)))) + 0.01)


def _tick(used: float) -> int:
    # Rounded: 0.58 * 50 is 28.999... and would come a step late.
    return int(round(used * _TICKS, 6))


def _freeze_embeddings(state: State) -> None:
    averaged = state.average.embeddings.state_dict()
    for networks in (state.networks, state.best):
        networks.embeddings.load_state_dict(averaged)
    state.networks.embeddings.requires_grad_(False)


def _remember_best(state: State, columns: list[int], train_losses: list[float], valid_losses: list[float]) -> None:
    for j, train_loss, loss in zip(columns, train_losses, valid_losses, strict=True):
        state.train_losses[j] = train_loss
        state.ticks_since_best[j] += 1
        if loss < state.best_losses[j]:
            state.best_losses[j], state.ticks_since_best[j] = loss, 0
            state.best.columns[j].load_state_dict(state.average.columns[j].state_dict())


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
def mean_losses(networks: ColumnNetworks, rows: Tensor, columns: Sequence[int]) -> Tensor:
    """Mean negative log-likelihood [columns] of rows int [n, 1 + columns], in nats per row."""
    parts = torch.split(rows, _CHUNK_ROWS)
    return torch.stack([networks.losses(part.long(), columns) * len(part) for part in parts]).sum(dim=0) / len(rows)
