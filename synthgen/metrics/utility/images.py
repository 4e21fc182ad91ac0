"""Does a classifier get better when synthetic images join its training set, and would something simpler do the same?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from synthgen.datasets import ImageSet, Index, class_counts, class_rows
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.image_classifier import Augment, Recipe, fit_classifier, in_batches, pixels, torch_generator
from synthgen.metrics.image_features import ImageSets, image_sets
from synthgen.stats import FloatArray, t_interval

Hits = npt.NDArray[np.bool_]

# The same for every arm. Seeds x arms trainings have to take about a minute on two cores.
RECIPE = Recipe(steps=250)
CLASSIFIER_PX = 32
CONTROLS = ("classic", "duplicated")

# Ordinary augmentation, mild enough to keep the label of digits and of medical images.
MAX_ROTATION_DEGREES = 12.0
MAX_ZOOM = 0.10
MAX_SHIFT = 0.08  # of the edge
MAX_CONTRAST = 0.15


@dataclass(frozen=True)
class Arm:
    """A training set, float32 [n, c, h, w] and int64 [n], and what is done to each batch."""

    images: torch.Tensor
    codes: torch.Tensor
    augment: Augment | None = None


def augmentation_gain(evaluation: Evaluation) -> Finding:
    """Balanced accuracy on the holdout of a classifier trained on real + synthetic images, minus on real alone.

    Arms: real; classic (real, randomly rotated, shifted, zoomed, with other contrast, mirrored where the label
    allows); duplicated (real images drawn again, as many per class as there are synthetic ones); synthetic;
    synthetic+classic. Network, number of steps and seeds are the same in every arm. The interval holds the spread
    over paired seeds and over test images. Duplicated real images have beaten GAN images: a claim needs that arm.
    """
    sets = image_sets(evaluation)
    test = pixels(sets.holdout, at_most_px=CLASSIFIER_PX)
    hits = {}
    for name, arm in _arms(sets, evaluation.rng("augmentation_gain/duplicated")).items():
        hits[name] = np.array(
            [
                # One stream per seed, not per arm: paired trainings start from the same weights.
                _hits(arm, test, sets.holdout, torch_generator(evaluation.rng(f"augmentation_gain/{seed}")))
                for seed in range(evaluation.size.utility_seeds)
            ]
        )
    return _finding(hits, sets)


def _finding(hits: Mapping[str, Hits], sets: ImageSets) -> Finding:
    codes = sets.holdout.codes
    means = {name: float(_balanced(arm, codes).mean()) for name, arm in hits.items()}
    gains = {name: _gain(arm, hits["real"], codes) for name, arm in hits.items() if name != "real"}
    best_control = max(CONTROLS, key=lambda name: means[name])
    gain = gains["synthetic"]
    return Finding(
        metric="augmentation_gain",
        family="utility",
        **gain,
        reference=0.0,
        higher_is_better=True,
        n=len(codes),
        detail={
            "score": "balanced accuracy",
            "arms": means,
            "gains": gains,
            "best_control": best_control,
            "gain_over_best_control": _gain(hits["synthetic"], hits[best_control], codes),
            "seeds": len(hits["real"]),
            "steps": RECIPE.steps,
        },
    )


def _gain(arm: Hits, control: Hits, codes: Index) -> dict[str, float]:
    """Mean paired difference of balanced accuracy with its interval, from bool [seeds, n]."""
    differences = _balanced(arm, codes) - _balanced(control, codes)
    per_image = arm.mean(axis=0) - control.mean(axis=0)
    low, high = t_interval(differences, extra_variance=_test_variance(per_image, codes))
    return {"value": float(differences.mean()), "low": low, "high": high}


def _balanced(hits: Hits, codes: Index) -> FloatArray:
    """Mean over classes of the share of hits, float64 [seeds], from bool [seeds, n]."""
    return np.mean([hits[:, codes == code].mean(axis=1) for code in np.unique(codes)], axis=0, dtype=np.float64)


def _test_variance(per_image: FloatArray, codes: Index) -> float:
    # What a bootstrap of the test images within their classes converges to.
    classes = np.unique(codes)
    variances = [np.var(per_image[codes == code]) / np.sum(codes == code) for code in classes]
    return float(np.sum(variances) / len(classes) ** 2)


def _hits(arm: Arm, test: torch.Tensor, holdout: ImageSet, generator: torch.Generator) -> Hits:
    classes = len(holdout.classes)
    network = fit_classifier(arm.images, arm.codes, classes, generator, recipe=RECIPE, augment=arm.augment)
    return np.asarray(in_batches(network, test).argmax(1).numpy() == holdout.codes)


def _arms(sets: ImageSets, rng: np.random.Generator) -> dict[str, Arm]:
    images = pixels(sets.train, at_most_px=CLASSIFIER_PX)
    codes = torch.from_numpy(sets.train.codes)
    again = torch.from_numpy(_drawn_again(sets, rng))
    with_synthetic = torch.cat([images, pixels(sets.synthetic, at_most_px=CLASSIFIER_PX)])
    with_codes = torch.cat([codes, torch.from_numpy(sets.synthetic.codes)])
    classic = _classic_mirrored if sets.train.mirror_keeps_label else _classic
    return {
        "real": Arm(images, codes),
        "classic": Arm(images, codes, classic),
        "duplicated": Arm(torch.cat([images, images[again]]), torch.cat([codes, codes[again]])),
        "synthetic": Arm(with_synthetic, with_codes),
        "synthetic+classic": Arm(with_synthetic, with_codes, classic),
    }


def _drawn_again(sets: ImageSets, rng: np.random.Generator) -> Index:
    """Positions in train: of each class as many as there are synthetic images."""
    wanted = class_counts(sets.synthetic)
    drawn = [rng.choice(class_rows(sets.train, name), count) for name, count in wanted.items() if count]
    return np.concatenate(drawn).astype(np.int64)


def _classic(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The images [n, c, h, w], each rotated, zoomed, shifted and changed in contrast by its own random amount."""
    angle, zoom, right, down, contrast = torch.rand((5, len(images)), generator=generator) * 2 - 1
    angle = angle * math.radians(MAX_ROTATION_DEGREES)
    zoom = 1 + zoom * MAX_ZOOM
    # affine_grid counts in half edges.
    rows = [
        torch.stack([angle.cos() * zoom, -angle.sin() * zoom, right * 2 * MAX_SHIFT], dim=1),
        torch.stack([angle.sin() * zoom, angle.cos() * zoom, down * 2 * MAX_SHIFT], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return (moved + 1) * (1 + contrast * MAX_CONTRAST).view(-1, 1, 1, 1) - 1


def _classic_mirrored(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    return _classic(torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images), generator)
