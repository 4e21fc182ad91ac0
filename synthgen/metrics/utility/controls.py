"""The gain of synthetic data over what is cheaper to have."""

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from synthgen.datasets import Index
from synthgen.findings import Finding
from synthgen.metrics.learner import balanced_mean, balanced_variance
from synthgen.stats import FloatArray, t_interval


class Gain(TypedDict):
    """A balanced accuracy, or a mean paired difference of two, with its interval, of 95 % unless said otherwise."""

    value: float
    low: float
    high: float


def balanced_estimate(values: FloatArray, target: Index, *, confidence: float = 0.95) -> Gain:
    """Mean over classes of right answers float64 [seeds, n], or of the differences of two arms, with its interval.

    The interval holds the spread over seeds and over test rows, whose classes are `target`, int64 [n].
    """
    of_seeds = np.array([balanced_mean(target, row) for row in values])
    variance = balanced_variance(target, values.mean(axis=0))
    low, high = t_interval(of_seeds, extra_variance=variance, confidence=confidence)
    return {"value": float(of_seeds.mean()), "low": low, "high": high}


def over_controls(gains: Mapping[str, Gain], *, n: int) -> Finding:
    """The smallest of the gains over each control; n test rows."""
    smallest = min(gains, key=lambda name: gains[name]["value"])
    return Finding(
        metric="gain_over_controls", family="utility", value=gains[smallest]["value"],
        low=min(gain["low"] for gain in gains.values()), high=min(gain["high"] for gain in gains.values()),
        reference=None, higher_is_better=True, n=n,
        detail={"best_control": smallest, "over": {name: dict(gain) for name, gain in gains.items()}},
    )  # fmt: skip
