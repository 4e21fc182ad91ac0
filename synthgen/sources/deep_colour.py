"""16-bit colour by way of Pillow, which holds 8 bits of it: upper bytes in one reading, lower bytes in another."""

import sys

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from synthgen.errors import DataError

_BITS_PER_SAMPLE, _PLANAR = 258, 284  # tags of TIFF 6.0
_FOREIGN = "16B" if sys.byteorder == "little" else "16L"
# Pillow's name of a byte order -> the one that makes it take the other byte of each number for the upper one.
_SWAPPED = {"16B": "16L", "16L": "16B", "16N": _FOREIGN}
_LOWER = {
    f"{bands};{order}": f"{bands};{other}" for bands in ("RGB", "RGBA", "RGBX") for order, other in _SWAPPED.items()
}
_GREY_ALPHA = "LA;16B"
# All four bytes of a pixel, since Pillow has no name for the lower two.
_LOWER[_GREY_ALPHA] = "RGBA"


def is_deep_colour(image: Image.Image) -> bool:
    """Whether the file holds colour, or grey and alpha, of 16 bits, which Pillow would cut to 8."""
    if isinstance(image, TiffImageFile):
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (1,))
        return len(bits) > 1 and max(bits) > 8
    return image.format == "PNG" and image.mode in ("RGB", "RGBA") and any("16" in name for name in raw_modes(image))


def choose_lower_bytes(image: Image.Image, name: str) -> None:
    """Let the opened image load the lower bytes of its numbers; raises DataError where Pillow cannot be told to."""
    assert isinstance(image, ImageFile)
    is_apart = isinstance(image, TiffImageFile) and image.tag_v2.get(_PLANAR, 1) != 1
    if is_apart or not set(_LOWER).issuperset(raw_modes(image)):
        message = f"image {name!r} holds 16-bit colour in a way that is not read; allowed: RGB or RGBA, interleaved"
        raise DataError(message, where=name, hint="save it again as a PNG of 16 bits")
    image.tile = [tile._replace(args=_lower(tile.args)) for tile in image.tile]


def joined(upper: Image.Image, lower: Image.Image, *, is_grey: bool) -> npt.NDArray[np.uint16]:
    """[h, w, 3], or [h, w] for grey and alpha, of both halves; what is transparent is white, as with 8 bits."""
    low = np.asarray(lower)[..., [1, 1, 1, 3]] if is_grey else np.asarray(lower)
    pixels = np.asarray(upper).astype(np.uint16) << 8 | low
    colour: npt.NDArray[np.uint16] = pixels[..., :1] if is_grey else pixels[..., :3]
    if pixels.shape[-1] == 4 and (pixels[..., 3] < 65_535).any():
        alpha = pixels[..., 3:].astype(np.uint32)
        # Fits into 32 bits: 65,535 squared and a half of 65,535.
        colour = ((colour * alpha + 65_535 * (65_535 - alpha) + 32_767) // 65_535).astype(np.uint16)
    return colour[..., 0] if is_grey else colour


def is_grey(image: Image.Image) -> bool:
    """Whether deep colour that is not loaded yet is grey and alpha."""
    return _GREY_ALPHA in raw_modes(image)


def raw_modes(image: Image.Image) -> list[str]:
    """Pillow's names of how the numbers stand in a file that is not loaded yet, one for each tile."""
    return [_raw_mode(tile.args) for tile in getattr(image, "tile", ())]


def _raw_mode(args: object) -> str:
    return str(args[0] if isinstance(args, tuple) else args)


def _lower(args: object) -> tuple[object, ...] | str:
    name = _LOWER[_raw_mode(args)]
    return (name, *args[1:]) if isinstance(args, tuple) else name
