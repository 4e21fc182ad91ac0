"""Quantile bins of numbers, and where inside its bin a number stands."""

from dataclasses import dataclass

import numpy as np

from synthgen.datasets import Index
from synthgen.stats import FloatArray
from synthgen.synthesizers.encoding.grid import Numbers

# Rows between two quantile knots of a bin, at least: a knot is then no portrait of one row.
KNOT_ROWS = 5
_MAX_KNOTS = 33


@dataclass(frozen=True)
class Bins:
    """Quantile bins of ticks.

    Attributes:
        edges: [b - 1], the first value of each bin but the first.
        low, high: [b], smallest and largest training value in the bin.
        knots: float64 [b, q], quantiles inside the bin at even steps.
    """

    edges: Numbers
    low: Numbers
    high: Numbers
    knots: FloatArray

    @classmethod
    def fit(cls, ticks: Numbers, count: int) -> "Bins":
        """`count` bins with about as many rows each; ticks [n] sorted, n may be 0."""
        if len(ticks) == 0:
            return cls(ticks, ticks, ticks, np.empty((0, 2)))
        steps = np.linspace(0, 1, count + 1)[1:-1]
        edges = np.unique(np.quantile(ticks, steps, method="nearest"))
        edges = edges[edges > ticks[0]]
        starts = np.searchsorted(ticks, np.concatenate([ticks[:1], edges]))
        ends = np.append(starts[1:], len(ticks))
        knot_count = int(np.clip(len(ticks) // (len(starts) * KNOT_ROWS), 3, _MAX_KNOTS))
        spread = _spread_ties(ticks)
        knots = [_knots(spread[a:b], knot_count) for a, b in zip(starts, ends, strict=True)]
        return cls(edges, ticks[starts], ticks[ends - 1], np.asarray(knots))

    @property
    def count(self) -> int:
        return len(self.low)

    def encode(self, ticks: Numbers) -> Index:
        """int64 [n]: the bin of each tick, the outermost for one beyond the range."""
        return np.asarray(np.searchsorted(self.edges, ticks, side="right"), dtype=np.int64)

    def decode(self, bins: Index, positions: FloatArray) -> Numbers:
        """Ticks at `positions` in [0, 1) of these bins, by the quantile function inside the bin."""
        place = positions * (self.knots.shape[1] - 1)
        knot = np.minimum(place.astype(np.int64), self.knots.shape[1] - 2)
        share = place - knot
        ticks = self.knots[bins, knot] * (1 - share) + self.knots[bins, knot + 1] * share
        whole = np.floor(ticks).astype(np.int64) if self.low.dtype.kind == "i" else ticks
        return np.asarray(np.clip(whole, self.low[bins], self.high[bins]))

    def positions(self, ticks: Numbers, bins: Index, rng: np.random.Generator) -> FloatArray:
        """float64 [n] in [0, 1): positions from which `decode` comes back to these ticks; at random where many do."""
        inside = ticks + rng.random(len(ticks)) if ticks.dtype.kind == "i" else ticks.astype(np.float64)
        steps = self.knots.shape[1] - 1
        found = np.empty(len(ticks))
        for b in np.unique(bins).tolist():
            rows, knots = np.flatnonzero(bins == b), self.knots[b]
            # Equal knots are a frequent value: any place between the first and the last of them leads there.
            first, last = (np.searchsorted(knots, inside[rows], side=side) for side in ("left", "right"))
            between = (first + rng.random(len(rows)) * (last - 1 - first)) / steps
            found[rows] = np.where(
                last - first > 1, between, np.interp(inside[rows], knots, np.arange(steps + 1)) / steps
            )
        return np.clip(found, 0.0, 1.0 - 1e-9)


def _spread_ties(ticks: Numbers) -> FloatArray:
    """Sorted whole ticks spread evenly over [tick, tick + 1): `floor` then gives every tick its own mass back."""
    if ticks.dtype.kind != "i":
        return ticks.astype(np.float64)
    _, first, counts = np.unique(ticks, return_index=True, return_counts=True)
    rank = np.arange(len(ticks)) - np.repeat(first, counts)
    return ticks + (rank + 0.5) / np.repeat(counts, counts)


def _knots(values: FloatArray, count: int) -> FloatArray:
    return np.asarray(np.quantile(values, np.linspace(0, 1, count)), dtype=np.float64)
