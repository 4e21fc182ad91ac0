"""A table as categorical codes, and codes as a table of legal values. Source of the method: TABULAR.md, encoding."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from synthgen.datasets import Index, Labels, Schema, Table
from synthgen.errors import DataError, ModelError, Refusals, unknown_name
from synthgen.stats import FloatArray
from synthgen.synthesizers.codes import Layout
from synthgen.synthesizers.encoding.columns import BinnedColumn, Column, LevelColumn, restored_column
from synthgen.synthesizers.encoding.grid import Grid, Numbers
from synthgen.synthesizers.encoding.table_state import Cells, is_measured, restored_schema, schema_state
from synthgen.synthesizers.encoding.ties import decode_ties, encode_ties, with_ties
from synthgen.synthesizers.model_files import below


@dataclass(frozen=True)
class Encoder:
    """Codes of every modelled column. Holds no row: levels, bin edges and quantiles of single columns only."""

    schema: Schema
    columns: tuple[Column, ...]

    @classmethod
    def fit(cls, table: Table, *, bins: int | None = None, ties: bool = True) -> "Encoder":
        """Levels, bins and ties of the table.

        Args:
            bins: of each measured column; None: 32, 16 below 10,000 rows, 8 below 1,000.
            ties: whether a column may have codes that mean "equal to that column": not where columns must stay
                independent of one another.
        """
        count = bins or default_bins(len(table))
        frame, label = table.modelled, table.schema.label
        columns = [_fit_column(frame[name], None if name == label else count) for name in frame.columns]
        return cls(table.schema, tuple(with_ties(columns, frame, count) if ties else columns))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each column."""
        return tuple(column.size for column in self.columns)

    @property
    def label_position(self) -> int | None:
        """Which column is the label."""
        names = [column.name for column in self.columns]
        return None if self.schema.label is None else names.index(self.schema.label)

    @cached_property
    def classes(self) -> Labels:
        """str [k]: the class name of each label code; one empty name when there is no label."""
        if self.label_position is None:
            return np.asarray([""], dtype=np.str_)
        column = self.columns[self.label_position]
        codes = np.arange(column.size)
        return column.decode(codes, np.zeros(len(codes))).astype(str).to_numpy(dtype=np.str_)

    def encode(self, table: Table) -> Index:
        """int64 [n, columns]; raises DataError for a level that the fitted table did not have."""
        codes = [column.encode(table.frame[column.name]) for column in self.columns]
        if not codes:
            return np.empty((len(table), 0), dtype=np.int64)
        return encode_ties(self.columns, table.frame, np.stack(codes, axis=1))

    def known(self, table: Table) -> Table:
        """The rows without a level that the fitted table did not have."""
        known = np.ones(len(table), dtype=bool)
        for column in self.columns:
            known &= column.knows(table.frame[column.name])
        return table.take(np.flatnonzero(known))

    def decode(self, codes: Index, positions: FloatArray, *, fixed: Mapping[str, object] | None = None) -> Table:
        """The table of these codes.

        Args:
            codes: int64 [n, columns].
            positions: float64 [n, columns] in [0, 1): where inside its bin each value stands.
            fixed: the value of all rows of a column, whatever its codes; ties to the column follow it.
        """
        decoded: dict[str, Cells] = {}
        for j, column in enumerate(self.columns):
            if fixed and column.name in fixed:
                decoded[column.name] = column.constant(fixed[column.name], len(codes))
                continue
            cells = column.decode(codes[:, j], positions[:, j])
            if isinstance(column, BinnedColumn) and column.ties:
                cells = decode_ties(column, codes[:, j], cells, self.columns, decoded)
            decoded[column.name] = cells
        frame = pd.DataFrame(decoded) if decoded else pd.DataFrame(index=pd.RangeIndex(len(codes)))
        return Table(frame, self.schema)

    def joined(self, parts: Sequence[Table]) -> Table:
        """The rows of all parts, in the dtypes of the fitted table."""
        if len(parts) == 1:
            return parts[0]
        frame = pd.concat([part.frame for part in parts], ignore_index=True)
        return Table(frame, self.schema)

    def value_codes(self, where: Mapping[str, object]) -> dict[str, int]:
        """The code of each value; raises ModelError for a column or value that training did not have."""
        columns = {column.name: column for column in self.columns}
        codes = {}
        for name, value in where.items():
            if name not in columns:
                raise ModelError(unknown_name("column", name, columns), where="where")
            codes[name] = value_code(columns[name], value)
        return codes

    @cached_property
    def layout(self) -> Layout:
        """The columns of the codes, without the label."""
        features = [column for j, column in enumerate(self.columns) if j != self.label_position]
        return Layout(
            names=tuple(column.name for column in features),
            sizes=tuple(column.size for column in features),
            ranks=tuple(column.ranks() for column in features),
            class_count=len(self.classes),
        )

    def label_codes(self, labels: Labels) -> Index:
        """int64 [n]: the label code of each class name; raises ModelError for a class that training did not have."""
        codes = pd.Index(self.classes).get_indexer(pd.Index(labels))
        if (codes < 0).any():
            unknown = str(labels[int(np.argmax(codes < 0))])
            raise ModelError(unknown_name("class", unknown, self.classes.tolist()))
        return np.asarray(codes, dtype=np.int64)

    def class_codes(self, codes: Index) -> Index:
        """int64 [n]: the label code of each encoded row, 0 when there is no label."""
        position = self.label_position
        return np.zeros(len(codes), dtype=np.int64) if position is None else codes[:, position]

    @property
    def feature_sizes(self) -> tuple[int, ...]:
        """Number of codes of each column but the label."""
        return tuple(size for j, size in enumerate(self.sizes) if j != self.label_position)

    def features(self, codes: Index) -> Index:
        """The codes without those of the label."""
        position = self.label_position
        return codes if position is None else np.delete(codes, position, axis=1)

    def with_label(self, features: Index, classes: Index) -> Index:
        """The codes of all columns: the inverse of `features` and `class_codes`."""
        position = self.label_position
        return features if position is None else np.insert(features, position, classes, axis=1)

    def draw_classes(self, n: int, labels: Labels | None, frequency: FloatArray, rng: np.random.Generator) -> Index:
        """int64 [n]: the codes of `labels`, or for None codes drawn by `frequency` float64 [k]."""
        if labels is None:
            return rng.choice(len(frequency), n, p=frequency).astype(np.int64)
        return self.label_codes(labels)

    def state(self) -> tuple[str, dict[str, Numbers]]:
        """JSON text and arrays for a safetensors file."""
        states = [column.state() for column in self.columns]
        text = json.dumps({"schema": schema_state(self.schema), "columns": [fields for fields, _ in states]})
        arrays = {f"encoder.{j}.{part}": array for j, (_, parts) in enumerate(states) for part, array in parts.items()}
        return text, arrays

    @classmethod
    def restore(cls, text: str, arrays: Mapping[str, Numbers]) -> "Encoder":
        """The encoder whose `state` this is; further arrays are ignored."""
        raw: dict[str, Any] = json.loads(text)
        columns = [restored_column(fields, below(f"encoder.{j}.", arrays)) for j, fields in enumerate(raw["columns"])]
        return cls(restored_schema(raw["schema"]), tuple(columns))


def value_code(column: Column, value: object) -> int:
    """The code of the value; raises ModelError for one that training did not have."""
    try:
        return int(column.encode(column.constant(value, 1))[0])
    except (DataError, ValueError, TypeError, OverflowError):
        raise ModelError(f"column {column.name!r} has no value {value!r} in the training rows", where="where") from None


def default_bins(rows: int) -> int:
    """Bins of a measured column of a table with so many rows."""
    return 32 if rows >= 10_000 else 16 if rows >= 1_000 else 8


def require_rasters(table: Table) -> None:
    """Raise DataError, of all columns at once, where measured values lie too far apart for any code."""
    frame, refusals = table.modelled, Refusals()
    for name in frame.columns:
        if name != table.schema.label and is_measured(frame[name].dtype):
            with refusals.kept():
                Grid.fit(str(name), frame[name].dropna())
    refusals.raise_any()


def _fit_column(column: Cells, bins: int | None) -> Column:
    if bins is not None and is_measured(column.dtype):
        return BinnedColumn.fit(column, bins)
    # Every class of the label keeps its own code: it is asked for by name.
    return LevelColumn.fit(column, fold=bins is not None)
