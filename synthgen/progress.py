"""Progress of long work, reported as log records that carry a `Tick`."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")

_EVERY_S = 1.0
# Stage and step of the work that `counted` counts.
_WITHIN: ContextVar[tuple[str, str] | None] = ContextVar("within", default=None)


@dataclass(frozen=True)
class Tick:
    """Where long work stands.

    Attributes:
        done, total: in `unit`; total None when only time limits the work.
        share: of the budget that is used up, in [0, 1].
        rate: units per second since the last tick.
        seconds_left: estimated time to the end of the budget.
        numbers: losses and monitors at this tick.
        step: of the stage, such as a metric; then the other fields speak of this step alone.
    """

    stage: str
    unit: str
    done: int
    total: int | None
    share: float
    rate: float
    seconds_left: float
    numbers: Mapping[str, float] = field(default_factory=dict)
    step: str = ""


def report(tick: Tick) -> None:
    """Log one line per tick; a progress bar listens for the record's `tick` attribute."""
    numbers = " ".join(f"{name}={value:.4g}" for name, value in tick.numbers.items())
    logger.info(
        "%s %s=%d share=%.2f rate=%.1f/s left=%.0fs %s",
        tick.stage, tick.unit, tick.done, tick.share, tick.rate, tick.seconds_left, numbers,
        extra={"tick": tick},
    )  # fmt: skip


@contextmanager
def within(stage: str, step: str) -> Iterator[None]:
    """Say that this step of the stage begins; what is `counted` inside the block is counted for it."""
    logger.info("%s step=%s", stage, step, extra={"stage": stage, "state": "running", "step": step})
    before = _WITHIN.set((stage, step))
    try:
        yield
    finally:
        _WITHIN.reset(before)


def counted(results: Iterable[T], unit: str, total: int) -> Iterator[T]:
    """The results as they come, with a tick after one, a second apart; none outside of `within`."""
    of = _WITHIN.get()
    started = told = time.monotonic()
    for done, result in enumerate(results, start=1):
        if of is not None and (now := time.monotonic()) >= told + _EVERY_S:
            told, rate = now, done / (now - started)
            report(Tick(of[0], unit, done, total, done / total, rate, (total - done) / rate, step=of[1]))
        yield result
