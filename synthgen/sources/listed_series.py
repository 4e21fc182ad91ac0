"""Manifests that name one slice of each DICOM series: which mean the whole volume, and which nobody can tell."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from synthgen.config import ImageSource
from synthgen.errors import DataError
from synthgen.sources.dicom import SliceHeader, read_slice_header
from synthgen.sources.scan_files import scan_format

if TYPE_CHECKING:
    from synthgen.sources.layouts import Entry

# As our exporter names the files of a volume; its index names the first.
FIRST_SLICE = "-0000.dcm"
SLICES = "slices"
_MOST_SLICES = 10_000
# Headers of files that a manifest does not list; a folder of very many is looked through evenly.
_MOST_LOOKED_AT = 1_000


def names_volumes(frame: pd.DataFrame, path_column: str) -> bool:
    """Whether these are rows of the index of an emitted dataset of DICOM volumes, each of which names a first slice."""
    marked = "synthetic" in frame and pd.api.types.is_bool_dtype(frame["synthetic"].dtype) and "split" in frame
    return marked and len(frame) > 0 and bool(frame[path_column].astype(str).str.endswith(FIRST_SLICE).all())


def volume_files(frame: pd.DataFrame, path_column: str, manifest: Path) -> Iterator[list[str]]:
    """The slices of each row of such an index, in their order, as the index writes paths.

    Raises:
        DataError: no volume has so many slices, or an index that does not count them has only the first beside it.
    """
    firsts = [text.removesuffix(FIRST_SLICE) for text in frame[path_column].astype(str)]
    counts = _counts(frame[SLICES], manifest) if SLICES in frame else None
    for row, stem in enumerate(firsts):
        number = _beside(manifest, stem, row + 1) if counts is None else counts[row]
        yield [f"{stem}-{place:04d}.dcm" for place in range(number)]


def _counts(column: pd.Series, manifest: Path) -> list[int]:
    numbers = pd.to_numeric(column, errors="coerce")
    if not (numbers.between(1, _MOST_SLICES) & (numbers % 1 == 0)).all():
        message = f"column {SLICES!r} of {manifest.name!r} holds what is no number of slices"
        raise DataError(message, where=str(manifest), hint=f"1 to {_MOST_SLICES:,} are allowed; emit the dataset again")
    return [int(number) for number in numbers]


def _beside(manifest: Path, stem: str, row: int) -> int:
    # Datasets of before do not count the slices.
    number = next(place for place in count() if not (manifest.parent / f"{stem}-{place:04d}.dcm").is_file())
    if number < 2:
        message = f"{manifest.name} row {row} names the first slice of a volume, and no other slice of it is there"
        raise DataError(message, where=str(manifest), hint="copy the whole folder of the dataset, or emit it again")
    return number


def refuse_single_slices(entries: Sequence["Entry"], headers: Sequence[SliceHeader], source: ImageSource) -> None:
    """Raise DataError where one slice of each series is listed and others lie beside it, unless slices are asked for.

    Who lists several slices of a series has chosen among them.
    """
    if source.series == "slices" and "series" in source.model_fields_set:
        return
    series = {header.series: entry for entry, header in zip(entries, headers, strict=True) if header.series}
    if len(series) < len(entries):
        return
    listed = Counter(entry.path for entry in entries)
    folders = sorted({entry.path.parent for entry in entries})
    others = [path for folder in folders for path in sorted(folder.iterdir()) if path not in listed and path.is_file()]
    for path in others[:: max(1, len(others) // _MOST_LOOKED_AT)]:
        if (entry := series.get(_series_of(path))) is not None:
            message = f"{entry.name!r} is one slice of a series, and other slices of it are not listed"
            hint = "list every slice for volumes; series: slices (--series slices) makes an image of each listed one"
            raise DataError(message, where=entry.name, hint=hint)


def _series_of(path: Path) -> str:
    with suppress(DataError, OSError):
        if scan_format(path) == "dicom":
            return read_slice_header(path, path.name).series
    return ""
