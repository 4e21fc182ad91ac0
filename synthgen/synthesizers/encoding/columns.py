"""A measured column as codes: spikes, quantile bins, missing, ties to an earlier column; and back to legal values."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from synthgen.datasets import Index
from synthgen.errors import DataError
from synthgen.stats import FloatArray
from synthgen.synthesizers.codes import Arrays, Mask
from synthgen.synthesizers.encoding.bins import KNOT_ROWS, Bins
from synthgen.synthesizers.encoding.grid import Grid, Numbers
from synthgen.synthesizers.encoding.levels import LevelColumn, refuse_unknown
from synthgen.synthesizers.encoding.table_state import Cells, DType, dtype_state, restored_dtype

__all__ = ["BinnedColumn", "Column", "LevelColumn", "restored_column"]

# A value this frequent gets a level of its own (TABULAR.md: zero inflation, small integers).
_SPIKE_SHARE, _SPIKE_ROWS, _MAX_SPIKES_PER_BIN = 0.005, 15, 4


@dataclass(frozen=True)
class BinnedColumn:
    """A numeric or datetime column.

    Codes: spikes in order of value, then bins, then missing (if training had any), then ties.

    Attributes:
        spikes: [s], sorted ticks with a code of their own.
        bins: of the other ticks. Where these are whole they are counted without the spikes, so that no place inside a
            bin leads to a spike.
        limits: [2], smallest and largest training tick.
        code_ranks: float64 [s + bins], middle of the training ranks of each code, in [0, 1].
        ties: earlier columns; a row with the code of one has the value of that column.
    """

    name: str
    dtype: DType
    has_missing: bool
    grid: Grid
    spikes: Numbers
    bins: Bins
    limits: Numbers
    code_ranks: FloatArray
    ties: tuple[str, ...] = ()

    @classmethod
    def fit(cls, column: Cells, bins: int) -> "BinnedColumn":
        """At most 4 x `bins` spikes and `bins` bins."""
        present = column.dropna()
        grid = Grid.fit(str(column.name), present)
        ticks = np.sort(grid.ticks(present))
        has_missing, nothing = len(present) < len(column), ticks[:0]
        limits = ticks[[0, -1]] if len(ticks) else np.zeros(2, dtype=ticks.dtype)
        empty = Bins.fit(nothing, 1)
        spikes = _spikes(ticks, bins)
        plain = cls(str(column.name), column.dtype, has_missing, grid, spikes, empty, limits, np.empty(0))
        return plain.binned(ticks, ticks, bins)

    def binned(self, ticks: Numbers, untied: Numbers, bins: int) -> "BinnedColumn":
        """The column with bins of the `untied` among its sorted training ticks."""
        rest = untied[~np.isin(untied, self.spikes)]
        wanted = min(round(bins * len(rest) / max(len(ticks), 1)) + 1, bins, max(len(rest) // KNOT_ROWS, 1))
        column = replace(self, bins=Bins.fit(self._without_spikes(rest), wanted))
        return replace(column, code_ranks=_code_ranks(column._tick_codes(ticks), column.valued))

    def _without_spikes(self, ticks: Numbers) -> Numbers:
        return ticks - np.searchsorted(self.spikes, ticks) if ticks.dtype.kind == "i" else ticks

    def _with_spikes(self, ticks: Numbers) -> Numbers:
        if ticks.dtype.kind != "i":
            return ticks
        return ticks + np.searchsorted(self.spikes - np.arange(len(self.spikes)), ticks, side="right")

    @property
    def valued(self) -> int:
        """Number of codes that stand for values of this column: spikes and bins."""
        return len(self.spikes) + self.bins.count

    @property
    def untied(self) -> int:
        """Number of codes before the first tie."""
        return self.valued + self.has_missing

    @property
    def size(self) -> int:
        return self.untied + len(self.ties)

    def is_bin(self, codes: Index) -> Mask:
        """bool [n]: whether the code is a bin."""
        return np.asarray((codes >= len(self.spikes)) & (codes < self.valued))

    def read(self, column: Cells) -> tuple[Numbers, Mask]:
        """Ticks [n], 0 where missing, and bool [n], what is missing."""
        missing = column.isna().to_numpy(dtype=bool)
        ticks = np.zeros(len(column), dtype=self.limits.dtype)
        ticks[~missing] = self.grid.ticks(column[~missing] if missing.any() else column)
        return ticks, missing

    def encode(self, column: Cells) -> Index:
        """int64 [n], without ties; a value beyond the range gets the outermost code.

        Raises:
            DataError: a value is missing, and training had none missing.
        """
        ticks, missing = self.read(column)
        if not self.has_missing:
            refuse_unknown(self.name, int(missing.sum()))
        return np.where(missing, self.valued, self._tick_codes(ticks))

    def _tick_codes(self, ticks: Numbers) -> Index:
        nearest = np.clip(np.searchsorted(self.spikes, ticks), 0, max(len(self.spikes) - 1, 0)).astype(np.int64)
        if self.bins.count == 0:
            return nearest
        is_spike = self.spikes[nearest] == ticks if len(self.spikes) else np.zeros(len(ticks), dtype=bool)
        return np.where(is_spike, nearest, len(self.spikes) + self.bins.encode(self._without_spikes(ticks)))

    def knows(self, column: Cells) -> Mask:
        """bool [n]: whether `encode` takes the value."""
        return ~column.isna().to_numpy(dtype=bool) | self.has_missing

    def constant(self, value: object, n: int) -> Cells:
        """n times the value, in the dtype of the column; raises DataError beyond the range or between the ticks."""
        cells = _typed(value, self.dtype, n).rename(self.name)
        present = cells.dropna().head(1)
        if len(present):
            low, high = self.limits
            ticks = self.grid.ticks(present)
            back = self.grid.values(ticks, self.dtype)
            if ticks.min() < low or ticks.max() > high or not np.array_equal(back.to_numpy(), present.to_numpy()):
                raise DataError(f"column {self.name!r} has no such value", where=self.name)
        return cells

    def positions(self, column: Cells, codes: Index, rng: np.random.Generator) -> FloatArray:
        """float64 [n] in [0, 1): where in their bins the values stand; anywhere for what is in none."""
        found = rng.random(len(codes))
        inside = self.is_bin(codes)
        if inside.any():
            ticks = self._without_spikes(self.grid.ticks(column[inside]))
            found[inside] = self.bins.positions(ticks, codes[inside] - len(self.spikes), rng)
        return found

    def ranks(self) -> FloatArray:
        """float64 [size]: middle of the training ranks of each code, NaN for missing and ties."""
        ranks = np.full(self.size, np.nan)
        ranks[: self.valued] = self.code_ranks
        return ranks

    def decode(self, codes: Index, positions: FloatArray) -> Cells:
        """Values inside the training range, on its raster, in its dtype; any of them where the code is a tie."""
        tied = codes >= self.untied
        if tied.any():
            anywhere = positions * self.valued
            codes = np.where(tied, anywhere.astype(np.int64), codes)
            positions = np.where(tied, anywhere % 1.0, positions)
        ticks = np.zeros(len(codes), dtype=self.limits.dtype)
        is_spike, is_bin = codes < len(self.spikes), self.is_bin(codes)
        ticks[is_spike] = self.spikes[codes[is_spike]]
        ticks[is_bin] = self._with_spikes(self.bins.decode(codes[is_bin] - len(self.spikes), positions[is_bin]))
        values = self.grid.values(ticks, self.dtype).rename(self.name)
        return values.mask(codes >= self.valued) if self.has_missing else values

    def beside(self, ticks: Numbers, codes: Index) -> Numbers:
        """Ticks next to these in the same bins; the same where a bin has no other, or no raster."""
        if ticks.dtype.kind != "i":
            return ticks
        inner, bins = self._without_spikes(ticks), codes - len(self.spikes)
        below, above = np.maximum(inner - 1, self.bins.low[bins]), np.minimum(inner + 1, self.bins.high[bins])
        # Up from even ticks and down from odd ones, so that the column as a whole does not shift.
        up = (inner % 2 == 0) & (above > inner) | (below == inner)
        return self._with_spikes(np.where(up, above, below))

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """JSON-ready content and arrays."""
        fields = {"grid": self.grid.state(), "dtype": dtype_state(self.dtype), "has_missing": self.has_missing}
        arrays = {"spikes": self.spikes, "limits": self.limits, "code_ranks": self.code_ranks, **vars(self.bins)}
        return {"name": self.name, **fields, "ties": list(self.ties)}, arrays


Column = LevelColumn | BinnedColumn


def restored_column(state: Mapping[str, Any], arrays: Arrays) -> Column:
    """The column whose `state` this is."""
    dtype = restored_dtype(state["dtype"])
    if "levels" in state:
        return LevelColumn.restore(state, dtype, arrays)
    bins = Bins(**{part: arrays[part] for part in ("edges", "low", "high", "knots")})
    own = {part: arrays[part] for part in ("spikes", "limits", "code_ranks")}
    name, has_missing, grid, ties = state["name"], state["has_missing"], Grid(**state["grid"]), tuple(state["ties"])
    return BinnedColumn(name, dtype, has_missing, grid, bins=bins, ties=ties, **own)


def _spikes(ticks: Numbers, bins: int) -> Numbers:
    values, counts = np.unique(ticks, return_counts=True)
    if len(values) <= bins:
        return values
    heavy = np.flatnonzero(counts >= max(_SPIKE_SHARE * len(ticks), _SPIKE_ROWS))
    heaviest = heavy[np.argsort(-counts[heavy], kind="stable")][: _MAX_SPIKES_PER_BIN * bins]
    return values[np.sort(heaviest)]


def _code_ranks(codes: Index, size: int) -> FloatArray:
    """float64 [size]: mean rank in [0, 1] of the sorted values with each code; codes int64 [n] of those values."""
    ranks = (np.arange(len(codes)) + 0.5) / max(len(codes), 1)
    return np.asarray(
        np.bincount(codes, weights=ranks, minlength=size) / np.maximum(np.bincount(codes, minlength=size), 1)
    )


def _typed(value: object, dtype: DType, n: int) -> Cells:
    """n times the value; raises TypeError or ValueError when the dtype cannot hold it."""
    cells = pd.Series([value] * n, dtype=object)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        times = pd.to_datetime(cells, format="ISO8601")
        zone = getattr(dtype, "tz", None)
        # A time without a zone is meant as the column shows it.
        return (times.dt.tz_localize(zone) if zone is not None and times.dt.tz is None else times).astype(dtype)
    numbers = pd.to_numeric(cells)
    typed = numbers.astype(dtype)
    if pd.api.types.is_integer_dtype(dtype) and not (typed == numbers).all():
        raise ValueError("a whole number is needed")
    return typed
