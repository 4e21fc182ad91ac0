"""A column of categories as codes: a level each, with the rare ones under one code; and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from synthgen.datasets import Index
from synthgen.errors import DataError
from synthgen.stats import FloatArray
from synthgen.synthesizers.codes import Arrays, Mask
from synthgen.synthesizers.encoding.table_state import Cells, DType, Json, dtype_state, to_json, typed_series

# A model cannot learn more levels than this, and its tables would not fit.
_MAX_OWN_LEVELS = 1_000
# In a column with more levels than this, one of so few rows is no category but nearly a record of its own: what goes
# with it would be what goes with these people. Under the shared code only its frequency is learned.
_MANY_LEVELS, _MIN_ROWS = 50, 3


@dataclass(frozen=True)
class LevelColumn:
    """Categories, booleans, the label. Codes: own levels in sorted order, the rare ones together, missing.

    Attributes:
        values: the levels with a code of their own.
        rare: the levels that share a code, drawn inside it by their frequency.
        rare_rows: int64 [len(rare)], training rows of each.
    """

    name: str
    dtype: DType
    values: tuple[Json, ...]
    has_missing: bool
    rare: tuple[Json, ...]
    rare_rows: Index

    @classmethod
    def fit(cls, column: Cells, *, fold: bool = False) -> "LevelColumn":
        """Levels in sorted order, so that they do not depend on the order of the rows; `fold` allows rare ones."""
        counts = column.value_counts()
        counted = [(to_json(value), int(rows)) for value, rows in counts[counts > 0].items()]
        counted.sort(key=lambda pair: (type(pair[0]).__name__, pair[0]))
        rows = np.asarray([count for _, count in counted], dtype=np.int64)
        is_rare = _rare(rows) if fold else np.zeros(len(rows), dtype=bool)
        values = tuple(value for (value, _), folded in zip(counted, is_rare, strict=True) if not folded)
        rare = tuple(value for (value, _), folded in zip(counted, is_rare, strict=True) if folded)
        return cls(str(column.name), column.dtype, values, bool(column.isna().any()), rare, rows[is_rare])

    @property
    def size(self) -> int:
        return len(self.values) + bool(self.rare) + self.has_missing

    @cached_property
    def _levels(self) -> Cells:
        return typed_series([*self.values, *self.rare], self.dtype)

    @cached_property
    def _level_index(self) -> "pd.Index[Any]":
        index: pd.Index[Any] = pd.Index(self._levels.astype(object))
        return index

    def _places(self, column: Cells) -> Index:
        """int64 [n]: place among own and rare levels; -1 for missing and unknown."""
        return np.asarray(self._level_index.get_indexer(pd.Index(column.astype(object))), dtype=np.int64)

    def encode(self, column: Cells) -> Index:
        """int64 [n]; raises DataError for a value that training did not have."""
        places = self._places(column)
        codes = np.minimum(places, len(self.values))
        missing = column.isna().to_numpy(dtype=bool) & self.has_missing
        refuse_unknown(self.name, int(((places < 0) & ~missing).sum()))
        return np.where(missing, self.size - 1, codes)

    def knows(self, column: Cells) -> Mask:
        """bool [n]: whether `encode` takes the value."""
        return np.asarray((self._places(column) >= 0) | (column.isna().to_numpy(dtype=bool) & self.has_missing))

    def constant(self, value: object, n: int) -> Cells:
        """n times the level that equals the value, or reads like it; raises DataError when there is none."""
        if pd.Series([value], dtype=object).isna().any():
            refuse_unknown(self.name, int(not self.has_missing))
            return self._cells(np.full(n, -1))
        same = [i for i, level in enumerate(self._level_index) if level == value or str(level) == str(value)]
        refuse_unknown(self.name, int(not same))
        return self._cells(np.full(n, same[0]))

    def positions(self, column: Cells, codes: Index, rng: np.random.Generator) -> FloatArray:
        """float64 [n]: anywhere. A level has no inside, and of a rare one nothing but its frequency is learned."""
        return rng.random(len(codes))

    def ranks(self) -> None:
        """Levels have no order."""
        return

    def decode(self, codes: Index, positions: FloatArray) -> Cells:
        """The values of these levels; `positions` in [0, 1) matter for the rare ones alone."""
        places = np.where(codes < len(self.values), codes, -1)
        if self.rare:
            is_rare = codes == len(self.values)
            share = np.cumsum(self.rare_rows) / self.rare_rows.sum()
            inside = np.searchsorted(share[:-1], positions[is_rare], side="right")
            places[is_rare] = len(self.values) + inside
        return self._cells(places)

    def _cells(self, places: Index) -> Cells:
        cells = self._levels.reindex(places).reset_index(drop=True)
        if cells.dtype == object:
            # None is what parquet reads back; a NaN among text would be a number.
            cells = cells.where(places >= 0, None)
        return cells.astype(self.dtype).rename(self.name)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """JSON-ready content and arrays."""
        levels = {"levels": list(self.values), "rare": list(self.rare)}
        fields = {"name": self.name, "dtype": dtype_state(self.dtype), "has_missing": self.has_missing}
        return {**fields, **levels}, {"rare_rows": self.rare_rows}

    @classmethod
    def restore(cls, state: Mapping[str, Any], dtype: DType, arrays: Arrays) -> "LevelColumn":
        """The column whose `state` this is; the arrays may be left away when no level is rare."""
        rare_rows = arrays.get("rare_rows", np.empty(0, dtype=np.int64))
        return cls(state["name"], dtype, tuple(state["levels"]), state["has_missing"], tuple(state["rare"]), rare_rows)


def _rare(rows: Index) -> Mask:
    """bool [levels]: which levels share a code; one alone keeps its own."""
    is_rare = rows < (_MIN_ROWS if len(rows) > _MANY_LEVELS else 0)
    is_rare[np.argsort(-rows, kind="stable")[_MAX_OWN_LEVELS:]] = True
    return is_rare if is_rare.sum() > 1 else np.zeros(len(rows), dtype=bool)


def refuse_unknown(name: str, count: int) -> None:
    """Raise DataError when values that training did not have were counted."""
    if count:
        raise DataError(f"column {name!r} has {count} values that the training rows do not have", where=name)
