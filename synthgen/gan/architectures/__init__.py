"""The table of architectures. To add one: a file with a generator and a discriminator, a line here and in config.

A generator's body is a module of (latent [n, `latent`], label [n, k]) that returns [n, c, *size] or more; one of a
discriminator has `layers` from the image inwards and returns [n, `features`, *any] for images. A body with a `missing`
attribute grows: that many doublings are left out, a fraction fades in.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from synthgen.config import ArchitectureName
from synthgen.gan.architectures import attention, dcgan, progressive, residual, style
from synthgen.gan.blocks import Downsampling
from synthgen.gan.spec import NetworkSpec

__all__ = ["ARCHITECTURES", "Architecture"]


@dataclass(frozen=True)
class Architecture:
    """What makes the bodies of the two networks."""

    generator: Callable[[NetworkSpec], nn.Module]
    discriminator: Callable[[NetworkSpec], nn.Module]


ARCHITECTURES: Mapping[ArchitectureName, Architecture] = {
    "dcgan": Architecture(dcgan.generator, Downsampling),
    "residual": Architecture(residual.generator, Downsampling),
    "residual-attention": Architecture(attention.generator, attention.discriminator),
    "progressive": Architecture(progressive.GrowingGenerator, progressive.GrowingDiscriminator),
    "style": Architecture(style.StyleGenerator, Downsampling),
}
