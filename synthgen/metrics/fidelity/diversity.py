"""Do the synthetic images of a class differ from each other as much as the real ones do?"""

import numpy as np
from scipy.spatial.distance import pdist

from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.image_features import ClassRows, FeatureSpace, image_view


def intra_class_diversity(evaluation: Evaluation) -> Finding:
    """Mean distance between two synthetic images of a class over that of two held-out images; the lowest class.

    Euclidean distances of the random network's features at equal n; 1 is as diverse as real, 0 is one image repeated.
    `detail` has the classifier's. The reference compares held-out images with other held-out images.
    """
    view = image_view(evaluation)
    rng = evaluation.rng("intra_class_diversity")
    rounds = evaluation.size.bootstrap_rounds
    judged = {rows.name: _ratio(rows, view.spaces["random"], rounds, rng) for rows in view.classes}
    other = {rows.name: _ratio(rows, view.spaces["classifier"], rounds, rng) for rows in view.classes}
    name = min(judged, key=lambda key: judged[key]["ratio"])
    worst = judged[name]
    return Finding(
        metric="intra_class_diversity",
        family="fidelity",
        value=worst["ratio"],
        low=worst["low"],
        high=worst["high"],
        reference=worst["real"],
        higher_is_better=True,
        n=int(worst["n"]),
        detail={"worst_class": name, "random": judged, "classifier": other, "too_few": list(view.too_few)},
    )


def _ratio(rows: ClassRows, space: FeatureSpace, rounds: int, rng: np.random.Generator) -> dict[str, float]:
    distances = np.array(
        [
            (
                pdist(space.synthetic[drawn]).mean(),
                pdist(space.holdout[real]).mean(),
                pdist(space.holdout[control]).mean(),
            )
            for drawn, real, control in rows.halves(rounds, rng)
        ]
    )
    synthetic, real, control = distances.T
    low, ratio, high = np.quantile(synthetic / np.maximum(real, 1e-12), [0.025, 0.5, 0.975])
    return {
        "ratio": float(ratio),
        "low": float(low),
        "high": float(high),
        "real": float(np.median(control / np.maximum(real, 1e-12))),
        "n": rows.half,
    }
