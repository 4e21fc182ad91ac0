"""The gain of synthetic data over what is cheaper to have."""

from collections.abc import Mapping
from typing import TypedDict

from synthgen.findings import Finding


class Gain(TypedDict):
    """A mean paired difference of balanced accuracy with its 95 % interval."""

    value: float
    low: float
    high: float


def over_controls(gains: Mapping[str, Gain], *, n: int) -> Finding:
    """The smallest of the gains over each control; n test rows."""
    smallest = min(gains, key=lambda name: gains[name]["value"])
    return Finding(
        metric="gain_over_controls", family="utility", value=gains[smallest]["value"],
        low=min(gain["low"] for gain in gains.values()), high=min(gain["high"] for gain in gains.values()),
        reference=None, higher_is_better=True, n=n,
        detail={"best_control": smallest, "over": {name: dict(gain) for name, gain in gains.items()}},
    )  # fmt: skip
