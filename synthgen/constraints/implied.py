"""Values that follow from other values: overwritten where the condition holds, and not learnt there."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthgen.config import ColumnKind, ImpliedConfig, Scalar
from synthgen.constraints.cells import equals, typed
from synthgen.constraints.rule import Facts, Kinds, Mask, dtypes_of


@dataclass(frozen=True)
class Implied:
    """Where the condition holds, a model sees the other columns as they are elsewhere: they carry no information."""

    config: ImpliedConfig

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.config.when, *self.config.then)

    def misfit(self, kinds: Kinds) -> None:
        """Any column will do; whether it has the value is seen in the rows."""
        return

    def learn(self, train: pd.DataFrame) -> Facts:
        """Nothing but the dtypes."""
        return Facts(dtypes_of(train, self.columns))

    def applies(self, frame: pd.DataFrame) -> Mask:
        """bool [n]: rows in which the condition holds."""
        return _have(frame, self.config.when)

    def violations(self, frame: pd.DataFrame, facts: Facts) -> Mask:
        """Rows that meet the condition without its consequence."""
        return self.applies(frame) & ~_have(frame, self.config.then)

    def derived(self, facts: Facts) -> tuple[str, ...]:
        """The consequences."""
        return tuple(self.config.then)

    def inputs(self, facts: Facts) -> tuple[str, ...]:
        """The condition."""
        return tuple(self.config.when)

    def reduced_kinds(self, kinds: Kinds, facts: Facts) -> dict[str, ColumnKind]:
        """No column goes."""
        return dict(kinds)

    def reduce(self, frame: pd.DataFrame, facts: Facts, rng: np.random.Generator) -> pd.DataFrame:
        """The implied cells as in rows drawn from those without the condition, so that a level of their own is gone."""
        rows = np.arange(len(frame))
        applies = self.applies(frame)
        others = np.flatnonzero(~applies)
        if len(others) == 0:
            return frame
        rows[applies] = rng.choice(others, int(applies.sum()))
        return frame.assign(**{name: frame[name].array.take(rows) for name in self.config.then})

    def restore(self, frame: pd.DataFrame, facts: Facts) -> pd.DataFrame:
        """The implied values where the condition holds."""
        applies = self.applies(frame)
        implied = {}
        for name, value in self.config.then.items():
            cells = pd.concat([frame[name], typed([value], facts.dtypes[name])], ignore_index=True).array
            implied[name] = cells.take(np.where(applies, len(frame), np.arange(len(frame))))
        return frame.assign(**implied)


def _have(frame: pd.DataFrame, values: Mapping[str, Scalar]) -> Mask:
    found = np.ones(len(frame), dtype=bool)
    for name, value in values.items():
        found &= equals(frame[name], value)
    return found
