"""Training of the conditional tabular GAN: the teacher (or, without a head, moments) first, then the critic too."""

import copy
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from synthgen import progress
from synthgen.config import CtganConfig
from synthgen.synthesizers.budget import Budget
from synthgen.synthesizers.codes import Layout
from synthgen.synthesizers.ctgan.losses import cooccurrence, critic_loss, critic_scores, log_loss
from synthgen.synthesizers.ctgan.material import Material
from synthgen.synthesizers.ctgan.monitor import Health, Judge, Rescue, diversity
from synthgen.synthesizers.ctgan.network import CodeGenerator, build_network
from synthgen.synthesizers.ctgan.package import build_critic, output_layer
from synthgen.synthesizers.training_file import Parts, restore_training, save_training
from synthgen.team import ALONE, Team

logger = logging.getLogger(__name__)

_TICKS = 50
# Every how many ticks `valid` is looked at, and from which share of the schedule on rows are drawn to compare.
_CHECK_TICKS, _LATE_FROM = 5, 0.5
_MOMENT_WEIGHT, _MOMENT_MEMORY = 30.0, 0.9
_EMA_DECAY = 0.99
_TEMPERATURE = 0.2
# Shares of the budget at which the learning rate begins to fall and the critic joins. Before the rest is right the
# critic is in the way, and costs time.
_DECAY_FROM, _CRITIC_FROM = 0.5, 0.75
# Of the learning rate: likelihood wants smaller steps than moments do.
_HEAD_RATE = 0.5
# Times through the training rows where the config names no steps.
_PASSES = 20
# Of these steps, what a training needs that begins with an earlier model (benchmarks/warm_start.py).
_WARM_SHARE = 0.5


def budget_of(config: CtganConfig, rows: int, *, is_warm: bool = False) -> Budget:
    """The config's steps; without them 20 times through the rows, or 40 x sqrt(rows) steps without head.

    Args:
        is_warm: begun with the weights of an earlier model, which needs `_WARM_SHARE` of the steps.
    """
    passes, least = (_PASSES * rows / config.batch_size, 300) if config.head else (40 * rows**0.5, 600)
    share = _WARM_SHARE if is_warm else 1.0
    steps = config.budget_steps or int(share * np.clip(passes, least, 3_000))
    return Budget(steps, config.budget_minutes * 60, config.budget_steps is not None)


@dataclass
class State:
    """Everything that changes during training; a checkpoint holds all of it.

    Attributes:
        average: the generator with exponentially averaged weights.
        best: the average that did best on `valid`, once there is numbers["has_best"].
        running: float32 [s, d + k, d + k], moving average of the generator's moments; empty with a head.
        numbers: what the monitors found and changed.
    """

    generator: CodeGenerator
    average: CodeGenerator
    best: CodeGenerator
    critic: nn.Module
    generator_optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer
    running: Tensor
    rng: torch.Generator
    step: int = 0
    seconds: float = 0.0
    numbers: dict[str, float] = field(
        default_factory=lambda: {"rate_scale": 1.0, "critic_scale": 1.0, "rollbacks": 0.0}
    )
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def fresh(cls, config: CtganConfig, layout: Layout, material: Material, rng: torch.Generator) -> "State":
        """Untrained networks; the generator starts at the marginals."""
        width = material.groups.width
        size = (config.latent, config.width)
        generator = build_network(layout, material.groups, size, rng, has_head=config.head)
        # How often a level comes with any class is how often it comes.
        marginals = material.target[:, :width, width:].sum(dim=2).mean(dim=0)
        with torch.no_grad():
            output_layer(generator.generator).bias.copy_(torch.log(marginals + 1e-4))
        critic = build_critic(width + material.class_count, config.width, rng)
        average, best = (copy.deepcopy(generator).requires_grad_(False) for _ in range(2))
        return cls(
            generator, average, best, critic, _optimizer(generator, is_headed=config.head), _optimizer(critic),
            material.target.new_zeros(0) if config.head else material.target.clone(), rng,
        )  # fmt: skip

    def parts(self) -> Parts:
        """All that training changes."""
        return Parts(
            {"generator": self.generator, "average": self.average, "best": self.best, "critic": self.critic},
            {"generator_optimizer": self.generator_optimizer, "critic_optimizer": self.critic_optimizer},
            {"running": self.running},
        )

    def save(self, directory: Path, key: str) -> None:
        """Write a checkpoint; `key` says what it is one of."""
        counts = {"step": self.step, "seconds": self.seconds, "numbers": self.numbers, "history": self.history}
        save_training(self.parts(), self.rng, counts, directory, key=key)

    def resume(self, directory: Path, key: str) -> None:
        """Go to where the checkpoint stands; one that is damaged or of something else is ignored."""
        found = restore_training(self.parts(), self.rng, directory, key=key)
        if found is not None:
            self.step, self.seconds = found["step"], found["seconds"]
            self.numbers, self.history = found["numbers"], found["history"]


