"""Rows that are drawn until none of them breaks a constraint: exact quotas in a bounded number of rounds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from synthgen.config import Scalar
from synthgen.constraints import Mask, describe
from synthgen.constraints.cells import equals
from synthgen.datasets import Index, Labels, Table
from synthgen.errors import ModelError, name_list
from synthgen.synthesizers.constrained.derived_columns import DerivedColumns

# Rounds; and in each of them draws for a missing row, draws in all, and draws in all at least.
MAX_ROUNDS, _MOST_PER_ROW, _MOST_ROWS, _FEWEST_ROWS = 30, 64, 200_000, 256

# Rows with these labels, and which of them are legal in their derived columns.
Draw = Callable[[Labels], tuple[Table, Mask]]


@dataclass
class Pool:
    """Accepted rows, and which label each of them answers.

    Attributes:
        awaited: values that every row must have.
        wanted: str [n], the labels.
        kept: the accepted rows.
        slots: int64 [n], for each label the position of its row among `kept`, -1 while it is missing.
        asked: rows that were drawn so far.
        broken_share: of the rows drawn last, how many break each constraint, float64 [constraints].
    """

    derived: DerivedColumns
    awaited: Mapping[str, Scalar]
    wanted: Labels
    kept: Table
    slots: Index
    asked: int = 0
    broken_share: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, derived: DerivedColumns, awaited: Mapping[str, Scalar], wanted: Labels, like: Table) -> "Pool":
        """An empty pool for rows like these."""
        return cls(derived, awaited, wanted, like.take(np.empty(0, dtype=np.int64)), np.full(len(wanted), -1))

    def fill(self, draw: Draw) -> Table:
        """One row for each label, in their order; raises ModelError when some are still missing after MAX_ROUNDS."""
        for _ in range(MAX_ROUNDS):
            pending = np.flatnonzero(self.slots < 0)
            if len(pending) == 0:
                break
            self.add(*draw(np.tile(self.wanted[pending], self._repeats(len(pending)))))
        if (self.slots < 0).any():
            raise self._unfilled()
        return self.kept.take(self.slots)

    def add(self, drawn: Table, legal: Mask) -> None:
        """Accept rows that break no constraint, also beside those that are kept, as far as they are wanted."""
        before = len(self.kept)
        broken = self.derived.broken(pd.concat([self.kept.frame, drawn.frame], ignore_index=True))[before:]
        good = legal & ~broken.any(axis=1)
        for name, value in self.awaited.items():
            good &= equals(drawn.frame[name], value)
        taken = self._answer(np.flatnonzero(good), drawn.labels)
        self.kept = Table(pd.concat([self.kept.frame, drawn.frame.iloc[taken]], ignore_index=True), drawn.schema)
        self.asked += len(drawn)
        self.broken_share = broken.mean(axis=0).tolist() if len(broken) else []

    def _answer(self, good: Index, labels: Labels) -> Index:
        """The rows among `good` that are used; `slots` then point to them behind those that are kept."""
        used: list[Index] = []
        end = len(self.kept)
        for name in np.unique(labels[good]):
            places, rows = np.flatnonzero((self.slots < 0) & (self.wanted == name)), good[labels[good] == name]
            count = min(len(places), len(rows))
            self.slots[places[:count]] = np.arange(end, end + count)
            used.append(rows[:count])
            end += count
        return np.concatenate(used) if used else np.empty(0, dtype=np.int64)

    def _repeats(self, pending: int) -> int:
        """Draws for each missing row: as many as the share of accepted rows lets expect, within the limits."""
        expected = int(np.clip(np.ceil(1.5 * self.asked / max(len(self.kept), 1)), 1, _MOST_PER_ROW))
        return max(1, min(max(expected, -(-_FEWEST_ROWS // pending)), _MOST_ROWS // pending))

    def _unfilled(self) -> ModelError:
        missing = int((self.slots < 0).sum())
        message = f"{missing:,} of {len(self.slots):,} rows are missing after {MAX_ROUNDS} rounds of drawing"
        worst = int(np.argmax(self.broken_share))
        share = self.broken_share[worst]
        if self.awaited and share < 0.9:
            message = f"{message}: rows with these values of {name_list(self.awaited)} are too rare"
            hint = "a constraint makes these columns, so rows are drawn until they fit"
            return ModelError(message, where="where", hint=hint)
        if share == 0:
            message = (
                f"{message}: values of {name_list(self.derived.bounds)} lie outside the range of the training rows"
            )
            return ModelError(message, where="source.constraints", hint="leave out the constraint that makes them")
        name = describe(self.derived.schema.constraints[worst])
        message = f"{message}: {share:.0%} of the rows drawn last break constraint {name}"
        return ModelError(message, where="source.constraints", hint="ask for fewer rows, or leave the constraint out")
