"""Does a classifier get better when synthetic images join its training set, and would something simpler do the same?"""

from collections.abc import Mapping, Sequence
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
CONTROLS = ("class weights", "classic", "duplicated")
# Which arm has to beat which control.
BESIDE = {"class weights": "synthetic", "duplicated": "synthetic", "classic": "synthetic+classic"}


@dataclass(frozen=True)
class Arm:
    """A training set, float32 [n, c, *size] and int64 [n], what is done to each batch, and how often each is drawn."""

    images: torch.Tensor
    codes: torch.Tensor
    augment: Augment | None = None
    weights: torch.Tensor | None = None


def augmentation_gain(evaluation: Evaluation) -> Finding:
    """Balanced accuracy on the holdout of a classifier trained on real + synthetic images, minus on real alone.

    Arms: real; class weights (every class drawn equally often); classic (real, randomly rotated, shifted, zoomed, with
    other contrast, mirrored where the label allows); duplicated (real images drawn again, as many per class as there
    are synthetic ones); synthetic; synthetic+classic. Network, number of steps and seeds are the same in every arm. The
    interval holds the spread over paired seeds and over test images. Duplicated real images have beaten GAN images: a
    claim needs that arm.
    """
    sets = image_sets(evaluation)
    return _finding(_tested(evaluation), sets)


def gain_over_controls(evaluation: Evaluation) -> Finding:
    """The smallest gain over class weights, over duplicated real images, and beside classic augmentation over it.

    Balanced accuracy on the holdout, as in `augmentation_gain`: a user has classic augmentation anyway. Value and both
    ends of the interval are the smallest of the three.
    """
    codes, hits = image_sets(evaluation).holdout.codes, _tested(evaluation)
    gains = {control: paired_gain(hits[ours], hits[control], codes) for control, ours in BESIDE.items()}
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
    arms = training_sets(sets, evaluation.rng("augmentation_gain/duplicated"))
    return arms_tested(sets.holdout, arms, _seeds(evaluation))


def arms_tested(holdout: ImageSet, arms: Mapping[str, Arm], seeds: Sequence[int]) -> Mapping[str, Hits]:
    """Whether each image was recognised by a classifier trained on the arm, bool [seeds, n] for each arm."""
    test = pixels(holdout)
    # One stream per seed, not per arm: paired trainings start from the same weights.
    trainings = [
        partial(_hits, arm, test, holdout, torch.Generator().manual_seed(seed))
        for arm in arms.values()
        for seed in seeds
    ]
    hits = np.array(in_parallel(trainings)).reshape(len(arms), len(seeds), len(holdout))
    return dict(zip(arms, hits, strict=True))


def gains_by_share(
    train: ImageSet, valid: ImageSet, added: Mapping[float, ImageSet], rng: np.random.Generator, *, seeds: int
) -> dict[float, Gain]:
    """Balanced accuracy on valid with each set of added images, minus that with as many real images drawn again.

    Classic augmentation in every arm, paired seeds: what a gain can come from is in the images alone, neither in the
    number of images of a class nor in what rotations and shifts would teach as well.

    Raises:
        NotMeasurable: there are too few valid images.
    """
    if len(valid) < MINIMUM_IMAGES:
        raise NotMeasurable(f"a gain needs {MINIMUM_IMAGES} valid images, there are {len(valid)}")
    arms = {}
    for share, synthetic in added.items():
        again = train.take(_drawn_again(train, synthetic, rng))
        arms[f"synthetic {share}"], arms[f"real {share}"] = (
            _classic(train, _arm(train, more)) for more in (synthetic, again)
        )
    hits = arms_tested(valid, arms, [torch_generator(rng).initial_seed() for _ in range(seeds)])
    return {share: paired_gain(hits[f"synthetic {share}"], hits[f"real {share}"], valid.codes) for share in added}


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
    arms = {name: _arm(*([] if alone else [given.train]), given.synthetic) for name, given in sets.items()}
    hits = arms_tested(holdout, arms, _seeds(ours))
    return paired_gain(hits["ours"], hits["theirs"], holdout.codes)


def _seeds(evaluation: Evaluation) -> list[int]:
    named = (f"augmentation_gain/{seed}" for seed in range(evaluation.size.utility_seeds))
    return [torch_generator(evaluation.rng(name)).initial_seed() for name in named]


def _finding(hits: Mapping[str, Hits], sets: ImageSets) -> Finding:
    codes = sets.holdout.codes
    means = {name: float(_balanced(arm, codes).mean()) for name, arm in hits.items()}
    gains = {name: paired_gain(arm, hits["real"], codes) for name, arm in hits.items() if name != "real"}
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
            "gain_over_best_control": paired_gain(hits["synthetic"], hits[best_control], codes),
            "seeds": len(hits["real"]),
            "steps": RECIPE.steps,
        },
    )


def paired_gain(arm: Hits, control: Hits, codes: Index) -> Gain:
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
    network = fit_classifier(
        arm.images, arm.codes, classes, generator, recipe=RECIPE, weights=arm.weights, augment=arm.augment
    )
    return np.asarray(in_batches(network, test).argmax(1).numpy() == holdout.codes)


def training_sets(sets: ImageSets, rng: np.random.Generator) -> dict[str, Arm]:
    """The training set of each arm, made once: seeds vary the network."""
    real, synthetic = _arm(sets.train), _arm(sets.train, sets.synthetic)
    again = sets.train.take(_drawn_again(sets.train, sets.synthetic, rng))
    return {
        "real": real,
        "class weights": replace(real, weights=1 / torch.bincount(real.codes).clamp(min=1).float()[real.codes]),
        "classic": _classic(sets.train, real),
        "duplicated": _arm(sets.train, again),
        "synthetic": synthetic,
        "synthetic+classic": _classic(sets.train, synthetic),
    }


def _arm(*parts: ImageSet) -> Arm:
    images, codes = ([pixels(part) for part in parts], [torch.from_numpy(part.codes) for part in parts])
    return Arm(torch.cat(images), torch.cat(codes))


def _classic(train: ImageSet, arm: Arm) -> Arm:
    return replace(arm, augment=partial(classic_augmentation, mirror=train.mirror_keeps_label))


def _drawn_again(train: ImageSet, synthetic: ImageSet, rng: np.random.Generator) -> Index:
    """Positions in train: of each class as many as there are synthetic images."""
    wanted = class_counts(synthetic)
    drawn = [rng.choice(class_rows(train, name), count) for name, count in wanted.items() if count]
    return np.concatenate(drawn).astype(np.int64)
