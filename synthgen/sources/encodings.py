"""The bytes of a text file, plain or gzipped, and the encoding in which they are text. No file is held whole."""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from charset_normalizer import from_bytes

from synthgen.errors import DataError

_BLOCK_BYTES, _MAX_LINE_BYTES = 2**22, 2**26
# Text shrinks tenfold in gzip; a bomb shrinks a thousandfold.
_SUSPECT_BYTES, _MAX_RATIO = 4 * 2**30, 200
_SAMPLE_BYTES = 200_000
# Encodings that a table without a byte order mark is met in; a wider search takes rare ones for short texts.
LIKELY_ENCODINGS = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r",
    "cp932", "gb18030", "big5", "cp949", "euc_jp",
]  # fmt: skip
BYTE_ORDER_MARKS = {
    b"\xef\xbb\xbf": "utf-8", b"\xff\xfe\x00\x00": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16",
}  # fmt: skip


@contextmanager
def opened(path: Path, codec: str) -> Iterator[TextIO]:
    """The text of a file without its byte order mark, line ends as they are."""
    with _bytes(path) as raw, io.TextIOWrapper(raw, encoding=codec, newline="") as text:
        if text.read(1) != "\ufeff":
            text.seek(0)
        yield text


@contextmanager
def _bytes(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with cast(BinaryIO, gzip.open(path)) if packed else path.open("rb") as content:
        yield content


def find_encoding(path: Path, encoding: str | None) -> str:
    """The encoding of the whole file: as given, by byte order mark, UTF-8, or the likeliest of LIKELY_ENCODINGS.

    Raises:
        DataError: a NUL byte, a byte that cannot be decoded, an unknown encoding, or a damaged gzip file.
    """
    start = next(_blocks(path), b"")
    marked = next((codec for mark, codec in BYTE_ORDER_MARKS.items() if start.startswith(mark)), None)
    codec = encoding or marked or "utf-8"
    _refuse_unknown(codec)
    bad = _first_bad_byte(path, codec)
    if bad is None:
        return codec
    offset, follows_ascii = bad
    # Valid multi-byte characters before the bad byte: this is UTF-8 with damage, not another encoding.
    guess = _guess_encoding(path) if follows_ascii and not (encoding or marked) else None
    if guess is None:
        hint = "save it as UTF-8, or set source.encoding, for example cp1252"
        message = f"{path.name!r} is not {codec} text: byte offset {offset} cannot be decoded"
        raise DataError(message, where=path.name, hint=hint)
    return guess


def _refuse_unknown(codec: str) -> None:
    try:
        "a".encode(codec)
    except LookupError:
        raise DataError(
            f"encoding {codec!r} is not known", where="source.encoding", hint="try utf-8 or cp1252"
        ) from None


def _blocks(path: Path) -> Iterator[bytes]:
    """The unpacked bytes; raises DataError for a damaged gzip file and for one that unpacks without end."""
    suspect_bytes, read_bytes = max(_SUSPECT_BYTES, _MAX_RATIO * path.stat().st_size), 0
    with _bytes(path) as content:
        try:
            while block := content.read(_BLOCK_BYTES):
                read_bytes += len(block)
                if read_bytes > suspect_bytes:
                    message = f"{path.name!r} unpacks to more than {_MAX_RATIO} times its size: it looks like a bomb"
                    raise DataError(message, where=str(path), hint="unpack it, and give the unpacked file")
                yield block
        except (OSError, EOFError, zlib.error):
            raise DataError(f"{path.name!r} is damaged: it cannot be unpacked as gzip", where=str(path)) from None


def _first_bad_byte(path: Path, codec: str) -> tuple[int, bool] | None:
    """Offset of the first byte that cannot be decoded, and whether all before it is ASCII; None: all can be."""
    decoder = codecs.getincrementaldecoder(codec)()
    is_wide = "16" in codec or "32" in codec
    offset, is_ascii, line_bytes = 0, True, 0
    for block in chain(_blocks(path), (b"",)):
        line_bytes = 0 if b"\n" in block or b"\r" in block else line_bytes + len(block)
        if line_bytes > _MAX_LINE_BYTES:
            raise DataError(
                f"{path.name!r} has no line break in {line_bytes >> 20} MiB: it is no table", where=str(path)
            )
        if b"\0" in block and not is_wide:
            found = f"a NUL byte at byte offset {offset + block.index(0)}"
            raise DataError(f"{path.name!r} has {found}: it is not a text file", where=path.name)
        pending = decoder.getstate()[0]
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            before = (pending + block)[: error.start]
            return offset - len(pending) + error.start, is_ascii and before.isascii()
        offset, is_ascii = offset + len(block), is_ascii and block.isascii()
    return None


def _guess_encoding(path: Path) -> str | None:
    lines: list[bytes] = []
    with _bytes(path) as content:
        for line in content:
            if not line.isascii():
                lines.append(line.rstrip(b"\r\n"))
            if sum(map(len, lines)) > _SAMPLE_BYTES:
                break
    best = from_bytes(b"\n".join(lines)[:_SAMPLE_BYTES], cp_isolation=LIKELY_ENCODINGS).best()
    if best is None or not _reads_as_words(str(best)):
        return None
    return best.encoding if _first_bad_byte(path, best.encoding) is None else None


def _reads_as_words(text: str) -> bool:
    # A foreign letter stands beside other letters; a damaged byte mostly does not, or becomes a y with diaeresis.
    foreign = re.findall(r"[^\x00-\x7f]+", text)
    inside = re.findall(r"[A-Za-z]+[^\x00-\x7f]|[^\x00-\x7f]+[A-Za-z]|[^\W\d_a-zA-Z]{2,}", text)
    return len(inside) * 2 >= len(foreign) and not re.search("[ÿþ\x80-\x9f]", text)