def _optimizer(network: nn.Module, *, is_headed: bool = False) -> torch.optim.Optimizer:
    # ctgan's betas and decay; on moments betas of (0.9, 0.99) are much worse (C2 .87 against .74 on Adult).
    if not is_headed:
        return torch.optim.Adam(network.parameters(), betas=(0.5, 0.9), weight_decay=1e-6, fused=True)
    return torch.optim.AdamW(network.parameters(), betas=(0.9, 0.99), weight_decay=1e-2, fused=True)


@dataclass(frozen=True)
class Task:
    """What is trained for: the data, the config, who judges on `valid` (None: nobody), and who trains together."""

    material: Material
    config: CtganConfig
    judge: Judge | None = None
    team: Team = ALONE


def train_networks(state: State, task: Task, budget: Budget, save: Callable[[State], None]) -> None:
    """Trains `state` in place until the budget is used up or training is over; `save` is called at every tick.

    Raises:
        TrainingError: faults that three rollbacks did not cure.
    """
    material, config, conditions = task.material, task.config, task.material.conditions
    team, seed = task.team, state.rng.initial_seed()
    team.reseed(state.rng, seed, state.step)
    rescue = Rescue(state)
    started = time.monotonic() - state.seconds
    ticked_step, ticked_at = state.step, time.monotonic()
    used = budget.used(state.step, state.seconds)
    while used < 1 and "is_over" not in state.numbers:
        share = budget.share(state.step, state.seconds)
        has_critic = config.critic_weight > 0 and share >= _CRITIC_FROM
        rate = _set_rates(state, config, share)

        # Generate.
        noise = torch.randn(material.batch_size, config.latent, generator=state.rng, device=material.device)
        logits = state.generator(noise, conditions)  # [b, d]
        real = material.real_codes(state.rng)

        # Teacher: each column of a real row given those before it; without a head, the moments of all pairs.
        if config.head:
            known = state.generator.given(logits, real, conditions, state.rng)
            loss = error = log_loss(material.groups, known, real)
        else:
            loss, error = _moment_loss(state, material, logits, team)

        # Critic: whole rows, and what two columns at a time do not show.
        critic_value = loss.new_zeros(())
        if has_critic:
            drafts = state.generator.draw(logits.detach(), conditions, {}, state.rng)
            drawn = state.generator.given(logits, drafts.codes, conditions) + drafts.noise
            fake = torch.cat([material.groups.softmax(drawn / _TEMPERATURE), conditions], dim=1)
            whole = torch.cat([material.groups.one_hot(real), conditions], dim=1)
            # Shuffled: rows are sorted by class, and a pack should hold several.
            order = torch.randperm(material.batch_size, generator=state.rng, device=material.device)
            critic_value = critic_loss(state.critic, whole[order], fake[order].detach(), state.rng)
            _descend(state.critic_optimizer, critic_value, team)
            state.critic.requires_grad_(False)
            weight = config.critic_weight * state.numbers["critic_scale"]
            loss = loss - weight * critic_scores(state.critic, fake[order], state.rng).mean()
            state.critic.requires_grad_(True)
        _descend(state.generator_optimizer, loss, team)

        # Average the weights; early on over a shorter time.
        decay = min(_EMA_DECAY, (1 + state.step) / (10 + state.step))
        for kept, current in zip(state.average.parameters(), state.generator.parameters(), strict=True):
            kept.lerp_(current.detach(), 1 - decay)

        state.step += 1
        state.seconds = team.agreed(time.monotonic() - started)
        before, used = used, budget.used(state.step, state.seconds)
        # Rounded: 0.58 * 50 is 28.999... and would come a step late.
        tick = int(round(used * _TICKS, 6))
        if tick == int(round(before * _TICKS, 6)):
            continue

        # Tick: the only place where the device is waited for.
        if not team.leads:
            _follow(state, team, seed)
            continue
        named = "log_loss" if config.head else "moment_error"
        losses = {named: error.item(), "critic_loss": critic_value.item(), "generator_loss": loss.item()}
        codes = state.generator.draw(logits.detach(), conditions, {}, state.rng).codes
        varied = diversity(codes, real.long(), material.groups)
        health = Health(losses[named], losses, _gradient_norm(state.generator), varied, has_critic)
        numbers = {**health.numbers(), "learning_rate": rate}
        is_late = share >= _LATE_FROM
        with _led(state, team):
            is_ready = rescue.is_ready(state, health)
            if is_ready and task.judge and tick % _CHECK_TICKS == 0 and (config.head or is_late):
                numbers |= task.judge.check(state, state.average, state.best, is_late=is_late)
                rescue.keep(state)
        numbers["rollbacks"] = state.numbers["rollbacks"]
        now = time.monotonic()
        speed = (state.step - ticked_step) / max(now - ticked_at, 1e-9)
        ticked_step, ticked_at = state.step, now
        left = min((budget.steps - state.step) / speed, budget.seconds - state.seconds)
        progress.report(progress.Tick("fit", "step", state.step, budget.steps, used, speed, left, numbers))
        state.history.append({"step": float(state.step), "seconds": state.seconds, **numbers})
        save(state)


