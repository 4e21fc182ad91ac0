"""Single image files: modes, magic bytes, rotation, damage, size, channels."""

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthgen.config import ImageSource
from synthgen.errors import DataError
from synthgen.sources.pixels import fit_pixels, read_header, read_pixels, set_channels

GREY = np.arange(12 * 10, dtype=np.uint8).reshape(12, 10)
RGB = np.stack([GREY, GREY + 50, GREY + 100], axis=-1)
DEEP = GREY.astype(np.uint16) * 500


def saved(tmp_path: Path, image: Image.Image, name: str, **options: object) -> Path:
    image.save(tmp_path / name, **options)
    return tmp_path / name


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "rgb"])
def test_lossless_formats_give_back_every_pixel(tmp_path: Path, suffix: str, pixels: np.ndarray) -> None:
    path = saved(tmp_path, Image.fromarray(pixels), f"image.{suffix}")
    np.testing.assert_array_equal(read_pixels(path, "image"), pixels)


def test_jpeg_gives_back_a_plain_area(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (16, 8), (200, 100, 50)), "image.jpg", quality=100)
    assert read_pixels(path, "image").shape == (8, 16, 3)
    np.testing.assert_allclose(read_pixels(path, "image").mean(axis=(0, 1)), (200, 100, 50), atol=3)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_kept(tmp_path: Path, suffix: str) -> None:
    pixels = read_pixels(saved(tmp_path, Image.fromarray(DEEP), f"image.{suffix}"), "image")
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, DEEP)


def test_the_first_bytes_decide_and_not_the_extension(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(GREY), "image.bmp")
    np.testing.assert_array_equal(read_pixels(path.rename(tmp_path / "image.jpg"), "image"), GREY)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGBA", (4, 4), (10, 20, 30, 255)), (10, 20, 30)),
        (Image.new("RGBA", (4, 4), (10, 20, 30, 0)), (255, 255, 255)),
        (Image.new("LA", (4, 4), (10, 255)), 10),
        (Image.new("RGB", (4, 4), (10, 20, 30)).convert("P", palette=Image.Palette.ADAPTIVE), (10, 20, 30)),
        (Image.new("L", (4, 4), 77).convert("P"), 77),
        (Image.new("1", (4, 4), 1), 255),
        (Image.new("CMYK", (4, 4), (0, 0, 0, 255)), (0, 0, 0)),
    ],
    ids=["opaque", "transparent", "grey-alpha", "palette", "grey-palette", "bilevel", "cmyk"],
)
def test_other_modes_become_grey_or_rgb(tmp_path: Path, image: Image.Image, expected: object) -> None:
    path = saved(tmp_path, image, "image.tif" if image.mode == "CMYK" else "image.png")
    pixels = read_pixels(path, "image")
    np.testing.assert_array_equal(pixels, np.broadcast_to(np.uint8(expected), pixels.shape))
    assert pixels.ndim == (3 if isinstance(expected, tuple) else 2)


def test_rotation_in_exif_is_applied_to_pixels_and_header(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the left, to be turned to the right
    path = saved(tmp_path, Image.fromarray(GREY), "image.png", exif=exif)
    np.testing.assert_array_equal(read_pixels(path, "image"), np.rot90(GREY, -1))
    header = read_header(path, "image")
    assert (header.width, header.height) == (12, 10)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb_png(width: int, height: int) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def png_bytes(tmp_path: Path) -> bytes:
    return saved(tmp_path, Image.fromarray(RGB), "whole.png").read_bytes()


@pytest.mark.parametrize("read", [read_pixels, read_header])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "'cat/a.png' is empty"),
        (b"hello", "is not a PNG, JPEG, TIFF or BMP"),
        (b"GIF89a" + bytes(100), "is not a PNG, JPEG, TIFF or BMP"),
        (bomb_png(30_000, 30_000), "more than 64 million pixels"),
        (bomb_png(9_000, 9_000), "more than 64 million pixels"),
    ],
)
def test_a_file_that_is_no_image_names_itself(tmp_path: Path, read: object, content: bytes, message: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.png", "cat/a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), f"whole.{suffix}")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError, match=r"damaged or cut short|is not a PNG"):
        read_pixels(path, path.name)


def test_several_pages_and_floating_point_are_refused(tmp_path: Path) -> None:
    pages = saved(tmp_path, Image.fromarray(GREY), "pages.tif", save_all=True, append_images=[Image.fromarray(GREY)])
    with pytest.raises(DataError, match="several pages"):
        read_pixels(pages, "pages.tif")
    with pytest.raises(DataError, match="floating point"):
        read_pixels(saved(tmp_path, Image.fromarray(GREY.astype(np.float32)), "float.tif"), "float.tif")


