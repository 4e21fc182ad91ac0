"""Columns and pairs of a table as shares of rows, real against synthetic: what the fidelity plots are drawn from.

Nothing here shows a rare cell: a category with fewer than `RARE_ROWS` real rows is pooled with the others, and an axis
spans the 1 % to the 99 % quantile of the real rows. What is `shared` shows nothing that rests on fewer than
`disclosure.FEWEST` real rows; how much two columns differ is measured alike for both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.datasets import Labels, Table
from synthgen.reports.disclosure import FEWEST, kept_names, merged_edges, rounded_limits
from synthgen.stats import FloatArray

RARE_ROWS = 5
FEWEST_BINS, MOST_BINS, PAIR_BINS = 6, 20, 6
SHOWN_CATEGORIES = 8
# Pairs are looked for among the columns that differ most: 780 pairs take a second, 50,000 a minute.
PAIR_COLUMNS = 40
OTHER, MISSING = "rarer", "missing"
_SECONDS_PER_DAY = 86_400

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Binned:
    """One column cut into cells.

    Attributes:
        cells: name of each cell; the last two are `rarer` (categories only) and `missing`.
        edges: float64 [bins + 1] of a number or a date in days since 1970; None for a category.
        codes: int64 [n] cell of each row, of each set of rows in the order given.
    """

    name: str
    cells: Sequence[str]
    edges: FloatArray | None
    is_date: bool
    codes: Mapping[str, Codes]


@dataclass(frozen=True)
class ColumnFit:
    """Shares of rows per cell, and the share of rows that would have to change cell to make both sides equal.

    Attributes:
        real: NaN for a cell that is not shown, since too few rows stand behind it.
        difference, reference: total variation in [0, 1], synthetic against held-out rows, and train against them.
    """

    column: Binned
    real: FloatArray
    synthetic: FloatArray
    difference: float
    reference: float | None


@dataclass(frozen=True)
class PairFit:
    """Joint shares of two columns, float64 [cells of first, cells of second], and how differently they depend.

    Attributes:
        real: NaN for a cell that is not shown, since too few rows stand behind it.
    """

    first: Binned
    second: Binned
    real: FloatArray
    synthetic: FloatArray
    difference: float
    reference: float | None


@dataclass(frozen=True)
class Sides:
    """Rows to compare, each set weighted to the class frequencies of the synthetic rows.

    Attributes:
        weights: float64 [n] that sum to 1 for each of `train`, `real` (held out, else train) and `synthetic`.
    """

    tables: Mapping[str, Table]
    weights: Mapping[str, FloatArray]
    has_holdout: bool


def sides_of(train: Table, holdout: Table | None, synthetic: Table) -> Sides:
    """The three sets, weighted: a set augmented in one class is compared with real rows of that class."""
    tables = {"train": train, "real": train if holdout is None else holdout, "synthetic": synthetic}
    names, counts = np.unique(synthetic.labels, return_counts=True)
    wanted = dict(zip(names.tolist(), (counts / max(1, counts.sum())).tolist(), strict=True))
    weights = {name: _weights(table.labels, wanted) for name, table in tables.items()}
    return Sides(tables, weights, holdout is not None)


def _weights(labels: Labels, wanted: Mapping[str, float]) -> FloatArray:
    names, positions, counts = np.unique(labels, return_inverse=True, return_counts=True)
    per_row = np.array([wanted.get(name, 0.0) for name in names.tolist()]) / counts
    weights = per_row[positions].astype(np.float64)
    total = float(weights.sum())
    return weights / total if total > 0 else np.full(len(labels), 1 / max(1, len(labels)))


def column_fits(sides: Sides, *, shared: bool = False) -> list[ColumnFit]:
    """Every feature, the one that differs most first."""
    synthetic = sides.tables["synthetic"].frame
    names = [name for name in sides.tables["train"].schema.features if name in synthetic.columns]
    fits = [_column_fit(binned(name, sides, _bins(sides)), sides) for name in names]
    fits = [_shared_fit(fit, sides) for fit in fits] if shared else fits
    return sorted(fits, key=lambda fit: (-fit.difference, fit.column.name))


def _bins(sides: Sides) -> int:
    # Rice's rule on the rows of the smaller side that count: more bars would show noise.
    rows = min(int(np.count_nonzero(sides.weights[side])) for side in ("real", "synthetic"))
    return int(np.clip(2 * rows ** (1 / 3), FEWEST_BINS, MOST_BINS))


def _column_fit(column: Binned, sides: Sides) -> ColumnFit:
    shares = {name: _shares(column.codes[name], sides.weights[name], len(column.cells)) for name in sides.tables}
    reference = _distance(shares["train"], shares["real"]) if sides.has_holdout else None
    return ColumnFit(
        column, shares["real"], shares["synthetic"], _distance(shares["real"], shares["synthetic"]), reference
    )


def _shared_fit(fit: ColumnFit, sides: Sides) -> ColumnFit:
    column = binned(fit.column.name, sides, _bins(sides), shared=True)
    cells = len(column.cells)
    real, synthetic = (_shares(column.codes[side], sides.weights[side], cells) for side in ("real", "synthetic"))
    few = _is_few(_rows(column.codes["real"], sides, cells))
    # The shares that are left sum to 1, so that what is hidden cannot be had by subtraction.
    real = np.where(few, np.nan, real / max(1e-12, float(real[~few].sum())))
    return replace(fit, column=column, real=real, synthetic=synthetic)


def _rows(codes: Codes, sides: Sides, cells: int) -> Codes:
    """int64 [cells]: real rows that count, on the side that is shown."""
    return np.bincount(codes[sides.weights["real"] > 0], minlength=cells).astype(np.int64)


def _is_few(rows: Codes) -> npt.NDArray[np.bool_]:
    return (rows > 0) & (rows < FEWEST)


def pair_fits(fits: Sequence[ColumnFit], sides: Sides, *, shown: int, shared: bool = False) -> list[PairFit]:
    """Of the pairs among the columns that differ most those whose dependence differs most."""
    columns = [binned(fit.column.name, sides, PAIR_BINS) for fit in fits[:PAIR_COLUMNS]]
    pairs = [_pair_fit(first, second, sides) for first, second in combinations(columns, 2)]
    pairs = sorted(pairs, key=lambda pair: (-pair.difference, pair.first.name, pair.second.name))[:shown]
    return [_shared_pair(pair, sides) for pair in pairs] if shared else pairs


def _shared_pair(pair: PairFit, sides: Sides) -> PairFit:
    first, second = (binned(column.name, sides, PAIR_BINS, shared=True) for column in (pair.first, pair.second))
    joint = _joint(first, second, sides)
    codes = first.codes["real"] * len(second.cells) + second.codes["real"]
    rows = _rows(codes, sides, joint["real"].size).reshape(joint["real"].shape)
    # An empty cell beside a full one says something about those few too: all below the threshold are blank.
    real = np.where(rows < FEWEST, np.nan, joint["real"])
    return replace(pair, first=first, second=second, real=real, synthetic=joint["synthetic"])


def _joint(first: Binned, second: Binned, sides: Sides) -> dict[str, FloatArray]:
    shape = len(first.cells), len(second.cells)
    return {
        name: _shares(
            first.codes[name] * shape[1] + second.codes[name], sides.weights[name], shape[0] * shape[1]
        ).reshape(shape)
        for name in sides.tables
    }


def _pair_fit(first: Binned, second: Binned, sides: Sides) -> PairFit:
    joint = _joint(first, second, sides)
    excess = {name: shares - np.outer(shares.sum(axis=1), shares.sum(axis=0)) for name, shares in joint.items()}
    reference = _distance(excess["train"], excess["real"]) if sides.has_holdout else None
    difference = _distance(excess["real"], excess["synthetic"])
    return PairFit(first, second, joint["real"], joint["synthetic"], difference, reference)


def _shares(codes: Codes, weights: FloatArray, cells: int) -> FloatArray:
    return np.asarray(np.bincount(codes, weights, cells), dtype=np.float64)


def _distance(first: FloatArray, second: FloatArray) -> float:
    return float(np.abs(first - second).sum() / 2)


def binned(name: str, sides: Sides, bins: int, *, shared: bool = False) -> Binned:
    """The column cut into at most `bins` cells, or one cell per frequent category."""
    columns = {side: table.frame[name] for side, table in sides.tables.items()}
    match sides.tables["train"].schema.kinds[name]:
        case "numeric" | "integer":
            numbers = {side: _floats(column) for side, column in columns.items()}
            return _binned_numbers(name, numbers, _edges_of(numbers, sides, bins, shared=shared), is_date=False)
        case "datetime":
            days = {side: _days(column) for side, column in columns.items()}
            return _binned_numbers(name, days, _edges_of(days, sides, bins, shared=shared), is_date=True)
        case _:
            text = {side: column.astype(object).map(str, na_action="ignore") for side, column in columns.items()}
            if not shared:
                return _binned_categories(name, text, _frequent(text, sides))
            return _binned_categories(name, *_shared_categories(text, sides))


def _floats(column: pd.Series) -> FloatArray:
    return np.asarray(column.astype("Float64").to_numpy(np.float64, na_value=np.nan), dtype=np.float64)


def _days(column: pd.Series) -> FloatArray:
    since = pd.to_datetime(column, utc=True) - pd.Timestamp(0, tz="UTC")
    return np.asarray(since.dt.total_seconds() / _SECONDS_PER_DAY, dtype=np.float64)


def _edges_of(columns: Mapping[str, FloatArray], sides: Sides, bins: int, *, shared: bool) -> FloatArray:
    real = np.concatenate([columns["train"], columns["real"]])
    real = real[np.isfinite(real)]
    if not shared:
        return _edges(real, bins, np.quantile(real, [0.01, 0.99]) if len(real) else (0.0, 1.0))
    edges = _edges(real, bins, rounded_limits(real, bins) if len(real) else (0.0, 1.0))
    return merged_edges(edges, _rows(_cell_of(columns["real"], edges), sides, len(edges))[:-1])


def _binned_numbers(name: str, columns: Mapping[str, FloatArray], edges: FloatArray, *, is_date: bool) -> Binned:
    cells = [f"{_edge_name(low, is_date)} – {_edge_name(high, is_date)}" for low, high in pairwise(edges.tolist())]
    codes = {side: _cell_of(values, edges) for side, values in columns.items()}
    return Binned(name, [*cells, MISSING], edges, is_date, codes)


def _edge_name(edge: float, is_date: bool) -> str:
    if is_date:
        return str(np.datetime64(round(edge), "D"))
    return f"{edge:,.0f}" if 1000 <= abs(edge) < 1e6 else f"{edge:.3g}"


def _edges(values: FloatArray, bins: int, limits: Sequence[float] | FloatArray) -> FloatArray:
    low, high = limits
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    whole = bool(np.all(values == np.round(values)))
    if whole and high - low < bins:  # one bar for each whole number
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    return np.linspace(low, high, bins + 1)


def _cell_of(values: FloatArray, edges: FloatArray) -> Codes:
    inside = np.clip(np.searchsorted(edges, values, "right") - 1, 0, len(edges) - 2)
    return np.where(np.isnan(values), len(edges) - 1, inside).astype(np.int64)


def _frequent(text: Mapping[str, pd.Series], sides: Sides) -> list[str]:
    counts = pd.concat([text[side] for side in (("train", "real") if sides.has_holdout else ("train",))]).value_counts()
    frequent = counts[counts >= RARE_ROWS].sort_index().sort_values(ascending=False, kind="stable")
    return [str(value) for value in frequent.index[:SHOWN_CATEGORIES]]


def _shared_categories(text: Mapping[str, pd.Series], sides: Sides) -> tuple[Mapping[str, pd.Series], Sequence[str]]:
    counting = text["real"][sides.weights["real"] > 0]
    missing = int(counting.isna().sum())
    if 0 < missing < FEWEST:
        # No category is named so: a few missing values join the rarer ones.
        text = {side: column.fillna(f"\0{MISSING}") for side, column in text.items()}
        counting = text["real"][sides.weights["real"] > 0]
    counts = {str(name): int(count) for name, count in counting.value_counts().items()}
    return text, kept_names(counts, at_most=SHOWN_CATEGORIES)


def _binned_categories(name: str, text: Mapping[str, pd.Series], cells: Sequence[str]) -> Binned:
    codes = {side: _category_codes(column, cells) for side, column in text.items()}
    return Binned(name, [*cells, OTHER, MISSING], None, False, codes)


def _category_codes(column: pd.Series, cells: Sequence[str]) -> Codes:
    codes = np.asarray(pd.Categorical(column, categories=list(cells)).codes, dtype=np.int64)
    pooled = np.where(column.isna(), len(cells) + 1, len(cells))
    return np.where(codes >= 0, codes, pooled).astype(np.int64)
