"""Gradient-boosted trees: the judge of fidelity, the learner of utility."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import xgboost

from synthgen.datasets import Index
from synthgen.metrics.table_features import FeatureKind
from synthgen.progress import counted
from synthgen.stats import FloatArray

T = TypeVar("T")

_PATIENCE = 10
# Below the largest 32-bit number with room for sums.
_LARGEST = 1e30


@dataclass(frozen=True)
class Trees:
    """Size of an ensemble of boosted trees, the shares of rows and columns that each tree sees, and rows per leaf."""

    rounds: int
    depth: int
    learning_rate: float
    row_share: float = 0.8
    column_share: float = 1.0
    leaf_rows: float = 1.0


@dataclass(frozen=True)
class Examples:
    """What a classifier learns from.

    Attributes:
        rows: float64 [n, d]; NaN is missing.
        target: int64 [n], class of each row.
        kinds: "q" (quantity) or "c" (category code) for each column.
        weight: float64 [n], or None for equal weights.
    """

    rows: FloatArray
    target: Index
    kinds: Sequence[FeatureKind]
    weight: FloatArray | None = None


@dataclass(frozen=True)
class Ensemble:
    """Trained trees.

    Attributes:
        kinds: of the columns that they learnt.
        rounds: how many of the trees count; 0: all.
    """

    booster: xgboost.Booster
    scale: "Scale"
    kinds: Sequence[FeatureKind]
    classes: int
    rounds: int = 0

    def probabilities(self, rows: FloatArray) -> FloatArray:
        """Probability of each class for each row float64 [n, d], float64 [n, classes]."""
        kinds = list(self.kinds)
        data = xgboost.DMatrix(self.scale.scaled(rows), feature_types=kinds, enable_categorical=True, nthread=1)
        found = self.booster.predict(data, iteration_range=(0, self.rounds)).astype(np.float64)
        return np.column_stack([1 - found, found]) if self.classes == 2 else found


def class_probabilities(
    examples: Examples, test_rows: FloatArray, *, classes: int, trees: Trees, seed: int, judge: Examples | None = None
) -> FloatArray:
    """Probability of each class for each test row, float64 [n, classes]; see `fit_trees`."""
    return fit_trees(examples, classes=classes, trees=trees, seed=seed, judge=judge).probabilities(test_rows)


def fit_trees(examples: Examples, *, classes: int, trees: Trees, seed: int, judge: Examples | None = None) -> Ensemble:
    """The trained trees.

    One thread: sums then have one order, and the same seed gives the same numbers on every machine. Use `in_threads`
    to train several at once.

    Args:
        judge: examples on which the loss must fall: training ends when it has not for `_PATIENCE` rounds, and the
            rounds after its minimum are forgotten.
    """
    scale = Scale.of(examples)
    data = xgboost.QuantileDMatrix(**_matrix(examples, scale))
    watched = [] if judge is None else [(xgboost.DMatrix(**_matrix(judge, scale)), "judge")]
    objective = (
        {"objective": "binary:logistic"} if classes == 2 else {"objective": "multi:softprob", "num_class": classes}
    )
    settings = {
        **objective, "max_depth": trees.depth, "learning_rate": trees.learning_rate, "tree_method": "hist",
        "subsample": trees.row_share, "colsample_bytree": trees.column_share, "min_child_weight": trees.leaf_rows,
        "nthread": 1, "verbosity": 0, "seed": seed,
    }  # fmt: skip
    booster = xgboost.train(
        settings, data, num_boost_round=trees.rounds, evals=watched, verbose_eval=False,
        early_stopping_rounds=_PATIENCE if watched else None,
    )  # fmt: skip
    return Ensemble(booster, scale, examples.kinds, classes, booster.best_iteration + 1 if watched else 0)


def _matrix(examples: Examples, scale: "Scale") -> dict[str, Any]:
    return {
        "data": scale.scaled(examples.rows), "label": examples.target, "weight": examples.weight,
        "feature_types": list(examples.kinds), "enable_categorical": True, "nthread": 1,
    }  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Middle of the range of each quantity, 0 for a category, and what huge numbers are divided by: float64 [d].

    xgboost keeps 32 bits, in which the seconds since 1970 have steps of two minutes, and nothing is above 3e38.
    """

    centre: FloatArray
    unit: FloatArray

    @classmethod
    def of(cls, examples: Examples) -> "Scale":
        """The scale of these rows."""
        finite = np.where(np.isfinite(examples.rows), examples.rows, np.nan)
        low, high = np.nan_to_num([np.fmin.reduce(finite), np.fmax.reduce(finite)])
        # Halved before they are added, which else may overflow.
        centre = np.where(np.asarray(examples.kinds) == "q", low / 2 + high / 2, 0.0)
        return cls(centre, np.maximum((high / 2 - low / 2) / _LARGEST, 1.0))

    def scaled(self, rows: FloatArray) -> FloatArray:
        """The rows as xgboost is given them, float64 [n, d]."""
        return np.clip((rows - self.centre) / self.unit, -_LARGEST, _LARGEST)


def in_threads(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Results of the jobs in their order; xgboost leaves the interpreter lock while it works."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(counted(pool.map(lambda job: job(), jobs), "classifier", len(jobs)))
