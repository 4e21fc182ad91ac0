"""Class-conditional generator and discriminator from MONAI's factories: any image size, grey or RGB, 2-D or 3-D."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from monai.networks.layers.factories import Conv, Norm
from torch import Tensor, nn
from torch.nn import functional

Block = Literal["deconv", "residual"]

# Halving stops at these edge lengths: 28 = 7 x 4 needs no padding, and the discriminator ends with 3 x 3 features.
_GENERATOR_START = 7
_DISCRIMINATOR_END = 4
_WIDEST = 256
# A discriminator that is too weak does not see that images of a class are all alike. With twice the generator's width,
# and coarsest features at least 4 times as wide as the finest, images of a class vary .70 times as much as real ones
# after 600 steps on 8 px digits, with equal widths .24; on 28 px digits .84 and .75 at equal time, distance unchanged.
_DISCRIMINATOR_WIDTH = 2
_COARSEST = 4
_CLASS_FEATURES = 64
_SLOPE = 0.2


@dataclass(frozen=True)
class NetworkSpec:
    """What the two networks look like.

    Attributes:
        size: pixels along each spatial axis, (h, w) or (d, h, w).
        channels: of an image, 1 or 3.
        width: of the generator at full resolution, in channels; doubled at each halving, up to 256.
        latent: length of z.
    """

    size: tuple[int, ...]
    channels: int
    classes: int
    block: Block
    width: int
    latent: int


class ConditionalNorm(nn.Module):
    """Batch norm whose scale and shift follow a condition. Source: de Vries 2017, arXiv:1707.00683."""

    def __init__(self, dim: int, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = Norm[Norm.BATCH, dim](channels, affine=False)
        self.affine = nn.Linear(condition, 2 * channels)
        nn.init.normal_(self.affine.weight, std=0.02)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x: [n, c, *size]; condition: [n, k]."""
        scale, shift = self.affine(condition).view(*x.shape[:2], *[1] * (x.dim() - 2), 2).unbind(-1)
        return torch.addcmul(shift, self.norm(x), 1 + scale)


