"""Kernel distance between synthetic and held-out images of a class, without the bias of few images."""

import numpy as np

from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.image_features import ClassRows, Features, FeatureSpace, image_view
from synthgen.metrics.image_findings import ClassNumber, worst_class
from synthgen.stats import FloatArray


def kid(evaluation: Evaluation) -> Finding:
    """Squared maximum mean discrepancy to held-out images; 0 is as good as real; the worst class.

    Unbiased estimate with the kernel (x y / d + 1)^3 on standardised features of the classifier, at the same n on both
    sides; it falls below 0 by chance. `detail` has the random network's. Reference: Binkowski 2018,
    arXiv:1801.01401, eq. 4; features are standardised because raw random ones make the cube explode.
    """
    view, rng = image_view(evaluation), evaluation.rng("kid")
    rounds = evaluation.size.bootstrap_rounds
    judged = {rows.name: _number(rows, view.space("classifier"), rounds, rng) for rows in view.classes}
    other = {rows.name: _number(rows, view.space("random"), rounds, rng).value for rows in view.classes}
    return worst_class("kid", judged, higher_is_better=False, detail={"random": other, **view.notes})


def squared_discrepancy(first: Features, second: Features) -> float:
    """Unbiased squared maximum mean discrepancy of float64 [n, d] and [m, d]; n, m >= 2."""
    n, m = len(first), len(second)
    kernel = _kernel(np.vstack([first, second]))
    weights = np.zeros((2, 1, n + m))
    weights[0, 0, :n] = weights[1, 0, n:] = 1
    return float(_discrepancies(kernel, *weights)[0])


def _number(rows: ClassRows, space: FeatureSpace, rounds: int, rng: np.random.Generator) -> ClassNumber:
    real, synthetic = space.holdout[rows.holdout], space.synthetic[rows.synthetic]
    kernel = _kernel(np.vstack([real, synthetic]))
    local = ClassRows(rows.name, rows.train, np.arange(len(real)), len(real) + np.arange(len(synthetic)))
    weights = np.zeros((3, rounds, len(kernel)))  # 1 where a round takes an image
    for number, chosen in enumerate(local.halves(rounds, rng)):
        for side, index in enumerate(chosen):
            weights[side, number, index] = 1
    drawn, kept, control = weights
    return ClassNumber.of_rounds(
        _discrepancies(kernel, drawn, kept), _discrepancies(kernel, control, kept), n=rows.half
    )


def _kernel(features: Features) -> FloatArray:
    return np.asarray((features @ features.T / features.shape[1] + 1) ** 3)


def _discrepancies(kernel: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """One discrepancy per row of the weights, float64 [rounds] from [rounds, images] of 0 and 1."""
    n, m = first.sum(axis=1), second.sum(axis=1)
    diagonal = np.diag(kernel)
    within_first = (((first @ kernel) * first).sum(axis=1) - first @ diagonal) / (n * (n - 1))
    within_second = (((second @ kernel) * second).sum(axis=1) - second @ diagonal) / (m * (m - 1))
    between = ((first @ kernel) * second).sum(axis=1) / (n * m)
    return np.asarray(within_first + within_second - 2 * between)
