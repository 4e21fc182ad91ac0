"""The training loop of the image GAN. Images shown are the unit; what is read or written happens at a tick."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch

from synthgen.config import ImageGanConfig
from synthgen.errors import TrainingError
from synthgen.gan.batches import Batches
from synthgen.gan.compiling import compile_networks
from synthgen.gan.monitors import Trouble, Watch, gradient_norm, is_sane, suspicions, trouble_of
from synthgen.gan.networks import Phase
from synthgen.gan.state import Saved, TrainingState
from synthgen.gan.steps import penalty_gamma, train_step, update_average
from synthgen.gan.together import average_statistics, follow, leading
from synthgen.progress import Tick, report
from synthgen.team import ALONE, Team

logger = logging.getLogger(__name__)

_TICKS = 50
# A tick costs as much as 21 images of a step: of a minute of training on volumes 50 ticks took a quarter.
_IMAGES_BETWEEN_TICKS = 512
_MAX_ROLLBACKS = 3
_FAILED: Mapping[Trouble, tuple[str, str]] = {
    Trouble.DIVERGED: ("diverged", "the losses exploded or were no longer numbers"),
    Trouble.COLLAPSED: ("collapsed", "from the beginning the images of some class were all alike"),
    Trouble.VANISHED: ("stood still", "from the beginning the generator got no gradient"),
}
# Share of the budget after which a growing architecture is whole.
_GROWN_AT = 0.5
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
        keep: saves the state; called at every tick where nothing looks wrong, about every 2 % of the budget.

    Raises:
        TrainingError: the losses exploded or were no longer numbers, or from the beginning all images of a class were
            alike, also at lower learning rates.
    """
    share, good = budget_share(state, config), state.copied()
    team, seed = state.team, state.rng.initial_seed()
    team.reseed(state.rng, seed, state.step)
    spec = state.generator.spec
    watch = Watch.over(batches, held_out, spec.classes)
    is_short = trains_in_bfloat16(state.device, spec.dim)
    state.let_discriminator_learn()
    with torch.autocast(state.device.type, torch.bfloat16, enabled=is_short):
        compile_networks(state, batches, config)
    started = time.monotonic() - state.seconds
    sums = torch.zeros(3, device=state.device)
    before = (state.step, state.seconds)
    fewest = 0 if config.budget_steps or config.budget_images else _IMAGES_BETWEEN_TICKS
    while share < 1:
        state.enter(phase_of(state, config, share))
        with torch.autocast(state.device.type, torch.bfloat16, enabled=is_short):
            sums += train_step(state, batches, config)
        update_average(state, config)
        state.step += 1
        state.images += config.batch_size
        state.seconds = team.agreed(time.monotonic() - started)

        # Tick: read the sums, look, act, report, save.
        last, share = share, budget_share(state, config)
        steps, seconds = state.step - before[0], state.seconds - before[1]
        is_due = int(last * _TICKS) != int(share * _TICKS) and steps * config.batch_size >= fewest
        if share < 1 and not is_due:
            continue
        means = team.average(sums / steps).tolist()
        sums.zero_()
        before = (state.step, state.seconds)
        average_statistics(state)
        if not team.leads:
            share = budget_share(state, config) if follow(state, seed) else 1.0
            before = (state.step, state.seconds)
            continue
        with leading(state):
            numbers = dict(zip(("loss_discriminator", "loss_generator", "accuracy"), means, strict=True))
            trouble = None if is_sane(means) and state.is_sound() else Trouble.DIVERGED
            if trouble is None:
                numbers |= {"gradient": gradient_norm(state), **watch.look(state)}
                trouble = trouble_of(state.history, numbers)
            if trouble is not None:
                _go_back(state, good, trouble, config)
                share, before = budget_share(state, config), (state.step, state.seconds)
                continue
            if held_out is not None:
                state.policy = state.policy.adapted(numbers["logit_gap"], steps * config.batch_size)
                numbers["augmentation"] = state.policy.strength
            is_good = not suspicions(state.history, numbers)
            state.history.append({"step": state.step, "images": state.images, "seconds": state.seconds, **numbers})
            report(_tick(state, config, share, steps * config.batch_size / seconds, numbers))
            # A state that never looked right is all that there is in the end.
            if is_good or (share == 1 and good.images == 0):
                good = state.copied()
                if keep is not None:
                    keep(state)
            elif share == 1:
                logger.warning("end at the last good state from_images=%d to_images=%d", state.images, good.images)
                state.take_back(good)


