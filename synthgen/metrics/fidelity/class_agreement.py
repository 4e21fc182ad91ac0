"""Do the synthetic images show the class that was asked for?"""

import numpy as np
import numpy.typing as npt

from synthgen.datasets import ImageSet, class_counts, class_rows
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.image_classifier import SmallConvNet, in_batches, pixels
from synthgen.metrics.image_features import MINIMUM_IMAGES, ImageSets, fewest_images, image_sets
from synthgen.metrics.image_findings import ClassNumber, worst_class
from synthgen.metrics.image_judges import JUDGES, Judges, cross_fitted
from synthgen.stats import rate_difference_interval

Hits = npt.NDArray[np.bool_]


def class_agreement(evaluation: Evaluation) -> Finding:
    """Agreement of a classifier with the asked label, minus its accuracy on real images; the worst class.

    Cross-fitted on train and holdout together: of three parts each is judged by a classifier trained on the two
    others, and every synthetic image by one of the three. So no image is judged by a classifier that has seen it, and
    the accuracy rests on all real images. Interval of a difference of rates: Newcombe 1998, at 95 % for all classes
    together. Idea: Shmelkov 2018, arXiv:1807.09499 (GAN-test).
    """
    sets = image_sets(evaluation)
    measured = _per_class(evaluation, sets)
    detail = {
        "mean_difference": float(np.mean([number.value for number in measured.values()])),
        "fewest_images": fewest_images(sets.synthetic),
        "too_few": [name for name, count in class_counts(sets.synthetic).items() if count and name not in measured],
    }
    return worst_class("class_agreement", measured, higher_is_better=True, detail=detail)


def _per_class(evaluation: Evaluation, sets: ImageSets) -> dict[str, ClassNumber]:
    train, holdout, synthetic = (class_counts(part) for part in sets.parts)
    judged = [name for name in train if min(train[name] + holdout[name], synthetic[name]) >= MINIMUM_IMAGES]
    if not judged:
        raise NotMeasurable(f"no class has {MINIMUM_IMAGES} train and held-out images and as many synthetic ones")
    fitted = cross_fitted(evaluation, sets)
    of_train, of_holdout, of_synthetic = _judged(sets, fitted, evaluation.rng("class_agreement"))
    # The worst of k classes is chosen afterwards: Bonferroni, or honest data would fail by their number of classes.
    confidence = 1 - 0.05 / len(judged)
    numbers = {}
    for name in judged:
        real = np.concatenate([of_train[class_rows(sets.train, name)], of_holdout[class_rows(sets.holdout, name)]])
        numbers[name] = _difference(of_synthetic[class_rows(sets.synthetic, name)], real, confidence=confidence)
    return numbers


def _difference(synthetic: Hits, real: Hits, *, confidence: float) -> ClassNumber:
    counts = (int(synthetic.sum()), len(synthetic)), (int(real.sum()), len(real))
    low, high = rate_difference_interval(*counts, confidence=confidence)
    value = float(synthetic.mean()) - float(real.mean())
    return ClassNumber(value, low, high, reference=0.0, n=min(len(synthetic), len(real)))


def _judged(sets: ImageSets, fitted: Judges, rng: np.random.Generator) -> list[Hits]:
    """Whether the judge sees the label, of each train, held-out and synthetic image."""
    found = []
    for images, part in zip(
        sets.parts, (fitted.train, fitted.holdout, rng.integers(0, JUDGES, len(sets.synthetic))), strict=True
    ):
        hits = np.zeros(len(images), dtype=bool)
        for number, judge in enumerate(fitted.judges):
            rows = np.flatnonzero(part == number)
            if len(rows):
                hits[rows] = _hits(judge, images.take(rows))
        found.append(hits)
    return found


def _hits(judge: SmallConvNet, images: ImageSet) -> Hits:
    return np.asarray(in_batches(judge, pixels(images)).argmax(1).numpy() == images.codes)
