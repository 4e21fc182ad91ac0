"""Is a class of synthetic images distributed like the real one, as far as mean and covariance of features tell?"""

import numpy as np

from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.image_features import ClassRows, FeatureFamily, Features, FeatureSpace, image_view
from synthgen.metrics.image_findings import ClassNumber, worst_class
from synthgen.stats import FloatArray

# Per class, a covariance of d features needs some multiple of d images: the strongest axes only.
IMAGES_PER_AXIS = 3
MAX_AXES = 32


def frechet_ratio(evaluation: Evaluation) -> Finding:
    """Fréchet distance to held-out images over that of other held-out images at the same n; the worst class.

    FD(S, H1) / FD(H2, H1) with n images each, H1 and H2 disjoint, medians over random halves; 1 is as good as real.
    Features of the classifier, projected on the strongest axes of train, one per three images. Reference: Heusel
    2017, arXiv:1706.08500; ratio to a same-n floor because the distance of few images is mostly bias.
    """
    return _finding(evaluation, "frechet_ratio", "classifier")


def frechet_ratio_random(evaluation: Evaluation) -> Finding:
    """The same as `frechet_ratio` in features of the random network, which sees textures that no class needs."""
    return _finding(evaluation, "frechet_ratio_random", "random")


def frechet_distance(first: Features, second: Features) -> float:
    """Squared 2-Wasserstein distance of two Gaussians fitted to float64 [n, d] and [m, d]; n, m >= 2.

    |mean difference|^2 + tr A + tr B - 2 tr (A B)^(1/2). The last trace is the nuclear norm of Ra Rb^T, Ra and Rb
    the triangular factors of the centred features: exact, and as cheap as the rank is low.
    """
    centres = first.mean(axis=0), second.mean(axis=0)
    factors = [
        np.linalg.qr(features - centre, mode="r") / np.sqrt(len(features) - 1)
        for features, centre in zip((first, second), centres, strict=True)
    ]
    traces = sum(float(np.square(factor).sum()) for factor in factors)
    shared = float(np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum())
    return max(float(np.square(centres[0] - centres[1]).sum()) + traces - 2 * shared, 0.0)


def _finding(evaluation: Evaluation, metric: str, family: FeatureFamily) -> Finding:
    view, rng = image_view(evaluation), evaluation.rng(metric)
    rounds = evaluation.size.bootstrap_rounds
    pairs = {rows.name: (rows.half, _pairs(rows, view.space(family), rounds, rng)) for rows in view.classes}
    numbers = {
        name: ClassNumber.of_rounds(pair[:, 0] / np.maximum(pair[:, 1], 1e-12), np.ones(1), half)
        for name, (half, pair) in pairs.items()
    }
    distances = {name: np.median(pair, axis=0).tolist() for name, (_, pair) in pairs.items()}
    detail = {"distance_and_real_distance": distances, **view.notes}
    return worst_class(metric, numbers, higher_is_better=False, detail=detail)


def _pairs(rows: ClassRows, space: FeatureSpace, rounds: int, rng: np.random.Generator) -> FloatArray:
    """Distances of synthetic and of other held-out images to held-out ones, float64 [rounds, 2]."""
    axes = space.axes[:, : int(np.clip(rows.half // IMAGES_PER_AXIS, 2, MAX_AXES))]
    holdout, synthetic = space.holdout @ axes, space.synthetic @ axes
    return np.array(
        [
            (frechet_distance(synthetic[drawn], holdout[real]), frechet_distance(holdout[control], holdout[real]))
            for drawn, real, control in rows.halves(rounds, rng)
        ]
    )
