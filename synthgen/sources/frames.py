"""A table file as a data frame: CSV (plain or gzipped) or parquet, told apart by their first bytes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from synthgen.errors import DataError, nearest_name
from synthgen.findings import Problem
from synthgen.sources.batches import batch_rows, take_at_most
from synthgen.sources.delimited import Delimited, parsed
from synthgen.sources.header import check_names

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
    """As `read_frame`, at most `max_rows` of the rows, with what a person should know about the reading.

    The file is read in batches: memory holds the chosen rows and two batches.
    """
    magic = first_bytes(path)
    if not magic:
        raise DataError(f"{path.name!r} is empty", where=str(path))
    if magic.startswith(b"PAR1") or path.suffix == ".parquet":
        frame, seen = _read_parquet(path, max_rows, rng)
        return frame, _sampling_problems(path, len(frame), seen)
    if magic.startswith(FOREIGN_MAGIC):
        raise DataError(f"{path.name!r} is neither CSV nor parquet", where=str(path), hint="save it as one of them")
    file = Delimited.of(path, delimiter=delimiter, encoding=encoding)
    batches, seen = take_at_most(file.batches(), max_rows, rng)
    frame = parsed(pa.Table.from_batches(batches))
    problems = _sampling_problems(path, len(frame), seen)
    if encoding is None and not file.codec.startswith("utf"):
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


def _read_parquet(path: Path, max_rows: int | None, rng: np.random.Generator) -> tuple[pd.DataFrame, int]:
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            check_names(schema.names, path.name)
            batches = file.iter_batches(batch_size=batch_rows(len(schema.names)))
            kept, seen = take_at_most(batches, max_rows, rng)
        frame = pa.Table.from_batches(kept, schema=schema).to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else "unknown reason"
        message = f"{path.name!r} is not a whole parquet file: {reason}"
        raise DataError(message, where=str(path), hint="it may have been cut while it was copied") from None
    # A named index is a column that pandas put aside; an unnamed one only numbers the rows.
    named = any(name is not None for name in frame.index.names)
    frame = frame.reset_index(drop=not named)
    frame.attrs = {}
    if frame.empty:
        raise DataError(f"{path.name!r} has columns but no rows", where=str(path))
    return frame, seen
