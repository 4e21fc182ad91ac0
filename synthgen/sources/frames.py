"""A table file as a data frame: CSV (plain or gzipped) or parquet, told apart by their first bytes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from synthgen.errors import DataError, Refusals, nearest_name
from synthgen.findings import Problem
from synthgen.sources.batches import ROW, batch_rows, take_at_most
from synthgen.sources.delimited import Delimited, parsed
from synthgen.sources.header import usable_names

# First bytes of files that are neither: zip (Excel), pickle, HDF5, SQLite.
FOREIGN_MAGIC = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"\x89HDF", b"SQLi")


def read_frame(path: Path, *, delimiter: str | None = None, encoding: str | None = None) -> pd.DataFrame:
    """All rows of a CSV or parquet file, with a RangeIndex and natural dtypes; missing values stay missing.

    Raises:
        DataError: the file is absent, broken, empty, or no table.
    """
    rng = np.random.default_rng(0)
    return read_frame_with_problems(path, delimiter=delimiter, encoding=encoding, max_rows=None, rng=rng)[0]


def read_frame_with_problems(
    path: Path, *, delimiter: str | None, encoding: str | None, max_rows: int | None, rng: np.random.Generator
) -> tuple[pd.DataFrame, Sequence[Problem]]:
    """As `read_frame`, at most `max_rows` of the rows, with what a person should know about the reading."""
    refusals = Refusals()
    frame, problems = read_rows(path, Reading(delimiter, encoding, max_rows), rng, refusals)
    refusals.raise_any()
    return frame.reset_index(drop=True), problems


@dataclass(frozen=True)
class Reading:
    """How a file is read; what is None is found, and no `max_rows` takes all rows."""

    delimiter: str | None
    encoding: str | None
    max_rows: int | None


def read_rows(
    path: Path, reading: Reading, rng: np.random.Generator, refusals: Refusals
) -> tuple[pd.DataFrame, Sequence[Problem]]:
    """The rows that can be read, with their number in the file from 0 as index; what is wrong with others is kept.

    The file is read in batches: memory holds the chosen rows and two batches.

    Raises:
        DataError: nothing can be read.
    """
    magic = first_bytes(path)
    if not magic:
        raise DataError(f"{path.name!r} is empty", where=str(path))
    if magic.startswith(b"PAR1") or path.suffix == ".parquet":
        return _read_parquet(path, reading.max_rows, rng, refusals)
    if magic.startswith(FOREIGN_MAGIC):
        raise DataError(f"{path.name!r} is neither CSV nor parquet", where=str(path), hint="save it as one of them")
    file = Delimited.of(path, delimiter=reading.delimiter, encoding=reading.encoding, refusals=refusals)
    batches, seen = take_at_most(file.batches(refusals), reading.max_rows, rng)
    table = pa.Table.from_batches(batches)
    frame = parsed(table.drop_columns([ROW])).set_index(table[ROW].to_numpy())
    problems = _sampling_problems(path, len(frame), seen)
    if reading.encoding is None and not file.codec.startswith("utf"):
        message = f"{path.name!r} is not UTF-8; it was read as {file.codec}"
        problems.append(Problem("encoding", message, hint="check accented letters, or set source.encoding"))
    return frame, problems


def _sampling_problems(path: Path, used: int, seen: int) -> list[Problem]:
    if used == seen:
        return []
    message = f"{path.name!r} has {seen:,} rows; a random {used:,} of them are used"
    return [Problem("sampled_rows", message, hint="raise source.max_rows for more; memory grows with it")]


def first_bytes(path: Path, *, count: int = 8) -> bytes:
    """The first bytes of a file; raises DataError when there is no such file."""
    if path.is_dir():
        raise DataError(f"{str(path)!r} is a folder, a file is needed", where=str(path))
    try:
        with path.open("rb") as file:
            return file.read(count)
    except FileNotFoundError:
        siblings = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        guess = nearest_name(path.name, siblings)
        suffix = f"; did you mean {guess!r}?" if guess else ""
        raise DataError(f"{str(path)!r} does not exist{suffix}", where="source.path") from None
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror}", where=str(path)) from None


def _read_parquet(
    path: Path, max_rows: int | None, rng: np.random.Generator, refusals: Refusals
) -> tuple[pd.DataFrame, Sequence[Problem]]:
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            names = usable_names(schema.names, path.name, refusals)
            batches = file.iter_batches(batch_size=batch_rows(len(names)))
            kept, seen = take_at_most(_numbered(batches), max_rows, rng)
        numbers = [batch.column(len(names)).to_numpy() for batch in kept]
        rows = [pa.RecordBatch.from_arrays(batch.columns[:-1], schema=schema) for batch in kept]
        table = pa.Table.from_batches(rows, schema=schema)
        # Renaming loses what pandas wrote beside the columns, such as nullable types.
        frame = (table if names == schema.names else table.rename_columns(names)).to_pandas()
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else "unknown reason"
        message = f"{path.name!r} is not a whole parquet file: {reason}"
        raise DataError(message, where=str(path), hint="it may have been cut while it was copied") from None
    # A named index is a column that pandas put aside; an unnamed one only numbers the rows.
    named = any(name is not None for name in frame.index.names)
    frame = frame.reset_index(drop=not named)
    frame.attrs = {}
    if frame.empty:
        raise DataError(f"{path.name!r} has columns but no rows", where=str(path))
    return frame.set_index(np.concatenate(numbers)), _sampling_problems(path, len(frame), seen)


def _numbered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    seen = 0
    for batch in batches:
        numbers = pa.array(np.arange(seen, seen + len(batch)))
        seen += len(batch)
        yield pa.RecordBatch.from_arrays([*batch.columns, numbers], names=[*batch.schema.names, ROW])
