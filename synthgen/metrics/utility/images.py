"""Does a classifier get better when synthetic images join its training set, and would something simpler do the same?"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from synthgen.datasets import ImageSet, Index
from synthgen.findings import Finding
from synthgen.metrics.augmented_images import (
    RECIPE,
    Arm,
    augmented_images,
    drawn_again,
    enough_to_test,
    network_seeds,
    predictions,
)
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.image_classifier import torch_generator
from synthgen.metrics.image_features import image_sets
from synthgen.metrics.learner import balanced_variance
from synthgen.metrics.utility.controls import Gain, over_controls
from synthgen.stats import FloatArray, t_interval

Hits = npt.NDArray[np.bool_]

CONTROLS = ("class weights", "classic", "duplicated")
# Which arm has to beat which control.
BESIDE = {"class weights": "synthetic", "duplicated": "synthetic", "classic": "synthetic+classic"}


def augmentation_gain(evaluation: Evaluation) -> Finding:
    """Balanced accuracy on the holdout of a classifier trained on real + synthetic images, minus on real alone.

    Arms: real; class weights (every class drawn equally often); classic (real, randomly rotated, shifted, zoomed, with
    other contrast, mirrored where the label allows); duplicated (real images drawn again, as many per class as there
    are synthetic ones); synthetic; synthetic+classic. Network, number of steps and seeds are the same in every arm. The
    interval holds the spread over paired seeds and over test images. Duplicated real images have beaten GAN images: a
    claim needs that arm.
    """
    codes = image_sets(evaluation).holdout.codes
    return _finding(_tested(evaluation, codes), codes)


def gain_over_controls(evaluation: Evaluation) -> Finding:
    """The smallest gain over class weights, over duplicated real images, and beside classic augmentation over it.

    Balanced accuracy on the holdout, as in `augmentation_gain`: a user has classic augmentation anyway. Value and both
    ends of the interval are the smallest of the three.
    """
    codes = image_sets(evaluation).holdout.codes
    hits = _tested(evaluation, codes)
    gains = {control: paired_gain(hits[ours], hits[control], codes) for control, ours in BESIDE.items()}
    return over_controls(gains, n=len(codes))


def _tested(evaluation: Evaluation, codes: Index) -> Mapping[str, Hits]:
    """Whether each holdout image, of these classes, was recognised, bool [seeds, n] for each arm."""
    return {name: predicted == codes for name, predicted in augmented_images(evaluation).items()}


def arms_tested(holdout: ImageSet, arms: Mapping[str, Arm], seeds: Sequence[int]) -> Mapping[str, Hits]:
    """Whether each image was recognised by a classifier trained on the arm, bool [seeds, n] for each arm."""
    return {name: predicted == holdout.codes for name, predicted in predictions(holdout, arms, seeds).items()}


def gains_by_share(
    train: ImageSet, valid: ImageSet, added: Mapping[float, ImageSet], rng: np.random.Generator, *, seeds: int
) -> dict[float, Gain]:
    """Balanced accuracy on valid with each set of added images, minus that with as many real images drawn again.

    Classic augmentation in every arm, paired seeds: what a gain can come from is in the images alone, neither in the
    number of images of a class nor in what rotations and shifts would teach as well. The intervals hold with 95 % all
    together: whoever takes the best of several has tried them all (Bonferroni).

    Raises:
        NotMeasurable: there are too few valid images.
    """
    enough_to_test(valid, "valid")
    arms = {}
    for share, synthetic in added.items():
        again = train.take(drawn_again(train, synthetic, rng))
        arms[f"synthetic {share}"], arms[f"real {share}"] = (
            Arm.of(train, more).with_classic(train) for more in (synthetic, again)
        )
    hits = arms_tested(valid, arms, [torch_generator(rng).initial_seed() for _ in range(seeds)])
    confidence = 1 - 0.05 / len(added)
    return {
        share: paired_gain(hits[f"synthetic {share}"], hits[f"real {share}"], valid.codes, confidence=confidence)
        for share in added
    }


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
    enough_to_test(holdout)
    arms = {name: Arm.of(*([] if alone else [given.train]), given.synthetic) for name, given in sets.items()}
    hits = arms_tested(holdout, arms, network_seeds(ours))
    return paired_gain(hits["ours"], hits["theirs"], holdout.codes)


def _finding(hits: Mapping[str, Hits], codes: Index) -> Finding:
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


def paired_gain(arm: Hits, control: Hits, codes: Index, *, confidence: float = 0.95) -> Gain:
    """Mean paired difference of balanced accuracy with its interval, from bool [seeds, n]."""
    differences = _balanced(arm, codes) - _balanced(control, codes)
    per_image = arm.mean(axis=0) - control.mean(axis=0)
    variance = balanced_variance(codes, per_image)
    low, high = t_interval(differences, extra_variance=variance, confidence=confidence)
    return {"value": float(differences.mean()), "low": low, "high": high}


def _balanced(hits: Hits, codes: Index) -> FloatArray:
    """Mean over classes of the share of hits, float64 [seeds], from bool [seeds, n]."""
    per_class = [hits[:, codes == code].mean(axis=1) for code in np.unique(codes)]
    return np.asarray(np.mean(per_class, axis=0), dtype=np.float64)
