"""Single image files: modes, magic bytes, rotation, damage, size, channels."""

import struct
import zlib
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


def bomb_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

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
