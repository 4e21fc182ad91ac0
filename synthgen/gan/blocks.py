"""What architectures are built from: any image size, 2-D or 3-D, on MONAI's factories."""

import math
from collections.abc import Callable

import torch
from monai.networks.layers.factories import Conv, Norm
from torch import Tensor, nn
from torch.nn import functional

from synthgen.gan.spec import Ladder, NetworkSpec, Stride, discriminator_ladder, generator_ladder

SLOPE = 0.2

# (inputs, outputs, stride, length of the condition) -> module of (x [n, inputs, *size], condition [n, k])
Block = Callable[[int, int, Stride, int], nn.Module]


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


class Stem(nn.Module):
    """The coarsest features from a condition."""

    def __init__(self, spec: NetworkSpec, ladder: Ladder) -> None:
        super().__init__()
        self.start = (ladder.widths[0], *ladder.sizes[0])
        self.linear = nn.Linear(spec.condition, math.prod(self.start))
        self.norm = ConditionalNorm(spec.dim, ladder.widths[0], spec.condition)

    def forward(self, condition: Tensor) -> Tensor:
        """condition: [n, k] -> [n, c, *start]."""
        return functional.relu(self.norm(self.linear(condition).view(-1, *self.start), condition))


class Upsampling(nn.Module):
    """Body of a generator: stem, a block for each level, 3-convolution.

    Attributes:
        latent: normal numbers that an image is made of.
    """

    def __init__(self, spec: NetworkSpec, block: Block) -> None:
        super().__init__()
        self.latent = spec.latent
        ladder = generator_ladder(spec)
        self.stem = Stem(spec, ladder)
        self.blocks = up_blocks(spec, ladder, block)
        self.head = Conv[Conv.CONV, spec.dim](ladder.widths[-1], spec.channels, 3, 1, 1)

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        """latent: [n, z]; label: [n, k], k = 0 without classes -> [n, c, *size], not yet cropped."""
        condition = torch.cat([latent, label], 1)
        x = self.stem(condition)
        for block in self.blocks:
            x = block(x, condition)
        image: Tensor = self.head(x)
        return image


class Downsampling(nn.Module):
    """Body of a discriminator: k4s2 convolutions without norm, then a 3-convolution.

    Attributes:
        layers: from the image inwards.
        features: channels of what comes out.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        ladder = discriminator_ladder(spec)
        self.features = ladder.widths[-1]
        self.layers = nn.ModuleList(
            nn.Sequential(Conv[Conv.CONV, spec.dim](inputs, outputs, kernel(stride), stride, 1), nn.LeakyReLU(SLOPE))
            for inputs, outputs, stride in zip(ladder.widths[:-1], ladder.widths[1:], ladder.strides, strict=True)
        )

    def forward(self, images: Tensor) -> Tensor:
        """[n, c, *size] -> [n, features, *coarsest]."""
        x = images
        for layer in self.layers:
            x = layer(x)
        return x


def up_blocks(spec: NetworkSpec, ladder: Ladder, block: Block) -> nn.ModuleList:
    """A block for each level of the ladder."""
    levels = zip(ladder.widths[:-1], ladder.widths[1:], ladder.strides, strict=True)
    return nn.ModuleList(block(inputs, outputs, stride, spec.condition) for inputs, outputs, stride in levels)


def kernel(stride: Stride) -> tuple[int, ...]:
    """4 for stride 2, 3 for stride 1: with padding 1 lengths are halved, doubled or kept."""
    return tuple(factor + 2 for factor in stride)


def enlarged(x: Tensor, stride: Stride) -> Tensor:
    """Each value repeated `stride` times along each axis."""
    return functional.interpolate(x, scale_factor=tuple(float(factor) for factor in stride))
