"""Classifiers of labels that judge no image they have seen; trained once per evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import torch

from synthgen.datasets import ImageSet, Index, concat
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.image_classifier import SmallConvNet, fit_judge, in_parallel, torch_generator
from synthgen.metrics.image_features import ImageSets

# Each judge learns from two of three parts of the real images.
JUDGES = 3


@dataclass(frozen=True)
class Judges:
    """Classifiers cross-fitted on train and holdout together.

    Attributes:
        judges: as many as there are parts; each has seen every part but its own.
        train, holdout: int64 [n], the part of each image of `image_sets`.
    """

    judges: tuple[SmallConvNet, ...]
    train: Index
    holdout: Index


# Keyed by identity (Evaluation has eq=False), gone with its evaluation.
_JUDGES: WeakKeyDictionary[Evaluation, Judges] = WeakKeyDictionary()


def cross_fitted(evaluation: Evaluation, sets: ImageSets) -> Judges:
    """The judges of this evaluation; `sets` are its `image_sets`."""
    if evaluation not in _JUDGES:
        _JUDGES[evaluation] = _fit([sets.train, sets.holdout], evaluation.rng("image-judges"))
    return _JUDGES[evaluation]


def _fit(real: Sequence[ImageSet], rng: np.random.Generator) -> Judges:
    parts = [dealt(images, rng) for images in real]
    learned = [
        [images.take(np.flatnonzero(part != own)) for images, part in zip(real, parts, strict=True)]
        for own in range(JUDGES)
    ]
    judges = in_parallel([partial(_judge, seen, torch_generator(rng)) for seen in learned])
    return Judges(tuple(judges), *parts)


def dealt(images: ImageSet, rng: np.random.Generator) -> Index:
    """The part of each image, int64 [n] below `JUDGES`, of each class alike; images of a group stay together.

    But where all images of a class would lie in one part, so that one judge would never see it, groups are parted.
    """
    parts = np.zeros(len(images), dtype=np.int64)
    if images.groups is not None:
        names, group = np.unique(images.groups, return_inverse=True)
        parts = np.asarray(rng.permutation(np.arange(len(names)) % JUDGES)[group], dtype=np.int64)
    for code in np.unique(images.codes):
        rows = np.flatnonzero(images.codes == code)
        if images.groups is not None and len(np.unique(parts[rows])) > 1:
            continue
        parts[rows] = rng.permutation(np.arange(len(rows)) % JUDGES)
    return parts


def _judge(seen: Sequence[ImageSet], generator: torch.Generator) -> SmallConvNet:
    real = concat(seen)
    assert isinstance(real, ImageSet)
    return fit_judge(real, generator)
