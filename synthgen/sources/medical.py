"""Sets of DICOM or NIfTI files as one `ImageSet`: slices [n, 1, h, w], or volumes [n, 1, d, h, w].

Read with pydicom and nibabel alone: MONAI's readers wrap the same two and cost 8 s of import.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import numpy as np
import pandas as pd

from synthgen.config import ImageSource
from synthgen.datasets import Labels
from synthgen.errors import ConfigError, DataError, Refusals, name_list
from synthgen.findings import Problem
from synthgen.scans import REVERSED, Scan, Stored, Unsigned
from synthgen.sources.common_grid import are_alike, common_grid
from synthgen.sources.dicom import SliceHeader, if_usable, read_slice, read_slice_header
from synthgen.sources.image_problems import IntensityError, SizeError, suggested_size
from synthgen.sources.layouts import Entry
from synthgen.sources.listed_series import refuse_single_slices
from synthgen.sources.nifti import nifti_grid, read_nifti
from synthgen.sources.scan_files import Grid, Matrix, Numbers, ScanFormat, check_voxels, stretched, whole_numbers
from synthgen.sources.scan_fitting import TOLERANCE, Fitting, fitted, fittings

# With fewer patients in a class no split by patient has one on every side.
MIN_SUBJECTS = 3


@dataclass(frozen=True)
class Unit:
    """What becomes one image: a file, or the slices of a series. `subject` tells patients apart and is never shown."""

    entry: Entry
    grid: Grid
    read: Callable[[], Numbers]
    subject: str | None = None


@dataclass(frozen=True)
class Scans:
    """A set of medical images, each of which belongs to an entry."""

    images: Unsigned
    scan: Scan
    entries: Sequence[Entry]
    groups: Labels | None
    problems: Sequence[Problem]
    shapes: int


def read_scans(entries: Sequence[Entry], source: ImageSource, name: str, kind: ScanFormat) -> Scans:
    """All images of the set, and what the files agree in.

    Raises:
        DataError: what is wrong with each file, all in one; a patient is named; the files cannot stand in one set.
    """
    if source.channels == "rgb":
        raise ConfigError("source.channels is 'rgb', but DICOM and NIfTI are grey", where="source.channels")
    problems: list[Problem] = []
    if kind == "dicom":
        headers = _headers(entries)
        _refuse_patients(headers)
        problems += _burned_in(headers)
        if entries[0].volume is not None:
            units = _listed_stacks(entries, headers)
        else:
            refuse_single_slices(entries, headers, source)
            units = _stacks(entries, headers) if source.series == "volume" else _slices(entries, headers)
    else:
        headers, units = [], _volumes(entries)
    _check_shapes(units, source, name)
    grids = [unit.grid for unit in units]
    plan = fittings(grids, source)
    affine, bare_spacing, mixed = common_grid(grids, plan, source)
    # Without an affine a file is read as x, y, z.
    axes = grids[0].axes if affine is not None else REVERSED
    scan = Scan(kind, "uint8", 0, _modality(headers), affine, axes, bare_spacing)
    values, scan = _unsigned(_read(units, plan, source), scan, name)
    groups, few = _groups(units, source)
    shapes = len({grid.shape for grid in grids})
    # A slice is an image without depth.
    pixels = values if max(values.shape[1], shapes) > 1 and values.shape[1] > 1 else values[:, 0]
    return Scans(pixels[:, None], scan, [unit.entry for unit in units], groups, [*problems, *mixed, *few], shapes)


def _headers(entries: Sequence[Entry]) -> list[SliceHeader]:
    refusals, headers = Refusals(), []
    for entry in entries:
        with refusals.kept():
            headers.append(read_slice_header(entry.path, entry.name))
    refusals.raise_any()
    return headers


def _refuse_patients(headers: Sequence[SliceHeader]) -> None:
    named = [header for header in headers if header.patient_tags]
    if named:
        first = named[0]
        message = f"{len(named):,} of {len(headers):,} DICOM files name their patient"
        hint = "de-identify them: empty all tags of group 0010, or state PatientIdentityRemoved (0012,0062) = YES"
        tags = name_list(first.patient_tags, at_most=5)
        raise DataError(f"{message}; the first is {first.name!r}, which holds {tags}", where=first.name, hint=hint)


def _burned_in(headers: Sequence[SliceHeader]) -> Iterator[Problem]:
    burned = sum(header.is_burned_in for header in headers)
    if burned:
        message = f"{burned:,} of {len(headers):,} DICOM files say that text is burned into their pixels"
        hint = "a name in the pixels is learnt and drawn like any other shape: look at them, mask the text"
        yield Problem("burned_in_annotation", message, "warning", hint=hint)


def _slices(entries: Sequence[Entry], headers: Sequence[SliceHeader]) -> list[Unit]:
    return [
        Unit(entry, header.grid, partial(read_slice, entry.path, header), header.subject)
        for entry, header in zip(entries, headers, strict=True)
    ]


def _volumes(entries: Sequence[Entry]) -> list[Unit]:
    refusals, units = Refusals(), []
    for entry in entries:
        with refusals.kept():
            grid = nifti_grid(entry.path, entry.name)
            units.append(Unit(entry, grid, partial(read_nifti, entry.path, entry.name, grid.axes)))
    refusals.raise_any()
    return units


def _listed_stacks(entries: Sequence[Entry], headers: Sequence[SliceHeader]) -> list[Unit]:
    """One unit for each volume, its slices in the order of the index, which knows it where headers state no place."""
    volumes = groupby(zip(entries, headers, strict=True), key=lambda pair: pair[0].volume)
    return [_stack(*zip(*pairs, strict=True)) for _, pairs in volumes]


def _stacks(entries: Sequence[Entry], headers: Sequence[SliceHeader]) -> list[Unit]:
    """One unit for each series, or for each moment of a series that has every position several times."""
    frame = pd.DataFrame({
        "label": [entry.label for entry in entries],
        "part": [entry.part or "" for entry in entries],
        "series": [header.series for header in headers],
        "position": [header.position_mm for header in headers],
        "instance": [header.instance for header in headers],
    })  # fmt: skip
    refusals, units = Refusals(), []
    for _, rows in frame.groupby(["label", "part", "series"], sort=True):
        first = headers[rows.index[0]].name
        with refusals.kept():
            _check_one_grid([headers[row] for row in rows.index], first)
            for moment in _moments(rows.sort_values(["position", "instance"], kind="stable"), first):
                units.append(_stack([entries[row] for row in moment], [headers[row] for row in moment]))
    refusals.raise_any()
    return units


def _no_volume(first: str, reason: str) -> DataError:
    message = f"the series of {first!r} is no volume: {reason}"
    return DataError(message, where=first, hint="remove it, or read all slices one by one with source.series: slices")


def _check_one_grid(headers: Sequence[SliceHeader], first: str) -> None:
    """Raise DataError for slices that lie or are spaced in several ways, as those of a localizer."""
    steps = [header.affine[:3, 1:3] for header in headers if header.affine is not None]  # along columns and rows
    spacings = [np.linalg.norm(step, axis=0) for step in steps]
    turns = [step / spacing for step, spacing in zip(steps, spacings, strict=True)]
    for what, values in (("orientations", turns), ("spacings of their pixels", spacings)):
        if steps and not are_alike(values):
            kinds = len(np.unique(np.round(values, 2), axis=0))
            raise _no_volume(first, f"its slices have {max(kinds, 2)} {what}")


def _moments(rows: pd.DataFrame, first: str) -> list[list[int]]:
    if rows["position"].isna().any():
        raise _no_volume(first, "a slice does not state its position")
    steps = np.diff(rows["position"].to_numpy(dtype=np.float64))
    place = np.concatenate([[0], np.cumsum(steps > TOLERANCE)])
    moment = rows.groupby(place).cumcount().to_numpy()
    lots = [rows.index[moment == number].tolist() for number in range(moment.max() + 1)]
    if len({len(lot) for lot in lots}) > 1:
        raise _no_volume(first, "slices are missing at some positions")
    gaps = steps[steps > TOLERANCE]
    if len(gaps) and np.ptp(gaps) > 0.05 * gaps.min():
        raise _no_volume(first, "its slices are not evenly spaced")
    return lots


def _stack(entries: Sequence[Entry], headers: Sequence[SliceHeader]) -> Unit:
    if len({(header.rows, header.columns) for header in headers}) > 1:
        raise _no_volume(headers[0].name, "its slices differ in size")
    if _are_shifted(headers):
        raise _no_volume(headers[0].name, "its slices are shifted against each other")
    shape = (len(headers), headers[0].rows, headers[0].columns)
    check_voxels(shape, headers[0].name)
    grid = Grid(shape, _stack_affine(headers), bare_spacing=headers[0].spacing)
    return Unit(entries[0], grid, partial(_read_stack, entries, headers), headers[0].subject)


def _are_shifted(headers: Sequence[SliceHeader]) -> bool:
    """Whether a slice begins half a pixel or more, along its rows or columns, beside the line from first to last."""
    affines = [header.affine for header in headers if header.affine is not None and header.position_mm is not None]
    if len(affines) < len(headers):
        return False
    begins, pixel = np.array([affine[:3, 3] for affine in affines]), affines[0][:3, 1:3]
    beside = begins - np.linspace(begins[0], begins[-1], len(begins))  # [n, 3] in mm
    return bool(np.abs(beside @ pixel / (pixel**2).sum(axis=0)).max() >= 0.5)


def _stack_affine(headers: Sequence[SliceHeader]) -> Matrix | None:
    first, last = headers[0].affine, headers[-1].affine
    if first is None or last is None or len(headers) < 2:
        return first
    affine = first.copy()
    affine[:3, 0] = (last[:3, 3] - first[:3, 3]) / (len(headers) - 1)
    return if_usable(affine)


def _read_stack(entries: Sequence[Entry], headers: Sequence[SliceHeader]) -> Numbers:
    return np.concatenate([read_slice(entry.path, header) for entry, header in zip(entries, headers, strict=True)])


def _check_shapes(units: Sequence[Unit], source: ImageSource, name: str) -> None:
    shapes = sorted({unit.grid.shape for unit in units})
    flat = sum(unit.grid.shape[0] == 1 for unit in units)
    if 0 < flat < len(units):
        message = f"{name!r} mixes {flat:,} single slices with {len(units) - flat:,} volumes"
        raise DataError(message, where=name, hint="remove the one or the other")
    wanted = None if source.size is None else {source.size}
    alike = len(shapes) == 1 and wanted in (None, set(shapes[0][1:] if flat else shapes[0]))
    if source.fit != "error" or alike:
        return
    low, high = (" x ".join(str(bound(sides)) for sides in zip(*shapes, strict=True)) for bound in (min, max))
    message = f"the images of {name!r} have {len(shapes):,} sizes, {low} to {high} (slices, rows, columns)"
    asked = "one size is needed" if source.size is None else f"source.size is {source.size}"
    size = suggested_size([unit.grid.shape for unit in units])
    raise SizeError(f"{message}; {asked}", where="source.fit", size=size, fit="pad")


def _read(units: Sequence[Unit], plan: Sequence[Fitting], source: ImageSource) -> list[Stored]:
    refusals, images = Refusals(), []
    numbers = stretched if source.intensity == "stretch" else whole_numbers
    for unit, fitting in zip(units, plan, strict=True):
        with refusals.kept():
            images.append(fitted(numbers(unit.read(), unit.entry.name), fitting))
    refusals.raise_any()
    return images


def _unsigned(images: Sequence[Stored], scan: Scan, name: str) -> tuple[Unsigned, Scan]:
    """The images [n, d, h, w] without negative numbers, and how to get these back."""
    kinds = {image.dtype.name for image in images}
    low, high = min(int(image.min()) for image in images), max(int(image.max()) for image in images)
    if ("uint8" in kinds and len(kinds) > 1) or (low < 0 and high > 32_767):
        message = f"the images of {name!r} differ: numbers of type {name_list(sorted(kinds))} from {low:,} to {high:,}"
        raise IntensityError(message)
    if kinds == {"uint8"}:
        return np.stack(images).astype(np.uint8, copy=False), scan
    # A power of two: sets of one kind get one offset, whatever their lowest voxel.
    offset = 0 if low >= 0 else -(1 << (-low - 1).bit_length())
    values = np.stack([(image.astype(np.int32) - offset).astype(np.uint16) for image in images])
    signed = "int16" in kinds and high <= 32_767
    return values, replace(scan, dtype="int16" if signed else "uint16", offset=offset)


def _modality(headers: Sequence[SliceHeader]) -> str:
    found = {header.modality for header in headers}
    return found.pop() if len(found) == 1 else "OT"


def _groups(units: Sequence[Unit], source: ImageSource) -> tuple[Labels | None, list[Problem]]:
    """What has to stay in one part of the split: the manifest's groups, or the patients (series) by number."""
    if source.group is not None:
        return np.asarray([unit.entry.group for unit in units], dtype=np.str_), []
    frame = pd.DataFrame({"label": [unit.entry.label for unit in units], "subject": [unit.subject for unit in units]})
    if frame["subject"].isna().any() or frame["subject"].nunique() == len(units):
        return None, []
    fewest = int(frame.groupby("label")["subject"].nunique().min())
    if fewest >= MIN_SUBJECTS and all(unit.entry.part is None for unit in units):
        return np.asarray([f"subject {code + 1}" for code in pd.factorize(frame["subject"])[0]], dtype=np.str_), []
    message = f"a class has images of {fewest} patients or series only: the same stand in train and in holdout"
    hint = "numbers on such a holdout look better than they are; add patients"
    return None, [Problem("few_subjects", message, "warning", hint=hint)]
