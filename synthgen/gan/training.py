"""The training loop of the image GAN. Images shown are the unit; what is read or written happens at a tick."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from synthgen.config import ImageGanConfig
from synthgen.errors import TrainingError
from synthgen.gan.augment import augment
from synthgen.gan.batches import Batches
from synthgen.gan.losses import LOSSES, squared_gradient_norms
from synthgen.gan.state import Saved, TrainingState
from synthgen.progress import Tick, report

logger = logging.getLogger(__name__)

_TICKS = 50
_MAX_ROLLBACKS = 3
# Sound trainings stay below 100; the first steps with a large gradient penalty come to thousands.
_EXPLODED = 1e6
# Every 4 steps: 1.23x faster than every step; the weight makes up for the steps between.
_PENALTY_EVERY = 4
# The average follows faster at first, or it would hold on to untrained weights. Source: Karras 2020, arXiv:2006.06676.
_AVERAGE_WARMUP = 0.05
_MONITOR_IMAGES = 64
# Up to this size a step is too short to share: two threads made 1,120 images per second where one made 1,130.
_ONE_THREAD_PIXELS = 32 * 32


def train(
    state: TrainingState,
    batches: Batches,
    held_out: Batches | None,
    config: ImageGanConfig,
    keep: Callable[[TrainingState], None] | None = None,
) -> None:
    """Trains the state in place until its budget is used up.

    Args:
        held_out: images that are never trained on; None leaves the adaptive augmentation off.
        keep: saves the state; called at every tick, about every 2 % of the budget.

    Raises:
        TrainingError: the losses exploded or were no longer numbers, also at lower learning rates.
    """
    share, good = budget_share(state, config), state.copied()
    started = time.monotonic() - state.seconds
    sums = torch.zeros(3, device=state.device)
    before = (state.step, state.seconds)
    while share < 1:
        real, codes = batches.draw(config.batch_size, state.rng)
        with torch.autocast(state.device.type, torch.bfloat16, enabled=has_fast_bfloat16(state.device)):
            fake = state.generator(_latent(state, len(codes)), codes)
            discriminator_loss, real_logits, accuracy = discriminator_step(state, real, fake.detach(), codes, config)
            # The same fakes, and real logits from before the update: 1.29x faster than drawing and judging again.
            generator_loss = generator_step(state, fake, codes, real_logits, config)
        update_average(state, config)
        sums += torch.stack([discriminator_loss, generator_loss, accuracy])
        state.step += 1
        state.images += config.batch_size
        state.seconds = time.monotonic() - started

        # Tick: read the sums, adapt, report, save.
        last, share = share, budget_share(state, config)
        if int(last * _TICKS) == int(share * _TICKS):
            continue
        steps, seconds = state.step - before[0], state.seconds - before[1]
        shown = steps * config.batch_size
        means = (sums / steps).tolist()
        sums.zero_()
        before = (state.step, state.seconds)
        if not (is_sane(means) and state.is_sound()):
            share, before = _back_to(state, good, config), (state.step, state.seconds)
            continue
        numbers = dict(zip(("loss_discriminator", "loss_generator", "accuracy"), means, strict=True))
        if held_out is not None:
            gap = logit_gap(state, batches, held_out)
            state.policy = state.policy.adapted(gap, shown)
            numbers |= {"logit_gap": gap, "augmentation": state.policy.strength}
        state.history.append({"step": state.step, "images": state.images, "seconds": state.seconds, **numbers})
        good = state.copied()
        report(_tick(state, config, share, shown / seconds, numbers))
        if keep is not None:
            keep(state)


def discriminator_step(
    state: TrainingState, real: Tensor, fake: Tensor, codes: Tensor, config: ImageGanConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Updates the discriminator; its loss, the real logits [n], and the share of real images that outrank their fake.

    Args:
        real, fake: float [n, c, *size] in [-1, 1], pairs of one class.
        codes: int64 [n], the class of each pair.
    """
    loss, n = LOSSES[config.loss], len(codes)
    images = torch.cat([_seen(state, real), _seen(state, fake)])
    is_penalised = state.step % _PENALTY_EVERY == 0 and config.penalty_gamma > 0
    logits = state.discriminator(images.requires_grad_(is_penalised), codes.repeat(2)).float()
    real_logits, fake_logits = logits.chunk(2)
    objective = loss.discriminator(real_logits, fake_logits)
    if is_penalised:
        norms = squared_gradient_norms(logits, images)
        penalty = (norms if loss.penalise_fake else norms[:n]).sum() / n
        objective = objective + config.penalty_gamma / 2 * _PENALTY_EVERY * penalty
    _descend(state.discriminator_optimiser, objective)
    return objective.detach(), real_logits.detach(), (real_logits > fake_logits).float().mean()


def generator_step(
    state: TrainingState, fake: Tensor, codes: Tensor, real_logits: Tensor, config: ImageGanConfig
) -> Tensor:
    """Updates the generator; its loss.

    Args:
        fake: float [n, c, *size], still attached to the generator.
    """
    state.discriminator.requires_grad_(False)
    fake_logits = state.discriminator(_seen(state, fake), codes)
    objective = LOSSES[config.loss].generator(real_logits, fake_logits.float())
    _descend(state.generator_optimiser, objective)
    state.discriminator.requires_grad_(True)
    return objective.detach()


