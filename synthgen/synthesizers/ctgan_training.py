"""Training of the conditional tabular GAN: moments first, then the critic."""

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from synthgen import progress
from synthgen.config import CtganConfig
from synthgen.errors import TrainingError
from synthgen.synthesizers.ctgan_losses import cooccurrence, critic_loss, critic_scores
from synthgen.synthesizers.ctgan_material import Material
from synthgen.synthesizers.ctgan_package import build_critic, build_generator, output_layer

logger = logging.getLogger(__name__)

_TICKS = 50
_MOMENT_WEIGHT, _MOMENT_MEMORY = 30.0, 0.9
_EMA_DECAY = 0.995
_TEMPERATURE = 0.2
# Shares of the budget at which the learning rate begins to fall and the critic joins. Before the moments are right
# the critic is in the way; after that it neither helps nor harms (C2 on Adult .565 without, .567 with), and costs time.
_DECAY_FROM, _CRITIC_FROM = 0.5, 0.75
_NORM_BATCHES = 40


@dataclass(frozen=True)
class Budget:
    """When training ends: after `steps`, and at the latest after `seconds`.

    Attributes:
        is_reproducible: the schedule follows the steps alone; else the clock too, lest the last phase be cut off.
    """

    steps: int
    seconds: float
    is_reproducible: bool

    @classmethod
    def of(cls, config: CtganConfig, rows: int) -> "Budget":
        """The config's steps; without them 40 x sqrt(rows), from 600 to 3,000."""
        steps = config.budget_steps or int(np.clip(40 * rows**0.5, 600, 3_000))
        return cls(steps, config.budget_minutes * 60, config.budget_steps is not None)

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
        average: the generator with exponentially averaged weights: the one that is kept.
        running: float32 [s, d + k, d + k], moving average of the generator's moments.
    """

    generator: nn.Module
    average: nn.Module
    critic: nn.Module
    generator_optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer
    running: Tensor
    rng: torch.Generator
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def fresh(cls, config: CtganConfig, material: Material, rng: torch.Generator) -> "State":
        """Untrained networks; the generator starts at the marginals."""
        width, classes = material.groups.width, material.class_count
        generator = build_generator(config.latent + classes, config.width, width, rng)
        # How often a level comes with any class is how often it comes.
        marginals = material.target[:, :width, width:].sum(dim=2).mean(dim=0)
        with torch.no_grad():
            output_layer(generator).bias.copy_(torch.log(marginals + 1e-4))
        critic = build_critic(width + classes, config.width, rng)
        return cls(
            generator, copy.deepcopy(generator).requires_grad_(False), critic,
            _adam(generator, config), _adam(critic, config), material.target.clone(), rng,
        )  # fmt: skip


def _adam(network: nn.Module, config: CtganConfig) -> torch.optim.Optimizer:
    # ctgan's betas and decay; on these moments betas of (0.9, 0.99) are much worse (C2 .87 against .74 on Adult).
    return torch.optim.Adam(
        network.parameters(), lr=config.learning_rate, betas=(0.5, 0.9), weight_decay=1e-6, fused=True
    )


def train_networks(
    state: State, material: Material, config: CtganConfig, budget: Budget, save: Callable[[State], None]
) -> None:
    """Trains `state` in place until the budget is used up; `save` is called at every tick."""
    conditions = material.conditions
    started = time.monotonic() - state.seconds
    ticked_step, ticked_at = state.step, time.monotonic()
    used = budget.used(state.step, state.seconds)
    while used < 1:
        share = budget.share(state.step, state.seconds)
        for optimizer in (state.generator_optimizer, state.critic_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * float(np.clip((1 - share) / (1 - _DECAY_FROM), 0.02, 1))

        # Generate.
        noise = torch.randn(material.batch_size, config.latent, generator=state.rng, device=material.device)
        logits = state.generator(torch.cat([noise, conditions], dim=1))  # [b, d]
        probabilities = material.groups.softmax(logits)

        # Moments: the gradient is taken at a moving average, whose noise is lower than that of one batch.
        moments = cooccurrence(torch.cat([probabilities, conditions], dim=1), material.strata)
        memory = min(_MOMENT_MEMORY, state.step / (state.step + 1))
        state.running.mul_(memory).add_(moments.detach(), alpha=1 - memory)
        residual = (state.running - material.target) * material.weight
        loss = _MOMENT_WEIGHT * (residual * moments).sum()

        # Critic: what two columns at a time do not show.
        critic_value = loss.new_zeros(())
        if config.critic_weight > 0 and share >= _CRITIC_FROM:
            fake = torch.cat([material.groups.gumbel_softmax(logits, _TEMPERATURE, state.rng), conditions], dim=1)
            real = torch.cat([material.real_rows(state.rng), conditions], dim=1)
            # Shuffled: rows are sorted by class, and a pack should hold several.
            order = torch.randperm(material.batch_size, generator=state.rng, device=material.device)
            critic_value = critic_loss(state.critic, real[order], fake[order].detach(), state.rng)
            _descend(state.critic_optimizer, critic_value)
            state.critic.requires_grad_(False)
            loss = loss - config.critic_weight * critic_scores(state.critic, fake[order], state.rng).mean()
            state.critic.requires_grad_(True)
        _descend(state.generator_optimizer, loss)

        # Average the weights; early on over a shorter time.
        decay = min(_EMA_DECAY, (1 + state.step) / (10 + state.step))
        for kept, current in zip(state.average.parameters(), state.generator.parameters(), strict=True):
            kept.lerp_(current.detach(), 1 - decay)

        state.step += 1
        state.seconds = time.monotonic() - started
        before, used = used, budget.used(state.step, state.seconds)
        # Rounded: 0.58 * 50 is 28.999... and would come a step late.
        if int(round(used * _TICKS, 6)) == int(round(before * _TICKS, 6)):
            continue

        # Tick.
        error = float((residual * (state.running - material.target)).sum())
        numbers = {"moment_error": error, "critic_loss": critic_value.item(), "generator_loss": loss.item()}
        if not np.isfinite(list(numbers.values())).all():
            raise TrainingError(
                f"training diverged: a loss is no longer a number at step {state.step}",
                where="synthesizer.learning_rate",
                hint=f"set a learning_rate below {config.learning_rate:g}, or critic_weight: 0",
            )
        now = time.monotonic()
        rate = (state.step - ticked_step) / max(now - ticked_at, 1e-9)
        ticked_step, ticked_at = state.step, now
        left = min((budget.steps - state.step) / rate, budget.seconds - state.seconds)
        progress.report(progress.Tick("fit", "step", state.step, budget.steps, used, rate, left, numbers))
        state.history.append({"step": float(state.step), "seconds": state.seconds, **numbers})
        save(state)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch ships it without types
    optimizer.step()


@torch.no_grad()
def settle_batch_norm(generator: nn.Module, material: Material, latent: int, rng: torch.Generator) -> None:
    """Batch statistics of the averaged weights in evaluation mode: a row then does not depend on the rows beside it."""
    layers = [layer for layer in generator.modules() if isinstance(layer, nn.BatchNorm1d)]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    generator.train()
    for _ in range(_NORM_BATCHES):
        noise = torch.randn(material.batch_size, latent, generator=rng, device=material.device)
        generator(torch.cat([noise, material.conditions], dim=1))
    generator.eval()
