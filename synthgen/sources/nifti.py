"""NIfTI-1 and NIfTI-2 in one file, plain or gzipped. Only header and voxels are read, and no more than the header says.

Source: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h
"""

import gzip
import zlib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from synthgen.errors import DataError
from synthgen.scans import REVERSED, Axes
from synthgen.sources.scan_files import (
    Grid,
    Matrix,
    Numbers,
    Shape,
    Three,
    check_voxels,
    lacks_extra,
    refuse_damaged,
    refuse_empty,
)

if TYPE_CHECKING:
    from nibabel import Nifti1Header

_HEAD_BYTES = {1: 348, 2: 540}
# Extensions stand between header and voxels.
_MAX_OFFSET = 2**20
BROKEN = (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError, OverflowError, IndexError, ArithmeticError)


def nifti_grid(path: Path, name: str) -> Grid:
    """The grid without reading a voxel; raises DataError when it is no NIfTI, or too large.

    Slices, rows and columns are the axes nearest to the patient's height, depth and width, in whatever order the file
    has them and in its direction; a single slice has its flat axis first.
    """
    refuse_empty(path, name)
    with closing(_opened(path)) as file:
        header, _ = _header(file, name)
    shape, affine = _three_sides(header, name), _affine(header, name)
    axes = _axes(shape, np.eye(4) if affine is None else affine)
    first, second, third = (shape[axis] for axis in axes)
    sides = first, second, third
    if affine is not None:
        return Grid(sides, affine[:, [*axes, 3]], axes)
    return Grid(sides, None, axes, _bare_spacing(header, sides, axes))


def _mm(header: "Nifti1Header") -> float:
    """Of one unit of length of the file. The lower bits name it: 1 for m, 2 for mm, 3 for micron."""
    return {1: 1_000.0, 3: 0.001}.get(int(header["xyzt_units"]) & 7, 1.0)


def _affine(header: "Nifti1Header", name: str) -> Matrix | None:
    if not _has_code(header):
        # nibabel would make one up, as of an Analyze file.
        return None
    try:
        # Of a 0, which is common, and of other numbers the standard takes the sign alone; nibabel refuses them.
        header["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    except Exception as error:  # see _three_sides
        raise DataError(f"image {name!r} is damaged or cut short", where=name) from error
    affine[:3] *= _mm(header)
    return affine if np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 0 else None


def _has_code(header: "Nifti1Header") -> bool:
    return int(header["sform_code"]) != 0 or int(header["qform_code"]) != 0


def _bare_spacing(header: "Nifti1Header", sides: Shape, axes: Axes) -> Three | None:
    if _has_code(header):
        return None
    spacing = np.abs(header["pixdim"][1:4].astype(np.float64))[list(axes)] * _mm(header)
    is_known = np.isfinite(spacing) & (spacing > 0)
    if not is_known[1:].all() or (sides[0] > 1 and not is_known[0]):
        return None
    return np.where(is_known, spacing, 0.0)


def read_nifti(path: Path, name: str, axes: Axes = REVERSED) -> Numbers:
    """Numbers [d, h, w] with the header's slope and intercept applied; `axes` see Scan.

    Raises:
        DataError: no NIfTI, cut short, of two files, with a time axis, or in colour.
    """
    with closing(_opened(path)) as file:
        header, head = _header(file, name)
        shape, dtype, offset = _three_sides(header, name), header.get_data_dtype(), int(header["vox_offset"])
        size = offset + int(np.prod(shape)) * dtype.itemsize
        try:
            content = head + file.read(size - len(head))
        except BROKEN:
            refuse_damaged(name)
    if len(content) < size:
        refuse_damaged(name)
    values = np.frombuffer(content, dtype, int(np.prod(shape)), offset).reshape(shape, order="F")
    slope, intercept = _slope_and_intercept(header, name)
    if (slope, intercept) not in ((None, None), (1, 0)):
        values = values * np.float64(slope) + np.float64(intercept)
    return values.astype(values.dtype.newbyteorder("="), copy=False).transpose(axes)


def _slope_and_intercept(header: "Nifti1Header", name: str) -> tuple[float | None, float | None]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope != 0 and np.isfinite(slope) and not np.isfinite(intercept):
        message = f"image {name!r} has an intercept (scl_inter) of {intercept}, which no number can be added to"
        raise DataError(message, where=name, hint="write 0 there")
    return cast("tuple[float | None, float | None]", header.get_slope_inter())


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path)) if packed else path.open("rb")


def _header(file: BinaryIO, name: str) -> tuple["Nifti1Header", bytes]:
    try:
        from nibabel import Nifti1Header, Nifti2Header
    except ImportError:
        raise lacks_extra("nibabel", "NIfTI") from None
    try:
        head = file.read(_HEAD_BYTES[2])
    except BROKEN:
        refuse_damaged(name)
    if head[344:347] == b"ni1":
        raise DataError(f"{name!r} is half of a NIfTI pair", where=name, hint="convert it to one .nii file")
    version = 1 if head[344:347] == b"n+1" else 2
    if version == 2 and head[4:7] != b"n+2":
        raise DataError(f"{name!r} is not a NIfTI file", where=name)
    try:
        block = head[: _HEAD_BYTES[version]]
        header = Nifti1Header(block, check=False) if version == 1 else Nifti2Header(block, check=False)
        offset = float(header["vox_offset"])
    except BROKEN:
        refuse_damaged(name)
    if not _HEAD_BYTES[version] <= offset <= _MAX_OFFSET:
        refuse_damaged(name)
    return header, head


def _three_sides(header: "Nifti1Header", name: str) -> Shape:
    try:
        shape, dtype = [int(side) for side in header.get_data_shape()], header.get_data_dtype()
    except Exception as error:  # nibabel has a family of errors of its own, which need its import to be named
        raise DataError(f"image {name!r} is damaged or cut short", where=name) from error
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if len(shape) > 3:
        message = f"image {name!r} has {len(shape)} dimensions; one volume a file is allowed"
        raise DataError(message, where=name, hint="save each moment as a file of its own")
    if dtype.kind not in "iuf":
        raise DataError(f"image {name!r} has numbers of type {dtype.name}; grey values are allowed", where=name)
    if min(shape, default=0) < 1:
        refuse_damaged(name)
    check_voxels(tuple(shape), name)
    first, second, third = [*shape, 1, 1, 1][:3]
    return first, second, third


def _axes(shape: Shape, affine: Matrix) -> Axes:
    from nibabel.orientations import io_orientation

    # For each axis of the file 0 where it runs nearest to left and right, 1 to the back and front, 2 down and up.
    nearest = io_orientation(affine)[:, 0]
    flat = shape.index(1) if 1 in shape else None
    first, second, third = sorted(range(3), key=lambda axis: (axis != flat, -nearest[axis]))
    return first, second, third
