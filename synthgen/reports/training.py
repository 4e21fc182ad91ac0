"""Training health: curves from the history of the model."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from synthgen.reports.figures import Drawing, FloatArray, curves

_TICKS, _PLOTS, _LINES = 300, 4, 4
_REASONS = {
    "diverged": "Losses or weights were no longer sound numbers",
    "collapsed": "Images of a class had become alike",
    "vanished": "The generator was told nothing any more",
}
_CLOCKS = ("step", "seconds", "images", "epoch")


def training_drawings(history: Sequence[Mapping[str, float]]) -> list[Drawing]:
    """Losses together in one plot, each other number in its own, at most `_PLOTS`."""
    clock = next((name for name in _CLOCKS if history and name in history[0]), None)
    if clock is None:
        return []
    names = sorted({name for tick in history for name in tick} - {*_CLOCKS, *_REASONS, "rollbacks"})
    series = {name: _series(history, clock, name) for name in names}
    drawable = {name: line for name, line in series.items() if len(line[0]) > 1}
    losses = {name: line for name, line in drawable.items() if "loss" in name}
    groups = [losses] if losses else []
    groups += [{name: line} for name, line in drawable.items() if name not in losses]
    return [curves(dict(list(group.items())[:_LINES]), clock, _alt(group, clock)) for group in groups[:_PLOTS]]


def rollbacks(history: Sequence[Mapping[str, float]]) -> list[str]:
    """What the monitors did, one sentence for each time."""
    return [
        f"{reason}: training went back to {int(tick['images']):,} images, and on at half the learning rate."
        for tick in history
        for name, reason in _REASONS.items()
        if name in tick and "images" in tick
    ]


def training_pictures(paths: Sequence[Path]) -> list[Drawing]:
    """The first, the middle and the last of the grids that were drawn while training."""
    chosen = sorted({0, len(paths) // 2, len(paths) - 1}) if paths else []
    return [_grid(paths[position]) for position in chosen]


def _grid(path: Path) -> Drawing:
    with Image.open(path) as image:
        width, height = image.size
    uri = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
    alt = f"Drawn after {int(path.stem):,} training images; a row is a class, a column the same latent"
    return Drawing(uri, alt, width, height)


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
