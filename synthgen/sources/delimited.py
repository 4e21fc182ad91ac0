"""CSV files, read in batches: delimiter and structure. Errors name the line, never a cell."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import numpy as np
import pandas as pd
import pyarrow as pa

from synthgen.errors import DataError
from synthgen.sources.batches import batch_rows
from synthgen.sources.encodings import find_encoding, opened
from synthgen.sources.header import check_names
from synthgen.sources.kinds import parse_text

if TYPE_CHECKING:
    import _csv

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_HEAD_CHARS = 200_000
# What stands for a missing value, as for pandas.read_csv.
_MISSING = frozenset({
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
})  # fmt: skip


@dataclass(frozen=True)
class Delimited:
    """A CSV file that reads as text with this codec and is cut at this delimiter."""

    path: Path
    codec: str
    delimiter: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, *, delimiter: str | None, encoding: str | None) -> "Delimited":
        """The file with what was not given found; raises DataError for no text, no columns, repeated or blank names."""
        codec = find_encoding(path, encoding)
        with opened(path, codec) as text:
            head = text.read(_HEAD_CHARS)
        if not head.strip():
            raise DataError(f"{path.name!r} is empty", where=str(path))
        separator = delimiter or _sniff_delimiter(head)
        if len(separator) != 1:
            raise DataError(f"delimiter {separator!r} is not one character", where="source.delimiter")
        with opened(path, codec) as text:
            _, names = next(_numbered(text, separator, path))
        check_names(names, path.name)
        if len(names) == 1:
            raise _one_column(head, separator, path)
        return cls(path, codec, separator, tuple(names))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows as text; raises DataError for no rows, a ragged row, an open quote."""
        with opened(self.path, self.codec) as text:
            reader = _reader(text, self.delimiter)
            next(row for row in reader if row)
            found = False
            while rows := self._next_rows(reader):
                found = True
                columns = [pa.array(column, pa.large_string()) for column in zip(*rows, strict=True)]
                yield pa.RecordBatch.from_arrays(columns, names=list(self.names))
        if not found:
            raise DataError(f"{self.path.name!r} has a header but no rows", where=str(self.path))

    def _next_rows(self, reader: Iterator[list[str]]) -> list[list[str]]:
        """Some rows, none at the end. Line numbers cost time: they are counted only when there is a flaw."""
        try:
            while records := list(islice(reader, batch_rows(len(self.names)))):
                if set(map(len, records)) - {0, len(self.names)}:
                    self._raise_flaw()
                if rows := [record for record in records if record]:
                    return rows
        except csv.Error:
            self._raise_flaw()
        return []

    def _raise_flaw(self) -> NoReturn:
        with opened(self.path, self.codec) as text:
            for line, record in _numbered(text, self.delimiter, self.path):
                if len(record) != len(self.names):
                    count = f"{len(record)} fields, the header has {len(self.names)}"
                    where, hint = f"{self.path}:{line}", "look for a delimiter or quote inside a text"
                    raise DataError(f"{self.path.name!r} line {line} has {count}", where=where, hint=hint)
        raise AssertionError("the same file has no flaw on second reading")


def parsed(table: pa.Table) -> pd.DataFrame:
    """Rows of text with each column in its natural dtype."""
    return pd.DataFrame({name: _parsed_column(table[name]) for name in table.column_names})


def _parsed_column(column: pa.ChunkedArray) -> pd.Series:
    """Each different text is looked at once, and equal texts are one object: categories take 8 bytes a row."""
    coded = column.dictionary_encode().combine_chunks()
    texts = pd.Series(coded.dictionary.to_pandas(), dtype=object)
    values = parse_text(texts.mask(texts.isin(_MISSING), np.nan))
    return values.take(coded.indices.to_numpy()).reset_index(drop=True)


def _sniff_delimiter(head: str) -> str:
    """Of comma, semicolon, tab and bar the one that cuts the first rows into equally many columns."""
    scores = {delimiter: _evenness(head, delimiter) for delimiter in DELIMITERS}
    return max(scores, key=scores.__getitem__)


def _evenness(head: str, delimiter: str) -> tuple[float, int]:
    sample = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        widths = [len(row) for row in islice(sample, 50) if row]
    except csv.Error:
        return 0.0, 1
    if widths[0] < 2:
        return 0.0, 1
    return sum(width == widths[0] for width in widths) / len(widths), widths[0]


def _one_column(head: str, delimiter: str, path: Path) -> DataError:
    better = _sniff_delimiter(head)
    found = f"; a {DELIMITERS[better]} would give {_evenness(head, better)[1]}" if better != delimiter else ""
    message = f"{path.name!r} has only one column when cut at {delimiter!r}{found}"
    return DataError(message, where=str(path), hint="set source.delimiter, or leave it out to have it found")


def _numbered(text: TextIO, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """First line number and fields of every record that is not blank."""
    reader = _reader(text, delimiter)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error:
        message = f"{path.name!r} line {line}: a quote is not closed, or text follows a closing quote"
        raise DataError(message, where=f"{path}:{line}", hint="a quote inside a quoted text is written twice") from None


def _reader(text: TextIO, delimiter: str) -> "_csv.Reader":
    return csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=True)
