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
class Judged:
    """What the discriminator said about n pairs.

    Attributes:
        images: [2n, c, *size] that require gradients, first the real ones, then the fake partners of their class.
        logits: [2n], each computed from its own image alone.
        judge: logits [n] of n other images of the pairs' classes.
    """

    images: Tensor
    logits: Tensor
    judge: Callable[[Tensor], Tensor]
    rng: torch.Generator


@dataclass(frozen=True)
class Penalty:
    """A penalty of weight 1, and how it is weighted unless the configuration says otherwise.

    Attributes:
        gamma: weight for small images.
        grows: whether the weight grows with the pixel count.
        every: steps between two of it; the weight makes up for the steps between.
    """

    value: Callable[[Judged], Tensor]
    gamma: float
    grows: bool
    every: int

    def weight(self, longest_edge: int) -> float:
        """The default weight for images of this size: constant up to 45 px, then as the pixels of a face."""
        return self.gamma * max(1.0, longest_edge**2 / _FACE_PIXELS) if self.grows else self.gamma


def squared_gradient_norms(logits: Tensor, images: Tensor) -> Tensor:
    """|d logit / d image|^2 of each image, [n], differentiable.

    Args:
        logits: [n], each computed from its own image alone.
        images: [n, c, *size] that require gradients.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.flatten(1).square().sum(1)


def r1(judged: Judged) -> Tensor:
    """Half the mean squared slope at real images. Source: Mescheder 2018, eq. 9, arXiv:1801.04406."""
    return squared_gradient_norms(judged.logits, judged.images).chunk(2)[0].mean() / 2


def r1r2(judged: Judged) -> Tensor:
    """R1 plus the same at fake images. Source: Huang 2024, section 3, arXiv:2501.05441."""
    return squared_gradient_norms(judged.logits, judged.images).sum() / len(judged.logits)


def gp(judged: Judged) -> Tensor:
    """Mean squared distance of slopes from 1 between real and fake partners. Source: Gulrajani, arXiv:1704.00028."""
    real, fake = judged.images.detach().chunk(2)
    # Uniform: normal numbers, as some copies of this formula have them, leave the line between the two.
    place = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device, generator=judged.rng)
    points = torch.lerp(real, fake, place).requires_grad_()
    norms = (squared_gradient_norms(judged.judge(points), points) + _TINY).sqrt()
    return (norms - 1).square().mean()


# R1 and R2 every 4 steps: 1.23x faster than every step. To add one: a function of Judged with its source, a line here
# and in config.PenaltyName.
PENALTIES: Mapping[PenaltyName, Penalty] = {
    "gp": Penalty(gp, gamma=10.0, grows=False, every=1),
    "r1": Penalty(r1, gamma=1.0, grows=True, every=4),
    "r1r2": Penalty(r1r2, gamma=1.0, grows=True, every=4),
}
