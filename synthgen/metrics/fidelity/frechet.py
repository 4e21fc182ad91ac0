"""Is a class of synthetic images distributed like the real one, as far as mean and covariance of features tell?"""

import numpy as np

from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.image_features import ClassRows, FeatureFamily, Features, FeatureSpace, image_view

# Per class, a covariance of d features needs some multiple of d images: the strongest axes only.
IMAGES_PER_AXIS = 3
MAX_AXES = 32


def frechet_ratio(evaluation: Evaluation) -> Finding:
    """Fréchet distance to held-out images over that of other held-out images at the same n; the worst class.

    FD(S, H1) / FD(H2, H1) with n images each, H1 and H2 disjoint, medians over random halves; 1 is as good as real.
    Judged in the classifier's features; `detail` has the random network's. Projected on the strongest axes of train,
    one per three images. Reference: Heusel 2017, arXiv:1706.08500; ratio to a same-n floor because the distance of
    few images is mostly bias.
    """
    view = image_view(evaluation)
    rng = evaluation.rng("frechet_ratio")
    rounds = evaluation.size.bootstrap_rounds
    families: dict[FeatureFamily, dict[str, dict[str, float]]] = {
        family: {rows.name: _ratio(rows, space, rounds, rng) for rows in view.classes}
        for family, space in view.spaces.items()
    }
    judged = families["classifier"]
    name = max(judged, key=lambda key: judged[key]["ratio"])
    worst_random = max(families["random"], key=lambda key: families["random"][key]["ratio"])
    return Finding(
        metric="frechet_ratio",
        family="fidelity",
        value=judged[name]["ratio"],
        low=judged[name]["low"],
        high=judged[name]["high"],
        reference=1.0,
        higher_is_better=False,
        n=int(judged[name]["n"]),
        detail={
            "worst_class": name,
            "classifier": judged,
            "random": families["random"],
            "random_worst_class": worst_random,
            "too_few": list(view.too_few),
        },
    )


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


def _ratio(rows: ClassRows, space: FeatureSpace, rounds: int, rng: np.random.Generator) -> dict[str, float]:
    axes = space.axes[:, : int(np.clip(rows.half // IMAGES_PER_AXIS, 2, MAX_AXES))]
    holdout, synthetic = space.holdout @ axes, space.synthetic @ axes
    pairs = np.array(
        [
            (frechet_distance(synthetic[drawn], holdout[real]), frechet_distance(holdout[control], holdout[real]))
            for drawn, real, control in rows.halves(rounds, rng)
        ]
    )
    ratios = pairs[:, 0] / np.maximum(pairs[:, 1], 1e-12)
    low, ratio, high = np.quantile(ratios, [0.025, 0.5, 0.975])
    return {
        "ratio": float(ratio),
        "low": float(low),
        "high": float(high),
        "distance": float(np.median(pairs[:, 0])),
        "distance_real": float(np.median(pairs[:, 1])),
        "n": rows.half,
        "axes": axes.shape[1],
    }
