"""DICOM and NIfTI files for tests, small, and what is made of them."""

import gzip
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import yaml
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import MRImageStorage

from synthgen import stages
from synthgen.config import ImageSource
from synthgen.config_reading import parse_config
from synthgen.datasets import ImageSet, Splits, load_data
from synthgen.exporters import emit_dataset
from synthgen.sources import read
from synthgen.workspace import Workspace

SECRET = "Zanzibar-4711"
FACTS = {"run_id": "r", "name": "demo", "verdict": "PASS", "passed": True, "data_sha256": "0", "created": "now"}
REAL = Path(os.environ.get("SYNTHGEN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
SPACING = (3.0, 0.5, 0.75)  # slice, row, column
Refused = Callable[..., list[dict[str, Any]]]


def numbers(seed: int, shape: Sequence[int] = (12, 14), dtype: str = "int16") -> np.ndarray:
    limits = {"int16": (-900, 3_000), "uint16": (0, 65_535), "uint8": (0, 255)}[dtype]
    return np.random.default_rng(seed).integers(*limits, shape, dtype=dtype)


def dicom(path: Path, pixels: np.ndarray, *, series: int = 0, place: int = 0, **tags: object) -> Path:
    """One MR slice, tilted by 30 degrees around the x axis, without a patient."""
    file = Dataset()
    file.SOPClassUID, file.SOPInstanceUID = MRImageStorage, f"1.2.3.{series}.{place + 1}"
    file.StudyInstanceUID, file.SeriesInstanceUID, file.Modality = "1.2.3", f"1.2.3.9.{series}", "MR"
    file.InstanceNumber, file.StationName = place + 1, SECRET
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.Rows, file.Columns = pixels.shape
    bits = 8 * pixels.dtype.itemsize
    file.BitsAllocated, file.BitsStored, file.HighBit = bits, bits, bits - 1
    file.PixelRepresentation = int(pixels.dtype.kind == "i")
    file.PixelSpacing, file.SliceThickness = list(SPACING[1:]), SPACING[0]
    file.ImageOrientationPatient = [1, 0, 0, 0, 0.8, 0.6]
    file.ImagePositionPatient = [10, 20 - 0.6 * SPACING[0] * place, 30 + 0.8 * SPACING[0] * place]
    file.add_new("PixelData", "OW", pixels.tobytes() + b"\0" * (pixels.nbytes % 2))
    for name, value in tags.items():
        setattr(file, name, value)
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = tags.get("syntax", pydicom.uid.ExplicitVRLittleEndian)
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save_as(path, enforce_file_format=True)
    return path


AFFINE = np.array([[-2.0, 0, 0, 5], [0, 0, 1.5, 6], [0, 1.0, 0, 7], [0, 0, 0, 1]])


def nifti(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(voxels, affine)
    image.header["descrip"] = SECRET.encode()
    nibabel.save(image, path)
    return path


def dicom_set(root: Path, dtype: str = "int16", count: int = 24, **tags: object) -> Path:
    for number in range(count):
        dicom(
            root / "scans" / "ab"[number % 2] / f"{number:02}.dcm", numbers(number, dtype=dtype), series=number, **tags
        )
    return root / "scans"


def series_set(root: Path, count: int = 24) -> Path:
    for number in range(count):
        for place in range(9):
            # Names in an order that is not that of the slices.
            path = root / "scans" / "ab"[number % 2] / f"{number:02}-{(place * 5) % 9}.dcm"
            dicom(path, numbers(number, (9, 12, 14))[place], series=number, place=place)
    return root / "scans"


def nifti_set(root: Path, dtype: str = "int16", suffix: str = ".nii.gz", count: int = 24) -> Path:
    for number in range(count):
        nifti(root / "scans" / "ab"[number % 2] / f"{number:02}{suffix}", numbers(number, (9, 10, 11), dtype))
    return root / "scans"


def config_of(path: Path, **source: object) -> dict[str, object]:
    return {"name": "x", "source": {"kind": "images", "path": str(path), **source}, "synthesizer": {"kind": "copies"},
            "plan": {"kind": "rows", "rows": 8}}  # fmt: skip


def config_file(path: Path, **source: object) -> Path:
    target = path.parent / "config.yaml"
    target.write_text(yaml.safe_dump(config_of(path, **source)), encoding="utf-8")
    return target


def ingested(path: Path, **keys: object) -> ImageSet:
    data = read(ImageSource.model_validate({"kind": "images", "path": str(path), **keys}), seed=0).data
    assert isinstance(data, ImageSet)
    return data


def emitted(path: Path, out: Path, *, kind: str = "copies", formats: Sequence[str] = (), **source: object) -> Path:
    """The dataset of a run that is emitted, whatever its verdict."""
    config = parse_config(config_of(path, **source) | {"synthesizer": {"kind": kind}})
    space = Workspace(out.with_name("space"))
    splits = stages.split_data(config, space, stages.ingest(config, space))
    model = stages.fit(config, space, splits)
    curated = stages.curate_candidates(config, space, splits, model, stages.sample(config, space, splits, model))
    synthetic = load_data(curated.directory / "synthetic")
    parts = Splits.load(splits.directory)
    emit_dataset(out, parts, synthetic, purpose="augment", formats=formats, facts=FACTS)
    return out


def scaled(path: Path, intercept: float) -> None:
    """Give the file a slope of 1 and this intercept."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[112:120] = np.array([1, intercept], dtype="<f4").tobytes()
    path.write_bytes(gzip.compress(bytes(content)))
