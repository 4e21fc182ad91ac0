"""Residual networks in which every place looks at every other, once. After Zhang 2018 (SAGAN), arXiv:1805.08318."""

import math
from collections.abc import Sequence

import torch
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from synthgen.gan.architectures.residual import ResidualBlock
from synthgen.gan.blocks import Downsampling, Upsampling
from synthgen.gan.spec import NetworkSpec, discriminator_ladder, generator_ladder

# The cost is the square of it: 16 x 16, 14 x 14 or 8 x 8 x 8 places.
_MOST_PLACES = 512
# Queries and keys are shorter than values; appendix of the paper.
_SHORTER = 8


class Attention(nn.Module):
    """Every place plus what it takes from all others; the identity before training.

    MONAI's SpatialAttentionBlock needs einops, which it does not bring, and begins as noise.
    """

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        conv, short = Conv[Conv.CONV, dim], max(1, channels // _SHORTER)
        self.query, self.key, self.value = (
            conv(channels, short, 1),
            conv(channels, short, 1),
            conv(channels, channels, 1),
        )
        self.share = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """[n, c, *size] -> the same shape, whatever the condition."""
        query, key, value = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))  # [n, k, places]
        weights = (query.transpose(1, 2) @ key).softmax(2)  # [n, places, places]
        attended: Tensor = x + self.share * (value @ weights.transpose(1, 2)).view_as(x)
        return attended


def generator(spec: NetworkSpec) -> nn.Module:
    """The residual generator with attention at its finest level of few enough places."""
    body, ladder = Upsampling(spec, ResidualBlock), generator_ladder(spec)
    level = max(_narrow(ladder.sizes), default=0)
    body.blocks.insert(level, Attention(spec.dim, ladder.widths[level]))
    return body


def discriminator(spec: NetworkSpec) -> nn.Module:
    """The convolutions with attention after the first level that leaves few enough places."""
    body, ladder = Downsampling(spec), discriminator_ladder(spec)
    level = min(_narrow(ladder.sizes[1:]))
    body.layers.insert(level + 1, Attention(spec.dim, ladder.widths[level + 1]))
    return body


def _narrow(sizes: Sequence[tuple[int, ...]]) -> list[int]:
    return [level for level, size in enumerate(sizes) if math.prod(size) <= _MOST_PLACES]
