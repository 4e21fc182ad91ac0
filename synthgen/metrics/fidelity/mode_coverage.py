"""Is a kind of real image missing? What coverage shows but does not refuse, asked with a classifier."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist

from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.image_classifier import pixels
from synthgen.metrics.image_features import ClassRows, Features, ImageView, image_view
from synthgen.metrics.image_findings import ClassNumber, worst_class
from synthgen.stats import FloatArray, clopper_pearson

# Of the real images, those that look least like synthetic ones.
TENTH = 0.1
FOLDS, REPEATS = 5, 10
COMPONENTS = 64
MAX_IMAGES = 1_000  # of a side: the cost grows with their third power
# Over the number of features, which have variance 1: a kernel about as wide as a class is.
GAMMA = 0.6
RIDGE = 2.0
# Neighbours raise each other's scores, so counts vary more than binomial ones: by 0.9 to 1.8, 1.3 in the mean, over
# permuted labels of 13 classes of clothes and of X-rays.
EXCESS_VARIANCE = 1.4


def mode_coverage(evaluation: Evaluation) -> Finding:
    """How often synthetic images are like the tenth of the real ones that they reach least, over a tenth; worst class.

    Kernel ridge regression on `looks` tells train from synthetic images of a class; scores are means over repeated
    cross-validations, so that the cut into folds adds no noise. The tenth of train with the highest score is what it
    finds most clearly missing; the value is the share of synthetic images at or above that score, divided by that of
    train: 1 for fresh real images, 0 when a kind of image is missing (a point of the ROC curve of a classifier
    two-sample test, Lopez-Paz and Oquab 2017, arXiv:1610.06545). Interval: ratio of two rates given their sum, of
    counts over their excess variance, at 95 % for all classes together. The reference puts held-out images in place of
    the synthetic ones.
    """
    view, rng = image_view(evaluation), evaluation.rng("mode_coverage")
    confidence = 1 - 0.05 / len(view.classes)
    numbers = {rows.name: _number(looks(view, rows, rng), rng, confidence=confidence) for rows in view.classes}
    return worst_class("mode_coverage", numbers, higher_is_better=True, detail=dict(view.notes))


def rate_ratio_interval(
    first: tuple[float, int], second: tuple[float, int], *, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of rate(first) / rate(second) for rare events, each (events, trials); second has an event.

    Given the sum of the events, those of the first are binomial. Source: Przyborowski and Wilenski 1940.
    """
    (a, n), (b, m) = first, second
    shares = np.array(clopper_pearson(a, a + b, confidence=confidence))
    low, high = (shares / (1 - shares) * m / n).tolist()
    return low, high


def looks(view: ImageView, rows: ClassRows, rng: np.random.Generator) -> list[Features]:
    """What tells train, held-out and synthetic images of a class apart, float64 [n, up to 128] of at most 1,000 each.

    Features of the random network beside the principal components of the pixels of the class: either misses kinds of
    images that the other sees. Components are divided by the root of their deviation, between raw (the strongest alone
    would count) and white (the weakest are noise), and weigh as much as the features.
    """
    space = view.space("random")
    known = zip(view.sets.parts, (space.train, space.holdout, space.synthetic), rows.sides, strict=True)
    features, flat = [], []
    for images, part, side in known:
        chosen = rng.permutation(side)[:MAX_IMAGES]
        features.append(part[chosen])
        flat.append(pixels(images.take(chosen)).flatten(1).double().numpy())
    centre = flat[0].mean(axis=0)
    _, deviation, axes = np.linalg.svd(flat[0] - centre, full_matrices=False)
    # Images without any difference have no component to divide.
    kept = np.flatnonzero(deviation > 1e-6 * deviation[0])[:COMPONENTS]
    scale = np.sqrt(deviation[kept])
    components = [(part - centre) @ axes[kept].T / scale for part in flat]
    spread = np.sqrt(np.square(components[0]).mean()) if len(kept) else 1.0
    return [np.hstack(pair) for pair in zip(features, (part / spread for part in components), strict=True)]


def _number(sides: Sequence[Features], rng: np.random.Generator, *, confidence: float) -> ClassNumber:
    train, holdout, synthetic = sides
    top, n = math.ceil(TENTH * len(train)), len(synthetic)
    found, real = _at_the_top(train, synthetic, top, rng), _at_the_top(train, holdout, top, rng)
    counts = (found / EXCESS_VARIANCE, n), (top / EXCESS_VARIANCE, len(train))
    low, high = rate_ratio_interval(*counts, confidence=confidence)
    scale = len(train) / top
    return ClassNumber(found / n * scale, low, high, real / len(holdout) * scale, min(len(train), n))


def _at_the_top(real: Features, other: Features, top: int, rng: np.random.Generator) -> int:
    """How many of the others score as high as the `top` highest of the real ones."""
    scores = cross_validated_scores(np.vstack([real, other]), len(real), rng)
    return int(np.sum(scores[len(real) :] >= np.sort(scores[: len(real)])[-top]))


def cross_validated_scores(features: Features, real: int, rng: np.random.Generator) -> FloatArray:
    """How much each image looks like the first `real` ones rather than the others, float64 [n] from [n, d].

    Each is scored by regressions that have not seen it nor the rest of its fold. With G the inverse of the kernel
    matrix plus ridge and t the targets, the residuals of a fold B are (G_BB)^-1 (G t)_B: one inverse serves all folds
    of all repeats. Source: Golub, Heath and Wahba 1979, for more than one image left out.
    """
    others = len(features) - real
    # Both sides weigh the same.
    targets = np.repeat([0.5 / real, -0.5 / others], [real, others]) * len(features)
    kernel = np.exp(-GAMMA / features.shape[1] * cdist(features, features, "sqeuclidean"))
    inverse = np.linalg.inv(kernel + RIDGE * np.eye(len(features)))
    weights, residuals = inverse @ targets, np.zeros(len(features))
    for _ in range(REPEATS):
        # Every fold has its share of each side.
        fold = np.concatenate([rng.permutation(np.arange(side) % FOLDS) for side in (real, others)])
        for number in range(FOLDS):
            rows = np.flatnonzero(fold == number)
            residuals[rows] += np.linalg.solve(inverse[np.ix_(rows, rows)], weights[rows])
    return np.asarray(targets - residuals / REPEATS)