class DeconvBlock(nn.Module):
    """Doubles the axes of stride 2 with a k4s2 transposed convolution: 4 taps per output pixel, fastest on a CPU."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, ...], condition: int) -> None:
        super().__init__()
        dim = len(stride)
        # k4s2 covers every output pixel equally often; k3s2 would leave a checkerboard.
        self.up = Conv[Conv.CONVTRANS, dim](inputs, outputs, _kernel(stride), stride, 1)
        self.norm = ConditionalNorm(dim, outputs, condition)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """[n, inputs, *size] -> [n, outputs, *(size * stride)]."""
        return functional.relu(self.norm(self.up(x), condition))


class ResidualBlock(nn.Module):
    """Doubles the axes of stride 2 by repetition, then two 3-convolutions beside a 1-convolution: better per image."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, ...], condition: int) -> None:
        super().__init__()
        dim = len(stride)
        conv = Conv[Conv.CONV, dim]
        self.stride = tuple(float(factor) for factor in stride)
        self.first, self.first_norm = conv(inputs, outputs, 3, 1, 1), ConditionalNorm(dim, outputs, condition)
        self.second, self.second_norm = conv(outputs, outputs, 3, 1, 1), ConditionalNorm(dim, outputs, condition)
        self.skip = conv(inputs, outputs, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """[n, inputs, *size] -> [n, outputs, *(size * stride)]."""
        skip = functional.interpolate(self.skip(x), scale_factor=self.stride)
        h = self.first(functional.interpolate(x, scale_factor=self.stride))
        h = self.second(functional.relu(self.first_norm(h, condition)))
        return functional.relu(self.second_norm(h, condition) + skip)


# To add one: a module with the signature of DeconvBlock, then a line here and in config.ImageGanConfig.block.
BLOCKS: dict[Block, type[DeconvBlock] | type[ResidualBlock]] = {"deconv": DeconvBlock, "residual": ResidualBlock}


class Generator(nn.Module):
    """Images of the asked classes: linear, up-sampling blocks conditioned on [z, class], 3-convolution, tanh."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        strides, start = halvings(spec.size, _GENERATOR_START)
        widths = _doubled(spec.width, len(strides) + 1)[::-1]
        widths[0] = max(widths[0], _COARSEST * spec.width)
        dim, condition = len(spec.size), spec.latent + _CLASS_FEATURES
        self.start = (widths[0], *start)
        self.embedding = nn.Embedding(spec.classes, _CLASS_FEATURES)
        self.stem = nn.Linear(condition, math.prod(self.start))
        self.stem_norm = ConditionalNorm(dim, widths[0], condition)
        block = BLOCKS[spec.block]
        self.blocks = nn.ModuleList(
            block(inputs, outputs, stride, condition)
            for inputs, outputs, stride in zip(widths[:-1], widths[1:], reversed(strides), strict=True)
        )
        self.head = Conv[Conv.CONV, dim](widths[-1], spec.channels, 3, 1, 1)

    def forward(self, latent: Tensor, codes: Tensor) -> Tensor:
        """latent: float [n, z]; codes: int64 [n] -> float [n, c, *size] in [-1, 1]."""
        # Scaled so that an element of the class vector is as large as one of z.
        label = functional.normalize(self.embedding(codes), dim=1) * math.sqrt(_CLASS_FEATURES)
        condition = torch.cat([latent, label], 1)
        x = self.stem(condition).view(-1, *self.start)
        x = functional.relu(self.stem_norm(x, condition))
        for block in self.blocks:
            x = block(x, condition)
        return torch.tanh(_crop(self.head(x), self.spec.size))


class Discriminator(nn.Module):
    """Logits of being real for the class: k4s2 convolutions, no norm, projection head. Source: arXiv:1802.05637."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        strides, _ = halvings(spec.size, _DISCRIMINATOR_END)
        finest = _DISCRIMINATOR_WIDTH * spec.width
        widths = [spec.channels, *_doubled(finest, len(strides))]
        widths.append(max(widths[-1], _COARSEST * finest))
        conv = Conv[Conv.CONV, len(spec.size)]
        self.convolutions = nn.ModuleList(
            conv(inputs, outputs, _kernel(stride), stride, 1)
            for inputs, outputs, stride in zip(widths[:-2], widths[1:-1], strides, strict=True)
        )
        self.convolutions.append(conv(widths[-2], widths[-1], 3, 1, 1))
        self.realism = nn.Linear(widths[-1], 1)
        self.embedding = nn.Embedding(spec.classes, widths[-1])
        nn.init.normal_(self.embedding.weight, std=widths[-1] ** -0.5)

    def forward(self, images: Tensor, codes: Tensor) -> Tensor:
        """images: float [n, c, *size] in [-1, 1]; codes: int64 [n] -> logits [n]."""
        x = images
        for convolution in self.convolutions:
            x = functional.leaky_relu(convolution(x), _SLOPE)
        h = x.flatten(2)  # [n, k, positions]
        # Divided by the root: logits keep their spread whatever the image size.
        h = h.sum(2) / math.sqrt(h.shape[2])  # [n, k]
        logits: Tensor = self.realism(h).squeeze(1) + (self.embedding(codes) * h).sum(1)
        return logits


def halvings(size: Sequence[int], smallest: int) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """Strides of each level from the image inwards, and the edge lengths left; axes stop at `smallest` on their own."""
    strides, lengths = [], tuple(size)
    while max(lengths) > smallest:
        stride = tuple(2 if length > smallest else 1 for length in lengths)
        lengths = tuple(math.ceil(length / factor) for length, factor in zip(lengths, stride, strict=True))
        strides.append(stride)
    return strides, lengths


def _doubled(width: int, levels: int) -> list[int]:
    return [min(max(_WIDEST, width), width * 2**level) for level in range(levels)]


def _kernel(stride: tuple[int, ...]) -> tuple[int, ...]:
    # 4 for stride 2, 3 for stride 1: with padding 1 lengths are halved or kept.
    return tuple(factor + 2 for factor in stride)


def _crop(x: Tensor, size: tuple[int, ...]) -> Tensor:
    for axis, length in enumerate(size, start=2):
        x = x.narrow(axis, (x.shape[axis] - length) // 2, length)
    return x
