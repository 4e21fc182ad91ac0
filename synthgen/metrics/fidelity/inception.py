"""The Inception Score with a classifier of the real images: reported because people ask for it."""

import numpy as np

from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.image_features import Features, image_view
from synthgen.metrics.image_findings import ClassNumber


def inception_score(evaluation: Evaluation) -> Finding:
    """exp(mean KL(p(class | image) || p(class))), in [1, number of classes], under the classifier of train.

    Equal numbers of each class. No rule judges it: one image of each class, repeated, scores as well as real images.
    Reference: Salimans 2016, arXiv:1606.03498; not comparable with scores of another classifier.
    """
    view, rng = image_view(evaluation), evaluation.rng("inception_score")
    holdout, synthetic = view.chances
    rounds = evaluation.size.bootstrap_rounds
    halves = zip(*(rows.halves(rounds, rng) for rows in view.classes), strict=True)
    scores = np.array(
        [
            (
                score_of(synthetic[np.concatenate([drawn for drawn, _, _ in classes])]),
                score_of(holdout[np.concatenate([real for _, real, _ in classes])]),
            )
            for classes in halves
        ]
    )
    number = ClassNumber.of_rounds(scores[:, 0], scores[:, 1], sum(rows.half for rows in view.classes))
    return Finding(
        "inception_score", "fidelity", number.value, number.low, number.high, number.reference,
        higher_is_better=True, n=number.n, detail={"classes": len(view.classes), **view.notes},
    )  # fmt: skip


def score_of(chances: Features) -> float:
    """Inception Score of class probabilities, float64 [n, classes]."""
    chances = np.clip(chances, 1e-12, 1)
    mean = chances.mean(axis=0)
    return float(np.exp((chances * (np.log(chances) - np.log(mean))).sum(axis=1).mean()))
