"""16-bit colour in PNG and TIFF: kept as it is, or refused, never cut to 8 bits."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from synthgen.config import ImageSource
from synthgen.datasets import ImageSet
from synthgen.errors import DataError
from synthgen.exporters.images import write_folder
from synthgen.exporters.parts import Part
from synthgen.exporters.png import encode_png
from synthgen.sources import read
from synthgen.sources.pixels import read_pixels

COLOUR = np.random.default_rng(0).integers(0, 65_536, (12, 10, 3), dtype=np.uint16)
GREY = COLOUR[..., 0]
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_alpha(pixels: np.ndarray, alpha: int) -> np.ndarray:
    return np.dstack([pixels, np.full(pixels.shape[:2], alpha, dtype=np.uint16)])


def png(pixels: np.ndarray, *, interlaced: bool = False, extra: bytes = b"") -> bytes:
    """A PNG of 16 bits, [h, w, channels], its rows as they are; interlaced by Adam7."""
    height, width, channels = pixels.shape
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    parts = [pixels[top::down, left::right] for left, top, right, down in passes]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for part in parts if part.size for row in part)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, int(interlaced))
    body = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + body + chunk(b"IEND", b"")


def tiff(pixels: np.ndarray, order: str, *, photometric: int = 2, planar: int = 1, deflate: bool = False) -> bytes:
    """A TIFF of 16 bits in one strip, [h, w, channels], or in a strip for each channel."""
    height, width, channels = pixels.shape
    planes: Sequence[np.ndarray] = [pixels] if planar == 1 else list(np.moveaxis(pixels, -1, 0))
    strips = [plane.astype(f"{order}u2").tobytes() for plane in planes]
    strips = [zlib.compress(strip) for strip in strips] if deflate else strips
    tags: dict[int, list[int]] = {256: [width], 257: [height], 258: [16] * channels, 259: [8 if deflate else 1],
                                  262: [photometric], 273: [0] * len(strips), 277: [channels], 278: [height],
                                  279: [len(strip) for strip in strips], 284: [planar]}  # fmt: skip
    if channels in (2, 4) and photometric < 3:
        tags[338] = [2]
    after = 8 + 2 + 12 * len(tags) + 4
    starts = after + sum(4 * len(values) for values in tags.values() if len(values) > 1)
    tags[273] = [starts + sum(map(len, strips[:place])) for place in range(len(strips))]
    entries, rest = b"", b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        place = packed if len(values) == 1 else struct.pack(f"{order}I", after + len(rest))
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + place
        rest += packed if len(values) > 1 else b""
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    return head + entries + bytes(4) + rest + b"".join(strips)


def read_back(tmp_path: Path, content: bytes) -> np.ndarray:
    (tmp_path / "image").write_bytes(content)
    return read_pixels(tmp_path / "image", "cat/image")


def assert_same(read: np.ndarray, expected: np.ndarray) -> None:
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, expected)


def test_what_the_exporter_writes_is_read_back_at_full_depth(tmp_path: Path) -> None:
    assert_same(read_back(tmp_path, encode_png(COLOUR.transpose(2, 0, 1), {"Source": "synthetic"})), COLOUR)


def test_an_emitted_folder_of_16_bit_colour_is_a_source(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 65_536, (24, 3, 8, 9), dtype=np.uint16)
    data = ImageSet(images, np.arange(24) % 2, ("a", "b"))
    write_folder([Part("synthetic", data, np.ones(24, dtype=bool), "run")], tmp_path)
    back = read(ImageSource(kind="images", path=str(tmp_path / "synthetic")), seed=0).data
    assert isinstance(back, ImageSet)
    assert back.images.dtype == np.uint16
    assert {image.tobytes() for image in back.images} == {image.tobytes() for image in images}


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (COLOUR, COLOUR),
        (with_alpha(COLOUR, 65_535), COLOUR),
        (with_alpha(COLOUR, 0), np.full_like(COLOUR, 65_535)),
        (with_alpha(GREY, 65_535), GREY),
        (with_alpha(GREY, 0), np.full_like(GREY, 65_535)),
        (with_alpha(np.full_like(GREY, 1_000), 13_107), np.full_like(GREY, 52_628)),  # a fifth grey on white
    ],
    ids=["rgb", "opaque", "transparent", "grey-opaque", "grey-transparent", "grey-half"],
)
def test_every_channel_of_a_png_keeps_its_depth(
    tmp_path: Path, pixels: np.ndarray, expected: np.ndarray, interlaced: bool
) -> None:
    assert_same(read_back(tmp_path, png(pixels, interlaced=interlaced)), expected)


def test_a_turned_png_is_turned_in_both_halves(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = png(COLOUR, extra=chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")))
    assert_same(read_back(tmp_path, content), np.rot90(COLOUR, -1))


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("alpha", [False, True])
def test_every_channel_of_a_tiff_keeps_its_depth(tmp_path: Path, order: str, alpha: bool, deflate: bool) -> None:
    pixels = with_alpha(COLOUR, 65_535) if alpha else COLOUR
    assert_same(read_back(tmp_path, tiff(pixels, order, deflate=deflate)), COLOUR)


@pytest.mark.parametrize(
    "content",
    [
        tiff(COLOUR, "<", planar=2),
        tiff(COLOUR, "<", planar=2, deflate=True),
        tiff(with_alpha(COLOUR, 9), "<", photometric=5),
    ],
    ids=["channels-apart", "channels-apart-deflated", "cmyk"],
)
def test_other_colour_of_16_bits_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(
        DataError, match="'cat/image' holds 16-bit colour in a way that is not read; allowed: RGB or RGBA"
    ):
        read_back(tmp_path, content)


def test_grey_and_alpha_in_a_tiff_is_never_cut(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cat/image"):
        read_back(tmp_path, tiff(with_alpha(GREY, 65_535), "<", photometric=1))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("pixels", [COLOUR, with_alpha(GREY, 65_535)], ids=["rgb", "grey-alpha"])
def test_a_damaged_file_is_refused_as_others_are(tmp_path: Path, pixels: np.ndarray, share: float) -> None:
    content = png(pixels)
    with pytest.raises(DataError, match=r"image 'cat/image' is damaged or cut short"):
        read_back(tmp_path, content[: int(len(content) * share)])


def test_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    content = bytearray(png(COLOUR))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(DataError, match=r"image 'cat/image' is damaged or cut short"):
        read_back(tmp_path, bytes(content))


def test_pillow_still_takes_lower_bytes_by_the_other_name() -> None:
    # What reading twice rests on, by Pillow's own decoder.
    assert PngImagePlugin._MODES[16, 2] == ("RGB", "RGB;16B")
    assert Image.frombytes("RGB", (1, 1), bytes(range(6)), "raw", "RGB;16L").getpixel((0, 0)) == (1, 3, 5)
