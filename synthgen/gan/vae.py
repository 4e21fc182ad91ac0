"""MONAI's variational autoencoder, its decoder and its prior told the class, and the bound that it is trained on."""

from typing import Any

import torch
from monai.networks.nets.varautoencoder import VarAutoEncoder
from torch import Tensor, nn

from synthgen.gan.networks import cropped
from synthgen.gan.spec import CLASS_FEATURES, NetworkSpec, halvings

_COARSEST = 4
_WIDEST = 256
# Below this every pixel is right; the logarithm of it would be without bound.
_SMALLEST_ERROR = 1e-6


class ConditionalVae(nn.Module):
    """Encoder of images, decoder of (z, class), 2-D and 3-D; z has a normal prior of its own in each class.

    Source: Kingma 2013, arXiv:1312.6114; the prior Sohn 2015, Learning structured output representation.

    Attributes:
        latent: normal numbers that an image is made of.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec, self.latent = spec, spec.latent
        strides, _ = halvings(spec.size, _COARSEST)
        # The first level keeps the size: one at least is needed.
        # MONAI's own type says numbers, its layers take one for each axis.
        levels: Any = [(1,) * spec.dim, *strides]
        widths = [min(_WIDEST, spec.width * 2**level) for level in range(len(levels))]
        self.net = VarAutoEncoder(
            spec.dim, (spec.channels, *spec.size), spec.channels, spec.latent, widths, levels, norm="batch"
        )
        # As loud as z from the start: else z learns to carry the class, and a draw of z brings its own.
        self.embedding = nn.Embedding(spec.classes, CLASS_FEATURES)
        self.net.decodeL = nn.Linear(spec.condition, self.net.decodeL.out_features)
        # What z still carries of the class a draw brings along: it is drawn as the class has it.
        self.prior = nn.Embedding(spec.classes, 2 * spec.latent)
        nn.init.zeros_(self.prior.weight)

    def encoded(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of z, each [n, z], of images [n, c, *size] in [-1, 1]."""
        mean, log_variance = self.net.encode_forward(images)
        return mean, log_variance.clamp(-20, 20)

    def expected(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of z in a class, each [n, z]."""
        mean, log_variance = self.prior(codes).chunk(2, 1)
        return mean, log_variance

    def forward(self, latent: Tensor, codes: Tensor) -> Tensor:
        """latent: normal numbers, float [n, z]; codes: int64 [n] -> float [n, c, *size] in [-1, 1]."""
        mean, log_variance = self.expected(codes)
        return self.decoded(mean + latent * (log_variance / 2).exp(), codes)

    def decoded(self, latent: Tensor, codes: Tensor) -> Tensor:
        """The same, of z as an image has it."""
        made = self.net.decode_forward(torch.cat([latent, self.embedding(codes)], 1), use_sigmoid=False)
        return torch.tanh(cropped(made, self.spec.size))


def bound(network: ConditionalVae, images: Tensor, codes: Tensor, noise: Tensor) -> Tensor:
    """Minus the evidence lower bound in nats per image, up to a constant; the decoder's variance is the best one.

    Source: Rybkin 2021, eq. 5, arXiv:2006.13202: no weight between the two terms is left to choose.

    Args:
        noise: float [n, z], standard normal.
    """
    mean, log_variance = network.encoded(images)
    made = network.decoded(mean + noise * (log_variance / 2).exp(), codes)
    usual, usual_log_variance = network.expected(codes)
    values = images[0].numel()
    error = (made - images).square().mean().clamp(min=_SMALLEST_ERROR)
    ratio = log_variance - usual_log_variance
    divergence = ((mean - usual).square() * (-usual_log_variance).exp() + ratio.exp() - 1 - ratio).sum(1).mean() / 2
    nats: Tensor = values / 2 * error.log() + divergence
    return nats
