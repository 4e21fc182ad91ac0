"""How long a training lasts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """When training ends: after `steps`, and at the latest after `seconds`.

    Attributes:
        is_reproducible: the schedule follows the steps alone; else the clock too, lest its end be cut off.
    """

    steps: int
    seconds: float
    is_reproducible: bool

    def share(self, step: int, seconds: float) -> float:
        """Of the schedule that is behind us, in [0, 1]."""
        return min(1.0, step / self.steps) if self.is_reproducible else self.used(step, seconds)

    def used(self, step: int, seconds: float) -> float:
        """Share of the budget that is used up, in [0, 1]; training ends at 1."""
        return min(1.0, max(step / self.steps, seconds / self.seconds))
