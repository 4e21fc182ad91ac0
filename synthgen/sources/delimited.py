"""CSV files, read in batches: delimiter and structure. Errors name the line, never a cell."""

import csv
import io
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, compress, islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from synthgen.errors import DataError, Refusals
from synthgen.sources.batches import ROW, batch_rows
from synthgen.sources.encodings import find_encoding, opened
from synthgen.sources.header import usable_names
from synthgen.sources.kinds import parse_text

if TYPE_CHECKING:
    import _csv

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_HEAD_CHARS = 200_000
_BLOCK_CHARS = 2_000_000
_LINES_SHOWN = 10
# What stands for a missing value, as for pandas.read_csv.
_MISSING = frozenset({
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
})  # fmt: skip


@dataclass(frozen=True)
class _Rest:
    """What the fast parser left: lines to come before the rest of the file, after so many rows."""

    rows: int
    lines: TextIO


@dataclass(frozen=True)
class Delimited:
    """A CSV file that reads as text with this codec and is cut at this delimiter."""

    path: Path
    codec: str
    delimiter: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, *, delimiter: str | None, encoding: str | None, refusals: Refusals) -> "Delimited":
        """The file with what was not given found; raises DataError for no text, no columns, too many columns."""
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
        if len(names) == 1:
            raise _one_column(head, separator, path)
        return cls(path, codec, separator, tuple(usable_names(names, path.name, refusals)))

    def batches(self, refusals: Refusals) -> Iterator[pa.RecordBatch]:
        """The rows as text, each with its number in the file; ragged rows are refused and left out.

        Raises:
            DataError: no rows, or an open quote, after which nothing can be cut.
        """
        width, found, whole = len(self.names), 0, 0
        with opened(self.path, self.codec) as text:
            header = _reader(text, self.delimiter)
            next(row for row in header if row)
            rest = yield from self._plain_batches(text)
            found = whole = rest.rows
            reader = _reader(chain(rest.lines, text), self.delimiter)
            while records := self._next_records(reader, refusals):
                fits = np.fromiter((len(record) == width for record in records), dtype=bool, count=len(records))
                rows = records if fits.all() else list(compress(records, fits))
                if rows:
                    texts = [pa.array(column, pa.large_string()) for column in zip(*rows, strict=True)]
                    yield self._numbered_batch(texts, found + np.flatnonzero(fits))
                found, whole = found + len(records), whole + len(rows)
        if whole < found:
            # Line numbers cost time: they are counted only when there is a flaw.
            self._refuse_flaws(refusals)
        if not found:
            refusals.errors.append(DataError(f"{self.path.name!r} has a header but no rows", where=str(self.path)))
        if not whole:
            refusals.raise_any()

    def _plain_batches(self, text: TextIO) -> Generator[pa.RecordBatch, None, "_Rest"]:
        """The rows up to the first block of text that has a quote or a flaw, by a parser many times as fast."""
        rows, begun = 0, ""
        while block := text.read(_BLOCK_CHARS):
            whole, newline, begun = (begun + block).rpartition("\n")
            columns = self._cut(whole + newline)
            if columns is None:
                return _Rest(rows, io.StringIO(whole + newline + begun + text.readline(), newline=""))
            if columns[0]:
                yield self._numbered_batch(columns, np.arange(rows, rows + len(columns[0])))
            rows += len(columns[0])
        return _Rest(rows, io.StringIO(begun, newline=""))

    def _cut(self, lines: str) -> list[pa.Array] | None:
        """The columns of whole lines; None where only the csv module knows what they mean."""
        odd = ('"', f"{self.delimiter} ", "\n ", "\r ")
        if not lines or lines[0] == " " or not self.delimiter.isascii() or any(sign in lines for sign in odd):
            return None
        names = [str(position) for position in range(len(self.names))]
        try:
            table = arrow_csv.read_csv(
                io.BytesIO(lines.encode()),
                arrow_csv.ReadOptions(use_threads=False, block_size=5 * len(lines), column_names=names),
                arrow_csv.ParseOptions(delimiter=self.delimiter, quote_char=False),
                arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.large_string()), check_utf8=False),
            )
        except pa.ArrowInvalid:
            return None
        return [column.combine_chunks() for column in table.columns]

    def _numbered_batch(self, texts: list[pa.Array], numbers: npt.NDArray[np.int64]) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays([*texts, pa.array(numbers)], names=[*self.names, ROW])

    def _next_records(self, reader: Iterator[list[str]], refusals: Refusals) -> list[list[str]]:
        """Some records that are not blank, none at the end."""
        try:
            while records := list(islice(reader, batch_rows(len(self.names)))):
                if filled := [record for record in records if record]:
                    return filled
        except csv.Error:
            self._refuse_flaws(refusals)
            refusals.raise_any()
        return []

    def _refuse_flaws(self, refusals: Refusals) -> None:
        """Name the lines with too many or too few fields, and the one where a quote opens that is never closed."""
        ragged: list[tuple[int, int]] = []
        with refusals.kept(), opened(self.path, self.codec) as text:
            records = _numbered(text, self.delimiter, self.path)
            ragged.extend((line, len(record)) for line, record in records if len(record) != len(self.names))
        if ragged:
            (line, count), lines = ragged[0], ", ".join(str(line) for line, _ in ragged[:_LINES_SHOWN])
            rest = f"; {len(ragged):,} lines are ragged: {lines}" if len(ragged) > 1 else ""
            more = " ..." if len(ragged) > _LINES_SHOWN else ""
            message = f"{self.path.name!r} line {line} has {count} fields, the header has {len(self.names)}{rest}{more}"
            hint = "look for a delimiter or quote inside a text"
            refusals.errors.append(DataError(message, where=f"{self.path}:{line}", hint=hint))


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
        message = f"{path.name!r} line {line}: a quote is not closed, text follows it, or a field is too long"
        raise DataError(message, where=f"{path}:{line}", hint="a quote inside a quoted text is written twice") from None


def _reader(text: Iterable[str], delimiter: str) -> "_csv.Reader":
    return csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=True)
