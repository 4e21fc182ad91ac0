"""Do the synthetic images of a class differ from each other as much as the real ones do?"""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist

from synthgen.datasets import Index
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.image_features import ClassRows, FeatureSpace, image_view
from synthgen.metrics.image_findings import ClassNumber, worst_class
from synthgen.stats import FloatArray


def intra_class_diversity(evaluation: Evaluation) -> Finding:
    """Mean distance between two synthetic images of a class over that of two held-out images; the lowest class.

    Euclidean distances of the random network's features at equal n; 1 is as diverse as real, 0 is one image repeated.
    `detail` has the classifier's. The reference compares held-out images with other held-out images.
    """
    view, rng = image_view(evaluation), evaluation.rng("intra_class_diversity")
    rounds = evaluation.size.bootstrap_rounds
    judged = {rows.name: _number(rows, view.space("random"), rounds, rng) for rows in view.classes}
    other = {rows.name: _number(rows, view.space("classifier"), rounds, rng).value for rows in view.classes}
    detail = {"classifier": other, **view.notes}
    return worst_class("intra_class_diversity", judged, higher_is_better=True, detail=detail)


def _number(rows: ClassRows, space: FeatureSpace, rounds: int, rng: np.random.Generator) -> ClassNumber:
    # All distances once; a round is a sum over the pairs that it takes.
    among_synthetic, among_real = (
        cdist(side, side) for side in (space.synthetic[rows.synthetic], space.holdout[rows.holdout])
    )
    halves = zip(*rows.local_halves(rounds, rng), strict=True)
    sides = zip((among_synthetic, among_real, among_real), halves, strict=True)
    synthetic, real, control = (_mean_distances(distances, chosen) for distances, chosen in sides)
    floor = np.maximum(real, 1e-12)
    return ClassNumber.of_rounds(synthetic / floor, control / floor, rows.half)


def _mean_distances(distances: FloatArray, chosen: Sequence[Index]) -> FloatArray:
    """Mean over the pairs of different images in each round, float64 [rounds], from all distances [n, n]."""
    taken = np.zeros((len(chosen), len(distances)))
    np.put_along_axis(taken, np.array(chosen), 1, axis=1)
    pairs = taken.sum(axis=1) * (taken.sum(axis=1) - 1)
    return np.asarray(((taken @ distances) * taken).sum(axis=1) / pairs)
