"""How well a classifier tells drawn codes from real ones: what training and selection steer by."""

import numpy as np
import xgboost
from sklearn.metrics import roc_auc_score

from synthgen.datasets import Index
from synthgen.stats import FloatArray
from synthgen.synthesizers.codes import CodeRows

# More rows would sharpen the number and slow the training that waits for it.
_MAX_ROWS, _FOLDS, _ROUNDS = 3_000, 2, 80
_TREES: dict[str, str | float] = {
    "objective": "binary:logistic",
    "max_depth": 4,
    "eta": 0.2,
    "subsample": 0.8,
    "max_bin": 64,
    "nthread": 1,
}


def code_auc(real: CodeRows, drawn: CodeRows, rng: np.random.Generator) -> float:
    """Area under the ROC curve of boosted trees telling `drawn` from `real`, cross-validated; 0.5 = they cannot.

    Of each at most 3,000 rows, equally many. Codes count as numbers: those of an ordered column are in its order.
    Source: the classifier two-sample test, Lopez-Paz and Oquab 2017, arXiv:1610.06545.
    """
    count = min(len(real), len(drawn), _MAX_ROWS)
    rows = np.concatenate([_some(real, count, rng), _some(drawn, count, rng)])
    is_real = np.repeat([1, 0], count)
    fold = np.concatenate([rng.permutation(np.arange(count) % _FOLDS) for _ in range(2)])
    settings: dict[str, str | float] = {**_TREES, "seed": int(rng.integers(2**31))}
    scores = np.empty(len(rows))
    for k in range(_FOLDS):
        scores[fold == k] = _scores(rows[fold != k], is_real[fold != k], rows[fold == k], settings)
    # Scores of different folds come from different trees: each fold is judged by itself.
    return float(np.mean([roc_auc_score(is_real[fold == k], scores[fold == k]) for k in range(_FOLDS)]))


def _scores(rows: FloatArray, is_real: Index, others: FloatArray, settings: dict[str, str | float]) -> FloatArray:
    data = xgboost.QuantileDMatrix(rows, is_real, max_bin=int(settings["max_bin"]), nthread=1)
    model = xgboost.train(settings, data, num_boost_round=_ROUNDS)
    return np.asarray(model.inplace_predict(others), dtype=np.float64)


def _some(rows: CodeRows, count: int, rng: np.random.Generator) -> FloatArray:
    picked = rows.take(rng.permutation(len(rows))[:count])
    return np.column_stack([picked.codes, picked.classes]).astype(np.float64)
