"""The columns and pairs that differ most, drawn real against synthetic."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthgen.reports.columns import MISSING, OTHER, Binned, ColumnFit, PairFit
from synthgen.reports.figures import Drawing, Grid, heat_pair, histogram

SHOWN = 4


@dataclass(frozen=True)
class Bar:
    """One category: shares of rows, and lengths of the bars in percent of the longest."""

    name: str
    real: float
    synthetic: float
    real_length: float
    synthetic_length: float


@dataclass(frozen=True)
class ColumnCard:
    """One column drawn: a histogram for numbers and dates, bars for categories. Shares in [0, 1].

    Attributes:
        missing_real: None when it is not shown, since too few rows stand behind it.
    """

    name: str
    difference: float
    reference: float | None
    drawing: Drawing | None
    bars: Sequence[Bar]
    missing_real: float | None
    missing_synthetic: float


@dataclass(frozen=True)
class PairCard:
    """Two columns drawn side by side."""

    first: str
    second: str
    difference: float
    reference: float | None
    drawing: Drawing


def column_cards(fits: Sequence[ColumnFit]) -> list[ColumnCard]:
    """The columns that differ most."""
    return [_column_card(fit) for fit in fits if len(_shown_cells(fit)) > 1][:SHOWN]


def pair_cards(pairs: Sequence[PairFit]) -> list[PairCard]:
    """The pairs that have something to draw."""
    return [_pair_card(pair) for pair in pairs if np.isfinite(pair.real[_named(pair)]).any()]


def _named(pair: PairFit) -> tuple[slice, slice]:
    return slice(len(_named_cells(pair.first))), slice(len(_named_cells(pair.second)))


def _shown_cells(fit: ColumnFit) -> Sequence[str]:
    return [name for name in fit.column.cells if name != MISSING]


def _column_card(fit: ColumnFit) -> ColumnCard:
    column = fit.column
    drawing = None
    if column.edges is not None:
        alt = f"Histogram of {column.name}: {100 * fit.difference:.1f} % of rows would have to move to another bar."
        drawing = histogram(column.edges, fit.real[:-1], fit.synthetic[:-1], alt, dates=column.is_date)
    return ColumnCard(
        name=column.name,
        difference=fit.difference,
        reference=fit.reference,
        drawing=drawing,
        bars=_bars(fit) if drawing is None else (),
        missing_real=None if np.isnan(fit.real[-1]) else float(fit.real[-1]),
        missing_synthetic=float(fit.synthetic[-1]),
    )


def _bars(fit: ColumnFit) -> list[Bar]:
    longest = max(float(np.nanmax(fit.real)), float(fit.synthetic.max()), 1e-9)
    return [
        Bar(name, real, made, 100 * real / longest, 100 * made / longest)
        for name, real, made in zip(fit.column.cells, fit.real.tolist(), fit.synthetic.tolist(), strict=True)
        if (name not in (OTHER, MISSING) or real + made > 0) and not np.isnan(real)
    ]


def _pair_card(pair: PairFit) -> PairCard:
    first, second, kept = _named_cells(pair.first), _named_cells(pair.second), _named(pair)
    alt = f"Joint distribution of {pair.first.name} and {pair.second.name}, real on the left, synthetic on the right."
    drawing = heat_pair(Grid(pair.real[kept], first, second), Grid(pair.synthetic[kept], first, second), alt)
    return PairCard(pair.first.name, pair.second.name, pair.difference, pair.reference, drawing)


def _named_cells(column: Binned) -> list[str]:
    # `missing` and an empty `other` would be blank stripes in nearly every plot.
    return [name for name in column.cells if name not in (OTHER, MISSING)]
