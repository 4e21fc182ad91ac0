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
from synthgen.sources.scan_files import Matrix, Shape, Voxels, check_voxels, lacks_extra, refuse_damaged, refuse_empty

if TYPE_CHECKING:
    from nibabel import Nifti1Header

_HEAD_BYTES = {1: 348, 2: 540}
# Extensions stand between header and voxels.
_MAX_OFFSET = 2**20
BROKEN = (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError, OverflowError, IndexError, ArithmeticError)


def nifti_shape(path: Path, name: str) -> Shape:
    """Sides (slice, row, column) without reading a voxel; raises DataError when it is no NIfTI, or too large."""
    refuse_empty(path, name)
    with closing(_opened(path)) as file:
        header, _ = _header(file, name)
        shape = _three_sides(header, name)
        return cast(Shape, tuple(np.moveaxis(np.empty((0, *shape)), 1 + _flat_axis(shape), 1).shape[1:]))


def read_nifti(path: Path, name: str) -> Voxels:
    """Numbers with the header's slope and intercept applied, indices in the order of the file.

    A single slice has its flat axis first.

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
    try:
        slope, intercept = header.get_slope_inter()
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    except BROKEN:
        refuse_damaged(name)
    if (slope, intercept) not in ((None, None), (1, 0)):
        values = values * np.float64(slope) + np.float64(intercept)
    return _flat_first(values.astype(values.dtype.newbyteorder("="), copy=False), affine)


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


def _flat_axis(shape: Shape) -> int:
    return shape.index(1) if 1 in shape else 0


def _flat_first(values: np.ndarray, affine: Matrix) -> Voxels:
    flat = _flat_axis(cast(Shape, values.shape))
    order = [flat, *(axis for axis in range(3) if axis != flat)]
    known = bool(np.isfinite(affine).all()) and abs(np.linalg.det(affine[:3, :3])) > 0
    return Voxels(np.moveaxis(values, flat, 0), affine[:, [*order, 3]] if known else None)
