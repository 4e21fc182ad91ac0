"""Progress of long work, reported as log records that carry a `Tick`."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tick:
    """Where long work stands.

    Attributes:
        done, total: in `unit`; total None when only time limits the work.
        share: of the budget that is used up, in [0, 1].
        rate: units per second since the last tick.
        seconds_left: estimated time to the end of the budget.
        numbers: losses and monitors at this tick.
    """

    stage: str
    unit: str
    done: int
    total: int | None
    share: float
    rate: float
    seconds_left: float
    numbers: Mapping[str, float] = field(default_factory=dict)


def report(tick: Tick) -> None:
    """Log one line per tick; a progress bar listens for the record's `tick` attribute."""
    numbers = " ".join(f"{name}={value:.4g}" for name, value in tick.numbers.items())
    logger.info(
        "%s %s=%d share=%.2f rate=%.1f/s left=%.0fs %s",
        tick.stage, tick.unit, tick.done, tick.share, tick.rate, tick.seconds_left, numbers,
        extra={"tick": tick},
    )  # fmt: skip
