"""One image file as an array: told by its first bytes, checked, turned upright, brought to a size and channels."""

import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from synthgen.config import ImageSource
from synthgen.errors import DataError
from synthgen.sources.deep_colour import choose_lower_bytes, is_deep_colour, is_grey, joined, raw_modes

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
# An image that unpacks to more is an attack or a scan that nobody trains on at 128 pixels a side.
MAX_PIXELS = 64_000_000
ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)
# Tags of TIFF 6.0, and what files begin with, BigTIFF among them.
_PHOTOMETRIC, _SAMPLE_FORMAT = 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, TypeError, OverflowError)
GREY16_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")


def as_pixels(array: npt.NDArray[np.generic]) -> Pixels:
    """An array that holds uint8 or uint16 with its type known."""
    return array.astype(np.uint16, copy=False) if array.dtype == np.uint16 else array.astype(np.uint8, copy=False)


@dataclass(frozen=True)
class Header:
    """What the first bytes of an image file say: upright width and height in pixels."""

    width: int
    height: int


def read_header(path: Path, name: str) -> Header:
    """Size of the image without decoding it; raises DataError when it is none, or too large."""
    with _opened(path, name) as image:
        try:
            # Pillow states the upright size of a TIFF, and of no other format.
            sideways = image.format != "TIFF" and image.getexif().get(ORIENTATION) in SIDEWAYS
        except BROKEN:
            raise _damaged(name) from None
        width, height = image.size[::-1] if sideways else image.size
        return Header(width, height)


