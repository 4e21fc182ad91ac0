"""Rows in which one column has exactly the value of an earlier one: a code for that, and the copied value back.

Bins and donors break such equalities, and a judge that looks at differences of columns sees it at once (TABULAR.md,
exact ties: an ordinary detection AUC of .54 hid one of .88).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from synthgen.datasets import Index
from synthgen.stats import FloatArray
from synthgen.synthesizers.codes import Mask
from synthgen.synthesizers.encoding.columns import BinnedColumn, Column
from synthgen.synthesizers.encoding.grid import MAX_SPAN, Numbers, unit_decimals
from synthgen.synthesizers.encoding.table_state import Cells

# Equal rows that make a tie: a share and a number of all rows, and a multiple of what independent columns have.
_MIN_SHARE, _MIN_ROWS, _MIN_LIFT = 0.01, 15, 5


@dataclass(frozen=True)
class _Read:
    """A measured column of a table: ticks [n], what is missing, what is a spike, and the values as float64 [n]."""

    column: BinnedColumn
    ticks: Numbers
    missing: Mask
    spike: Mask
    values: FloatArray

    @classmethod
    def of(cls, column: BinnedColumn, cells: Cells) -> "_Read":
        ticks, missing = column.read(cells)
        values = np.where(missing, np.nan, _values(ticks, column))
        return cls(column, ticks, missing, ~missing & np.isin(ticks, column.spikes), values)


def with_ties(columns: Sequence[Column], frame: pd.DataFrame, bins: int) -> list[Column]:
    """The columns fitted to this frame, each with its ties, and with bins of its untied values."""
    reads = [_Read.of(column, frame[column.name]) for column in columns if isinstance(column, BinnedColumn)]
    found: dict[str, Column] = {}
    for j, read in enumerate(reads):
        names, tied = _ties(read, reads[:j])
        if names:
            ticks, untied = np.sort(read.ticks[~read.missing]), np.sort(read.ticks[~read.missing & ~tied])
            # Without untied rows the bins are those of all: a row to come may lack the tie.
            column = read.column.binned(ticks, untied if len(untied) >= _MIN_ROWS else ticks, bins)
            found[column.name] = replace(column, ties=names)
    return [found.get(column.name, column) for column in columns]


def encode_ties(columns: Sequence[Column], frame: pd.DataFrame, codes: Index) -> Index:
    """The codes int64 [n, columns] with those of ties where rows have them; a tie counts before a later one."""
    tied = [(j, column) for j, column in enumerate(columns) if isinstance(column, BinnedColumn) and column.ties]
    names = {column.name for _, column in tied}.union(*(column.ties for _, column in tied))
    reads = {
        column.name: _Read.of(column, frame[column.name])
        for column in columns
        if isinstance(column, BinnedColumn) and column.name in names
    }
    for j, column in tied:
        for place in reversed(range(len(column.ties))):
            same = _equal_rows(reads[column.name], reads[column.ties[place]])
            codes[same, j] = column.untied + place
    return codes


def decode_ties(
    column: BinnedColumn, codes: Index, cells: Cells, columns: Sequence[Column], decoded: Mapping[str, Cells]
) -> Cells:
    """The cells with the values of the decoded columns where codes int64 [n] are ties, and with others where not.

    On the raster and inside the range of the column; a tie to a missing value leaves the cell as it is.
    """
    sources = {source.name: source for source in columns if isinstance(source, BinnedColumn)}
    own, nothing = column.read(cells)
    for place, name in enumerate(column.ties):
        ticks, missing = sources[name].read(decoded[name])
        ticks, exact = _translated(ticks, sources[name], column)
        tied = codes == column.untied + place
        own = np.where(tied & ~missing, ticks, own)
        # A bin says that there is no tie: equal by chance, the value moves to a neighbour.
        chance = ~nothing & ~missing & exact & (ticks == own) & column.is_bin(codes)
        own[chance] = column.beside(own[chance], codes[chance])
    return column.grid.values(own, column.dtype).mask(nothing).rename(column.name)


def _ties(read: _Read, earlier: Sequence[_Read]) -> tuple[tuple[str, ...], Mask]:
    """Names of the columns to which this one is tied, most rows first, and bool [n], which rows are."""
    wanted = max(_MIN_ROWS, _MIN_SHARE * len(read.ticks))
    close = [other for other in earlier if _unit(other) == _unit(read) and _close_rows(read, other) >= wanted]
    rows = [_equal_rows(read, other) for other in close]
    names, tied = [], np.zeros(len(read.ticks), dtype=bool)
    for i in sorted(range(len(close)), key=lambda i: -int(rows[i].sum())):
        # What an earlier tie explains already makes no further one.
        count = int((rows[i] & ~tied).sum())
        if count >= max(wanted, _MIN_LIFT * _chance_rows(read, close[i])):
            names.append(close[i].column.name)
            tied |= rows[i]
    return tuple(names), tied


def _close_rows(read: _Read, other: _Read) -> int:
    """Number of rows that are equal as float64: fast, and only a first sight."""
    return int(((read.values == other.values) & ~(read.spike & other.spike)).sum())


def _equal_rows(read: _Read, other: _Read) -> Mask:
    """bool [n]: exactly the same value. Where both are spikes their codes say so already."""
    ticks, exact = _translated(other.ticks, other.column, read.column)
    said = read.missing | other.missing | (read.spike & other.spike)
    return np.asarray(exact & (ticks == read.ticks) & ~said)


def _chance_rows(read: _Read, other: _Read) -> float:
    """Number of equal rows to expect of independent columns, those without a row of two spikes left out."""
    ticks, exact = _translated(other.ticks, other.column, read.column)
    mine, my_rows = np.unique(read.ticks[~read.missing], return_counts=True)
    theirs, their_rows = np.unique(ticks[exact & ~other.missing], return_counts=True)
    common, i, k = np.intersect1d(mine, theirs, assume_unique=True, return_indices=True)
    their_spikes, _ = _translated(other.column.spikes, other.column, read.column)
    both = np.isin(common, read.column.spikes) & np.isin(common, their_spikes)
    return float((my_rows[i].astype(np.float64) * their_rows[k])[~both].sum() / len(read.ticks))


def _unit(read: _Read) -> str:
    """What is counted: equal for columns that can be compared."""
    column = read.column
    first, last = (column.grid.base + column.grid.step * int(tick) for tick in column.limits.tolist())
    if column.grid.decimals is not None and max(abs(first), abs(last)) > MAX_SPAN:
        # Beyond the range of the arithmetic: not comparable with anything.
        return f"column {column.name}"
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        return "number"
    zone = getattr(column.dtype, "tz", None)
    return f"clock of {zone}" if column.grid.by_clock or zone is None else "instant"


def _decimals(column: BinnedColumn) -> int | None:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return unit_decimals(column.dtype)
    return column.grid.decimals


def _values(ticks: Numbers, column: BinnedColumn) -> FloatArray:
    """float64 [n]: numbers, or seconds since 1970."""
    decimals = _decimals(column)
    if decimals is None:
        return ticks.astype(np.float64)
    return np.asarray((column.grid.base + column.grid.step * ticks.astype(np.float64)) / 10**decimals)


def _translated(ticks: Numbers, source: BinnedColumn, target: BinnedColumn) -> tuple[Numbers, Mask]:
    """The nearest ticks of `target`, inside its limits, and bool [n], which of them are the very same value."""
    nearest, exact = _nearest(ticks, source, target)
    inside = np.clip(nearest, *target.limits)
    return inside, exact & (inside == nearest)


def _nearest(ticks: Numbers, source: BinnedColumn, target: BinnedColumn) -> tuple[Numbers, Mask]:
    given, wanted, grid = _decimals(source), _decimals(target), target.grid
    if given is not None and wanted is not None:
        whole, exact = _shifted(source.grid.base + source.grid.step * ticks, wanted - given)
        # One beyond either end is outside already; farther away the difference might not fit.
        first, last = (grid.base + grid.step * tick for tick in target.limits.tolist())
        offset = np.clip(whole, first - 1, last + 1) - grid.base
        return (offset + grid.step // 2) // grid.step, exact & (offset % grid.step == 0)
    values = _values(ticks, source)
    if wanted is None:
        return values, np.ones(len(values), dtype=bool)
    nearest = np.rint((values * 10.0**wanted - grid.base) / grid.step)
    nearest = np.clip(nearest, *target.limits.astype(np.float64)).astype(np.int64)
    return nearest, _values(nearest, target) == values


def _shifted(whole: Index, decimals: int) -> tuple[Index, Mask]:
    """whole * 10 ** decimals, rounded, and bool [n], where it is exact."""
    if decimals < 0:
        unit = 10**-decimals
        return (whole + unit // 2) // unit, whole % unit == 0
    most = MAX_SPAN // 10**decimals
    return np.clip(whole, -most, most) * 10**decimals, np.abs(whole) <= most