def phase_of(state: TrainingState, config: ImageGanConfig, share: float) -> Phase:
    """How much of the class signal and of a growing architecture is let in at this point of the training."""
    ramp = min(1.0, state.images / config.class_ramp_images) if config.class_ramp_images else 1.0
    levels = 0 if state.is_whole else getattr(state.generator.body, "levels", 0)
    grown = state.images / config.grow_images if config.grow_images else share / _GROWN_AT
    # Each doubling first waits, then fades in for as long.
    place = min(1.0, grown) * levels
    waiting = place % 1 < 1 / 2
    there = math.floor(place) + (0.0 if waiting else 2 * (place % 1) - 1)
    # Of a longer budget less is behind; what has grown stays.
    state.grown = max(state.grown, there)
    return Phase(ramp, levels - state.grown)


def budget_share(state: TrainingState, config: ImageGanConfig) -> float:
    """How much of the budget is used up, in [0, 1]: of steps or images when they are limited, else of minutes.

    All of it is after the last rollback.
    """
    if state.rollbacks > _MAX_ROLLBACKS:
        return 1.0
    limits = ((state.step, config.budget_steps), (state.images, config.budget_images))
    shares = [done / limit for done, limit in limits if limit]
    return min(1.0, max(shares or [state.seconds / (60 * config.budget_minutes)]))


def trains_in_bfloat16(device: torch.device, dim: int) -> bool:
    """Whether bfloat16 is faster in this hardware, and computed rightly.

    On a CPU by matrix tiles (AMX) alone: emulated it is 11 times slower than float32, by AVX-512 on a Xeon a matrix
    product takes 1.5 and a step of the GAN 1.2 to 1.5 times as long.

    Args:
        dim: spatial axes. On a CPU volumes take float32: oneDNN's bfloat16 gradients of small 3-D convolutions read
            and write beyond their memory (torch 2.13; exploded weights, a crash), those of 2-D ones are sound.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older torch cannot tell: then float32.
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return dim == 2 and bool(capabilities.get("amx_bf16"))


@contextmanager
def suitable_threads(size: Sequence[int], device: torch.device, team: Team = ALONE) -> Iterator[None]:
    """One thread for small images on a CPU, else one fewer than the process may take; restored on leaving."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        # One core stays free: threads that outnumber free cores wait for each other, and beside one busy process
        # 64 px images came at 14-70 per second from two threads, at 180 from one.
        torch.set_num_threads(1 if math.prod(size) <= _ONE_THREAD_PIXELS else max(1, team.threads - 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _go_back(state: TrainingState, good: Saved, trouble: Trouble, config: ImageGanConfig) -> None:
    # The last time ends the training: weights that still make images are worth more than none, and gates judge them.
    failed_at = state.images
    if state.rollbacks >= _MAX_ROLLBACKS and (trouble == Trouble.DIVERGED or good.images == 0):
        rates = ", ".join(f"{config.learning_rate / 2**times:g}" for times in range(_MAX_ROLLBACKS + 1))
        what, how = _FAILED[trouble]
        raise TrainingError(
            f"training {what} at {failed_at} images: {how}, after "
            f"{_MAX_ROLLBACKS} rollbacks to the last good state, with the learning rates {rates}",
            where="synthesizer.learning_rate",
            hint=f"set it below {config.learning_rate / 2**_MAX_ROLLBACKS:g} or raise penalty_gamma "
            f"(now {penalty_gamma(state, config):g})",
        )
    state.roll_back(good)
    logger.warning("roll back training reason=%s from_images=%d to_images=%d", trouble, failed_at, state.images)
    state.history.append({"step": state.step, "images": state.images, "rollbacks": state.rollbacks, str(trouble): 1})


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
