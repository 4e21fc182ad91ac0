"""A table as the ctgan package accepts it, and back: floats without gaps and text, the label first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.datasets import Schema, Table
from synthgen.synthesizers.encoding.columns import LevelColumn, restored_column
from synthgen.synthesizers.encoding.grid import Grid
from synthgen.synthesizers.encoding.table_state import (
    Cells,
    DType,
    dtype_state,
    is_measured,
    restored_dtype,
    restored_schema,
    schema_state,
)

# Not in any column name a person writes.
_MISSING = "\x1fmissing"


@dataclass(frozen=True)
class PlainNumber:
    """A number or date as float ticks; a missing one as the median, flagged in a column of its own.

    Values come back on their raster and inside the training range, as SDV's use of the package does by default.
    """

    name: str
    dtype: DType
    has_missing: bool
    grid: Grid
    low: float
    high: float

    @classmethod
    def fit(cls, column: Cells) -> "PlainNumber":
        present = column.dropna()
        grid = Grid.fit(str(column.name), present)
        ticks = grid.ticks(present)
        low, high = (float(ticks.min()), float(ticks.max())) if len(ticks) else (0.0, 0.0)
        return cls(str(column.name), column.dtype, len(present) < len(column), grid, low, high)

    def plain(self, column: Cells) -> dict[str, Cells]:
        missing = column.isna().to_numpy(dtype=bool)
        ticks = np.zeros(len(column))
        ticks[~missing] = self.grid.ticks(column[~missing])
        ticks[missing] = np.median(ticks[~missing]) if (~missing).any() else 0.0
        flags = {self.name + _MISSING: pd.Series(np.where(missing, "yes", "no"))} if self.has_missing else {}
        return {self.name: pd.Series(ticks), **flags}

    def restored(self, frame: pd.DataFrame) -> Cells:
        ticks = frame[self.name].to_numpy(dtype=np.float64).clip(self.low, self.high)
        whole = ticks if self.grid.decimals is None else np.rint(ticks).astype(np.int64)
        values = self.grid.values(whole, self.dtype).rename(self.name)
        return values.mask(frame[self.name + _MISSING].to_numpy() == "yes") if self.has_missing else values

    def state(self) -> dict[str, Any]:
        dtype, grid = dtype_state(self.dtype), self.grid.state()
        return {**vars(self), "dtype": dtype, "grid": grid}


@dataclass(frozen=True)
class PlainLevels:
    """Categories, booleans and the label as text; missing as a text of its own."""

    column: LevelColumn

    @property
    def name(self) -> str:
        return self.column.name

    def plain(self, column: Cells) -> dict[str, Cells]:
        return {self.name: pd.Series(self.texts()[self.column.encode(column)])}

    def restored(self, frame: pd.DataFrame) -> Cells:
        codes = pd.Index(self.texts()).get_indexer(pd.Index(frame[self.name])).astype(np.int64)
        return self.column.decode(codes, np.zeros(len(codes)))

    def state(self) -> dict[str, Any]:
        return self.column.state()[0]

    def texts(self) -> npt.NDArray[np.object_]:
        """The text of each code; numbered, since two levels may read the same."""
        return np.asarray([f"level {code}" for code in range(self.column.size)], dtype=object)


@dataclass(frozen=True)
class PlainFrame:
    """How each modelled column becomes plain. The label first: the package can condition on the first text only."""

    schema: Schema
    columns: tuple[PlainNumber | PlainLevels, ...]

    @classmethod
    def fit(cls, table: Table) -> "PlainFrame":
        label, frame = table.schema.label, table.modelled
        names = sorted(frame.columns, key=lambda name: name != label)
        columns = [
            PlainNumber.fit(frame[name])
            if name != label and is_measured(frame[name].dtype)
            else PlainLevels(LevelColumn.fit(frame[name]))
            for name in names
        ]
        return cls(table.schema, tuple(columns))

    @property
    def discrete(self) -> list[str]:
        """Names of the text columns of the plain frame."""
        levels = [column.name for column in self.columns if isinstance(column, PlainLevels)]
        flags = [c.name + _MISSING for c in self.columns if isinstance(c, PlainNumber) and c.has_missing]
        return [*levels, *flags]

    def plain(self, table: Table) -> pd.DataFrame:
        """Float64 and text columns without gaps."""
        parts = [column.plain(table.frame[column.name]) for column in self.columns]
        return pd.DataFrame({name: series for part in parts for name, series in part.items()})

    def table(self, frame: pd.DataFrame) -> Table:
        """The table of plain rows, columns in the order of the schema."""
        restored = {column.name: column.restored(frame) for column in self.columns}
        return Table(pd.DataFrame({name: restored[name] for name in self.schema.modelled}), self.schema)

    def class_texts(self) -> dict[str, str]:
        """The text of the label column for each class name."""
        label = self.columns[0]
        assert isinstance(label, PlainLevels)
        codes = np.arange(label.column.size)
        names = label.column.decode(codes, np.zeros(len(codes))).astype(str)
        return dict(zip(names.tolist(), label.texts().tolist(), strict=True))

    def state(self) -> dict[str, Any]:
        """JSON-ready content."""
        return {"schema": schema_state(self.schema), "columns": [column.state() for column in self.columns]}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "PlainFrame":
        """The plain frame whose `state` this is."""
        return cls(restored_schema(state["schema"]), tuple(_restored(fields) for fields in state["columns"]))


def _restored(state: Mapping[str, Any]) -> PlainNumber | PlainLevels:
    if "grid" in state:
        return PlainNumber(**{**state, "dtype": restored_dtype(state["dtype"]), "grid": Grid(**state["grid"])})
    column = restored_column(state, {})
    assert isinstance(column, LevelColumn)
    return PlainLevels(column)
