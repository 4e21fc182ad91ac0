"""Training health: curves from the history of the model."""

from collections.abc import Mapping, Sequence

import numpy as np

from synthgen.reports.figures import Drawing, FloatArray, curves

_TICKS, _PLOTS, _LINES = 300, 4, 4
_CLOCKS = ("step", "seconds", "images", "epoch")


def training_drawings(history: Sequence[Mapping[str, float]]) -> list[Drawing]:
    """Losses together in one plot, each other number in its own, at most `_PLOTS`."""
    clock = next((name for name in _CLOCKS if history and name in history[0]), None)
    if clock is None:
        return []
    names = sorted({name for tick in history for name in tick} - set(_CLOCKS))
    series = {name: _series(history, clock, name) for name in names}
    drawable = {name: line for name, line in series.items() if len(line[0]) > 1}
    losses = {name: line for name, line in drawable.items() if "loss" in name}
    groups = [losses] if losses else []
    groups += [{name: line} for name, line in drawable.items() if name not in losses]
    return [curves(dict(list(group.items())[:_LINES]), clock, _alt(group, clock)) for group in groups[:_PLOTS]]


def _alt(group: Mapping[str, object], clock: str) -> str:
    names = ", ".join(name.replace("_", " ") for name in group)
    return f"{names.capitalize()} over {clock}."


def _series(history: Sequence[Mapping[str, float]], clock: str, name: str) -> tuple[FloatArray, FloatArray]:
    points = np.array(
        [(tick[clock], tick[name]) for tick in history if name in tick and clock in tick], dtype=np.float64
    )
    finite = points[np.isfinite(points).all(axis=1)] if len(points) else points.reshape(0, 2)
    thinned = finite[:: max(1, len(finite) // _TICKS)]
    return thinned[:, 0], thinned[:, 1]
