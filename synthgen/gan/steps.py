"""One step of both networks, and of the average that is kept."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from synthgen.config import ImageGanConfig
from synthgen.gan.augment import augment
from synthgen.gan.batches import Batches
from synthgen.gan.losses import LOSSES, Loss
from synthgen.gan.penalties import PENALTIES, Judged, Pairs, Penalty, judged_slopes
from synthgen.gan.state import TrainingState
from synthgen.team import Team

# The average follows faster at first, or it would hold on to untrained weights. Source: Karras 2020, arXiv:2006.06676.
_AVERAGE_WARMUP = 0.05


def train_step(state: TrainingState, batches: Batches, config: ImageGanConfig) -> Tensor:
    """Updates both networks; losses of discriminator and generator, and the discriminator's accuracy, [3]."""
    share = config.batch_size // state.team.size
    draw = state.generator if state.graphs is None else state.graphs.draw
    for _ in range(config.discriminator_steps - 1):
        real, codes = batches.draw(share, state.rng)
        with torch.no_grad():
            fake = draw(latent(state, len(codes)), codes)
        discriminator_step(state, real, fake, codes, config)
    real, codes = batches.draw(share, state.rng)
    fake = draw(latent(state, len(codes)), codes)
    discriminator_loss, real_logits, accuracy = discriminator_step(state, real, fake.detach(), codes, config)
    # The same fakes, and real logits from before the update: 1.29x faster than drawing and judging again.
    generator_loss = generator_step(state, fake, codes, real_logits, config)
    return torch.stack([discriminator_loss, generator_loss, accuracy])


def discriminator_objective(
    judge: Callable[..., Tensor], pairs: Pairs, penalty: Penalty | None, loss: Loss
) -> tuple[Tensor, Tensor]:
    """Loss with penalty, and the logits [2n]: a pure function, so that it can be compiled together with its gradient.

    Args:
        judge: logits of (images, codes).
        penalty: None in a step that has none.
    """
    both = partial(judge, codes=torch.cat([pairs.codes, pairs.codes]))
    if penalty is None:
        logits = both(pairs.images).float()
        return loss.discriminator(*logits.chunk(2)), logits
    logits, slopes = judged_slopes(both, pairs.images)
    logits = logits.float()
    judged = Judged(pairs.images, slopes, partial(judge, codes=pairs.codes), pairs.place)
    return loss.discriminator(*logits.chunk(2)) + pairs.weight * penalty.value(judged), logits


def discriminator_step(
    state: TrainingState, real: Tensor, fake: Tensor, codes: Tensor, config: ImageGanConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Updates the discriminator; its loss, the real logits [n], and the share of real images that outrank their fake.

    Args:
        real, fake: float [n, c, *size] in [-1, 1], pairs of one class.
        codes: int64 [n], the class of each pair.
    """
    images = torch.cat([seen(state, real), seen(state, fake)])
    weight, penalty = _penalty_weight(state, config), chosen_penalty(config)
    penalty = penalty if weight > 0 else None
    spots = len(codes) if penalty is not None and penalty.is_between else 0
    place = torch.rand(spots, device=state.device, generator=state.rng)
    pairs = Pairs(images, codes, place, weight)
    state.discriminator_optimiser.zero_grad()
    if state.graphs is None:
        objective, logits = discriminator_objective(state.discriminator, pairs, penalty, LOSSES[config.loss])
        objective.backward()  # type: ignore[no-untyped-call]  # torch ships it without types
    else:
        objective, logits = state.graphs.learn(pairs, penalty)
    _descend(state.discriminator_optimiser, state.team)
    real_logits, fake_logits = logits.detach().chunk(2)
    return objective.detach(), real_logits, (real_logits > fake_logits).float().mean()


def generator_step(
    state: TrainingState, fake: Tensor, codes: Tensor, real_logits: Tensor, config: ImageGanConfig
) -> Tensor:
    """Updates the generator; its loss.

    Args:
        fake: float [n, c, *size], still attached to the generator.
    """
    state.discriminator.requires_grad_(False)
    judge = state.discriminator if state.graphs is None else state.graphs.judge
    objective = LOSSES[config.loss].generator(real_logits, judge(seen(state, fake), codes).float())
    state.generator_optimiser.zero_grad()
    objective.backward()  # type: ignore[no-untyped-call]  # torch ships it without types
    _descend(state.generator_optimiser, state.team)
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


def _descend(optimiser: torch.optim.Optimizer, team: Team) -> None:
    team.average_gradients(optimiser)
    optimiser.step()
    # Autocast keeps short copies of the weights, and does not see that they have changed.
    torch.clear_autocast_cache()
