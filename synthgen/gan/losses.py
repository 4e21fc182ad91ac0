"""Adversarial losses as pure functions of logits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from synthgen.config import LossName, PenaltyName

# (real logits [n], fake logits [n]) -> scalar
LossFunction = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Loss:
    """What each network minimises.

    Attributes:
        penalty: what steadies the discriminator unless the configuration says otherwise.
    """

    discriminator: LossFunction
    generator: LossFunction
    penalty: PenaltyName


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Softplus of how far each fake outranks its real partner. Source: Jolicoeur-Martineau 2018, arXiv:1807.00734."""
    return functional.softplus(fake - real).mean()


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss with the roles exchanged. Source: Huang 2024, eq. 2, arXiv:2501.05441."""
    return functional.softplus(real - fake).mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Shortfall from a margin of 1 on both sides. Source: Lim and Ye 2017, arXiv:1705.02894."""
    return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()


def mean_generator(real: Tensor, fake: Tensor) -> Tensor:
    """Minus the mean fake logit; real logits play no part. Source: Arjovsky 2017, arXiv:1701.07875."""
    return -fake.mean()


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Mean fake minus mean real logit: minus the distance, while a penalty keeps slopes near 1. Source: as above."""
    return fake.mean() - real.mean()


def nonsaturating_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Cross-entropy of telling real from fake. Source: Goodfellow 2014, arXiv:1406.2661."""
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def nonsaturating_generator(real: Tensor, fake: Tensor) -> Tensor:
    """Cross-entropy of passing for real. Source: Goodfellow 2014, section 3, arXiv:1406.2661."""
    return functional.softplus(-fake).mean()


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Half the squared distance of real logits from 1, fake ones from 0. Source: Mao 2017, eq. 9, arXiv:1611.04076."""
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def least_squares_generator(real: Tensor, fake: Tensor) -> Tensor:
    """Half the squared distance of fake logits from 1. Source: Mao 2017, eq. 9, arXiv:1611.04076."""
    return (fake - 1).square().mean() / 2


# To add one: two functions of (real, fake) logits with their source, a line here and in config.LossName.
LOSSES: Mapping[LossName, Loss] = {
    "relativistic": Loss(relativistic_discriminator, relativistic_generator, "r1r2"),
    "hinge": Loss(hinge_discriminator, mean_generator, "r1"),
    "wasserstein": Loss(wasserstein_discriminator, mean_generator, "gp"),
    "nonsaturating": Loss(nonsaturating_discriminator, nonsaturating_generator, "r1"),
    "least_squares": Loss(least_squares_discriminator, least_squares_generator, "r1"),
}
