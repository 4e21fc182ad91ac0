"""Labelled images: from class folders, an npz, a zip of either, or a manifest, to one `ImageSet`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd

from synthgen.attributes import Attributes
from synthgen.config import ImageSource
from synthgen.datasets import ImageSet, Ingested
from synthgen.errors import ConfigError, DataError, Refusals
from synthgen.findings import Problem
from synthgen.sources.archives import COLOURS, holds_arrays, load_arrays, unpacked
from synthgen.sources.frames import first_bytes
from synthgen.sources.image_problems import SizeError, check_images, image_problems, suggested_size
from synthgen.sources.layouts import Entry, folder_entries, listed_entries, manifest_entries
from synthgen.sources.medical import read_scans
from synthgen.sources.pixels import Header, Pixels, as_pixels, fit_pixels, read_header, read_pixels, set_channels
from synthgen.sources.scan_files import Grid, ScanFormat, scan_format
from synthgen.sources.scan_fitting import fitted, fittings


def read_images(source: ImageSource, *, split_column: str | None) -> Ingested:
    """The images that the path leads to, uint8 or uint16 [n, c, h, w]; raises DataError naming the file."""
    path = Path(source.path)
    if path.is_dir():
        _refuse_columns(source, split_column)
        return _from_files(folder_entries(path), source, path.name)
    if not first_bytes(path).startswith(b"PK"):
        if path.suffix in (".npz", ".zip"):
            raise DataError(f"{path.name!r} is damaged or not a {path.suffix[1:]} file", where=str(path))
        return _from_files(manifest_entries(path, source, split_column), source, path.name)
    _refuse_columns(source, split_column)
    if holds_arrays(path):
        return _from_arrays(path, source)
    with unpacked(path) as folder:
        arrays = sorted(folder.rglob("*.npz"))
        if len(arrays) == 1:
            return _from_arrays(arrays[0], source)
        return _from_files(folder_entries(folder), source, path.name)


def read_listed(frame: pd.DataFrame, source: ImageSource) -> Ingested:
    """The images that these rows of a manifest list, with paths relative to `source.path`, as `read_images`."""
    path = Path(source.path)
    return _from_files(listed_entries(frame, path, source, None), source, path.name)


def _refuse_no_size(source: ImageSource) -> None:
    if source.fit != "error" and source.size is None:
        raise ConfigError(f"source.fit is {source.fit!r}, but source.size is not set", where="source.size")


def _refuse_columns(source: ImageSource, split_column: str | None) -> None:
    columns = [("split.column", split_column), ("source.group", source.group)]
    for key, value in (*columns, *(("source.attributes", name) for name in source.attributes)):
        if value is not None:
            message = f"{key} is {value!r}, but only a manifest has columns"
            raise ConfigError(message, where=key, hint="folders named train, valid and holdout are a split, too")


def _from_files(entries: Sequence[Entry], source: ImageSource, name: str) -> Ingested:
    # An empty file is of no format; it is refused where the others are read.
    formats = Counter(scan_format(entry.path) for entry in entries if entry.path.stat().st_size)
    if len(formats) > 1:
        found = ", ".join(f"{count:,} {kind or 'other'} files" for kind, count in formats.items())
        raise DataError(f"{name!r} mixes formats: {found}", where=name, hint="one of DICOM, NIfTI and plain images")
    kind = next(iter(formats), None)
    if kind is not None:
        return _from_scans(entries, source, name, kind)
    _refuse_scan_keys(source)
    return _from_pictures(entries, source, name)


def _refuse_scan_keys(source: ImageSource) -> None:
    for key, value in (("series", source.series), ("intensity", source.intensity)):
        if value != ImageSource.model_fields[key].default:
            message = f"source.{key} is {value!r}, but these files are neither DICOM nor NIfTI"
            raise ConfigError(message, where=f"source.{key}", hint=f"leave source.{key} out")
    _refuse_no_size(source)


def _from_scans(entries: Sequence[Entry], source: ImageSource, name: str, kind: ScanFormat) -> Ingested:
    if source.fit == "resize":
        _refuse_no_size(source)
    scans = read_scans(entries, source, name, kind)
    parts = [entry.part for entry in scans.entries if entry.part is not None]
    data = _image_set(scans.images, [entry.label for entry in scans.entries], source)
    data = replace(data, groups=scans.groups, scan=scans.scan, attributes=_attributes(scans.entries, source))
    return _ingested(data, parts or None, name, sizes=scans.shapes, found=scans.problems)


def _from_pictures(entries: Sequence[Entry], source: ImageSource, name: str) -> Ingested:
    refusals, headers, pixels = Refusals(), [], []
    for entry in entries:
        with refusals.kept():
            headers.append(read_header(entry.path, entry.name))
    with refusals.kept():
        _check_sizes(headers, source, name)
    # Sizes that do not fit make reading vain, and a large set would not fit into memory.
    refusals.raise_any()
    for entry in entries:
        with refusals.kept():
            pixels.append(set_channels(fit_pixels(read_pixels(entry.path, entry.name), source), source))
    refusals.raise_any()
    _check_alike(pixels, name)
    groups = None if source.group is None else np.asarray([entry.group for entry in entries], dtype=np.str_)
    parts = [entry.part for entry in entries if entry.part is not None]
    data = _image_set(as_pixels(np.stack(pixels)), [entry.label for entry in entries], source)
    data = replace(data, groups=groups, attributes=_attributes(entries, source))
    return _ingested(data, parts or None, name, sizes=len(set(headers)))


def _attributes(entries: Sequence[Entry], source: ImageSource) -> Attributes | None:
    if not source.attributes:
        return None
    columns = zip(*(entry.attributes for entry in entries), strict=True)
    return replace(Attributes.of(dict(zip(source.attributes, columns, strict=True))), protected=source.protected)


def _from_arrays(path: Path, source: ImageSource) -> Ingested:
    _refuse_scan_keys(source)
    images, labels, parts = load_arrays(path)
    if len(images) == 0:
        raise DataError(f"{path.name!r} holds no images", where=str(path))
    if images.ndim == 4 and images.shape[-1] != COLOURS:
        return _ingested(_image_set(_volumes(images, source, path.name), labels, source), parts, path.name)
    _check_sizes([Header(images.shape[2], images.shape[1])], source, path.name)
    pixels = np.stack([set_channels(fit_pixels(as_pixels(image), source), source) for image in images])
    return _ingested(_image_set(as_pixels(pixels), labels, source), parts, path.name)


def _volumes(images: Pixels, source: ImageSource, name: str) -> Pixels:
    """[n, d, h, w] as [n, 1, d, h, w], every side source.size where that is asked for."""
    if source.channels == "rgb":
        message = f"source.channels is 'rgb', but {name!r} holds volumes, which are grey"
        raise ConfigError(message, where="source.channels", hint="leave source.channels out")
    if source.fit == "error" and source.size is not None and set(images.shape[1:]) != {source.size}:
        sides = " x ".join(str(side) for side in images.shape[:0:-1])
        message = f"the volumes of {name!r} are {sides}, and source.size is {source.size}"
        raise DataError(message, where="source.fit", hint="set source.fit to resize, crop or pad")
    depth, height, width = images.shape[1:]
    [fitting] = fittings([Grid((depth, height, width), None)], source)
    return as_pixels(np.stack([fitted(image, fitting) for image in images])[:, None])


def _image_set(images: Pixels, labels: Sequence[str], source: ImageSource) -> ImageSet:
    names = set(labels)
    # "10" after "9", as a person counts.
    order = sorted(names, key=int) if all(name.isdecimal() for name in names) else sorted(names)
    codes = np.asarray([order.index(label) for label in labels], dtype=np.int64)
    return ImageSet(images, codes, tuple(order), mirror_keeps_label=source.mirror_keeps_label)


def _ingested(
    data: ImageSet, parts: Sequence[str] | None, name: str, *, sizes: int = 1, found: Sequence[Problem] = ()
) -> Ingested:
    check_images(data, name)
    given = None if parts is None else np.asarray(parts, dtype=np.str_)
    return Ingested(data, given, [asdict(problem) for problem in (*found, *image_problems(data, fitted_sizes=sizes))])


def _check_sizes(headers: Sequence[Header], source: ImageSource, name: str) -> None:
    # Without headers every file is refused already.
    if source.fit != "error" or not headers:
        return
    widths, heights = [header.width for header in headers], [header.height for header in headers]
    wanted = source.size
    if len(set(headers)) == 1 and wanted in (None, widths[0]) and wanted in (None, heights[0]):
        return
    across = f"{min(widths)} to {max(widths)} wide and {min(heights)} to {max(heights)} high"
    message = f"the images of {name!r} are {across}, in {len(set(headers)):,} sizes"
    asked = "one size is needed" if wanted is None else f"source.size is {wanted}"
    size = suggested_size([(header.height, header.width) for header in headers])
    raise SizeError(f"{message}; {asked}", where="source.fit", size=size, fit="resize")


def _check_alike(pixels: Sequence[Pixels], name: str) -> None:
    kinds = Counter((image.shape[0], image.dtype.itemsize * 8) for image in pixels)
    if len(kinds) == 1:
        return
    found = ", ".join(f"{count:,} {'RGB' if channels == 3 else 'grey'} of {bits} bits" for (channels, bits), count in
                      sorted(kinds.items()))  # fmt: skip
    raise DataError(f"the images of {name!r} differ: {found}", where="source.channels",
                    hint="set source.channels to grey or rgb; 8 and 16 bits cannot be mixed")  # fmt: skip
