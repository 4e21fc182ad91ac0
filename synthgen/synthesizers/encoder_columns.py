"""One column of a table as categorical codes: levels, or spikes and quantile bins; and back to legal values."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.datasets import Index
from synthgen.errors import DataError
from synthgen.synthesizers.encoder_grid import Grid, Numbers
from synthgen.synthesizers.table_state import Cells, DType, Json, dtype_state, restored_dtype, to_json, typed_series

Floats = npt.NDArray[np.float64]
Arrays = Mapping[str, Numbers]

# A value this frequent gets a level of its own (TABULAR.md: zero inflation, small integers).
_SPIKE_SHARE, _SPIKE_ROWS, _MAX_SPIKES_PER_BIN = 0.005, 15, 4
# Rows between two quantile knots of a bin, at least: a knot is then no portrait of one row.
_KNOT_ROWS, _MAX_KNOTS = 5, 33


@dataclass(frozen=True)
class LevelColumn:
    """A column in which every value is a level: categories, booleans, the label. The last level may mean missing."""

    name: str
    dtype: DType
    values: tuple[Json, ...]
    has_missing: bool

    @classmethod
    def fit(cls, column: Cells) -> "LevelColumn":
        """Levels in sorted order, so that they do not depend on the order of the rows."""
        values = sorted((to_json(value) for value in column.dropna().unique()), key=lambda v: (type(v).__name__, v))
        return cls(str(column.name), column.dtype, tuple(values), bool(column.isna().any()))

    @property
    def size(self) -> int:
        return len(self.values) + self.has_missing

    @cached_property
    def _levels(self) -> Cells:
        return typed_series(list(self.values), self.dtype)

    def encode(self, column: Cells) -> Index:
        """int64 [n]; raises DataError for a value that training did not have."""
        codes = pd.Index(self._levels.astype(object)).get_indexer(pd.Index(column.astype(object)))
        if self.has_missing:
            codes = np.where(column.isna().to_numpy(dtype=bool), self.size - 1, codes)
        _refuse_unknown(self.name, int((codes < 0).sum()))
        return np.asarray(codes, dtype=np.int64)

    def decode(self, codes: Index, positions: Floats) -> Cells:
        """The values of these levels; a level has no inside, so `positions` do not matter."""
        is_level = codes < len(self.values)
        decoded = self._levels.reindex(np.where(is_level, codes, -1)).reset_index(drop=True)
        if decoded.dtype == object:
            # None is what parquet reads back; a NaN among text would be a number.
            decoded = decoded.where(is_level, None)
        return decoded.astype(self.dtype).rename(self.name)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """JSON-ready content and arrays."""
        fields = {"levels": list(self.values), "dtype": dtype_state(self.dtype), "has_missing": self.has_missing}
        return {"name": self.name, **fields}, {}


@dataclass(frozen=True)
class Bins:
    """Quantile bins of the values that are no spikes, on the ticks of a grid.

    Attributes:
        edges: [b - 1], the first value of each bin but the first.
        low, high: [b], smallest and largest training value in the bin.
        knots: float64 [b, q], quantiles inside the bin at even steps.
    """

    edges: Numbers
    low: Numbers
    high: Numbers
    knots: Floats

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
        knot_count = int(np.clip(len(ticks) // (len(starts) * _KNOT_ROWS), 3, _MAX_KNOTS))
        spread = _spread_ties(ticks)
        knots = [_knots(spread[a:b], knot_count) for a, b in zip(starts, ends, strict=True)]
        return cls(edges, ticks[starts], ticks[ends - 1], np.asarray(knots))

    @property
    def count(self) -> int:
        return len(self.low)

    def encode(self, ticks: Numbers) -> Index:
        """int64 [n]: the bin of each tick, the outermost for one beyond the range."""
        return np.asarray(np.searchsorted(self.edges, ticks, side="right"), dtype=np.int64)

    def decode(self, bins: Index, positions: Floats) -> Numbers:
        """Ticks at `positions` in [0, 1) of these bins, by the quantile function inside the bin."""
        place = positions * (self.knots.shape[1] - 1)
        knot = np.minimum(place.astype(np.int64), self.knots.shape[1] - 2)
        share = place - knot
        ticks = self.knots[bins, knot] * (1 - share) + self.knots[bins, knot + 1] * share
        whole = np.floor(ticks).astype(np.int64) if self.low.dtype.kind == "i" else ticks
        return np.asarray(np.clip(whole, self.low[bins], self.high[bins]))


def _spread_ties(ticks: Numbers) -> Floats:
    """Sorted whole ticks spread evenly over [tick, tick + 1): `floor` then gives every tick its own mass back."""
    if ticks.dtype.kind != "i":
        return ticks.astype(np.float64)
    _, first, counts = np.unique(ticks, return_index=True, return_counts=True)
    rank = np.arange(len(ticks)) - np.repeat(first, counts)
    return ticks + (rank + 0.5) / np.repeat(counts, counts)


def _knots(values: Floats, count: int) -> Floats:
    return np.asarray(np.quantile(values, np.linspace(0, 1, count)), dtype=np.float64)


@dataclass(frozen=True)
class BinnedColumn:
    """A numeric or datetime column. Codes: spikes in order of value, then bins, then missing (if training had any)."""

    name: str
    dtype: DType
    has_missing: bool
    grid: Grid
    spikes: Numbers
    bins: Bins

    @classmethod
    def fit(cls, column: Cells, bins: int) -> "BinnedColumn":
        """At most 4 x `bins` spikes and `bins` bins."""
        present = column.dropna()
        grid = Grid.fit(str(column.name), present)
        ticks = np.sort(grid.ticks(present))
        spikes = _spikes(ticks, bins)
        rest = ticks[~np.isin(ticks, spikes)]
        wanted = min(round(bins * len(rest) / max(len(ticks), 1)) + 1, bins, max(len(rest) // _KNOT_ROWS, 1))
        has_missing = len(present) < len(column)
        return cls(str(column.name), column.dtype, has_missing, grid, spikes, Bins.fit(rest, wanted))

    @property
    def size(self) -> int:
        return len(self.spikes) + self.bins.count + self.has_missing

    def encode(self, column: Cells) -> Index:
        """int64 [n]; a value beyond the range gets the outermost code; raises DataError if only this column misses."""
        missing = column.isna().to_numpy(dtype=bool)
        if not self.has_missing:
            _refuse_unknown(self.name, int(missing.sum()))
        codes = np.full(len(column), self.size - 1, dtype=np.int64)
        ticks = self.grid.ticks(column[~missing])
        nearest = np.clip(np.searchsorted(self.spikes, ticks), 0, max(len(self.spikes) - 1, 0))
        if self.bins.count == 0:
            codes[~missing] = nearest
            return codes
        is_spike = self.spikes[nearest] == ticks if len(self.spikes) else np.zeros(len(ticks), dtype=bool)
        codes[~missing] = np.where(is_spike, nearest, len(self.spikes) + self.bins.encode(ticks))
        return codes

    def decode(self, codes: Index, positions: Floats) -> Cells:
        """Values inside the training range, on its raster, in its dtype."""
        spikes, last = len(self.spikes), len(self.spikes) + self.bins.count
        ticks = np.zeros(len(codes), dtype=self.spikes.dtype)
        is_spike, is_bin = codes < spikes, (codes >= spikes) & (codes < last)
        ticks[is_spike] = self.spikes[codes[is_spike]]
        ticks[is_bin] = self.bins.decode(codes[is_bin] - spikes, positions[is_bin])
        values = self.grid.values(ticks, self.dtype).rename(self.name)
        return values.mask(codes >= last) if self.has_missing else values

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """JSON-ready content and arrays."""
        fields = {"grid": self.grid.state(), "dtype": dtype_state(self.dtype), "has_missing": self.has_missing}
        arrays = {"spikes": self.spikes, **vars(self.bins)}
        return {"name": self.name, **fields}, arrays


Column = LevelColumn | BinnedColumn


def restored_column(state: Mapping[str, Any], arrays: Arrays) -> Column:
    """The column whose `state` this is."""
    name, dtype, has_missing = state["name"], restored_dtype(state["dtype"]), state["has_missing"]
    if "levels" in state:
        return LevelColumn(name, dtype, tuple(state["levels"]), has_missing)
    bins = Bins(**{part: arrays[part] for part in ("edges", "low", "high", "knots")})
    return BinnedColumn(name, dtype, has_missing, Grid(**state["grid"]), arrays["spikes"], bins)


def _spikes(ticks: Numbers, bins: int) -> Numbers:
    values, counts = np.unique(ticks, return_counts=True)
    if len(values) <= bins:
        return values
    heavy = np.flatnonzero(counts >= max(_SPIKE_SHARE * len(ticks), _SPIKE_ROWS))
    heaviest = heavy[np.argsort(-counts[heavy], kind="stable")][: _MAX_SPIKES_PER_BIN * bins]
    return values[np.sort(heaviest)]


def _refuse_unknown(name: str, count: int) -> None:
    if count:
        raise DataError(f"column {name!r} has {count} values that the training rows do not have", where=name)
