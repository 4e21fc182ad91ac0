"""PNG files, 8 and 16 bits, grey and RGB. Pillow cannot write RGB with 16 bits, nor read it whole at once."""

import struct
import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from synthgen.errors import DataError

Image = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 3: 2}  # channels -> PNG's number for grey and RGB
_FILTER_UP = 2  # each byte minus the one above it: as small as adaptive filters on smooth images, and vectorised


def encode_png(image: Image, text: Mapping[str, str]) -> bytes:
    """PNG bytes of an image [c, h, w], c 1 or 3, the text as tEXt chunks. Source: PNG specification, 3rd ed."""
    channels, height, width = image.shape
    depth = image.dtype.itemsize * 8
    rows = np.ascontiguousarray(image.transpose(1, 2, 0).astype(image.dtype.newbyteorder(">"))).view(np.uint8)
    rows = rows.reshape(height, -1)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.hstack([np.full((height, 1), _FILTER_UP, dtype=np.uint8), rows - above])
    header = struct.pack(">IIBBBBB", width, height, depth, _COLOUR_TYPES[channels], 0, 0, 0)
    notes = [_chunk(b"tEXt", f"{key}\0{value}".encode("latin-1", "replace")) for key, value in text.items()]
    body = _chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6))
    return b"".join([_SIGNATURE, _chunk(b"IHDR", header), *notes, body, _chunk(b"IEND", b"")])


def decode_png(content: bytes) -> Image:
    """The image [c, h, w] that `encode_png` was given.

    Raises:
        DataError: the bytes are not a PNG of the kind that `encode_png` writes.
    """
    try:
        chunks = _chunks(content)
        width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
        channels = {number: count for count, number in _COLOUR_TYPES.items()}[colour]
        filtered = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8).reshape(height, -1)
    except (KeyError, ValueError, struct.error, zlib.error):
        raise DataError("the file is not a PNG as an emitted dataset holds it") from None
    rows = np.cumsum(filtered[:, 1:], axis=0, dtype=np.uint8)
    pixels = rows.view(np.dtype(f">u{depth // 8}")).reshape(height, width, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1).astype(np.uint8 if depth == 8 else np.uint16))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(content: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    position = len(_SIGNATURE)
    while position < len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        found[content[position + 4 : position + 8]] = content[position + 8 : position + 8 + length]
        position += length + 12
    return found