def _set_rates(state: State, config: CtganConfig, share: float) -> float:
    """The learning rate at this share of the schedule, given to both optimizers."""
    scale = state.numbers["rate_scale"] * (_HEAD_RATE if config.head else 1.0)
    rate = config.learning_rate * scale * float(np.clip((1 - share) / (1 - _DECAY_FROM), 0.02, 1))
    for optimizer in state.parts().optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = rate
    return rate


@contextmanager
def _led(state: State, team: Team) -> Iterator[None]:
    """Tell the others what the block decides: a rollback, or the end."""
    rollbacks = state.numbers["rollbacks"]
    try:
        yield
    except BaseException:
        team.tell({"is_rolled_back": False, "numbers": {**state.numbers, "is_over": 1.0}})
        raise
    is_rolled_back = state.numbers["rollbacks"] > rollbacks
    team.tell({"is_rolled_back": is_rolled_back, "numbers": state.numbers})
    if is_rolled_back:
        team.share(state.parts().tensors())


def _follow(state: State, team: Team, seed: int) -> None:
    decided = team.tell()
    state.numbers = decided["numbers"]
    if decided["is_rolled_back"]:
        state.parts().fill(team.share())
    # From here a training that is gone on with draws the same.
    team.reseed(state.rng, seed, state.step)


def _moment_loss(state: State, material: Material, logits: Tensor, team: Team) -> tuple[Tensor, Tensor]:
    """What to descend, and the error. The gradient is taken at a moving average: less noise than in one batch."""
    rows = torch.cat([material.groups.softmax(logits), material.conditions], dim=1)
    moments = cooccurrence(rows, material.strata)
    memory = min(_MOMENT_MEMORY, state.step / (state.step + 1))
    # Of all processes: the error is that of the whole batch, and so is the mean of their gradients.
    state.running.mul_(memory).add_(team.average(moments.detach()), alpha=1 - memory)
    difference = state.running - material.target
    residual = difference * material.weight
    return _MOMENT_WEIGHT * (residual * moments).sum(), (residual * difference).sum()


def _gradient_norm(network: nn.Module) -> float:
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return float(torch.stack([gradient.norm() for gradient in gradients]).norm())


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, team: Team) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch ships it without types
    team.average_gradients(optimizer)
    optimizer.step()
