"""An autoencoder with a map of numbers in the middle: small images to train a GAN on in place of large ones."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import torch
from monai.networks.layers.factories import Conv
from monai.networks.nets.autoencoderkl import AutoencoderKL
from monai.networks.utils import pixelshuffle, pixelunshuffle
from torch import Tensor, nn
from torch.nn import functional

from synthgen.gan.batches import Batches
from synthgen.gan.networks import Generator, cropped
from synthgen.gan.spec import MapSpec
from synthgen.gan.state import memory_format

_AT_ONCE = 64
_NORM_GROUPS = 8
_LOG_VARIANCES = (-30.0, 20.0)
# Beside the mean errors of a pixel, for the mean divergence of a number of the map.
_DIVERGENCE_WEIGHT = 1e-3


class PlainCoder(nn.Module):
    """Strided convolutions and nothing that normalises, called as MONAI's AutoencoderKL is."""

    def __init__(self, spec: MapSpec) -> None:
        super().__init__()
        dim = len(spec.size)
        conv, up = Conv[Conv.CONV, dim], Conv[Conv.CONVTRANS, dim]
        widths = [spec.width * 2**level for level in range(spec.factor.bit_length() - 1)]
        coarsest = widths[-1]
        halved = [conv(*pair, 4, 2, 1) for pair in pairwise([spec.channels, *widths])]
        doubled = [up(*pair, 4, 2, 1) for pair in pairwise([*widths[::-1], spec.channels])]
        self.encoder = _activated(*halved, conv(coarsest, coarsest, 3, 1, 1), conv(coarsest, 2 * spec.depth, 1))
        self.decoder = _activated(conv(spec.depth, coarsest, 3, 1, 1), conv(coarsest, coarsest, 3, 1, 1), *doubled)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[n, c, *size], of a multiple of the factor -> mean and standard deviation [n, depth, *map_size]."""
        mean, log_variance = self.encoder(images).chunk(2, 1)
        return mean, (log_variance.clamp(*_LOG_VARIANCES) / 2).exp()

    def decode(self, maps: Tensor) -> Tensor:
        """[n, depth, *map_size] -> [n, c, *size], of a multiple of the factor."""
        images: Tensor = self.decoder(maps)
        return images


class Autoencoder(nn.Module):
    """Images to standardised maps and back, 2-D and 3-D. Source: Rombach 2021, section 3.1, arXiv:2112.10752.

    Images by MONAI's AutoencoderKL, their pixels folded into channels until one halving is left: convolutions at full
    size took nine tenths of the time. Volumes by plain convolutions: decision 0014.

    Attributes:
        mean, std: [depth], of the training images' maps.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: MapSpec) -> None:
        super().__init__()
        self.spec, dim = spec, len(spec.size)
        self.folding = spec.factor // 2 if dim == 2 else 1
        self.net = _residual_coder(spec, self.folding) if dim == 2 else PlainCoder(spec)
        self.register_buffer("mean", torch.zeros(spec.depth))
        self.register_buffer("std", torch.ones(spec.depth))
        self.to(memory_format=memory_format(dim))  # type: ignore[call-overload]  # stub knows 2-D layouts only

    def encode(self, images: Tensor) -> Tensor:
        """float [n, c, *size] in [-1, 1] -> standardised maps float [n, depth, *map_size]."""
        mean, _ = self.posterior(images)
        return (mean - _along(self.mean, mean)) / _along(self.std, mean)

    def decode(self, maps: Tensor) -> Tensor:
        """Standardised maps [n, depth, *map_size] -> float [n, c, *size] in [-1, 1]."""
        return self.unfolded(maps * _along(self.std, maps) + _along(self.mean, maps)).clamp(-1, 1)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the maps of images [n, c, *size], not standardised."""
        missing = [(-length) % self.spec.factor for length in self.spec.size]
        padding = [amount for length in reversed(missing) for amount in (length // 2, length - length // 2)]
        folded = functional.pad(images, padding, mode="replicate")
        if self.folding > 1:
            folded = pixelunshuffle(folded, len(missing), self.folding)
        mean, std = self.net.encode(folded)
        return mean, std

    def unfolded(self, maps: Tensor) -> Tensor:
        """Maps that are not standardised -> [n, c, *size], without bounds."""
        made = self.net.decode(maps)
        if self.folding > 1:
            made = pixelshuffle(made, len(self.spec.size), self.folding)
        return cropped(made, self.spec.size)

    @torch.no_grad()
    def standardise(self, batches: Batches) -> None:
        """Let the maps of these images have mean 0 and standard deviation 1 in each channel."""
        maps = _in_parts(batches, lambda images: self.posterior(images)[0]).transpose(0, 1).flatten(1)
        self.mean.copy_(maps.mean(1))
        self.std.copy_(maps.std(1).clamp(min=torch.finfo(maps.dtype).eps))


class MapGenerator(nn.Module):
    """A generator of maps, and what makes images of them.

    Attributes:
        latent: normal numbers that an image is made of.
        spec: the generator's, of the size and channels of the images.
    """

    def __init__(self, generator: Generator, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.generator, self.autoencoder, self.latent = generator, autoencoder, generator.latent
        self.spec = replace(generator.spec, size=autoencoder.spec.size, channels=autoencoder.spec.channels, maps=None)

    def forward(self, latent: Tensor, codes: Tensor) -> Tensor:
        """latent: float [n, `latent`]; codes: int64 [n] -> float [n, c, *size] in [-1, 1]."""
        return self.autoencoder.decode(self.generator(latent, codes))


def reconstruction_loss(autoencoder: Autoencoder, images: Tensor, rng: torch.Generator) -> Tensor:
    """Mean absolute and squared error of a pixel, with a little of the maps' divergence from normal numbers.

    Of volumes that are 98 % zeros the absolute error alone learned nothing but zeros (200 steps, 32 voxels); the
    squared one alone left larger errors of both kinds on blood cells of 128 px.
    """
    mean, std = autoencoder.posterior(images)
    noise = torch.randn(mean.shape, device=mean.device, generator=rng)
    made = autoencoder.unfolded(mean + noise * std)
    divergence = (mean.square() + std.square() - 1 - 2 * std.log()).mean() / 2
    error = made - images
    loss: Tensor = error.abs().mean() + error.square().mean() + _DIVERGENCE_WEIGHT * divergence
    return loss


@torch.no_grad()
def encoded(batches: Batches, autoencoder: Autoencoder) -> Batches:
    """The same draws, of maps in place of images."""
    return replace(batches, images=_in_parts(batches, autoencoder.encode), low=-1, high=1)


def _in_parts(batches: Batches, made: Callable[[Tensor], Tensor]) -> Tensor:
    positions = torch.arange(len(batches.codes), device=batches.codes.device)
    return torch.cat([made(batches.scaled(index)) for index in torch.split(positions, _AT_ONCE)])


def _along(values: Tensor, maps: Tensor) -> Tensor:
    return values.view(-1, *[1] * (maps.dim() - 2))


def _residual_coder(spec: MapSpec, folding: int) -> AutoencoderKL:
    dim = len(spec.size)
    folded = spec.channels * folding**dim
    return AutoencoderKL(
        dim, folded, folded,
        num_res_blocks=(1, 1), channels=(spec.width, 2 * spec.width), attention_levels=(False, False),
        latent_channels=spec.depth, norm_num_groups=_NORM_GROUPS,
        with_encoder_nonlocal_attn=False, with_decoder_nonlocal_attn=False,
    )  # fmt: skip


def _activated(*layers: nn.Module) -> nn.Sequential:
    """The layers, with a non-linearity between each two."""
    between = [module for layer in layers[:-1] for module in (layer, nn.SiLU())]
    return nn.Sequential(*between, layers[-1])
