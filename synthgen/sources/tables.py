"""A labelled table: which columns are learnt, what each of them is, and which tables are refused."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from synthgen.config import ColumnKind, TableSource
from synthgen.constraints import require_kept
from synthgen.datasets import Ingested, Schema, Table
from synthgen.errors import DataError, Refusals
from synthgen.sources.columns import check_column
from synthgen.sources.frames import Reading, read_rows
from synthgen.sources.header import check_named_columns, usable_names
from synthgen.sources.kinds import convert, infer_kind, plain_dtype
from synthgen.sources.table_problems import table_problems
from synthgen.splitting import standard_parts
from synthgen.stats import named_rng

MIN_ROWS = 10
MAX_CLASSES = 1_000


def read_table(source: TableSource, *, seed: int, split_column: str | None) -> Ingested:
    """The table of a CSV or parquet file; raises DataError with file, column and row of everything that is wrong.

    Of a longer file `source.max_rows` random rows are used; of a group then some rows, not all or none.
    """
    rng, refusals = named_rng(seed, "source/rows"), Refusals()
    reading = Reading(source.delimiter, source.encoding, source.max_rows)
    frame, problems = read_rows(Path(source.path), reading, rng, refusals)
    ingested = _ingested(frame, source, split_column, refusals)
    return Ingested(ingested.data, ingested.parts, [*map(asdict, problems), *ingested.problems])


def ingest_frame(frame: pd.DataFrame, source: TableSource, *, split_column: str | None) -> Ingested:
    """A data frame as labelled table. `source` says the roles of the columns; its path only names the data."""
    refusals = Refusals()
    names = usable_names([str(name) for name in frame.columns], Path(source.path).name, refusals)
    return _ingested(frame.set_axis(names, axis=1).reset_index(drop=True), source, split_column, refusals)


def _ingested(frame: pd.DataFrame, source: TableSource, split_column: str | None, refusals: Refusals) -> Ingested:
    file = Path(source.path).name
    check_named_columns(source, split_column, list(frame.columns), file, refusals)
    parts = None
    if split_column in frame:
        with refusals.kept():
            parts = standard_parts(frame[split_column], f"column {split_column!r} of {file!r}")
    table = _typed_table(frame.drop(columns=[*source.drop, split_column], errors="ignore"), source, refusals)
    refusals.raise_any()
    if not table.schema.features:
        raise DataError(f"{file!r} has no column to learn besides the label", where=file)
    require_kept(table, file)
    return Ingested(table, parts, [asdict(problem) for problem in table_problems(table)])


def _typed_table(frame: pd.DataFrame, source: TableSource, refusals: Refusals) -> Table:
    """The columns that are not refused."""
    file = Path(source.path).name
    columns: dict[str, pd.Series] = {}
    kinds: dict[str, ColumnKind] = {}
    for name in frame.columns:
        with refusals.kept():
            columns[name], kinds[name] = _typed_column(frame[name], source, file)
            if name == source.label:
                columns[name], kinds[name] = typed_label(columns[name], kinds[name], file)
    schema = Schema(kinds, source.label, source.group, source.protected, source.secrets, source.constraints)
    return Table(pd.DataFrame(columns).reset_index(drop=True), schema)


def _typed_column(column: pd.Series, source: TableSource, file: str) -> tuple[pd.Series, ColumnKind]:
    name = str(column.name)
    column = plain_dtype(column, file)
    declared = source.types.get(name)
    if name in source.ids or declared == "id":
        return column, "id"
    if declared == "text":
        message = f"column {name!r} of {file!r} is free text, which cannot be synthesised"
        raise DataError(message, where=f"source.types.{name}", hint=f"name {name!r} under drop")
    if declared is not None:
        column = convert(column, declared, file)
    kind = declared or infer_kind(column)
    if name not in (source.label, source.group):
        check_column(column, kind, declared=declared is not None, file=file)
    return column, kind


def typed_label(column: pd.Series, kind: ColumnKind, file: str) -> tuple[pd.Series, ColumnKind]:
    """The label with its own dtype, as categorical or boolean; raises DataError when it does not name classes."""
    missing, where = int(column.isna().sum()), "source.label"
    named = f"label column {column.name!r} of {file!r}"
    if len(column) < MIN_ROWS:
        raise DataError(f"{file!r} has {len(column)} rows, at least {MIN_ROWS} are needed", where=file)
    if missing:
        message = f"{named} is missing in {missing:,} of {len(column):,} rows"
        raise DataError(message, where=where, hint="remove these rows, or give them a class")
    classes = column.nunique()
    if classes == 1:
        raise DataError(f"{named} has one class only, at least two are needed", where=where)
    if kind in ("id", "datetime") or classes > min(MAX_CLASSES, len(column) // 2) or _is_measured(column, classes):
        message = (
            f"{named} has {classes:,} different values of kind {kind} in {len(column):,} rows: it does not name classes"
        )
        raise DataError(message, where=where, hint="choose a column that says the class of each row")
    return column, "boolean" if kind == "boolean" else "categorical"


def _is_measured(column: pd.Series, classes: int) -> bool:
    return pd.api.types.is_float_dtype(column.dtype) and classes > 20 and bool(np.any(column % 1 != 0))
