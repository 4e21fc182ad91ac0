"""CSV files: decoding, delimiter and structure. Errors name the byte or the line, never a cell."""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pandas as pd
from charset_normalizer import from_bytes

from synthgen.errors import DataError
from synthgen.sources.header import check_names
from synthgen.sources.kinds import parse_text

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
MAX_TEXT_BYTES = 4 * 2**30
# Encodings that a table without a byte order mark is met in; a wider search takes rare ones for short texts.
LIKELY_ENCODINGS = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r",
    "cp932", "gb18030", "big5", "cp949", "euc_jp",
]  # fmt: skip
BYTE_ORDER_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\x00\x00": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16",
}  # fmt: skip


def read_delimited(path: Path, *, delimiter: str | None, encoding: str | None) -> tuple[pd.DataFrame, str]:
    """The rows with each column in its natural dtype, and the encoding they were read in.

    Raises:
        DataError: no text, no rows, no columns, a ragged row, an open quote, repeated or blank names.
    """
    text, used = decode(_content(path), path.name, encoding)
    if not text.strip():
        raise DataError(f"{path.name!r} is empty", where=str(path))
    separator = delimiter or sniff_delimiter(text)
    _check_structure(text, separator, path)
    frame = pd.read_csv(
        io.StringIO(text, newline=""),
        sep=separator,
        dtype=str,
        index_col=False,
        skipinitialspace=True,
        low_memory=False,
    )
    return pd.DataFrame({name: parse_text(frame[name]) for name in frame.columns}), used


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return path.read_bytes()
    try:
        with gzip.open(path) as packed:
            raw = packed.read(MAX_TEXT_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        raise DataError(f"{path.name!r} is damaged: it cannot be unpacked as gzip", where=str(path)) from None
    if len(raw) > MAX_TEXT_BYTES:
        raise DataError(f"{path.name!r} unpacks to more than {MAX_TEXT_BYTES >> 30} GiB", where=str(path))
    return raw


def decode(raw: bytes, name: str, encoding: str | None) -> tuple[str, str]:
    """The text and the encoding: as given, by byte order mark, UTF-8, or the likeliest of LIKELY_ENCODINGS."""
    marked = next((codec for mark, codec in BYTE_ORDER_MARKS.items() if raw.startswith(mark)), None)
    codec = encoding or marked or "utf-8"
    if b"\0" in raw and "16" not in codec and "32" not in codec:
        offset = raw.index(b"\0")
        raise DataError(f"{name!r} has a NUL byte at byte offset {offset}: it is not a text file", where=name)
    try:
        return raw.decode(codec).removeprefix("\ufeff"), codec
    except LookupError:
        raise DataError(
            f"encoding {codec!r} is not known", where="source.encoding", hint="try utf-8 or cp1252"
        ) from None
    except UnicodeDecodeError as error:
        guess = None if encoding or marked else _guess_encoding(raw, error)
        if guess is None:
            hint = "save it as UTF-8, or set source.encoding, for example cp1252"
            message = f"{name!r} is not {codec} text: byte offset {error.start} cannot be decoded"
            raise DataError(message, where=name, hint=hint) from None
        return raw.decode(guess), guess


def _guess_encoding(raw: bytes, error: UnicodeDecodeError) -> str | None:
    # Valid multi-byte characters before the bad byte: this is UTF-8 with damage, not another encoding.
    if any(byte > 127 for byte in raw[: error.start]):
        return None
    lines = [line for line in raw.splitlines() if not line.isascii()]
    sample = b"\n".join(lines)[:200_000]
    best = from_bytes(sample, cp_isolation=LIKELY_ENCODINGS).best()
    if best is None or not _reads_as_words(str(best)):
        return None
    try:
        raw.decode(best.encoding)
    except UnicodeDecodeError:
        return None
    return best.encoding


def _reads_as_words(text: str) -> bool:
    # A foreign letter stands beside other letters; a damaged byte mostly does not, or becomes a y with diaeresis.
    foreign = re.findall(r"[^\x00-\x7f]+", text)
    inside = re.findall(r"[A-Za-z]+[^\x00-\x7f]|[^\x00-\x7f]+[A-Za-z]|[^\W\d_a-zA-Z]{2,}", text)
    return len(inside) * 2 >= len(foreign) and not re.search("[ÿþ\x80-\x9f]", text)


def sniff_delimiter(text: str) -> str:
    """Of comma, semicolon, tab and bar the one that cuts the first rows into equally many columns."""
    scores = {delimiter: _evenness(text, delimiter) for delimiter in DELIMITERS}
    return max(scores, key=scores.__getitem__)


def _evenness(text: str, delimiter: str) -> tuple[float, int]:
    sample = csv.reader(io.StringIO(text[:200_000], newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        widths = [len(row) for row in islice(sample, 50) if row]
    except csv.Error:
        return 0.0, 1
    if widths[0] < 2:
        return 0.0, 1
    return sum(width == widths[0] for width in widths) / len(widths), widths[0]


def _check_structure(text: str, delimiter: str, path: Path) -> None:
    if len(delimiter) != 1:
        raise DataError(f"delimiter {delimiter!r} is not one character", where="source.delimiter")
    records = _records(text, delimiter, path)
    _, header = next(records)
    check_names(header, path.name)
    if len(header) == 1:
        better = sniff_delimiter(text)
        found = f"; a {DELIMITERS[better]} would give {_evenness(text, better)[1]}" if better != delimiter else ""
        message = f"{path.name!r} has only one column when cut at {delimiter!r}{found}"
        raise DataError(message, where=str(path), hint="set source.delimiter, or leave it out to have it found")
    rows = 0
    for line, record in records:
        rows += 1
        if len(record) != len(header):
            message = f"{path.name!r} line {line} has {len(record)} fields, the header has {len(header)}"
            raise DataError(message, where=f"{path}:{line}", hint="look for a delimiter or quote inside a text")
    if rows == 0:
        raise DataError(f"{path.name!r} has a header but no rows", where=str(path))


def _records(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """First line number and fields of every record that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error:
        message = f"{path.name!r} line {line}: a quote is not closed, or text follows a closing quote"
        raise DataError(message, where=f"{path}:{line}", hint="a quote inside a quoted text is written twice") from None
