"""Gradient penalties that steady the discriminator: pure functions, free to go with any loss."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from synthgen.config import PenaltyName

# Under the root: its slope at 0 would be infinite.
_TINY = 1e-12
_FACE_PIXELS = 2048


@dataclass(frozen=True)
class Pairs:
    """What one step of the discriminator looks at.

    Attributes:
        images: float [2n, c, *size] as it sees them, first the real ones, then their fake partners of the same class.
        codes: int64 [n], or [n, k] with attributes.
        place: float [n], uniform in [0, 1]; empty for a penalty that does not look between the partners.
        weight: of the penalty.
    """

    images: Tensor
    codes: Tensor
    place: Tensor
    weight: float


@dataclass(frozen=True)
class Judged:
    """What the discriminator said about n pairs.

    Attributes:
        images: [2n, c, *size], first the real ones, then the fake partners of their class.
        slopes: of each logit with respect to its image, like images, differentiable.
        judge: logits [n] of n other images of the pairs' classes.
        place: [n], uniform in [0, 1]; empty for a penalty that does not look between the partners.
    """

    images: Tensor
    slopes: Tensor
    judge: Callable[[Tensor], Tensor]
    place: Tensor


@dataclass(frozen=True)
class Penalty:
    """A penalty of weight 1, and how it is weighted unless the configuration says otherwise.

    Attributes:
        gamma: weight for small images.
        grows: whether the weight grows with the pixel count.
        every: steps between two of it; the weight makes up for the steps between.
        is_between: whether it looks at random places between the partners.
    """

    value: Callable[[Judged], Tensor]
    gamma: float
    grows: bool
    every: int
    is_between: bool = False

    def weight(self, longest_edge: int) -> float:
        """The default weight for images of this size: constant up to 45 px, then as the pixels of a face."""
        return self.gamma * max(1.0, longest_edge**2 / _FACE_PIXELS) if self.grows else self.gamma


def judged_slopes(judge: Callable[[Tensor], Tensor], images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [n], and the slope of each with respect to its image, like images, both differentiable.

    By transforms of functions alone: the usual autograd.grad(create_graph=True) cannot be compiled.

    Args:
        judge: logits [n] of images, each from its own image alone.
    """
    logits: Tensor
    logits, pull = torch.func.vjp(judge, images)  # type: ignore[misc]  # typed as with has_aux
    (slopes,) = pull(torch.ones_like(logits))
    return logits, slopes


def r1(judged: Judged) -> Tensor:
    """Half the mean squared slope at real images. Source: Mescheder 2018, eq. 9, arXiv:1801.04406."""
    return squared_norms(judged.slopes).chunk(2)[0].mean() / 2


def r1r2(judged: Judged) -> Tensor:
    """R1 plus the same at fake images. Source: Huang 2024, section 3, arXiv:2501.05441."""
    return squared_norms(judged.slopes).sum() / len(judged.slopes)


def gp(judged: Judged) -> Tensor:
    """Mean squared distance of slopes from 1 between real and fake partners. Source: Gulrajani, arXiv:1704.00028."""
    real, fake = judged.images.chunk(2)
    # Uniform: normal numbers, as some copies of this formula have them, leave the line between the two.
    points = torch.lerp(real, fake, judged.place.view(-1, *[1] * (real.dim() - 1)))
    _, slopes = judged_slopes(judged.judge, points)
    return ((squared_norms(slopes) + _TINY).sqrt() - 1).square().mean()


def squared_norms(slopes: Tensor) -> Tensor:
    """|d logit / d image|^2 of each image, [n]."""
    return slopes.float().flatten(1).square().sum(1)


# R1 and R2 every 4 steps: 1.23x faster than every step. To add one: a function of Judged with its source, a line here
# and in config.PenaltyName.
PENALTIES: Mapping[PenaltyName, Penalty] = {
    "gp": Penalty(gp, gamma=10.0, grows=False, every=1, is_between=True),
    "r1": Penalty(r1, gamma=1.0, grows=True, every=4),
    "r1r2": Penalty(r1r2, gamma=1.0, grows=True, every=4),
}
