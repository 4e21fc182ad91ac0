"""What medical images carry besides their pixels: the step from voxel to voxel, the type and scale of the numbers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Unsigned = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Stored = Unsigned | npt.NDArray[np.int16]
Affine = tuple[tuple[float, float, float, float], ...]
Axes = tuple[int, int, int]
Spacing = tuple[float, float, float]
# A file counts column, row, slice (x, y, z), and an `ImageSet` slice, row, column.
REVERSED: Axes = (2, 1, 0)


# Of int16: sets of one kind get one offset, whatever their lowest voxel.
_OFFSETS = {0, *(-(2**bits) for bits in range(16))}


@dataclass(frozen=True)
class Scan:
    """What the files of a set agree in. A patient is never part of it.

    Attributes:
        format: of the files that were read.
        dtype: of the numbers in the files; those of an `ImageSet` are never negative.
        offset: what to add to pixels of the set to get the numbers of the files; 0, or a negative power of two.
        modality: as DICOM writes it, "MR" or "CT" for example; "OT" (other) when unknown.
        affine: 4 x 4, from the index (slice, row, column) of a voxel to mm, x to the right, y to the front, z upwards
            (RAS+, as NIfTI has it); None when the files do not agree, or do not say how they lie in the patient.
        axes: the axis of a NIfTI file in which slices, rows and columns are counted there.
        bare_spacing_mm: distance of neighbouring slices (0: unknown), rows and columns where that is all that is known,
            without an affine.
    """

    format: Literal["dicom", "nifti"]
    dtype: Literal["uint8", "uint16", "int16"]
    offset: int = 0
    modality: str = "OT"
    affine: Affine | None = None
    axes: Axes = REVERSED
    bare_spacing_mm: Spacing | None = None

    def stored(self, pixels: Unsigned) -> Stored:
        """Pixels of the set as the files have them."""
        limits = np.iinfo(self.dtype)
        values = np.clip(pixels.astype(np.int32) + self.offset, limits.min, limits.max)
        return values.astype(self.dtype)

    @property
    def spacing_mm(self) -> Spacing | None:
        """Distance of neighbouring slices (0: unknown), rows and columns."""
        if self.affine is None:
            return self.bare_spacing_mm
        first, second, third = np.linalg.norm(np.asarray(self.affine)[:3, :3], axis=0).tolist()
        return first, second, third

    def state(self) -> dict[str, Any]:
        """JSON-ready content; a scan with an affine has the state, and so the fingerprint, that it always had."""
        return {key: value for key, value in asdict(self).items() if key != "bare_spacing_mm" or value is not None}

    @classmethod
    def restore(cls, state: Mapping[str, Any] | None) -> "Scan | None":
        """The scan whose `state` this is, None for None; raises ValueError for one that no files could have."""
        if state is None:
            return None
        affine = None if state["affine"] is None else tuple(tuple(row) for row in state["affine"])
        # Models and datasets of before hold images in the order of their files.
        first, second, third = state.get("axes", (0, 1, 2))
        bare = state.get("bare_spacing_mm")
        known = {
            "affine": affine,
            "axes": (first, second, third),
            "bare_spacing_mm": None if bare is None else tuple(bare),
        }
        scan = cls(**{**state, **known})
        scan._require_possible()
        return scan

    def _require_possible(self) -> None:
        is_offset = type(self.offset) is int and self.offset in _OFFSETS
        is_affine = self.affine is None or _numbers(self.affine).shape == (4, 4)
        is_spacing = self.bare_spacing_mm is None or _numbers(self.bare_spacing_mm).shape == (3,)
        is_known = self.format in ("dicom", "nifti") and self.dtype in ("uint8", "uint16", "int16")
        if not (is_known and is_offset and is_affine and is_spacing and sorted(self.axes) == [0, 1, 2]):
            raise ValueError("it says of its scans what no files could have")


def _numbers(values: object) -> npt.NDArray[np.float64]:
    """Finite ones; raises ValueError for others."""
    found = np.asarray(values, dtype=np.float64)
    if not np.isfinite(found).all():
        raise ValueError("it says of its scans that a length is no number")
    return found
