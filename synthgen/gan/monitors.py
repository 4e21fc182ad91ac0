"""What is watched at each tick, and what counts as trouble; training.py acts on it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import torch
from monai.networks.layers.factories import Pool
from torch import Tensor

from synthgen.gan.batches import Batches, classes_of
from synthgen.gan.state import TrainingState
from synthgen.gan.steps import latent, seen

_MONITOR_IMAGES = 64
_AT_ONCE = 1024
# Sound trainings stay below 100; the first steps with a large gradient penalty come to thousands.
_EXPLODED = 1e6
# Fewer fakes of a class say nothing about how much they vary.
_FEWEST_OF_A_CLASS = 4
_COMPARED_PX = 8
# Share of the median so far below which a tick is suspicious. Six fakes of a class are few: in sound trainings on
# digits and Fashion-MNIST one tick in a hundred fell to a tenth of the median, never three in a row.
_SUSPICIOUS = {"gradient": 1e-3, "diversity": 0.2}
# And below this whatever was before it: a training that has collapsed at once knows nothing else. Sound ones on eight
# datasets began at .002 or more.
_NEVER_SOUND = {"gradient": 0.0, "diversity": 1e-3}
_TICKS_TO_KNOW, _TICKS_TO_ACT = 5, 3


class Trouble(StrEnum):
    """Why a training goes back; the value is what the record calls it."""

    DIVERGED = "diverged"
    COLLAPSED = "collapsed"
    VANISHED = "vanished"


_TROUBLES = {"gradient": Trouble.VANISHED, "diversity": Trouble.COLLAPSED}


def is_sane(losses: Sequence[float]) -> bool:
    """Whether the mean losses of a tick are numbers of a size that training can have."""
    return all(math.isfinite(loss) and abs(loss) < _EXPLODED for loss in losses)


def suspicions(history: Sequence[Mapping[str, float]], numbers: Mapping[str, float]) -> set[Trouble]:
    """What looks wrong at this tick, by itself and compared with the median of the ticks before it.

    Args:
        numbers: of this tick, with what `Watch.look` saw and the `gradient_norm`.
    """
    found = set()
    for name, trouble in _TROUBLES.items():
        past = sorted(tick[name] for tick in history if name in tick)
        usual = past[len(past) // 2] if len(past) >= _TICKS_TO_KNOW else 0.0
        if name in numbers and numbers[name] < max(_SUSPICIOUS[name] * usual, _NEVER_SOUND[name]):
            found.add(trouble)
    return found


def trouble_of(history: Sequence[Mapping[str, float]], numbers: Mapping[str, float]) -> Trouble | None:
    """What has looked wrong at this tick and the two before it; nothing while the first ticks are all there is."""
    if len(history) < _TICKS_TO_KNOW + _TICKS_TO_ACT - 1:
        return None
    found = suspicions(history, numbers)
    for back in range(1, _TICKS_TO_ACT):
        tick = history[-back] if len(history) >= back else {}
        found &= suspicions(history[:-back], tick)
    # A generator that learns nothing any more may be collapsed as well: the cause first.
    return next((trouble for trouble in _TROUBLES.values() if trouble in found), None)


@dataclass(frozen=True)
class Watch:
    """What a training is compared with.

    Attributes:
        batches: the training images.
        held_out: images that are never trained on; None when there are none.
        rows: positions of the training images of each class that has some.
        spread: [classes], how much the training images of each class vary; see `spread_of`.
    """

    batches: Batches
    held_out: Batches | None
    rows: tuple[Tensor, ...]
    spread: Tensor

    @classmethod
    def over(cls, batches: Batches, held_out: Batches | None, classes: int) -> Self:
        """A watch over a training on these images."""
        parts = [_coarse(batches.scaled(index)) for index in torch.split(torch.arange(len(batches.codes)), _AT_ONCE)]
        codes = classes_of(batches.codes)
        rows = [torch.nonzero(codes == code).flatten() for code in range(classes)]
        return cls(batches, held_out, tuple(filter(len, rows)), spread_of(torch.cat(parts), codes, classes))

    @torch.no_grad()
    def look(self, state: TrainingState) -> dict[str, float]:
        """The tick's "diversity" and "logit_gap"; one that this many images cannot tell is not there."""
        asked = self._codes_of_each_class(state.rng)
        fake, numbers = state.generator(latent(state, len(asked)), asked), {}
        if (varied := diversity(fake, classes_of(asked), self.spread)) is not None:
            numbers["diversity"] = varied
        if self.held_out is not None:
            trained, unseen = (part.draw(_MONITOR_IMAGES, state.rng) for part in (self.batches, self.held_out))
            parts, codes = zip(trained, unseen, (fake, asked), strict=True)
            images = torch.cat([seen(state, part) for part in parts])
            logits = state.discriminator(images, torch.cat(codes)).float()
            numbers["logit_gap"] = logit_gap(*torch.split(logits, [len(part) for part in parts]))
        return numbers

    def _codes_of_each_class(self, rng: torch.Generator) -> Tensor:
        """Codes of training images, equally many of each class: none of a hundred classes collapses unseen."""
        share = max(_FEWEST_OF_A_CLASS, math.ceil(_MONITOR_IMAGES / len(self.rows)))
        drawn = [torch.randint(len(rows), (share,), generator=rng, device=rows.device) for rows in self.rows]
        return self.batches.codes[torch.cat([rows[index] for rows, index in zip(self.rows, drawn, strict=True)])]


