"""Rows with given values in columns that are made from others: drawn until they are near, then set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthgen.datasets import Index, Table
from synthgen.errors import ModelError, name_list
from synthgen.synthesizers.encoding.encoder import value_code
from synthgen.synthesizers.encoding.relations import Relations

# Rounds; and in each of them draws for a missing row, and draws at least.
_ROUNDS, _DRAWS, _MIN_DRAWS = 12, 8, 1_024

# Reduced rows of these classes, int64 [n].
Draw = Callable[[Index], Table]


@dataclass(frozen=True)
class Awaited:
    """Values of columns in relations that every row must have.

    Attributes:
        codes: which bin or level of its column each value lies in: a row that reaches it is near enough to be set.
    """

    relations: Relations
    values: Mapping[str, object]
    codes: Mapping[str, int]

    @classmethod
    def of(cls, relations: Relations, where: Mapping[str, object]) -> "Awaited":
        """Those among the conditions; raises ModelError for a value that training did not have."""
        columns = {one.name: one.column for one in relations.relations if one.name in where}
        codes = {name: value_code(column, where[name]) for name, column in columns.items()}
        return cls(relations, {name: where[name] for name in columns}, codes)

    def rows(self, classes: Index, draw: Draw, rng: np.random.Generator) -> Table:
        """One row for each class, int64 [n]; what is still missing after the last round repeats rows that were found.

        Raises:
            ModelError: no row of a class was found.
        """
        found: dict[int, list[pd.DataFrame]] = {k: [] for k in np.unique(classes).tolist()}
        missing = {k: int((classes == k).sum()) for k in found}
        reduced = draw(classes[:0])
        for _ in range(_ROUNDS):
            pending = [(k, max(_DRAWS * count, _MIN_DRAWS)) for k, count in missing.items() if count > 0]
            for k, count in pending:
                reduced = draw(np.full(count, k, dtype=np.int64))
                near = self._near(self.relations.restored(reduced))[: missing[k]]
                found[k].append(reduced.frame.iloc[near])
                missing[k] -= len(near)
        parts = [pd.DataFrame(reduced.frame.iloc[:0])]
        order = [np.empty(0, dtype=np.int64)]
        for k, frames in found.items():
            places, rows = np.flatnonzero(classes == k), pd.concat(frames, ignore_index=True)
            if len(rows) == 0:
                raise self._unreached()
            picked = np.concatenate([np.arange(len(rows)), rng.integers(0, len(rows), len(places) - len(rows))])
            parts.append(rows.iloc[picked])
            order.append(places)
        frame = pd.concat(parts[1:] or parts, ignore_index=True).iloc[np.argsort(np.concatenate(order))]
        return self.relations.restored(Table(frame.reset_index(drop=True), reduced.schema), self.values)

    def _near(self, table: Table) -> Index:
        """The rows in all bins, the nearest to the values first."""
        near, distance = np.ones(len(table), dtype=bool), np.zeros(len(table))
        for one in self.relations.relations:
            if one.name in self.codes:
                cells = table.frame[one.name]
                near &= one.column.encode(cells) == self.codes[one.name]
                ticks = one.column.read(one.column.constant(self.values[one.name], 1))[0]
                distance += np.abs(one.column.read(cells)[0] - ticks) / max(np.ptp(one.column.limits), 1e-300)
        order = np.argsort(distance, kind="stable")
        return np.asarray(order[near[order]])

    def _unreached(self) -> ModelError:
        return ModelError(
            f"no row with these values of {name_list(self.values)} was found in {_ROUNDS} rounds of drawing",
            where="where", hint="leave out one of the columns, or train on data that has such rows",
        )  # fmt: skip
