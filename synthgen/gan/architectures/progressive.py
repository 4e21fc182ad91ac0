"""Networks that begin with small images and fade in one doubling after the other. After Karras 2017, arXiv:1710.10196.

Images keep their full size outside: a small one is enlarged by the generator and reduced again by the discriminator, so
the training loop knows nothing of it, and early steps cost what a small image costs.
"""

import math

import torch
from monai.networks.layers.factories import Conv, Pool
from torch import Tensor, nn

from synthgen.gan.architectures.residual import ResidualBlock
from synthgen.gan.blocks import SLOPE, Downsampling, Stem, enlarged, up_blocks
from synthgen.gan.spec import NetworkSpec, discriminator_ladder, generator_ladder


class GrowingGenerator(nn.Module):
    """Residual blocks with a way out after each.

    Attributes:
        latent: normal numbers that an image is made of.
        missing: doublings that are left out, in [0, levels]; of 1.3 the last but one is there to 70 %.
        levels: doublings in all.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        ladder = generator_ladder(spec)
        self.latent, self.missing, self.levels = spec.latent, 0.0, len(ladder.strides)
        self.strides = ladder.strides
        self.stem = Stem(spec, ladder)
        self.blocks = up_blocks(spec, ladder, ResidualBlock)
        self.heads = nn.ModuleList(Conv[Conv.CONV, spec.dim](width, spec.channels, 3, 1, 1) for width in ladder.widths)

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        """latent: [n, z]; label: [n, k] -> [n, c, *size], not yet cropped."""
        condition = torch.cat([latent, label], 1)
        x = before = self.stem(condition)
        there = self.levels - math.floor(self.missing)
        for block in self.blocks[:there]:
            before, x = x, block(x, condition)
        image: Tensor = self.heads[there](x)
        if (faded := self.missing % 1) and there:
            image = torch.lerp(image, enlarged(self.heads[there - 1](before), self.strides[there - 1]), faded)
        for stride in self.strides[there:]:
            image = enlarged(image, stride)
        return image


class GrowingDiscriminator(nn.Module):
    """Convolutions with a way in before each of the upper ones.

    Attributes:
        layers: from the image inwards.
        features: channels of what comes out.
        missing: as the generator's.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        body, ladder = Downsampling(spec), discriminator_ladder(spec)
        self.layers, self.features, self.missing = body.layers, body.features, 0.0
        levels = range(1, len(generator_ladder(spec).strides) + 1)
        self.pools = [Pool[Pool.ADAPTIVEAVG, spec.dim](ladder.sizes[level]) for level in levels]
        self.doors = nn.ModuleList(
            nn.Sequential(Conv[Conv.CONV, spec.dim](spec.channels, ladder.widths[level], 1), nn.LeakyReLU(SLOPE))
            for level in levels
        )

    def forward(self, images: Tensor) -> Tensor:
        """[n, c, *size] -> [n, features, *coarsest]."""
        absent = math.floor(self.missing)
        x: Tensor = self.layers[absent](self._entered(images, absent))
        if faded := self.missing % 1:
            x = torch.lerp(x, self._entered(images, absent + 1), faded)
        for layer in self.layers[absent + 1 :]:
            x = layer(x)
        return x

    def _entered(self, images: Tensor, level: int) -> Tensor:
        if level == 0:
            return images
        features: Tensor = self.doors[level - 1](self.pools[level - 1](images))
        return features
