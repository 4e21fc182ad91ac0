"""Strips of example images as PNG in data URIs: real, synthetic, and the real image nearest to each synthetic one."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.spatial.distance import cdist

from synthgen.datasets import ImageSet, Index, class_counts, class_rows
from synthgen.findings import Report
from synthgen.metrics.evaluation import canonical
from synthgen.reports.measures import is_clearly_rarer

Pixels = npt.NDArray[np.uint8]

SHOWN_CLASSES, PER_STRIP = 12, 8
_STRIPS = 3
# Bytes of raw pixels on the page: noise does not compress, and base64 adds a third.
_PIXEL_BUDGET = 1_500_000
_LARGEST_PX, _COMPARED_PX = 96, 16
_GAP_PX = 2
_SHOWN_PX = 64  # of one image on the page, about


@dataclass(frozen=True)
class Strip:
    """A row of images; `shown_*` in CSS pixels, a whole multiple of the pixels of the file."""

    title: str
    uri: str
    alt: str
    shown_width: int
    shown_height: int


@dataclass(frozen=True)
class ClassPictures:
    """The strips of one class."""

    name: str
    strips: Sequence[Strip]


def class_pictures(train: ImageSet, synthetic: ImageSet) -> list[ClassPictures]:
    """Three strips for each class with synthetic images, at most `SHOWN_CLASSES` of them; the middle of volumes."""
    train, synthetic = _middle(train), _middle(synthetic)
    names = [name for name, count in class_counts(synthetic).items() if count][:SHOWN_CLASSES]
    side = _side(train, len(names))
    small = _thumbnails(train, _COMPARED_PX).reshape(len(train), -1)
    return [_pictures(name, train, synthetic, small, side) for name in names]


def rarer_kind(train: ImageSet, report: Report) -> ClassPictures | None:
    """Real images of the kind that `mode_coverage` found most clearly rarer; None where none is proven to be rarer."""
    found = report.finding("mode_coverage")
    if found is None or not is_clearly_rarer(found):
        return None
    name = str(found.detail["worst_class"])
    # Reports of before have no positions.
    positions = found.detail.get("rarest_kind_train_positions", {}).get(name, [])
    kind = canonical(train).take(np.asarray(positions, dtype=np.int64))
    assert isinstance(kind, ImageSet)
    kind = _middle(kind)
    alt = f"{len(kind)} real training images of class {name}, of the kind that is drawn too rarely"
    strip = _strip("rarer kind", kind, _side(kind, 1), alt)
    return None if strip is None else ClassPictures(name, [strip])


def _middle(data: ImageSet) -> ImageSet:
    return replace(data, images=data.images[:, :, data.images.shape[2] // 2]) if data.is_volumes else data


def _pictures(name: str, train: ImageSet, synthetic: ImageSet, small: Pixels, side: int) -> ClassPictures:
    drawn = synthetic.take(_spread(class_rows(synthetic, name)))
    nearest = _nearest(drawn, small)
    real = train.take(_spread(class_rows(train, name)))
    strips = [
        _strip("real", real, side, f"{len(real)} real training images of class {name}"),
        _strip("synthetic", drawn, side, f"{len(drawn)} synthetic images of class {name}"),
        _strip(
            "nearest real",
            train.take(nearest),
            side,
            f"the real training image nearest to each synthetic one, class {name}",
        ),
    ]
    return ClassPictures(name, [strip for strip in strips if strip is not None])


def _spread(rows: Index) -> Index:
    # Evenly over the set, not the first ones: sets are often sorted by source.
    return rows[np.unique(np.linspace(0, len(rows) - 1, PER_STRIP).round().astype(np.int64))] if len(rows) else rows


def _nearest(drawn: ImageSet, small: Pixels) -> Index:
    queries = _thumbnails(drawn, _COMPARED_PX).reshape(len(drawn), -1)
    return np.asarray(cdist(queries, small).argmin(axis=1), dtype=np.int64)


def _side(images: ImageSet, classes: int) -> int:
    channels, height, width = images.images.shape[1:]
    share = (_PIXEL_BUDGET / max(1, classes * _STRIPS * PER_STRIP * channels)) ** 0.5
    return int(max(8, min(_LARGEST_PX, share, max(height, width))))


def _thumbnails(images: ImageSet, side: int) -> Pixels:
    """uint8 [n, h, w, c], the longer edge at most `side` pixels."""
    plain = images.images if images.images.dtype == np.uint8 else (images.images >> 8).astype(np.uint8)
    height, width = plain.shape[2:]
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    rows = [_resized(image.transpose(1, 2, 0), size) for image in plain]
    return np.stack(rows) if rows else np.empty((0, size[1], size[0], plain.shape[1]), dtype=np.uint8)


def _resized(image: Pixels, size: tuple[int, int]) -> Pixels:
    if (image.shape[1], image.shape[0]) == size:
        return image
    opened = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    return np.asarray(opened.resize(size, Image.Resampling.BOX)).reshape(size[1], size[0], image.shape[2])


def _strip(title: str, images: ImageSet, side: int, alt: str) -> Strip | None:
    if len(images) == 0:
        return None
    tiles = np.pad(_thumbnails(images, side), ((0, 0), (0, 0), (0, _GAP_PX), (0, 0)), constant_values=255)
    joined = np.concatenate(list(tiles), axis=1)[:, :-_GAP_PX]
    buffer = io.BytesIO()
    Image.fromarray(joined[..., 0] if joined.shape[2] == 1 else joined).save(buffer, format="PNG", optimize=True)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    zoom = max(1, _SHOWN_PX // side)
    return Strip(title, f"data:image/png;base64,{encoded}", alt, zoom * joined.shape[1], zoom * joined.shape[0])
