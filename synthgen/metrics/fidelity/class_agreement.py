"""Do the synthetic images show the class that was asked for?"""

from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from synthgen.datasets import ImageSet, Index, class_counts, class_rows, concat
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.image_classifier import (
    SmallConvNet,
    fit_judge,
    in_batches,
    in_parallel,
    pixels,
    torch_generator,
)
from synthgen.metrics.image_features import MINIMUM_IMAGES, ImageSets, image_sets
from synthgen.stats import rate_difference_interval

Hits = npt.NDArray[np.bool_]

# Fewer synthetic images of a class do not decide a difference of two points.
ENOUGH_IMAGES = 200


def class_agreement(evaluation: Evaluation) -> Finding:
    """Agreement of a classifier with the asked label, minus its accuracy on held-out images; the worst class.

    Two classifiers, each trained on train and one half of the holdout, judge the other half; every synthetic image is
    judged by one of them. So no image is judged by a classifier that has seen it, and synthetic images are judged by
    one that has seen real images which their generator has not. Interval of a difference of rates: Newcombe 1998,
    at 95 % for all classes together.
    Idea: Shmelkov 2018, arXiv:1807.09499 (GAN-test).
    """
    sets = image_sets(evaluation)
    measured = _per_class(sets, evaluation.rng("class_agreement"))
    name = min(measured, key=lambda key: measured[key]["difference"])
    worst = measured[name]
    return Finding(
        metric="class_agreement",
        family="fidelity",
        value=worst["difference"],
        low=worst["low"],
        high=worst["high"],
        reference=0.0,
        higher_is_better=True,
        n=int(min(worst["n_synthetic"], worst["n_real"])),
        detail={
            "worst_class": name,
            "few": bool(min(rates["n_synthetic"] for rates in measured.values()) < ENOUGH_IMAGES),
            "mean_difference": float(np.mean([rates["difference"] for rates in measured.values()])),
            "per_class": measured,
        },
    )


def _per_class(sets: ImageSets, rng: np.random.Generator) -> dict[str, dict[str, float]]:
    counts = class_counts(sets.holdout), class_counts(sets.synthetic)
    judged = [name for name in sets.train.classes if min(count[name] for count in counts) >= MINIMUM_IMAGES]
    if not judged:
        raise NotMeasurable(f"no class has {MINIMUM_IMAGES} held-out and {MINIMUM_IMAGES} synthetic images")
    real, synthetic = _judged(sets, rng)
    # The worst of k classes is chosen afterwards: Bonferroni, or honest data would fail by their number of classes.
    confidence = 1 - 0.05 / len(judged)
    return {
        name: _rates(
            real[class_rows(sets.holdout, name)], synthetic[class_rows(sets.synthetic, name)], confidence=confidence
        )
        for name in judged
    }


def _rates(real: Hits, synthetic: Hits, *, confidence: float) -> dict[str, float]:
    counts = (int(synthetic.sum()), len(synthetic)), (int(real.sum()), len(real))
    low, high = rate_difference_interval(*counts, confidence=confidence)
    agreement, accuracy = float(synthetic.mean()), float(real.mean())
    return {
        "difference": agreement - accuracy,
        "low": low,
        "high": high,
        "agreement": agreement,
        "accuracy_real": accuracy,
        "n_synthetic": len(synthetic),
        "n_real": len(real),
    }


def _judged(sets: ImageSets, rng: np.random.Generator) -> tuple[Hits, Hits]:
    """Whether the judge sees the label: of each held-out and of each synthetic image."""
    fold_of_real = _folds(sets.holdout, rng)
    fold_of_synthetic = rng.integers(0, 2, len(sets.synthetic))
    parts = [
        (np.flatnonzero(fold_of_real != fold), np.flatnonzero(fold_of_real == fold), fold_of_synthetic == fold)
        for fold in (0, 1)
    ]
    judges = in_parallel([partial(_judge, sets, seen, torch_generator(rng)) for seen, _, _ in parts])
    real = np.zeros(len(sets.holdout), dtype=bool)
    synthetic = np.zeros(len(sets.synthetic), dtype=bool)
    for judge, (_, held_back, asked) in zip(judges, parts, strict=True):
        real[held_back] = _hits(judge, sets.holdout.take(held_back))
        synthetic[asked] = _hits(judge, sets.synthetic.take(np.flatnonzero(asked)))
    return real, synthetic


def _folds(holdout: ImageSet, rng: np.random.Generator) -> Index:
    """0 or 1 for each image, half of each class; images of a group stay together."""
    if holdout.groups is not None:
        names, group = np.unique(holdout.groups, return_inverse=True)
        return np.asarray(rng.permutation(np.arange(len(names)) % 2)[group], dtype=np.int64)
    folds = np.empty(len(holdout), dtype=np.int64)
    for code in np.unique(holdout.codes):
        rows = np.flatnonzero(holdout.codes == code)
        folds[rows] = rng.permutation(np.arange(len(rows)) % 2)
    return folds


def _judge(sets: ImageSets, seen: Index, generator: torch.Generator) -> SmallConvNet:
    real = concat([sets.train, sets.holdout.take(seen)])
    assert isinstance(real, ImageSet)
    return fit_judge(real, generator)


def _hits(judge: SmallConvNet, images: ImageSet) -> Hits:
    return np.asarray(in_batches(judge, pixels(images)).argmax(1).numpy() == images.codes)
