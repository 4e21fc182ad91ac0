"""Convolutions whose weights follow a style, over a learned constant, with noise. StyleGAN2, arXiv:1912.04958."""

import math

import torch
from monai.networks.layers.factories import Conv
from torch import Tensor, nn
from torch.nn import functional

from synthgen.gan.blocks import SLOPE, enlarged
from synthgen.gan.spec import NetworkSpec, Stride, generator_ladder

_MAPPING_LAYERS = 3
_TINY = 1e-8


class ModulatedConv(nn.Module):
    """Convolution whose input channels are scaled by the style and whose outputs keep unit variance; section 2.2."""

    def __init__(self, inputs: int, outputs: int, stride: Stride, style: int) -> None:
        super().__init__()
        self.conv = Conv[Conv.CONV, len(stride)](inputs, outputs, 3, 1, 1, bias=False)
        self.affine = nn.Linear(style, inputs)
        nn.init.ones_(self.affine.bias)
        # Weaker styles are lost beside the constant: at torch's own start images of 8 px varied .01 times as much as
        # real ones after 400 steps.
        nn.init.normal_(self.affine.weight, std=style**-0.5)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x: [n, inputs, *size]; style: [n, k] -> [n, outputs, *size]."""
        scale = self.affine(style)  # [n, inputs]
        energy = self.conv.weight.flatten(2).square().sum(2)  # [outputs, inputs]
        norm = (scale.square() @ energy.T + _TINY).rsqrt()  # [n, outputs]
        ones = [1] * (x.dim() - 2)
        # Scaled before and after: the same as a kernel for each image, without one convolution for each image.
        y: Tensor = self.conv(x * scale.view(*scale.shape, *ones)) * norm.view(*norm.shape, *ones)
        return y


class StyleBlock(nn.Module):
    """Doubles the axes of stride 2 by repetition, then two modulated convolutions with noise, beside a picture."""

    def __init__(self, inputs: int, outputs: int, stride: Stride, style: int, channels: int) -> None:
        super().__init__()
        self.stride = stride
        self.convolutions = nn.ModuleList(ModulatedConv(width, outputs, stride, style) for width in (inputs, outputs))
        self.noise = nn.Parameter(torch.zeros(2))
        self.shift = nn.Parameter(torch.zeros(2, outputs))
        self.picture = Conv[Conv.CONV, len(stride)](outputs, channels, 1)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """x: [n, inputs, *size], noise: [n, 1, *(size * stride)] -> features of that size, and their picture."""
        x = enlarged(x, self.stride)
        for convolution, strength, shift in zip(self.convolutions, self.noise, self.shift, strict=True):
            x = convolution(x, style) + strength * noise + shift.view(-1, *[1] * (x.dim() - 2))
            x = functional.leaky_relu(x, SLOPE) * math.sqrt(2)
        return x, self.picture(x)


class StyleGenerator(nn.Module):
    """Mapping network, a learned constant, a block for each level; pictures of all levels are added up.

    Attributes:
        latent: normal numbers that an image is made of: z, then one for each place of each block.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        ladder = generator_ladder(spec)
        self.z, self.places = spec.latent, ladder.sizes[1:] or ladder.sizes
        self.latent = spec.latent + sum(math.prod(size) for size in self.places)
        self.mapping = nn.Sequential(*(_mapping_layer(spec.condition) for _ in range(_MAPPING_LAYERS)))
        self.constant = nn.Parameter(torch.randn(1, ladder.widths[0], *ladder.sizes[0]))
        # An image too small to be doubled has one block that keeps its size.
        widths = list(ladder.widths) if ladder.strides else [ladder.widths[0]] * 2
        self.strides = ladder.strides or [(1,) * spec.dim]
        self.blocks = nn.ModuleList(
            StyleBlock(inputs, outputs, stride, spec.condition, spec.channels)
            for inputs, outputs, stride in zip(widths[:-1], widths[1:], self.strides, strict=True)
        )

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        """latent: [n, `latent`]; label: [n, k] -> [n, c, *size], not yet cropped."""
        z, *noises = torch.split(latent, [self.z, *(math.prod(size) for size in self.places)], dim=1)
        z = functional.normalize(z, dim=1) * math.sqrt(self.z)
        style = self.mapping(torch.cat([z, label], 1))
        x = self.constant.expand(len(latent), *self.constant.shape[1:])
        image: Tensor | None = None
        for block, stride, noise, size in zip(self.blocks, self.strides, noises, self.places, strict=True):
            x, picture = block(x, style, noise.reshape(-1, 1, *size))
            image = picture if image is None else enlarged(image, stride) + picture
        assert image is not None
        return image


def _mapping_layer(features: int) -> nn.Module:
    linear = nn.Linear(features, features)
    nn.init.kaiming_normal_(linear.weight, SLOPE)
    return nn.Sequential(linear, nn.LeakyReLU(SLOPE))
