"""Do the synthetic images reach all kinds of real images of a class?"""

import numpy as np
from scipy.spatial.distance import cdist

from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.image_features import ClassRows, Features, FeatureSpace, image_view
from synthgen.stats import FloatArray

NEIGHBOURS = 5


def coverage(evaluation: Evaluation) -> Finding:
    """Share of held-out images that have a synthetic one among their nearest, in [0, 1]; mean over classes.

    A real image is covered when a synthetic one lies nearer than its 5th real neighbour. Same n on both sides;
    the reference puts other held-out images in place of the synthetic ones. Features of the random network, which
    sees lost modes; `detail` has density and the classifier's. Reference: Naeem 2020, arXiv:2002.09797, eq. 3 and 4.
    """
    view = image_view(evaluation)
    rounds = evaluation.size.bootstrap_rounds
    rng = evaluation.rng("coverage")
    names = [rows.name for rows in view.classes]
    # [classes, rounds, 4]: coverage, density, and both with real images in place of the synthetic ones
    judged = np.array([_rounds(rows, view.spaces["random"], rounds, rng) for rows in view.classes])
    other = np.array([_rounds(rows, view.spaces["classifier"], rounds, rng) for rows in view.classes])
    low, high = np.quantile(judged[:, :, 0].mean(axis=0), [0.025, 0.975])
    value, density, reference, density_real = judged.mean(axis=(0, 1))
    return Finding(
        metric="coverage",
        family="fidelity",
        value=float(value),
        low=min(float(low), float(value)),
        high=max(float(high), float(value)),
        reference=float(reference),
        higher_is_better=True,
        n=min(rows.half for rows in view.classes),
        detail={
            "density": float(density),
            "density_real": float(density_real),
            **_per_class(names, judged.mean(axis=1)),
            "classifier": float(other[:, :, 0].mean()),
            "classifier_real": float(other[:, :, 2].mean()),
            "too_few": list(view.too_few),
        },
    )


def _per_class(names: list[str], means: FloatArray) -> dict[str, object]:
    worst = int(np.argmin(means[:, 0] - means[:, 2]))
    return {
        "worst_class": names[worst],
        "per_class": dict(zip(names, means[:, 0].tolist(), strict=True)),
        "per_class_real": dict(zip(names, means[:, 2].tolist(), strict=True)),
    }


def coverage_and_density(real: Features, synthetic: Features, *, neighbours: int = NEIGHBOURS) -> tuple[float, float]:
    """Coverage in [0, 1] and density >= 0 of synthetic float64 [m, d] against real [n, d], n > neighbours."""
    return _from_distances(cdist(real, real), cdist(real, synthetic), neighbours)


def _from_distances(among_real: FloatArray, to_synthetic: FloatArray, neighbours: int) -> tuple[float, float]:
    # Position 0 of each sorted row is the image itself.
    radius = np.partition(among_real, neighbours, axis=1)[:, neighbours, None]
    inside = to_synthetic < radius  # [n, m]
    return float(inside.any(axis=1).mean()), float(inside.sum() / (neighbours * inside.shape[1]))


def _rounds(rows: ClassRows, space: FeatureSpace, rounds: int, rng: np.random.Generator) -> FloatArray:
    # All distances once; each round then picks its rows and columns.
    real, synthetic = space.holdout[rows.holdout], space.synthetic[rows.synthetic]
    among_real, to_synthetic = cdist(real, real), cdist(real, synthetic)
    local = ClassRows(rows.name, np.arange(len(real)), np.arange(len(synthetic)))
    neighbours = min(NEIGHBOURS, rows.half - 1)
    return np.array(
        [
            (
                *_from_distances(among_real[np.ix_(kept, kept)], to_synthetic[np.ix_(kept, drawn)], neighbours),
                *_from_distances(among_real[np.ix_(kept, kept)], among_real[np.ix_(kept, control)], neighbours),
            )
            for drawn, kept, control in local.halves(rounds, rng)
        ]
    )