@torch.no_grad()
def update_average(state: TrainingState, config: ImageGanConfig) -> None:
    """Moves the averaged generator towards the current one; what batch norm has counted is copied."""
    halflife = min(config.ema_halflife_images, state.images * _AVERAGE_WARMUP)
    weight = 1 - 0.5 ** (config.batch_size / halflife) if halflife else 1.0
    torch._foreach_lerp_(list(state.average.parameters()), list(state.generator.parameters()), weight)
    for average, current in zip(state.average.buffers(), state.generator.buffers(), strict=True):
        average.copy_(current)


@torch.no_grad()
def logit_gap(state: TrainingState, batches: Batches, held_out: Batches) -> float:
    """Overfitting of the discriminator: 0 treats held-out images as training images, 1 as fakes. Source: Karras 2020.

    (train - valid) / (train - fake) of mean logits, cut to [-1, 2]; it ignores a constant added to all logits.
    """
    trained, codes = batches.draw(_MONITOR_IMAGES, state.rng)
    unseen, unseen_codes = held_out.draw(_MONITOR_IMAGES, state.rng)
    fake = state.generator(_latent(state, len(codes)), codes)
    images = torch.cat([_seen(state, images) for images in (trained, unseen, fake)])
    logits = state.discriminator(images, torch.cat([codes, unseen_codes, codes]))
    train_mean, valid_mean, fake_mean = logits.view(3, -1).mean(1).tolist()
    if train_mean <= fake_mean:
        return 0.0  # It has learned nothing yet, so nothing by heart.
    return float(min(2.0, max(-1.0, (train_mean - valid_mean) / (train_mean - fake_mean))))


def budget_share(state: TrainingState, config: ImageGanConfig) -> float:
    """How much of the budget is used up, in [0, 1]: of steps or images when they are limited, else of minutes."""
    limits = ((state.step, config.budget_steps), (state.images, config.budget_images))
    shares = [done / limit for done, limit in limits if limit]
    return min(1.0, max(shares or [state.seconds / (60 * config.budget_minutes)]))


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is computed in hardware: emulated on a CPU it is 11 times slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older torch cannot tell: then float32.
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


@contextmanager
def suitable_threads(size: Sequence[int], device: torch.device) -> Iterator[None]:
    """One thread for small images on a CPU, else one fewer than torch would take; restored on leaving."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        # One core stays free: threads that outnumber free cores wait for each other, and beside one busy process
        # 64 px images came at 14-70 per second from two threads, at 180 from one.
        torch.set_num_threads(1 if math.prod(size) <= _ONE_THREAD_PIXELS else max(1, before - 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _descend(optimiser: torch.optim.Optimizer, objective: Tensor) -> None:
    optimiser.zero_grad()
    objective.backward()  # type: ignore[no-untyped-call]  # torch ships it without types
    optimiser.step()


def _latent(state: TrainingState, n: int) -> Tensor:
    return torch.randn(n, state.generator.spec.latent, device=state.device, generator=state.rng)


def _seen(state: TrainingState, images: Tensor) -> Tensor:
    return augment(images.float(), state.policy, state.rng)


def is_sane(losses: Sequence[float]) -> bool:
    """Whether the mean losses of a tick are numbers of a size that training can have."""
    return all(math.isfinite(loss) and abs(loss) < _EXPLODED for loss in losses)


def _back_to(state: TrainingState, good: Saved, config: ImageGanConfig) -> float:
    """The share of the budget that is used up where the state now stands: at the last good one."""
    failed_at = state.images
    if state.rollbacks >= _MAX_ROLLBACKS:
        rates = ", ".join(f"{config.learning_rate / 2**times:g}" for times in range(_MAX_ROLLBACKS + 1))
        raise TrainingError(
            f"training diverged at {failed_at} images: the losses exploded or were no longer numbers, after "
            f"{_MAX_ROLLBACKS} rollbacks to the last good state, with the learning rates {rates}",
            where="synthesizer.learning_rate",
            hint=f"set it below {config.learning_rate / 2**_MAX_ROLLBACKS:g} or raise penalty_gamma "
            f"(now {config.penalty_gamma:g})",
        )
    state.roll_back(good)
    logger.warning("roll back training from_images=%d to_images=%d", failed_at, state.images)
    state.history.append({"step": state.step, "images": state.images, "rollbacks": state.rollbacks})
    return budget_share(state, config)


def _tick(
    state: TrainingState, config: ImageGanConfig, share: float, rate: float, numbers: Mapping[str, float]
) -> Tick:
    totals = [config.budget_images, config.budget_steps and config.budget_steps * config.batch_size]
    return Tick(
        stage="fit",
        unit="image",
        done=state.images,
        total=min((total for total in totals if total), default=None),
        share=share,
        rate=rate,
        seconds_left=state.seconds * (1 - share) / share,
        numbers=numbers,
    )
