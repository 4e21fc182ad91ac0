"""Do the synthetic images reach all kinds of real images of a class, and do they lie where real images lie?"""

from collections.abc import Mapping
from weakref import WeakKeyDictionary

import numpy as np
from scipy.spatial.distance import cdist

from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.image_features import FAMILIES, ClassRows, FeatureFamily, Features, FeatureSpace, image_view
from synthgen.metrics.image_findings import ClassNumber, worst_class
from synthgen.stats import FloatArray

NEIGHBOURS = 5

# Coverage and density of each family and class, float64 [rounds, 4], keyed by identity and gone with its evaluation:
# both come from the same distances.
_ROUNDS: WeakKeyDictionary[Evaluation, Mapping[FeatureFamily, list[FloatArray]]] = WeakKeyDictionary()


def coverage(evaluation: Evaluation) -> Finding:
    """Share of held-out images that have a synthetic one among their nearest, in [0, 1]; the worst class.

    A real image is covered when a synthetic one lies nearer than its 5th real neighbour. Same n on both sides;
    the reference puts other held-out images in place of the synthetic ones. Features of the random network, which
    sees lost modes; `detail` has the classifier's mean. Reference: Naeem 2020, arXiv:2002.09797, eq. 4.
    """
    return _finding(evaluation, "coverage", 0)


def density(evaluation: Evaluation) -> Finding:
    """Real neighbourhoods that a synthetic image lies in, over 5: about 1 for real images, 0 for none; the worst class.

    The neighbourhoods are those of `coverage`. An image in a crowded place counts more than once, so copies of
    typical images score above 1: density says realistic, never diverse. Reference: Naeem 2020, eq. 3.
    """
    return _finding(evaluation, "density", 1)


def _finding(evaluation: Evaluation, metric: str, column: int) -> Finding:
    view = image_view(evaluation)
    rounds = _rounds_of(evaluation)
    numbers = {
        rows.name: ClassNumber.of_rounds(drawn[:, column], drawn[:, column + 2], rows.half)
        for rows, drawn in zip(view.classes, rounds["random"], strict=True)
    }
    mean, mean_real = np.mean(rounds["classifier"], axis=(0, 1))[[column, column + 2]].tolist()
    detail = {"classifier": mean, "classifier_real": mean_real, **view.notes}
    return worst_class(metric, numbers, higher_is_better=True, detail=detail)


def _rounds_of(evaluation: Evaluation) -> Mapping[FeatureFamily, list[FloatArray]]:
    if evaluation not in _ROUNDS:
        view, rng = image_view(evaluation), evaluation.rng("coverage")
        rounds = evaluation.size.bootstrap_rounds
        _ROUNDS[evaluation] = {
            family: [_rounds(rows, view.space(family), rounds, rng) for rows in view.classes] for family in FAMILIES
        }
    return _ROUNDS[evaluation]


def coverage_and_density(real: Features, synthetic: Features, *, neighbours: int = NEIGHBOURS) -> tuple[float, float]:
    """Coverage in [0, 1] and density >= 0 of synthetic float64 [m, d] against real [n, d], n > neighbours."""
    return _inside(_radius(cdist(real, real), neighbours), cdist(real, synthetic), neighbours)


def _radius(among_real: FloatArray, neighbours: int) -> FloatArray:
    # Position 0 of each sorted row is the image itself.
    return np.asarray(np.partition(among_real, neighbours, axis=1)[:, neighbours, None])


def _inside(radius: FloatArray, distances: FloatArray, neighbours: int) -> tuple[float, float]:
    inside = distances < radius  # [n, m]
    return float(inside.any(axis=1).mean()), float(inside.sum() / (neighbours * inside.shape[1]))


def _rounds(rows: ClassRows, space: FeatureSpace, rounds: int, rng: np.random.Generator) -> FloatArray:
    """Per round coverage, density, and both with real images in place of the synthetic ones, float64 [rounds, 4]."""
    # All distances once; each round then picks its rows and columns.
    among_real = cdist(space.holdout[rows.holdout], space.holdout[rows.holdout])
    to_synthetic = cdist(space.holdout[rows.holdout], space.synthetic[rows.synthetic])
    neighbours = min(NEIGHBOURS, rows.half - 1)
    found = []
    for drawn, kept, control in rows.local_halves(rounds, rng):
        radius = _radius(among_real[np.ix_(kept, kept)], neighbours)
        synthetic = _inside(radius, to_synthetic[np.ix_(kept, drawn)], neighbours)
        found.append((*synthetic, *_inside(radius, among_real[np.ix_(kept, control)], neighbours)))
    return np.array(found)
