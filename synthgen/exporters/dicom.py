"""DICOM files without a patient: pixels, geometry, new UIDs, and whether they are synthetic.

Secondary Capture, since nothing here comes straight from a scanner (PS3.3 A.8); Modality stays that of the source.
"""

import hashlib
import io
import uuid

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from synthgen.exporters.image_files import Image, Origin
from synthgen.scans import Scan, Stored

# PS3.3 C.8.6.1.1.1: synthetic image, and workstation.
_CONVERSION = {True: "SYN", False: "WSD"}
# RAS, as Scan has it, to LPS.
_LPS = np.array([-1.0, -1.0, 1.0])


def dicom_files(image: Image, origin: Origin) -> dict[str, bytes]:
    """One file for a slice [1, h, w], or one for each slice of a volume [1, d, h, w]; by what follows their stem."""
    scan = origin.scan or Scan("dicom", "uint8" if image.dtype == np.uint8 else "uint16")
    slices = scan.stored(image)[0]
    # By their pixels too: a later draw of the model is no second file under the same names.
    names = (origin.run_id, origin.stem, hashlib.sha256(slices.tobytes()).hexdigest())
    if slices.ndim == 2:
        return {".dcm": _file(slices, origin, scan, names, None)}
    return {f"-{number:04d}.dcm": _file(pixels, origin, scan, names, number) for number, pixels in enumerate(slices)}


def _file(pixels: Stored, origin: Origin, scan: Scan, names: tuple[str, ...], number: int | None) -> bytes:
    file = Dataset()
    file.SOPClassUID = SecondaryCaptureImageStorage
    file.SOPInstanceUID = _uid(*names, str(number))
    file.StudyInstanceUID, file.SeriesInstanceUID = _uid(origin.run_id), _uid(*names)
    file.SyntheticData = "YES" if origin.synthetic else "NO"
    file.Modality, file.ConversionType = scan.modality, _CONVERSION[origin.synthetic]
    file.ImageType, file.Manufacturer = ["DERIVED", "SECONDARY"], "synthgen"
    file.SeriesDescription = f"synthgen run {origin.run_id}"[:64]
    file.InstanceNumber = 1 if number is None else number + 1
    # What study and series must have, and nobody knows (type 2, PS3.3 C.7.2.1 and C.7.3.1).
    file.StudyDate = file.StudyTime = file.ReferringPhysicianName = file.StudyID = file.AccessionNumber = ""
    file.SeriesNumber = None
    _add_pixels(file, pixels)
    _add_geometry(file, scan, number)
    if "ImagePositionPatient" in file:
        # A place holds within the volume alone.
        file.FrameOfReferenceUID, file.PositionReferenceIndicator = _uid(*names, "frame"), ""
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _uid(*names: str) -> str:
    # PS3.5 B.2. Not random: the same run emits the same bytes.
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '/'.join(('synthgen', *names))).int}"


def _add_pixels(file: Dataset, pixels: Stored) -> None:
    bits = pixels.dtype.itemsize * 8
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.Rows, file.Columns = pixels.shape
    file.BitsAllocated, file.BitsStored, file.HighBit = bits, bits, bits - 1
    file.PixelRepresentation = int(pixels.dtype.kind == "i")
    content = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    file.add_new("PixelData", "OB" if bits == 8 else "OW", content + b"\0" * (len(content) % 2))


def _add_geometry(file: Dataset, scan: Scan, number: int | None) -> None:
    spacing = scan.spacing_mm
    if spacing is None:
        return
    file.PixelSpacing = [_decimal(spacing[1]), _decimal(spacing[2])]
    if spacing[0] > 0:
        file.SliceThickness = file.SpacingBetweenSlices = _decimal(spacing[0])
    if scan.affine is None:
        return
    affine = np.asarray(scan.affine)
    steps = affine[:3, :3] * _LPS[:, None] / np.asarray(spacing)
    if abs(steps[:, 1] @ steps[:, 2]) < 1e-4:  # what DICOM can state: rows and columns at a right angle
        file.ImageOrientationPatient = [_decimal(value) for value in (*steps[:, 2], *steps[:, 1])]
    if number is not None:
        # Slices on their own have lost their places; those of a volume have one, and their order.
        place = (affine @ [number, 0, 0, 1])[:3] * _LPS
        file.ImagePositionPatient = [_decimal(value) for value in place]


def _decimal(value: float) -> str:
    # A decimal string has 16 characters at most.
    # Not -0 either.
    return f"{value + 0.0:.8g}"