def logit_gap(train: Tensor, valid: Tensor, fake: Tensor) -> float:
    """Overfitting of the discriminator: 0 treats held-out images as training images, 1 as fakes. Source: Karras 2020.

    (train - valid) / (train - fake) of mean logits, cut to [-1, 2]; it ignores a constant added to all logits.

    Args:
        train, valid, fake: logits [n] of training images, held-out images, and fakes.
    """
    train_mean, valid_mean, fake_mean = torch.stack([logits.mean() for logits in (train, valid, fake)]).tolist()
    if train_mean <= fake_mean:
        return 0.0  # It has learned nothing yet, so nothing by heart.
    return float(min(2.0, max(-1.0, (train_mean - valid_mean) / (train_mean - fake_mean))))


def spread_of(coarse: Tensor, codes: Tensor, classes: int) -> Tensor:
    """How much the images of each class vary, [classes]: mean variance over coarse pixels; NaN for fewer than 4.

    Args:
        coarse: float [n, pixels]; codes: int64 [n].
    """
    counts = torch.bincount(codes, minlength=classes)
    sums = coarse.new_zeros(classes, coarse.shape[1]).index_add_(0, codes, coarse)
    squares = coarse.new_zeros(classes, coarse.shape[1]).index_add_(0, codes, coarse.square())
    means = sums / counts.clamp(min=1)[:, None]
    variance = (squares / counts.clamp(min=1)[:, None] - means.square()).clamp(min=0).mean(1)
    variance = variance * counts / (counts - 1).clamp(min=1)
    return torch.where(counts >= _FEWEST_OF_A_CLASS, variance, torch.nan)


def diversity(fake: Tensor, codes: Tensor, real_spread: Tensor) -> float | None:
    """How much the fakes of a class vary, as a share of its training images; of the class where it is least.

    Args:
        fake: float [n, c, *size]; codes: int64 [n].
        real_spread: [classes], `spread_of` the training images.

    Returns:
        None when no class has enough images of both.
    """
    ratios = spread_of(_coarse(fake), codes, len(real_spread)) / real_spread
    known = ratios[ratios.isfinite()]
    return float(known.min()) if len(known) else None


@torch.no_grad()
def gradient_norm(state: TrainingState) -> float:
    """Euclidean norm of what the generator was told in its last step."""
    gradients = [parameter.grad for parameter in state.generator.parameters() if parameter.grad is not None]
    return float(torch.stack(torch._foreach_norm(gradients)).norm())


def _coarse(images: Tensor) -> Tensor:
    # Pixels, not the discriminator's features: those follow what it is fooled by.
    pool = Pool[Pool.ADAPTIVEAVG, images.dim() - 2]
    coarse: Tensor = pool(tuple(min(_COMPARED_PX, length) for length in images.shape[2:]))(images.float())
    return coarse.flatten(1)
