"""Differentiable augmentation of what the discriminator sees, switched on only while it overfits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from synthgen.config import AugmentationName

# What no class is made of; left and right may be.
ALWAYS_SAFE: Sequence[AugmentationName] = ("brightness", "contrast", "translation")

_SHIFT = 1 / 8  # of an edge
_BRIGHTNESS = 0.25  # of half the pixel range
_CONTRAST = 0.5
# Above this the generator starts to copy the augmentations. Source: Karras 2020, fig. 3, arXiv:2006.06676.
_STRONGEST = 0.8
_TARGET_GAP = 0.5  # the same, section 3.1: r_v
# Images from strength 0 to 1, as there. The gap of one tick is noise of +-0.5: only a slow hand averages it out, and
# 0.05 per tick halved no overfitting but doubled the Fréchet distance of a one-minute training.
_IMAGES_TO_FULL = 500_000


@dataclass(frozen=True)
class Policy:
    """Which transformations keep the label.

    Attributes:
        strength: probability of each transformation, in [0, 1]; 0 is the identity.
        kinds: transformations after which an image still deserves its label.
    """

    strength: float = 0.0
    kinds: Sequence[AugmentationName] = ALWAYS_SAFE

    @classmethod
    def restore(cls, data: Mapping[str, Any]) -> Self:
        """From the JSON that `asdict` makes of it."""
        return cls(data["strength"], tuple(data["kinds"]))

    def adapted(self, logit_gap: float, images: int) -> "Policy":
        """A little stronger when the discriminator knows its training images by heart, weaker otherwise.

        Args:
            logit_gap: (train - valid) / (train - fake) of mean logits: 0 no overfitting, 1 complete.
            images: shown since the last adaptation.
        """
        step = images / _IMAGES_TO_FULL * (1 if logit_gap > _TARGET_GAP else -1)
        return replace(self, strength=min(_STRONGEST, max(0.0, self.strength + step)))


def augment(images: Tensor, policy: Policy, generator: torch.Generator) -> Tensor:
    """Images of the same shape, each transformed on its own, differentiable in the pixels.

    Args:
        images: float [n, c, *size] in [-1, 1].
    """
    if policy.strength == 0:
        return images
    if "brightness" in policy.kinds or "contrast" in policy.kinds:
        images = _change_brightness_and_contrast(images, policy, generator)
    if "translation" in policy.kinds:
        for axis in range(2, images.dim()):
            images = _translate(images, axis, policy.strength, generator)
    if "mirror" in policy.kinds:
        mirrored = _chosen(images, policy.strength / 2, generator)
        images = torch.where(_per_image(mirrored, images), images.flip(-1), images)
    return images


def _change_brightness_and_contrast(images: Tensor, policy: Policy, generator: torch.Generator) -> Tensor:
    every = tuple(range(1, images.dim()))
    most = [
        most if name in policy.kinds else 0.0 for name, most in (("brightness", _BRIGHTNESS), ("contrast", _CONTRAST))
    ]
    brightness, contrast = (
        scale * _symmetric(images, generator) * _chosen(images, policy.strength, generator) for scale in most
    )
    mean = images.mean(every, keepdim=True)
    # Written as additions: an image that was not chosen stays the same to the last bit.
    return images + (images - mean) * _per_image(contrast, images) + _per_image(brightness, images)


def _translate(images: Tensor, axis: int, strength: float, generator: torch.Generator) -> Tensor:
    length = images.shape[axis]
    shift = (_symmetric(images, generator) * (length * _SHIFT)).round() * _chosen(images, strength, generator)
    positions = torch.arange(length, device=images.device) + shift.long()[:, None]
    # The edge is repeated: a dark frame would be a mark that only moved images carry.
    shape = [len(images), *[1] * (images.dim() - 1)]
    shape[axis] = length
    return images.gather(axis, positions.clamp(0, length - 1).view(shape).expand_as(images))


def _symmetric(images: Tensor, generator: torch.Generator) -> Tensor:
    return 2 * torch.rand(len(images), device=images.device, generator=generator) - 1


def _chosen(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    return torch.rand(len(images), device=images.device, generator=generator) < probability


def _per_image(values: Tensor, images: Tensor) -> Tensor:
    return values.view(-1, *[1] * (images.dim() - 1))
