"""One step of each network, and of the average that is kept."""

from functools import partial

import torch
from torch import Tensor

from synthgen.config import ImageGanConfig
from synthgen.gan.augment import augment
from synthgen.gan.losses import LOSSES
from synthgen.gan.penalties import PENALTIES, Judged, Penalty
from synthgen.gan.state import TrainingState
from synthgen.team import Team

# The average follows faster at first, or it would hold on to untrained weights. Source: Karras 2020, arXiv:2006.06676.
_AVERAGE_WARMUP = 0.05


def discriminator_step(
    state: TrainingState, real: Tensor, fake: Tensor, codes: Tensor, config: ImageGanConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Updates the discriminator; its loss, the real logits [n], and the share of real images that outrank their fake.

    Args:
        real, fake: float [n, c, *size] in [-1, 1], pairs of one class.
        codes: int64 [n], the class of each pair.
    """
    images = torch.cat([seen(state, real), seen(state, fake)])
    weight = _penalty_weight(state, config)
    logits = state.discriminator(images.requires_grad_(weight > 0), torch.cat([codes, codes])).float()
    real_logits, fake_logits = logits.chunk(2)
    objective = LOSSES[config.loss].discriminator(real_logits, fake_logits)
    if weight > 0:
        judge = partial(state.discriminator, codes=codes)
        penalty = chosen_penalty(config)
        assert penalty is not None
        objective = objective + weight * penalty.value(Judged(images, logits, judge, state.rng))
    _descend(state.discriminator_optimiser, objective, state.team)
    return objective.detach(), real_logits.detach(), (real_logits > fake_logits).float().mean()


def generator_step(
    state: TrainingState, fake: Tensor, codes: Tensor, real_logits: Tensor, config: ImageGanConfig
) -> Tensor:
    """Updates the generator; its loss.

    Args:
        fake: float [n, c, *size], still attached to the generator.
    """
    state.discriminator.requires_grad_(False)
    fake_logits = state.discriminator(seen(state, fake), codes)
    objective = LOSSES[config.loss].generator(real_logits, fake_logits.float())
    _descend(state.generator_optimiser, objective, state.team)
    state.let_discriminator_learn()
    return objective.detach()


@torch.no_grad()
def update_average(state: TrainingState, config: ImageGanConfig) -> None:
    """Moves the averaged generator towards the current one; what batch norm has counted is copied."""
    halflife = min(config.ema_halflife_images, state.images * _AVERAGE_WARMUP)
    weight = 1 - 0.5 ** (config.batch_size / halflife) if halflife else 1.0
    torch._foreach_lerp_(list(state.average.parameters()), list(state.generator.parameters()), weight)
    for average, current in zip(state.average.buffers(), state.generator.buffers(), strict=True):
        average.copy_(current)


def chosen_penalty(config: ImageGanConfig) -> Penalty | None:
    """The penalty that the configuration names; `auto` is the loss's own."""
    if config.penalty == "none":
        return None
    return PENALTIES[LOSSES[config.loss].penalty if config.penalty == "auto" else config.penalty]


def penalty_gamma(state: TrainingState, config: ImageGanConfig) -> float:
    """Weight of the penalty, over all steps."""
    penalty = chosen_penalty(config)
    if penalty is None or config.penalty_gamma is not None:
        return config.penalty_gamma or 0.0
    return penalty.weight(max(state.generator.spec.size))


def _penalty_weight(state: TrainingState, config: ImageGanConfig) -> float:
    """Weight in this step: all of the steps until the next one, or 0."""
    penalty = chosen_penalty(config)
    every = config.penalty_every or (penalty.every if penalty else 1)
    return penalty_gamma(state, config) * every if state.step % every == 0 else 0.0


def latent(state: TrainingState, n: int) -> Tensor:
    """Normal numbers for n images."""
    return torch.randn(n, state.generator.latent, device=state.device, generator=state.rng)


def seen(state: TrainingState, images: Tensor) -> Tensor:
    """The images as the discriminator sees them."""
    return augment(images.float(), state.policy, state.rng)


def _descend(optimiser: torch.optim.Optimizer, objective: Tensor, team: Team) -> None:
    optimiser.zero_grad()
    objective.backward()  # type: ignore[no-untyped-call]  # torch ships it without types
    team.average_gradients(optimiser)
    optimiser.step()
