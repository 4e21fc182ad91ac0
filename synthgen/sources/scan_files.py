"""One file of a medical set, whatever its format, and the whole numbers in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn, cast

import numpy as np
import numpy.typing as npt

from synthgen.errors import DataError
from synthgen.scans import REVERSED, Axes, Stored
from synthgen.sources.image_problems import IntensityError

ScanFormat = Literal["dicom", "nifti"]
Numbers = npt.NDArray[np.generic]
Matrix = npt.NDArray[np.float64]
Three = npt.NDArray[np.float64]
Shape = tuple[int, int, int]

# 512 x 512 in 488 slices, 256 MiB of 16 bits.
MAX_VOXELS = 128_000_000
MEDICAL_EXTRA = "pip install 'synthgen[medical]'"


@dataclass(frozen=True)
class Grid:
    """Where the voxels of one image lie.

    Attributes:
        shape: sides (slice, row, column).
        affine, axes: see Scan; the affine is None when the file states none.
        bare_spacing: in mm where the file says no more, see Scan.
    """

    shape: Shape
    affine: Matrix | None
    axes: Axes = REVERSED
    bare_spacing: Three | None = None

    @property
    def spacing(self) -> Three | None:
        """In mm, of slices (0: unknown), rows and columns."""
        if self.affine is None:
            return self.bare_spacing
        return cast(Three, np.linalg.norm(self.affine[:3, :3], axis=0))


def scan_format(path: Path) -> ScanFormat | None:
    """What the first bytes say, whatever the file is called; None for other files. Only NIfTI comes gzipped."""
    with path.open("rb") as file:
        head = file.read(352)
    if head[128:132] == b"DICM":
        return "dicom"
    return "nifti" if head[:2] == b"\x1f\x8b" or head[344:347] in (b"n+1", b"ni1") or head[4:7] == b"n+2" else None


def lacks_extra(package: str, kind: str) -> DataError:
    """The error for files that need a package which is not installed."""
    return DataError(f"{kind} files are read with {package}, which is not installed", where=kind, hint=MEDICAL_EXTRA)


def refuse_empty(path: Path, name: str) -> None:
    """Raise DataError for a file without a byte."""
    if path.stat().st_size == 0:
        raise DataError(f"image {name!r} is empty (zero bytes)", where=name)


def refuse_damaged(name: str) -> NoReturn:
    """Raise DataError for bytes that break off or contradict each other."""
    raise DataError(f"image {name!r} is damaged or cut short", where=name)


def check_voxels(shape: tuple[int, ...], name: str) -> None:
    """Raise DataError for more voxels than anybody trains on, before they are unpacked."""
    # In Python's own whole numbers: a product of three 32-bit sides does not fit into 64 bits.
    count = 1
    for side in shape:
        count *= int(side)
    if count < 1:
        refuse_damaged(name)
    if count > MAX_VOXELS:
        message = f"image {name!r} has {count:,} pixels; {MAX_VOXELS // 1_000_000} million are allowed"
        raise DataError(message, where=name, hint="resample it before")


def stretched(values: Numbers, name: str) -> npt.NDArray[np.uint16]:
    """The numbers of one file over the whole of 16 bits: its lowest 0, its highest 65,535."""
    numbers = _finite(values, name).astype(np.float64)
    low, high = float(numbers.min()), float(numbers.max())
    return np.rint((numbers - low) * (65_535 / (high - low) if high > low else 0.0)).astype(np.uint16)


def whole_numbers(values: Numbers, name: str) -> Stored:
    """The numbers as uint8 where they came so, else uint16, or int16 where the file has signs.

    Raises:
        DataError: NaN or infinite, fractions, or beyond 16 bits.
    """
    if values.dtype in (np.uint8, np.uint16, np.int16):
        return values  # type: ignore[return-value]  # mypy does not follow the comparison
    numbers = _finite(values, name)
    low, high = float(numbers.min()), float(numbers.max())
    if numbers.dtype.kind == "f" and not np.array_equal(numbers, np.rint(numbers)):
        raise IntensityError(f"image {name!r} holds fractions; whole numbers of 8 or 16 bits are allowed")
    if low < -32_768 or high > (65_535 if low >= 0 else 32_767):
        raise IntensityError(f"image {name!r} has numbers of more than 16 bits")
    return numbers.astype(np.int16) if low < 0 else numbers.astype(np.uint16)


def _finite(values: Numbers, name: str) -> npt.NDArray[np.float64]:
    if values.dtype.kind not in "fiub":
        message = f"image {name!r} has numbers of type {values.dtype.name}; grey values are allowed"
        raise DataError(message, where=name)
    numbers: npt.NDArray[np.float64] = values  # type: ignore[assignment]  # of any real type; only compared and cast
    broken = int(numbers.size - np.isfinite(numbers).sum())
    if broken:
        message = f"image {name!r} is not a number (NaN) or infinite in {broken:,} of {numbers.size:,} voxels"
        raise DataError(message, where=name, hint="replace them, by 0 or the value of air")
    return numbers
