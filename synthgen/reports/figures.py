"""Drawings as SVG in data URIs: the same input gives the same bytes, and text inside can run nothing."""

import base64
import io
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

FloatArray = npt.NDArray[np.float64]

REAL, SYNTHETIC, INK, SOFT, LINE = "#33658a", "#c8641a", "#1b1f24", "#5a6472", "#d9dee5"
_FONTS = "system-ui, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"
_STYLE: Mapping[str, object] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "synthgen",
    "font.family": "DejaVu Sans",  # what widths are measured with; the page's own fonts replace it
    "font.size": 8.0,
    "text.parse_math": False,  # a column may be named $x_1$
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
}
_PIXELS_PER_INCH = 96


@dataclass(frozen=True)
class Drawing:
    """A picture for the page; width and height in CSS pixels."""

    uri: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class Estimate:
    """One line of an interval plot."""

    name: str
    value: float
    low: float
    high: float
    ours: bool = False


@dataclass(frozen=True)
class Grid:
    """Shares of rows in the cells of two columns, float64 [rows, columns], NaN = blank, and the names of the cells."""

    shares: FloatArray
    row_names: Sequence[str]
    column_names: Sequence[str]


def histogram(edges: FloatArray, real: FloatArray, synthetic: FloatArray, alt: str, *, dates: bool = False) -> Drawing:
    """Shares of rows per bin, float64 [bins]: real filled, synthetic as an outline. Dates in days since 1970."""
    with _style():
        figure, axes = _canvas(440, 170)
        widths = np.diff(edges) / np.diff(edges).min()  # the area of a bar is its share
        axes.stairs(100 * real / widths, edges, fill=True, color=REAL, alpha=0.55)
        axes.stairs(100 * synthetic / widths, edges, color=SYNTHETIC, linewidth=1.8)
        axes.set_ylabel("% of rows" if np.allclose(widths, 1) else "% of rows per width\nof narrowest bar")
        axes.grid(axis="y", color=LINE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlim(edges[0], edges[-1])
        if np.all(edges % 1 == 0.5):  # one bar for each whole number
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if dates:
            locator = AutoDateLocator(maxticks=6)  # type: ignore[no-untyped-call]  # matplotlib.dates has no types
            axes.xaxis.set_major_locator(locator)
            formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]  # nor here
            axes.xaxis.set_major_formatter(formatter)
        return _drawing(figure, alt)


def heat_pair(real: Grid, synthetic: Grid, alt: str) -> Drawing:
    """Two columns at once: shares of real rows on the left, of synthetic rows on the right, on one scale."""
    with _style():
        figure = _figure(440, 215)
        top = max(float(np.nanmax(real.shares)), float(synthetic.shares.max()), 1e-9)
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, grid, title, colour in (
            (left, real, "real", REAL),
            (right, synthetic, "synthetic", SYNTHETIC),
        ):
            axes.pcolormesh(grid.shares, cmap=_ramp(colour), vmin=0, vmax=top, edgecolors="white", linewidth=0.5)
            axes.set_title(title, fontsize=8, color=INK)
            axes.set_xticks(*_ticks(grid.column_names), rotation=30, ha="right")
            axes.set_yticks(*_ticks(grid.row_names))
            axes.tick_params(length=0, labelsize=7)
            axes.spines[:].set_visible(False)
        return _drawing(figure, alt)


def intervals(rows: Sequence[Estimate], axis: str, alt: str, *, mark: float | None = 0.0) -> Drawing:
    """Estimates with their intervals, one below the other; ours filled and in colour. `mark`: a vertical line."""
    with _style():
        figure, axes = _canvas(440, 46 + 24 * len(rows))
        if mark is not None:
            axes.axvline(mark, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
        for height, row in enumerate(reversed(rows)):
            colour = SYNTHETIC if row.ours else INK
            axes.plot([row.low, row.high], [height, height], color=colour, linewidth=2.2 if row.ours else 1.3)
            face = colour if row.ours else "white"
            axes.plot(row.value, height, "o", color=colour, markerfacecolor=face, markersize=6)
        axes.set_yticks(range(len(rows)), [printable(row.name) for row in reversed(rows)], color=INK)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel(axis)
        axes.grid(axis="x", color=LINE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        return _drawing(figure, alt)


def curves(series: Mapping[str, tuple[FloatArray, FloatArray]], axis: str, alt: str) -> Drawing:
    """Lines over training, each (x, y) float64 [ticks]; told apart by dash as well as colour."""
    looks = ((REAL, "-"), (SYNTHETIC, (0, (5, 2))), (INK, (0, (1, 1.5))), (SOFT, (0, (6, 2, 1, 2))))
    with _style():
        figure, axes = _canvas(440, 190)
        for (name, (x, y)), (colour, dash) in zip(series.items(), looks, strict=False):
            axes.plot(x, y, color=colour, linestyle=dash, linewidth=1.4, label=printable(name.replace("_", " ")))
        axes.set_xlabel(axis)
        axes.grid(axis="y", color=LINE, linewidth=0.6)
        axes.legend(frameon=False, fontsize=7.5, labelcolor=INK)
        return _drawing(figure, alt)


def printable(text: str, *, at_most: int = 28) -> str:
    """The text without control characters, which no XML may hold, cut to a length that fits beside an axis."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= at_most else f"{clean[: at_most - 1]}…"


def _style() -> AbstractContextManager[None]:
    return style.context(dict(_STYLE))


def _figure(width: int, height: int) -> Figure:
    return Figure(figsize=(width / _PIXELS_PER_INCH, height / _PIXELS_PER_INCH), layout="constrained")


def _canvas(width: int, height: int) -> tuple[Figure, Axes]:
    figure = _figure(width, height)
    return figure, figure.subplots()


def _ticks(names: Sequence[str]) -> tuple[FloatArray, list[str]]:
    return np.arange(len(names), dtype=np.float64) + 0.5, [printable(name, at_most=20) for name in names]


def _ramp(colour: str) -> Colormap:
    return LinearSegmentedColormap.from_list(colour, ["#f2f4f7", colour])


def _drawing(figure: Figure, alt: str) -> Drawing:
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Widths of scripts that DejaVu lacks are measured as boxes; the browser draws them with its own fonts.
        warnings.filterwarnings("ignore", message="(Glyph|.*font)", category=UserWarning)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().replace("'DejaVu Sans'", _FONTS)
    width, height = (round(inches * _PIXELS_PER_INCH) for inches in figure.get_size_inches())
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
    return Drawing(f"data:image/svg+xml;base64,{encoded}", alt, width, height)
