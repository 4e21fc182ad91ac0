"""Does a classifier get better when synthetic images join its training set, and would something simpler do the same?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch

from synthgen.datasets import ImageSet, Index, class_counts, class_rows
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.image_augmentation import classic_augmentation
from synthgen.metrics.image_classifier import (
    Augment,
    Recipe,
    fit_classifier,
    in_batches,
    in_parallel,
    pixels,
    torch_generator,
)
from synthgen.metrics.image_features import ImageSets, image_sets
from synthgen.metrics.utility.controls import Gain, over_controls
from synthgen.stats import FloatArray, t_interval

Hits = npt.NDArray[np.bool_]

# The same for every arm. Seeds x arms trainings have to take about a minute on two cores.
RECIPE = Recipe(steps=250)
# Fewer test images cannot show a gain.
MINIMUM_IMAGES = 50
CONTROLS = ("classic", "duplicated")
# Which arm has to beat which control.
BESIDE = {"duplicated": "synthetic", "classic": "synthetic+classic"}


@dataclass(frozen=True)
class Arm:
    """A training set, float32 [n, c, h, w] and int64 [n], what is done to each batch, and how often each is drawn."""

    images: torch.Tensor
    codes: torch.Tensor
    augment: Augment | None = None
    weights: torch.Tensor | None = None


def augmentation_gain(evaluation: Evaluation) -> Finding:
    """Balanced accuracy on the holdout of a classifier trained on real + synthetic images, minus on real alone.

    Arms: real; classic (real, randomly rotated, shifted, zoomed, with other contrast, mirrored where the label
    allows); duplicated (real images drawn again, as many per class as there are synthetic ones); synthetic;
    synthetic+classic. Network, number of steps and seeds are the same in every arm. The interval holds the spread
    over paired seeds and over test images. Duplicated real images have beaten GAN images: a claim needs that arm.
    """
    sets = image_sets(evaluation)
    return _finding(_tested(evaluation), sets)


def gain_over_controls(evaluation: Evaluation) -> Finding:
    """The smaller of two gains: over duplicated real images, and beside classic augmentation over it alone.

    Balanced accuracy on the holdout, as in `augmentation_gain`: a user has classic augmentation anyway. Value and both
    ends of the interval are the smaller of the two.
    """
    codes, hits = image_sets(evaluation).holdout.codes, _tested(evaluation)
    gains = {control: _gain(hits[ours], hits[control], codes) for control, ours in BESIDE.items()}
    return over_controls(gains, n=len(codes))


# Keyed by identity (Evaluation has eq=False), gone with its evaluation.
_TESTED: WeakKeyDictionary[Evaluation, Mapping[str, Hits]] = WeakKeyDictionary()


def _tested(evaluation: Evaluation) -> Mapping[str, Hits]:
    """Whether each holdout image was recognised, bool [seeds, n] for each arm; trained once per evaluation."""
    if evaluation not in _TESTED:
        _TESTED[evaluation] = _train(evaluation, image_sets(evaluation))
    return _TESTED[evaluation]


def _train(evaluation: Evaluation, sets: ImageSets) -> Mapping[str, Hits]:
    if len(sets.holdout) < MINIMUM_IMAGES:
        raise NotMeasurable(f"a gain needs {MINIMUM_IMAGES} held-out images, there are {len(sets.holdout)}")
    return _arms_tested(evaluation, sets.holdout, training_sets(sets, evaluation.rng("augmentation_gain/duplicated")))


def _arms_tested(evaluation: Evaluation, holdout: ImageSet, arms: Mapping[str, Arm]) -> Mapping[str, Hits]:
    test, seeds = pixels(holdout), range(evaluation.size.utility_seeds)
    # One stream per seed, not per arm: paired trainings start from the same weights.
    trainings = [
        partial(_hits, arm, test, holdout, torch_generator(evaluation.rng(f"augmentation_gain/{seed}")))
        for arm in arms.values()
        for seed in seeds
    ]
    hits = np.array(in_parallel(trainings)).reshape(len(arms), len(seeds), len(holdout))
    return dict(zip(arms, hits, strict=True))


def gain_between(ours: Evaluation, theirs: Evaluation, *, alone: bool) -> Gain:
    """Balanced accuracy on the holdout of a classifier that learns from our synthetic images, minus from theirs.

    Args:
        ours, theirs: with the same train, holdout, size and seed.
        alone: the classifier sees no real image; else it learns from all of train besides.

    Raises:
        NotMeasurable: there are too few images.
    """
    sets = {"ours": image_sets(ours), "theirs": image_sets(theirs)}
    holdout = sets["ours"].holdout
    if len(holdout) < MINIMUM_IMAGES:
        raise NotMeasurable(f"a gain needs {MINIMUM_IMAGES} held-out images, there are {len(holdout)}")
    arms = {name: _synthetic_arm(given) if alone else _arm_with_real(given) for name, given in sets.items()}
    hits = _arms_tested(ours, holdout, arms)
    return _gain(hits["ours"], hits["theirs"], holdout.codes)


def _finding(hits: Mapping[str, Hits], sets: ImageSets) -> Finding:
    codes = sets.holdout.codes
    means = {name: float(_balanced(arm, codes).mean()) for name, arm in hits.items()}
    gains = {name: _gain(arm, hits["real"], codes) for name, arm in hits.items() if name != "real"}
    best_control = max(CONTROLS, key=lambda name: means[name])
    gain = gains["synthetic"]
    return Finding(
        metric="augmentation_gain",
        family="utility",
        value=gain["value"],
        low=gain["low"],
        high=gain["high"],
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


def _gain(arm: Hits, control: Hits, codes: Index) -> Gain:
    """Mean paired difference of balanced accuracy with its interval, from bool [seeds, n]."""
    differences = _balanced(arm, codes) - _balanced(control, codes)
    per_image = arm.mean(axis=0) - control.mean(axis=0)
    low, high = t_interval(differences, extra_variance=_test_variance(per_image, codes))
    return {"value": float(differences.mean()), "low": low, "high": high}


def _balanced(hits: Hits, codes: Index) -> FloatArray:
    """Mean over classes of the share of hits, float64 [seeds], from bool [seeds, n]."""
    per_class = [hits[:, codes == code].mean(axis=1) for code in np.unique(codes)]
    return np.asarray(np.mean(per_class, axis=0), dtype=np.float64)


def _test_variance(per_image: FloatArray, codes: Index) -> float:
    # What a bootstrap of the test images within their classes converges to.
    classes = np.unique(codes)
    variances = [np.var(per_image[codes == code]) / np.sum(codes == code) for code in classes]
    return float(np.sum(variances) / len(classes) ** 2)


def _hits(arm: Arm, test: torch.Tensor, holdout: ImageSet, generator: torch.Generator) -> Hits:
    classes = len(holdout.classes)
    network = fit_classifier(arm.images, arm.codes, classes, generator, recipe=RECIPE, augment=arm.augment)
    return np.asarray(in_batches(network, test).argmax(1).numpy() == holdout.codes)


def training_sets(sets: ImageSets, rng: np.random.Generator) -> dict[str, Arm]:
    """The training set of each arm, made once: seeds vary the network."""
    images = pixels(sets.train)
    codes = torch.from_numpy(sets.train.codes)
    again = torch.from_numpy(_drawn_again(sets, rng))
    synthetic = _arm_with_real(sets)
    classic = partial(classic_augmentation, mirror=sets.train.mirror_keeps_label)
    return {
        "real": Arm(images, codes),
        "classic": Arm(images, codes, classic),
        "duplicated": Arm(torch.cat([images, images[again]]), torch.cat([codes, codes[again]])),
        "synthetic": synthetic,
        "synthetic+classic": replace(synthetic, augment=classic),
    }


def _synthetic_arm(sets: ImageSets) -> Arm:
    return Arm(pixels(sets.synthetic), torch.from_numpy(sets.synthetic.codes))


def _arm_with_real(sets: ImageSets) -> Arm:
    synthetic = _synthetic_arm(sets)
    images, codes = pixels(sets.train), torch.from_numpy(sets.train.codes)
    return Arm(torch.cat([images, synthetic.images]), torch.cat([codes, synthetic.codes]))


def _drawn_again(sets: ImageSets, rng: np.random.Generator) -> Index:
    """Positions in train: of each class as many as there are synthetic images."""
    wanted = class_counts(sets.synthetic)
    drawn = [rng.choice(class_rows(sets.train, name), count) for name, count in wanted.items() if count]
    return np.concatenate(drawn).astype(np.int64)
