"""Adversarial losses as pure functions of logits, and the gradient penalty that steadies them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

LossName = Literal["relativistic", "hinge"]
# (real logits [n], fake logits [n]) -> scalar
LossFunction = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Loss:
    """What each network minimises.

    Attributes:
        penalise_fake: whether the penalty stands on fake images (R2) as well as on real ones (R1).
    """

    discriminator: LossFunction
    generator: LossFunction
    penalise_fake: bool


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Softplus of how far each fake outranks its real partner. Source: Jolicoeur-Martineau 2018, arXiv:1807.00734."""
    return functional.softplus(fake - real).mean()


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss with the roles exchanged. Source: Huang 2024, eq. 2, arXiv:2501.05441."""
    return functional.softplus(real - fake).mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Shortfall from a margin of 1 on both sides. Source: Lim and Ye 2017, arXiv:1705.02894."""
    return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()


def hinge_generator(real: Tensor, fake: Tensor) -> Tensor:
    """Minus the mean fake logit; real logits play no part. Source: Lim and Ye 2017, arXiv:1705.02894."""
    return -fake.mean()


# To add one: two functions of (real, fake) logits with their source, a line here and in config.ImageGanConfig.loss.
LOSSES: Mapping[LossName, Loss] = {
    "relativistic": Loss(relativistic_discriminator, relativistic_generator, penalise_fake=True),
    "hinge": Loss(hinge_discriminator, hinge_generator, penalise_fake=False),
}


def squared_gradient_norms(logits: Tensor, images: Tensor) -> Tensor:
    """|d logit / d image|^2 of each image, [n], differentiable. Source: Mescheder 2018, eq. 9, arXiv:1801.04406.

    Args:
        logits: [n], each computed from its own image alone.
        images: [n, c, *size] that require gradients.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.flatten(1).square().sum(1)
