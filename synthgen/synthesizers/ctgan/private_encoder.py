"""An encoder that has seen noised histograms instead of rows. What counts as public: private_budget.py."""

from dataclasses import dataclass, replace

import numpy as np

from synthgen.config import DpConfig
from synthgen.datasets import Table
from synthgen.stats import FloatArray
from synthgen.synthesizers.codes import Mask
from synthgen.synthesizers.ctgan.private_budget import Query, histogram_query, moment_query, on_simplex
from synthgen.synthesizers.encoding.bins import Bins
from synthgen.synthesizers.encoding.columns import BinnedColumn, Column, LevelColumn
from synthgen.synthesizers.encoding.encoder import Encoder
from synthgen.synthesizers.encoding.grid import Numbers
from synthgen.synthesizers.encoding.table_state import Cells, is_measured

# Cells of a histogram: of equal width, and ever narrower towards the smallest value, because amounts are mostly small.
_EVEN_CELLS, _HALVINGS = 128, 20
# A value is a level of its own above this share of the rows, if it stands out of the noise by so many deviations.
_SPIKE_SHARE, _SPIKE_SIGMAS = 0.005, 4.0
# Rows in the mean cell of two columns, in deviations of the noise of a moment: fewer bins keep more of the signal.
_ROWS_PER_CELL, _FEWEST_BINS, _MOST_BINS = 4.0, 4, 32


@dataclass(frozen=True)
class PrivateEncoder:
    """The encoder, and the share of each class, float64 [k]; both made from noised counts."""

    encoder: Encoder
    frequency: FloatArray

    @classmethod
    def fit(cls, table: Table, dp: DpConfig, *, bins: int | None, rng: np.random.Generator) -> "PrivateEncoder":
        """Asks the rows once. `rng` must be secret (`secret_rng`); `bins` None: as many as the noise allows."""
        frame = table.modelled
        measured = [name for name in table.schema.features if is_measured(frame[name].dtype)]
        query = histogram_query(dp, len(measured))
        classes = np.maximum(query.noised(_class_counts(table), rng), 1.0)
        rows = float(classes.sum())
        count = bins or _bin_count(rows, moment_query(dp, len(table.schema.features)))
        # Levels are public, and none is folded for being rare: that would tell how rare it is.
        columns: dict[str, Column] = {
            name: LevelColumn.fit(frame[name]) for name in frame.columns if name not in measured
        }
        for name in measured:
            columns[name] = _Histogram.of(frame[name], rows, query, rng).column(count, query.sigma)
        return cls(Encoder(table.schema, tuple(columns[name] for name in frame.columns)), classes / rows)


def _class_counts(table: Table) -> FloatArray:
    """float64 [k], in the order of the classes of an encoder."""
    label = table.schema.label
    if label is None:
        return np.asarray([len(table)], dtype=np.float64)
    column = LevelColumn.fit(table.frame[label])
    return np.bincount(column.encode(table.frame[label]), minlength=column.size).astype(np.float64)


def _bin_count(rows: float, moments: Query) -> int:
    return int(np.clip(np.sqrt(rows / (_ROWS_PER_CELL * moments.sigma)), _FEWEST_BINS, _MOST_BINS))


@dataclass(frozen=True)
class _Histogram:
    """Noised counts of the values of a column.

    Attributes:
        public: what is known of the column without looking: type, raster, range, whether values may be missing.
        edges: [cells + 1], in ticks.
        counts: float64 [cells], not negative.
    """

    public: BinnedColumn
    edges: Numbers
    counts: FloatArray

    @classmethod
    def of(cls, cells: Cells, rows: float, query: Query, rng: np.random.Generator) -> "_Histogram":
        """The counts of these values; `rows` noised, missing ones included."""
        public = BinnedColumn.fit(cells, 2)
        edges = _edges(public.limits)
        ticks, missing = public.read(cells)
        place = np.where(missing, len(edges) - 1, np.searchsorted(edges, ticks, side="right") - 1)
        counts = np.bincount(place, minlength=len(edges)).astype(np.float64)
        # Where nothing can be missing, that cell is known to be empty.
        asked = counts if public.has_missing else counts[:-1]
        noised = on_simplex(query.noised(asked, rng), rows)
        return cls(public, edges, noised[: len(edges) - 1])

    def column(self, bins: int, sigma: float) -> BinnedColumn:
        """The column with spikes and bins as these counts have them."""
        ticks = self._ticks()
        bare = replace(self.public, spikes=self._spikes(bins, sigma), bins=Bins.fit(ticks[:0], 1))
        return bare.binned(ticks, ticks, bins)

    def _ticks(self) -> Numbers:
        """As many sorted ticks as were counted, evenly spread inside each cell."""
        count = max(round(float(self.counts.sum())), 1)
        share = np.concatenate([[0.0], np.cumsum(self.counts)]) / max(float(self.counts.sum()), 1e-300)
        ticks = np.interp((np.arange(count) + 0.5) / count, share, self.edges)
        low, high = self.public.limits
        whole = np.floor(ticks).astype(np.int64) if self.edges.dtype.kind == "i" else ticks
        return np.asarray(np.clip(whole, low, high))

    def _spikes(self, bins: int, sigma: float) -> Numbers:
        """Ticks with a cell of their own, if they are frequent; all ticks, if there are no more than bins."""
        if self.edges.dtype.kind == "i" and self.edges[-1] - self.edges[0] <= bins:
            return np.arange(self.edges[0], self.edges[-1])
        heavy = self.counts >= max(_SPIKE_SHARE * self.counts.sum(), _SPIKE_SIGMAS * sigma)
        return np.asarray(self.edges[:-1][heavy & _is_single(self.edges)])


def _edges(limits: Numbers) -> Numbers:
    """Sorted edges of cells over all ticks from limits[0] to limits[1]; the first cell holds the smallest alone."""
    low, high = limits
    is_whole = limits.dtype.kind == "i"
    end = high + 1 if is_whole else np.nextafter(high, np.inf)
    parts = np.concatenate([np.linspace(0, 1, _EVEN_CELLS + 1), 0.5 ** (np.arange(2 * _HALVINGS) / 2)])
    inner = low + (end - low) * parts
    first = low + 1 if is_whole else np.nextafter(low, np.inf)
    edges = np.concatenate([np.rint(inner) if is_whole else inner, [low, first, end]]).astype(limits.dtype)
    return np.unique(np.clip(edges, low, end))


def _is_single(edges: Numbers) -> Mask:
    """bool [cells]: whether the cell holds one value only."""
    if edges.dtype.kind == "i":
        return np.asarray(np.diff(edges) == 1)
    return np.asarray(edges[1:] == np.nextafter(edges[:-1], np.inf))
