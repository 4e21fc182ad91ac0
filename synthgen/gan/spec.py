"""What the two networks look like, and the sizes that follow from it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from synthgen.config import ArchitectureName

# Halving stops at these edge lengths: 28 = 7 x 4 needs no padding, and the discriminator ends with 3 x 3 features.
_GENERATOR_START = 7
_DISCRIMINATOR_END = 4
# Maps are small, and a network of a single level learns little of them: decision 0014.
_MAP_START = 4
_FEWEST_MAP_LEVELS = 3
_WIDEST = 256
# A discriminator that is too weak does not see that images of a class are all alike. With twice the generator's width,
# and coarsest features at least 4 times as wide as the finest, images of a class vary .70 times as much as real ones
# after 600 steps on 8 px digits, with equal widths .24; on 28 px digits .84 and .75 at equal time, distance unchanged.
_DISCRIMINATOR_WIDTH = 2
# Of volumes of 16 voxels, whose last level has 27 taps, twice as wide: 1.2x the images per second, distances as before.
_COARSEST = {2: 4, 3: 2}
# A generator that doubles once has its numbers there.
_COARSEST_OF_SMALL_MAPS = {2: 8, 3: 16}
CLASS_FEATURES = 64

Stride = tuple[int, ...]


@dataclass(frozen=True)
class MapSpec:
    """The maps that an autoencoder makes of images.

    Attributes:
        size: pixels along each spatial axis of an image, (h, w) or (d, h, w).
        channels: of an image.
        factor: pixels along each axis for one place of the map; a power of 2.
        depth: numbers at each place.
        width: channels of the autoencoder's finest convolutions; doubled at each halving from there.
    """

    size: tuple[int, ...]
    channels: int
    factor: int
    depth: int
    width: int

    def __str__(self) -> str:
        return f"{' x '.join(map(str, self.size))} px and {self.channels} channels"

    @property
    def map_size(self) -> tuple[int, ...]:
        """Places along each spatial axis."""
        return tuple(-(-length // self.factor) for length in self.size)


@dataclass(frozen=True)
class NetworkSpec:
    """What the two networks look like.

    Attributes:
        size: pixels along each spatial axis, (h, w) or (d, h, w).
        channels: of an image, 1 or 3.
        width: of the generator at full resolution, in channels; doubled at each halving, up to 256.
        latent: length of z.
        is_conditional: whether the networks are told the class.
        maps: what the networks work on in place of images; None for images.
        attributes: names of the levels of each attribute that the networks are told beside the class.
    """

    size: tuple[int, ...]
    channels: int
    classes: int
    architecture: ArchitectureName
    width: int
    latent: int
    is_conditional: bool = True
    maps: MapSpec | None = None
    attributes: tuple[tuple[str, ...], ...] = ()

    @property
    def space(self) -> str:
        """What the networks work on, for a person."""
        return "pixels" if self.maps is None else f"latent, from {self.maps}"

    @property
    def dim(self) -> int:
        """Spatial axes, 2 or 3."""
        return len(self.size)

    @property
    def condition(self) -> int:
        """Length of z and class features together."""
        return self.latent + (CLASS_FEATURES if self.is_conditional else 0)


@dataclass(frozen=True)
class Ladder:
    """The levels of a network in the order it climbs them.

    Attributes:
        widths: channels before the first level and after each; one more than strides.
        strides: of each level along each axis, 1 or 2.
        sizes: edge lengths before the first level and after each, before any cropping.
    """

    widths: Sequence[int]
    strides: Sequence[Stride]
    sizes: Sequence[tuple[int, ...]]


def generator_ladder(spec: NetworkSpec) -> Ladder:
    """From the coarsest features to the image."""
    smallest = _GENERATOR_START if spec.maps is None else min(_MAP_START, -(-max(spec.size) // 2))
    strides, start = halvings(spec.size, smallest)
    is_small_map = spec.maps is not None and len(strides) == 1
    coarsest = _COARSEST_OF_SMALL_MAPS[spec.dim] if is_small_map else _COARSEST[2]
    widths = _doubled(spec.width, len(strides) + 1)[::-1]
    widths[0] = max(widths[0], coarsest * spec.width)
    sizes = [start]
    for stride in reversed(strides):
        sizes.append(tuple(length * factor for length, factor in zip(sizes[-1], stride, strict=True)))
    return Ladder(widths, strides[::-1], sizes)


def discriminator_ladder(spec: NetworkSpec) -> Ladder:
    """From the image to the coarsest features; the last level keeps the size, of small maps others do too."""
    strides, _ = halvings(spec.size, _DISCRIMINATOR_END)
    if spec.maps is not None:
        kept = _FEWEST_MAP_LEVELS - 1 - len(strides)
        strides = [(1,) * spec.dim] * kept + strides
    finest = _DISCRIMINATOR_WIDTH * spec.width
    widths = [spec.channels, *_doubled(finest, len(strides))]
    widths.append(max(widths[-1], _COARSEST[spec.dim] * finest))
    sizes = [spec.size]
    for stride in [*strides, (1,) * spec.dim]:
        # A k4s2 convolution leaves the half that is rounded down.
        sizes.append(tuple(length // factor for length, factor in zip(sizes[-1], stride, strict=True)))
    return Ladder(widths, [*strides, (1,) * spec.dim], sizes)


def halvings(size: Sequence[int], smallest: int) -> tuple[list[Stride], tuple[int, ...]]:
    """Strides of each level from the image inwards, and the edge lengths left; axes stop at `smallest` on their own."""
    strides, lengths = [], tuple(size)
    while max(lengths) > smallest:
        stride = tuple(2 if length > smallest else 1 for length in lengths)
        lengths = tuple(math.ceil(length / factor) for length, factor in zip(lengths, stride, strict=True))
        strides.append(stride)
    return strides, lengths


def _doubled(width: int, levels: int) -> list[int]:
    return [min(max(_WIDEST, width), width * 2**level) for level in range(levels)]
