"""A labelled table: which columns are learnt, what each of them is, and which tables are refused."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from synthgen.config import ColumnKind, TableSource
from synthgen.constraints import require_kept
from synthgen.datasets import Ingested, Schema, Table
from synthgen.errors import DataError
from synthgen.sources.columns import check_column
from synthgen.sources.frames import read_frame_with_problems
from synthgen.sources.header import check_named_columns, check_names
from synthgen.sources.kinds import convert, infer_kind, plain_dtype
from synthgen.sources.table_problems import table_problems
from synthgen.splitting import standard_parts
from synthgen.stats import named_rng

MIN_ROWS = 10
MAX_CLASSES = 1_000


def read_table(source: TableSource, *, seed: int, split_column: str | None) -> Ingested:
    """The table of a CSV or parquet file; raises DataError with file, column and row of what is wrong.

    Of a longer file `source.max_rows` random rows are used; of a group then some rows, not all or none.
    """
    rng = named_rng(seed, "source/rows")
    frame, problems = read_frame_with_problems(
        Path(source.path), delimiter=source.delimiter, encoding=source.encoding, max_rows=source.max_rows, rng=rng
    )
    ingested = ingest_frame(frame, source, split_column=split_column)
    return Ingested(ingested.data, ingested.parts, [*map(asdict, problems), *ingested.problems])


def ingest_frame(frame: pd.DataFrame, source: TableSource, *, split_column: str | None) -> Ingested:
    """A data frame as labelled table. `source` says the roles of the columns; its path only names the data."""
    file = Path(source.path).name
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1).reset_index(drop=True)
    check_names(list(frame.columns), file)
    check_named_columns(source, split_column, list(frame.columns), file)
    parts = (
        None if split_column is None else standard_parts(frame[split_column], f"column {split_column!r} of {file!r}")
    )
    unused = {*source.drop, *([split_column] if split_column else [])}
    columns: dict[str, pd.Series] = {}
    kinds: dict[str, ColumnKind] = {}
    for name in frame.columns:
        if name not in unused:
            columns[name], kinds[name] = _typed_column(frame[name], source, file)
    columns[source.label], kinds[source.label] = _typed_label(columns[source.label], kinds[source.label], file)
    schema = Schema(kinds, source.label, source.group, source.protected, source.secrets, source.constraints)
    table = Table(pd.DataFrame(columns), schema)
    if not schema.features:
        raise DataError(f"{file!r} has no column to learn besides the label", where=file)
    require_kept(table, file)
    return Ingested(table, parts, [asdict(problem) for problem in table_problems(table)])


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


def _typed_label(column: pd.Series, kind: ColumnKind, file: str) -> tuple[pd.Series, ColumnKind]:
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
