"""A table as categorical codes, and codes as a table of legal values. Source of the method: TABULAR.md, encoding."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from synthgen.datasets import Index, Labels, Schema, Table
from synthgen.errors import ModelError, unknown_name
from synthgen.synthesizers.encoder_columns import BinnedColumn, Column, Floats, LevelColumn, restored_column
from synthgen.synthesizers.encoder_grid import Numbers
from synthgen.synthesizers.table_state import Cells, is_measured, restored_schema, schema_state


@dataclass(frozen=True)
class Encoder:
    """Codes of every modelled column. Holds no row: levels, bin edges and quantiles of single columns only."""

    schema: Schema
    columns: tuple[Column, ...]

    @classmethod
    def fit(cls, table: Table, *, bins: int | None = None) -> "Encoder":
        """Levels and bins of the table; `bins` None: 32, 16 below 10,000 rows, 8 below 1,000."""
        count = bins or (32 if len(table) >= 10_000 else 16 if len(table) >= 1_000 else 8)
        frame, label = table.modelled, table.schema.label
        columns = [_fit_column(frame[name], None if name == label else count) for name in frame.columns]
        return cls(table.schema, tuple(columns))

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
        return np.stack(codes, axis=1) if codes else np.empty((len(table), 0), dtype=np.int64)

    def decode(self, codes: Index, positions: Floats) -> Table:
        """The table of these codes.

        Args:
            codes: int64 [n, columns].
            positions: float64 [n, columns] in [0, 1): where inside its bin each value stands.
        """
        decoded = [column.decode(codes[:, j], positions[:, j]) for j, column in enumerate(self.columns)]
        frame = pd.concat(decoded, axis=1) if decoded else pd.DataFrame(index=pd.RangeIndex(len(codes)))
        return Table(frame, self.schema)

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

    def draw_classes(self, n: int, labels: Labels | None, frequency: Floats, rng: np.random.Generator) -> Index:
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
        columns = [restored_column(fields, _parts(arrays, j)) for j, fields in enumerate(raw["columns"])]
        return cls(restored_schema(raw["schema"]), tuple(columns))


def _fit_column(column: Cells, bins: int | None) -> Column:
    if bins is not None and is_measured(column.dtype):
        return BinnedColumn.fit(column, bins)
    return LevelColumn.fit(column)


def _parts(arrays: Mapping[str, Numbers], position: int) -> dict[str, Numbers]:
    prefix = f"encoder.{position}."
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
