"""DICOM slices: what the header says of geometry and of the patient, and the pixels."""

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from synthgen.errors import DataError
from synthgen.sources.scan_files import (
    Grid,
    Matrix,
    Numbers,
    Three,
    check_voxels,
    lacks_extra,
    refuse_damaged,
    refuse_empty,
)

if TYPE_CHECKING:
    from pydicom import Dataset

PATIENT_GROUP = 0x0010
# A header that is packed as a whole unpacks to anything.
DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.8.1")
BROKEN = (OSError, EOFError, zlib.error, struct.error, ValueError, TypeError, KeyError, OverflowError, IndexError,
          AttributeError, ArithmeticError, NotImplementedError, RuntimeError, MemoryError)  # fmt: skip
# From x to the left and y to the back (LPS, DICOM) to right and front (RAS).
_RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class SliceHeader:
    """What a DICOM file says besides its pixels.

    Attributes:
        patient_tags: names of the patient's tags that hold something; () when the file says that they were removed.
        subject, series: to tell patients and series apart; never shown, never written.
        position_mm: along the normal of the slices; None when unknown.
        affine: see Scan; the slice step is the distance of slices, or their thickness.
        spacing: in mm, of slices (0: unknown), rows and columns.
    """

    name: str
    rows: int
    columns: int
    modality: str
    patient_tags: tuple[str, ...]
    is_burned_in: bool
    subject: str
    series: str
    instance: int
    position_mm: float | None
    affine: Matrix | None
    spacing: Three | None

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        return Grid((1, self.rows, self.columns), self.affine, bare_spacing=self.spacing)


def read_slice_header(path: Path, name: str) -> SliceHeader:
    """Everything but the pixels; raises DataError for what is no single grey slice, or is too large."""
    refuse_empty(path, name)
    with _told(name):
        file = _dataset(path, name, pixels=False)
        _check_single_grey(file, name)
        check_voxels((int(file.Rows), int(file.Columns)), name)
        spacing = _spacing(file)
        affine, position = _geometry(file, spacing)
        series = str(file.get("SeriesInstanceUID", ""))
        return SliceHeader(
            name=name,
            rows=int(file.Rows),
            columns=int(file.Columns),
            modality=str(file.get("Modality") or "OT"),
            patient_tags=_patient_tags(file),
            is_burned_in=str(file.get("BurnedInAnnotation", "")).strip().upper() == "YES",
            subject=str(file.get("PatientID") or series),
            series=series,
            instance=int(file.get("InstanceNumber") or 0),
            position_mm=position,
            affine=affine,
            spacing=spacing,
        )


def read_slice(path: Path, header: SliceHeader) -> Numbers:
    """The numbers [1, h, w] with slope and intercept applied, bright as it is shown (MONOCHROME1 is turned)."""
    with _told(header.name):
        file = _dataset(path, header.name, pixels=True)
        values = np.asarray(file.pixel_array)
        if file.PhotometricInterpretation == "MONOCHROME1":
            values = (
                ~values if values.dtype.kind == "i" else (2 ** int(file.BitsStored) - 1 - values).astype(values.dtype)
            )
        slope, intercept = float(file.get("RescaleSlope") or 1), float(file.get("RescaleIntercept") or 0)
        if (slope, intercept) != (1, 0):
            values = values * slope + intercept
        if values.shape != (header.rows, header.columns):
            refuse_damaged(header.name)
        return values[None]


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Keep pydicom quiet, which prints values of tags, and name the file where it fails."""
    log = logging.getLogger("pydicom")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except BROKEN:
        raise DataError(f"image {name!r} is damaged, cut short, or packed in a way that is not read", where=name,
                        hint="try `gdcmconv --raw` on it") from None  # fmt: skip
    finally:
        log.setLevel(level)


def _dataset(path: Path, name: str, *, pixels: bool) -> "Dataset":
    try:
        from pydicom import dcmread
        from pydicom.filereader import read_file_meta_info
    except ImportError:
        raise lacks_extra("pydicom", "DICOM") from None
    if read_file_meta_info(path).get("TransferSyntaxUID") in DEFLATED:
        raise DataError(f"image {name!r} is a deflated DICOM file, which is not read", where=name,
                        hint="unpack it with `gdcmconv --raw`")  # fmt: skip
    return dcmread(path, stop_before_pixels=not pixels)


def _check_single_grey(file: "Dataset", name: str) -> None:
    if int(file.get("NumberOfFrames") or 1) > 1:
        raise DataError(f"image {name!r} has several frames; one slice a file is allowed", where=name,
                        hint="convert it to one file a slice, or to NIfTI")  # fmt: skip
    if "Rows" not in file or "Columns" not in file:
        raise DataError(f"{name!r} is a DICOM file without an image", where=name, hint="remove it")
    bits, high = int(file.get("BitsStored") or 0), int(file.get("HighBit") or 0)
    if bits and high and high != bits - 1:
        # PS3.5 8.1.1 since 2007; pydicom takes the lower bits all the same.
        raise DataError(f"image {name!r} has HighBit {high} for {bits} bits, which is read wrongly", where=name,
                        hint="convert it with `dcmconv` or `gdcmconv --raw`")  # fmt: skip
    if file.get("ModalityLUTSequence"):
        raise DataError(f"image {name!r} has a table of values (ModalityLUTSequence), which is not read", where=name,
                        hint="apply the table first, with pydicom's `apply_modality_lut`")  # fmt: skip
    if int(file.get("SamplesPerPixel", 1)) != 1 or not str(file.PhotometricInterpretation).startswith("MONOCHROME"):
        raise DataError(f"image {name!r} is DICOM in colour; grey is read", where=name, hint="convert it to PNG")


def _patient_tags(file: "Dataset") -> tuple[str, ...]:
    if str(file.get("PatientIdentityRemoved", "")).strip().upper() == "YES":
        return ()
    # Element 0 is the length of the group.
    held = [item for item in file.group_dataset(PATIENT_GROUP) if item.tag.element and not item.is_empty]
    return tuple(item.keyword or f"({item.tag.group:04X},{item.tag.element:04X})" for item in held)


def _spacing(file: "Dataset") -> Three | None:
    # An X-ray image may state that of the detector alone, a digitised film that of the scanner.
    tags = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
    stated = next((file[tag].value for tag in tags if file.get(tag)), ())
    if len(stated) != 2:
        return None
    thickness = abs(float(file.get("SpacingBetweenSlices") or file.get("SliceThickness") or 0))
    spacing = np.array([thickness, *stated], dtype=np.float64)
    return spacing if np.isfinite(spacing).all() and spacing[1:].min() > 0 else None


def _geometry(file: "Dataset", spacing: Three | None) -> tuple[Matrix | None, float | None]:
    directions = file.get("ImageOrientationPatient")
    if spacing is None or not directions or len(directions) != 6:
        return None, None
    along_row, along_column = np.array(directions[:3], dtype=np.float64), np.array(directions[3:], dtype=np.float64)
    normal = np.cross(along_row, along_column)
    affine = np.eye(4)
    steps = normal * (spacing[0] or 1), along_column * spacing[1], along_row * spacing[2]
    affine[:3, :3] = np.column_stack(steps) * _RAS[:, None]
    place = file.get("ImagePositionPatient")
    if not place or len(place) != 3 or if_usable(affine) is None:
        return if_usable(affine), None
    origin = np.array(place, dtype=np.float64)
    affine[:3, 3] = origin * _RAS
    return if_usable(affine), float(origin @ normal)


def if_usable(affine: Matrix) -> Matrix | None:
    """The affine, or None where it has no inverse."""
    return affine if np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 0 else None