def _opened(path: Path, name: str) -> Image.Image:
    if path.stat().st_size == 0:
        raise DataError(f"image {name!r} is empty (zero bytes)", where=name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(path, formats=FORMATS)
        # Pillow 13 maps a turned TIFF into memory with its sides exchanged, which scrambles it; a nameless one is read.
        image.filename = ""
    except Image.DecompressionBombError:
        raise _too_large(name) from None
    except UnidentifiedImageError:
        raise _unknown(path, name) from None
    except BROKEN:
        raise _damaged(name) from None
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise _too_large(name)
    return image


def _unknown(path: Path, name: str) -> DataError:
    with path.open("rb") as file:
        if file.read(4) not in _TIFF_MAGIC:
            return DataError(f"{name!r} is not a PNG, JPEG, TIFF or BMP image", where=name)
    message = f"TIFF {name!r} is damaged or cut short, or has pixels of a kind that is not read"
    return DataError(message, where=name, hint="save it again as a PNG, grey or RGB of 8 or 16 bits")


def _damaged(name: str) -> DataError:
    return DataError(f"image {name!r} is damaged or cut short", where=name)


def _too_large(name: str) -> DataError:
    return DataError(f"image {name!r} has more than {MAX_PIXELS // 1_000_000} million pixels", where=name)


def read_pixels(path: Path, name: str) -> Pixels:
    """The upright image, uint8 or, of 16 bits, uint16; grey [h, w] or colour [h, w, 3].

    Raises:
        DataError: empty, no image, truncated, too large, several pages, pixels below 0 or of 32 bits, or 16-bit colour
            that is neither RGB nor grey.
    """
    with _opened(path, name) as image:
        try:
            # A JPEG of a phone may carry a second view, which nobody misses.
            if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
                raise DataError(f"image {name!r} has several pages; one is allowed", where=name)
            clear = _clear_colour(image)
            pixels = _deep_colour(image, path, name) if is_deep_colour(image) else _to_array(_upright(image), name)
            if isinstance(image, TiffImageFile):
                pixels = _by_tags(pixels, image, name)
        except BROKEN:
            raise _damaged(name) from None
        return pixels if clear is None else _white_where(pixels, clear)


def _clear_colour(image: Image.Image) -> npt.NDArray[np.int64] | None:
    """The grey value [1] or colour [3] that a PNG which is not loaded yet names as transparent."""
    colour = image.info.get("transparency")
    if colour is None or image.format != "PNG" or image.mode == "P":
        return None
    # Pillow spreads 2 and 4 bits over 8, but not this number.
    spread = {"L;2": 85, "L;4": 17}.get("".join(raw_modes(image)), 1)
    return np.atleast_1d(colour) * spread


def _white_where(pixels: Pixels, clear: npt.NDArray[np.int64]) -> Pixels:
    is_clear = (pixels.reshape(*pixels.shape[:2], -1) == clear).all(axis=-1)
    pixels = pixels.copy()
    pixels[is_clear] = np.iinfo(pixels.dtype).max
    return pixels


def _by_tags(pixels: Pixels, image: TiffImageFile, name: str) -> Pixels:
    """What Pillow takes from the tags for some kinds of pixels only."""
    if pixels.dtype == np.uint8 and image.tag_v2.get(_SAMPLE_FORMAT, (1,))[0] == _SIGNED and (pixels > 127).any():
        raise _negative(name)
    if pixels.dtype == np.uint16 and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        return ~pixels
    return pixels


def _negative(name: str) -> DataError:
    message = f"image {name!r} has pixels below 0; 0 to 255 or 65,535 is allowed"
    return DataError(message, where=name, hint="add a number to all images, or save them as DICOM or NIfTI")


def _upright(image: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(image)
    upright.load()
    return upright


def _deep_colour(image: Image.Image, path: Path, name: str) -> Pixels:
    grey = is_grey(image)
    with _opened(path, name) as again:
        choose_lower_bytes(again, name)
        return joined(_upright(image), _upright(again), is_grey=grey)


def _to_array(image: Image.Image, name: str) -> Pixels:
    if image.mode in GREY16_MODES:
        values = np.asarray(image).astype(np.int64)
        if values.size and values.min() < 0:
            raise _negative(name)
        if values.size and values.max() > 65_535:
            raise DataError(f"image {name!r} has pixels of more than 16 bits", where=name, hint="rescale it to 16 bits")
        return values.astype(np.uint16)
    match image.mode:
        case "F":
            raise DataError(f"image {name!r} has floating point pixels", where=name, hint="rescale it to 8 or 16 bits")
        case "1":
            image = image.convert("L")
        case "L" | "RGB":
            pass
        case "P" | "PA":
            return _grey_if_equal(np.asarray(_on_white(image.convert("RGBA"))))
        case "LA" | "La":
            return np.asarray(_on_white(image.convert("RGBA")))[..., 0]
        case "RGBA" | "RGBa":
            image = _on_white(image.convert("RGBA"))
        case _:
            image = image.convert("RGB")
    return np.asarray(image)


def _on_white(image: Image.Image) -> Image.Image:
    # What lies under transparent pixels is arbitrary; a viewer shows the page.
    page = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(page, image).convert("RGB")


def _grey_if_equal(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    same = np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 0], pixels[..., 2])
    return pixels[..., 0] if same else pixels


def fit_pixels(pixels: Pixels, source: ImageSource) -> Pixels:
    """The image at source.size x source.size: stretched, cut from the centre, or padded with black."""
    size = source.size
    if source.fit == "error" or size is None or pixels.shape[:2] == (size, size):
        return pixels
    # Pillow resizes 16-bit images as float, one channel at a time.
    deep = pixels.dtype == np.uint16
    if deep and pixels.ndim == 3:
        return as_pixels(np.stack([fit_pixels(channel, source) for channel in np.moveaxis(pixels, -1, 0)], axis=-1))
    image = Image.fromarray(pixels.astype(np.float32) if deep else pixels)
    target, method = (size, size), Image.Resampling.LANCZOS
    match source.fit:
        case "resize":
            image = image.resize(target, method)
        case "crop":
            image = ImageOps.fit(image, target, method)
        case "pad":
            image = ImageOps.pad(image, target, method)
    fitted = np.asarray(image)
    return np.clip(np.rint(fitted), 0, 65_535).astype(np.uint16) if deep else as_pixels(fitted)


def set_channels(pixels: Pixels, source: ImageSource) -> Pixels:
    """[h, w] or [h, w, 3] as [c, h, w] with the channels that the source asks for."""
    colour = pixels.ndim == 3
    match source.channels:
        case "grey" if colour:
            pixels, colour = _luma(pixels), False
        case "rgb" if not colour:
            return as_pixels(np.repeat(pixels[None], 3, axis=0))
        case _:
            pass
    return as_pixels(np.moveaxis(pixels, -1, 0) if colour else pixels[None])


def _luma(pixels: Pixels) -> Pixels:
    """[h, w, 3] -> [h, w] by the weights of ITU-R BT.601; Pillow knows no 16-bit colour."""
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(pixels).convert("L"))
    return as_pixels(np.rint(pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint16))
