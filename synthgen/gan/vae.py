"""MONAI's variational autoencoder, its decoder told the class, and the bound that it is trained on."""

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
    """Encoder of images, decoder of (z, class), 2-D and 3-D. Source: Kingma 2013, arXiv:1312.6114.

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

    def encoded(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of z, each [n, z], of images [n, c, *size] in [-1, 1]."""
        mean, log_variance = self.net.encode_forward(images)
        return mean, log_variance.clamp(-20, 20)

    def forward(self, latent: Tensor, codes: Tensor) -> Tensor:
        """latent: float [n, z]; codes: int64 [n] -> float [n, c, *size] in [-1, 1]."""
        made = self.net.decode_forward(torch.cat([latent, self.embedding(codes)], 1), use_sigmoid=False)
        return torch.tanh(cropped(made, self.spec.size))


def bound(network: ConditionalVae, images: Tensor, codes: Tensor, noise: Tensor) -> Tensor:
    """Minus the evidence lower bound in nats per image, up to a constant; the decoder's variance is the best one.

    Source: Rybkin 2021, eq. 5, arXiv:2006.13202: no weight between the two terms is left to choose.

    Args:
        noise: float [n, z], standard normal.
    """
    mean, log_variance = network.encoded(images)
    made = network(mean + noise * (log_variance / 2).exp(), codes)
    values = images[0].numel()
    error = (made - images).square().mean().clamp(min=_SMALLEST_ERROR)
    divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
    nats: Tensor = values / 2 * error.log() + divergence
    return nats
