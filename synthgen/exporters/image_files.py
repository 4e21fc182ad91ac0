"""What an encoder of image files is given: the pixels, and where they come from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from synthgen.exporters.png import Image, encode_png
from synthgen.provenance import synthetic_text
from synthgen.scans import Scan

__all__ = ["Encode", "Image", "Origin", "png_files"]


@dataclass(frozen=True)
class Origin:
    """Where an image comes from. `stem`: its path without what the format appends; `model`: see `Part`."""

    stem: str
    synthetic: bool
    run_id: str
    scan: Scan | None
    model: str = ""


# An image [c, h, w] or [1, d, h, w] as files: what follows the stem, and the bytes. The index names the first.
Encode = Callable[[Image, Origin], Mapping[str, bytes]]


def png_files(image: Image, origin: Origin) -> dict[str, bytes]:
    """One PNG, which says in text chunks that it is synthetic if it is."""
    text = synthetic_text(origin.run_id, origin.model) if origin.synthetic else {}
    return {".png": encode_png(image, text)}
