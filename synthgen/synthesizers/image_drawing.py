"""Images of asked classes from a network that makes them of normal numbers."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthgen.attributes import Attributes
from synthgen.datasets import ImageSet, Index, Labels
from synthgen.device import best_device
from synthgen.errors import ModelError, unknown_name
from synthgen.gan.spec import NetworkSpec
from synthgen.progress import counted
from synthgen.synthesizers.image_files import Facts

_AT_ONCE = 256
# Pixels of one pass: a volume of 64 voxels takes 50 MiB inside the network.
_PIXELS_AT_ONCE = 2**23


class Decoder(Protocol):
    """Images [n, c, *size] in [-1, 1] of `latent` normal numbers each; codes as `Batches` has them."""

    latent: int
    spec: NetworkSpec

    def __call__(self, latent: Tensor, codes: Tensor) -> Tensor:
        """latent: float [n, `latent`]."""
        ...


def asked_codes(n: int, labels: Labels | None, facts: Facts, rng: np.random.Generator) -> Index:
    """The class of each image; without labels, as frequent as in train. Raises ModelError for an unknown class."""
    if labels is None:
        counts = np.asarray(facts.counts, dtype=np.float64)
        return rng.choice(len(counts), n, p=counts / counts.sum()).astype(np.int64)
    for name in np.unique(labels).tolist():
        if name not in facts.learned:
            raise ModelError(unknown_name("class", name, facts.learned))
    return np.asarray([facts.learned[name] for name in labels.tolist()], dtype=np.int64)


def asked_conditions(
    n: int, labels: Labels | None, where: Mapping[str, object], facts: Facts, rng: np.random.Generator
) -> Index:
    """Class and levels of each image, [n, 1 + attributes]; levels as frequent together as in the class in train.

    Args:
        where: the level that all have, by attribute.

    Raises:
        ModelError: an unknown class, attribute or level, or a class that had no image with these levels.
    """
    table = np.asarray(facts.combinations, dtype=np.int64)
    for name, value in where.items():
        column, level = _place(name, value, facts)
        table = table[table[:, 1 + column] == level]
    conditions, shares = table[:, :-1], table[:, -1].astype(np.float64)
    wanted = None if labels is None else asked_codes(n, labels, facts, rng)
    result = np.empty((n, conditions.shape[1]), dtype=np.int64)
    for code in [None] if wanted is None else np.unique(wanted).tolist():
        rows = np.flatnonzero(conditions[:, 0] == code) if wanted is not None else np.arange(len(table))
        if not len(rows):
            of = "" if code is None else f" of class {facts.classes[code]!r}"
            levels = ", ".join(f"{name}={level}" for name, level in where.items())
            raise ModelError(f"no training image{of} had {levels}", hint="ask for levels that occur together")
        places = np.arange(n) if wanted is None else np.flatnonzero(wanted == code)
        result[places] = conditions[rng.choice(rows, len(places), p=shares[rows] / shares[rows].sum())]
    return result


def _place(name: str, value: object, facts: Facts) -> tuple[int, int]:
    """Positions of the attribute and of its level."""
    if name not in facts.levels:
        raise ModelError(unknown_name("attribute", name, facts.levels))
    if str(value) not in facts.levels[name]:
        raise ModelError(unknown_name(f"value of {name}", str(value), facts.levels[name]))
    return list(facts.levels).index(name), facts.levels[name].index(str(value))


def at_once(size: Sequence[int]) -> int:
    """How many images of this size go through a network together."""
    return max(1, min(_AT_ONCE, _PIXELS_AT_ONCE // math.prod(size)))


@torch.no_grad()
def drawn(decoder: Decoder, codes: Index, facts: Facts, rng: np.random.Generator) -> ImageSet:
    """An image of each class (and levels), with the range and type of train."""
    device, spec = best_device(), decoder.spec
    # Drawn on the CPU: the same latents whatever the device.
    source = torch.Generator().manual_seed(int(rng.integers(2**63)))
    images = np.empty((len(codes), spec.channels, *spec.size), dtype=facts.dtype)
    low, high = facts.pixel_range

    def block(start: int) -> npt.NDArray[np.int32]:
        batch = torch.from_numpy(codes[start : start + _AT_ONCE])
        latent = torch.randn(len(batch), decoder.latent, generator=source)
        pairs = zip(*(torch.split(part.to(device), at_once(spec.size)) for part in (latent, batch)), strict=True)
        values = torch.cat([decoder(*pair) for pair in pairs]).double()
        # Rounded on the device: integers are a quarter of the bytes to fetch.
        return np.asarray(((values + 1) / 2 * (high - low) + low).round().to(torch.int32).cpu().numpy())

    starts = range(0, len(codes), _AT_ONCE)
    for start, made in zip(starts, counted(map(block, starts), "block", len(starts)), strict=True):
        images[start : start + _AT_ONCE] = made
    attributes = Attributes(facts.levels, codes[:, 1:]) if facts.levels else None
    classes = codes[:, 0] if facts.levels else codes
    mirror, scan = facts.mirror_keeps_label, facts.scan
    return ImageSet(images, classes, facts.classes, mirror_keeps_label=mirror, scan=scan, attributes=attributes)