def tiff(path: Path, values: np.ndarray, *, photometric: int = 1, samples: int = 1) -> Path:
    """A TIFF 6.0 of one strip that is grey, or grey and alpha, signed as the numbers are; Pillow writes only some."""
    signed = 2 if values.dtype.kind == "i" else 1
    tags = [(256, values.shape[1]), (257, values.shape[0]), (258, values.dtype.itemsize * 8), (262, photometric),
            (273, 200), (277, samples), (279, values.nbytes), (339, signed)]  # fmt: skip
    if samples == 2:
        # Two numbers of 16 bits fill the four bytes of a value.
        tags = sorted([*tags, (338, 2)], key=lambda tag: tag[0])
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    for tag, value in tags:
        twice = samples if tag in (258, 339) else 1
        head += struct.pack("<HHI", tag, 3, twice) + struct.pack("<HH", value, value if twice == 2 else 0)
    path.write_bytes((head + bytes(4)).ljust(200, b"\0") + values.tobytes())
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_whose_lowest_number_is_white_is_turned(tmp_path: Path, dtype: type[np.uint8]) -> None:
    values = GREY.astype(dtype) * (1 if dtype == np.uint8 else 500)
    path = tiff(tmp_path / "white.tif", values, photometric=0)
    np.testing.assert_array_equal(read_pixels(path, "white.tif"), np.iinfo(dtype).max - values)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_signed_pixels_are_read_where_none_is_below_zero(tmp_path: Path, dtype: type[np.int8]) -> None:
    path = tiff(tmp_path / "signed.tif", GREY.astype(dtype))
    np.testing.assert_array_equal(read_pixels(path, "signed.tif"), GREY)
    path = tiff(tmp_path / "negative.tif", GREY.astype(dtype) - dtype(1))
    with pytest.raises(DataError, match=r"'negative\.tif' has pixels below 0"):
        read_pixels(path, "negative.tif")


@pytest.mark.parametrize("read", [read_pixels, read_header])
def test_a_tiff_that_is_not_read_is_not_told_to_be_none(tmp_path: Path, read: Callable[..., object]) -> None:
    path = tiff(tmp_path / "alpha.tif", np.stack([DEEP, DEEP], axis=-1), samples=2)
    with pytest.raises(DataError, match=r"TIFF 'alpha\.tif' .*pixels of a kind that is not read"):
        read(path, "alpha.tif")


def png(path: Path, values: np.ndarray, *, bits: int, clear: Sequence[int]) -> Path:
    """A PNG of grey or RGB, in which one colour is transparent."""
    channels = 1 if values.ndim == 2 else 3
    raised = values.reshape(len(values), -1).astype(np.uint32)
    whole = (raised[..., None] >> np.arange(bits)[::-1] & 1).astype(np.uint8).reshape(len(values), -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in whole)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", values.shape[1], len(values), bits, channels - 1, 0, 0, 0))
    body = chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear)) + chunk(b"IDAT", zlib.compress(rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("colours", [1, 3])
def test_the_transparent_colour_of_a_png_is_white_and_no_other(tmp_path: Path, colours: int, bits: int) -> None:
    if colours == 3 and bits < 8:
        pytest.skip("PNG has no such colour")
    values = (np.arange(64, dtype=np.uint32) * (500 if bits == 16 else 1) % 2**bits).reshape(8, 8)
    values = values if colours == 1 else np.stack([values, values[::-1], values], axis=-1)
    # Another one differs in its last bit.
    values[-1, -1] = values[3, 4] ^ 1
    path = png(tmp_path / "clear.png", values, bits=bits, clear=np.atleast_1d(values[3, 4]).tolist())
    is_clear = values == values[3, 4] if colours == 1 else (values == values[3, 4]).all(axis=-1, keepdims=True)
    white = 65_535 if bits == 16 else 255
    expected = np.where(is_clear, white, values * white // (2**bits - 1))
    np.testing.assert_array_equal(read_pixels(path, "clear.png"), expected)
    assert 0 < is_clear.mean() < 1


def source(**keys: object) -> ImageSource:
    return ImageSource.model_validate({"kind": "images", "path": "images", **keys})


@pytest.mark.parametrize("pixels", [GREY, RGB, DEEP], ids=["grey", "rgb", "deep"])
@pytest.mark.parametrize("fit", ["resize", "crop", "pad"])
def test_every_fit_gives_the_size_and_keeps_type_and_range(pixels: np.ndarray, fit: str) -> None:
    fitted = fit_pixels(pixels, source(fit=fit, size=8))
    assert (fitted.shape[:2], fitted.dtype) == ((8, 8), pixels.dtype)
    assert fitted.max() <= pixels.max() * 1.1


def test_pad_adds_black_and_crop_cuts_the_longer_side() -> None:
    wide = np.full((8, 16), 200, dtype=np.uint8)
    wide[:, :4] = 10
    padded, cropped = fit_pixels(wide, source(fit="pad", size=16)), fit_pixels(wide, source(fit="crop", size=8))
    assert padded[:3].max() == 0
    assert padded[8, 8] == 200
    assert cropped.min() == 200


def test_channels_are_kept_or_changed_as_asked() -> None:
    assert set_channels(RGB, source()).shape == (3, 12, 10)
    assert set_channels(GREY, source()).shape == (1, 12, 10)
    np.testing.assert_array_equal(set_channels(DEEP, source(channels="rgb"))[2], DEEP)
    # ITU-R 601: 0.299 R + 0.587 G + 0.114 B.
    luma = RGB.astype(float) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(set_channels(RGB, source(channels="grey"))[0], luma, atol=1)
