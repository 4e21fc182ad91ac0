"""Numbers, spacing and orientation of scans, from their files to the emitted ones."""

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest

from synthgen.config import ImageSource
from synthgen.datasets import ImageSet
from synthgen.exporters import load_dataset
from synthgen.sources import read
from tests.faults.medical_files import (
    AFFINE,
    SPACING,
    Refused,
    config_file,
    dicom,
    dicom_set,
    emitted,
    ingested,
    nifti,
    nifti_set,
    numbers,
    series_set,
)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
@pytest.mark.parametrize(("make", "suffix"), [(dicom_set, ".dcm"), (nifti_set, ".nii.gz"), (series_set, ".dcm")],
                         ids=["48-dicom", "48-nifti", "48-series"])  # fmt: skip
def test_48_numbers_type_and_grid_come_through_to_the_emitted_file(
    make: Callable[..., Path], suffix: str, dtype: str, tmp_path: Path
) -> None:
    if make is series_set and dtype != "int16":
        pytest.skip("one type is enough for series")
    source = {"series": "volume"} if make is series_set else {}
    path = make(tmp_path / "in", count=12) if make is series_set else make(tmp_path / "in", dtype)
    given, out = ingested(path, **source), emitted(path, tmp_path / "out", **source)
    assert given.scan is not None
    assert given.scan.dtype == dtype
    index = load_dataset(out, split="synthetic")
    assert len(index) == 8
    assert all(name.endswith(suffix) and Path(name).is_file() for name in index["path"])
    again = ingested(out / "train", **source)
    assert again.scan is not None
    assert again.scan.dtype == dtype
    assert again.scan.offset == given.scan.offset
    assert {image.tobytes() for image in again.images} <= {image.tobytes() for image in given.images}
    np.testing.assert_allclose(np.asarray(again.scan.affine)[:3, :3], np.asarray(given.scan.affine)[:3, :3], atol=1e-5)
    tensors = load_dataset(out, "torch", split="holdout")
    assert tuple(tensors[0][0].shape) == given.images.shape[1:]
    stored = given.scan.stored(given.images).astype(np.float32) / np.float32(np.iinfo(dtype).max)
    assert tensors[0][0].numpy().tobytes() in {image.tobytes() for image in stored}


def test_48_spacing_and_orientation_are_those_of_the_files(tmp_path: Path) -> None:
    slices, volumes = ingested(dicom_set(tmp_path / "a")), ingested(nifti_set(tmp_path / "b"))
    stacked = ingested(series_set(tmp_path / "c"), series="volume")
    assert slices.scan is not None
    assert volumes.scan is not None
    assert stacked.scan is not None
    np.testing.assert_allclose(slices.scan.spacing_mm, SPACING)
    # Counted as z, y, x, and in the files as x, z, y.
    np.testing.assert_allclose(volumes.scan.affine, AFFINE[:, [1, 2, 0, 3]])
    # From slice to slice the patient's place moves to the front and up; LPS in DICOM, RAS here.
    expected = [[0, 0, -0.75, -10], [1.8, -0.4, 0, -20], [2.4, 0.3, 0, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(stacked.scan.affine, expected, atol=1e-9)
    np.testing.assert_array_equal(stacked.scan.stored(stacked.images)[0, 0], numbers(0, (9, 12, 14)))


@pytest.mark.parametrize(("qfac", "sign"), [(1, 1), (0, 1), (3, 1), (-1, -1)])
def test_48_a_nifti_quaternion_has_the_sign_that_the_standard_gives_it(qfac: int, sign: int, tmp_path: Path) -> None:
    path = nifti_set(tmp_path)
    for file in path.rglob("*.gz"):
        image = nibabel.load(file)
        image.header.set_qform(np.diag([2.0, 1, 1.5, 1]), code=1)
        content = bytearray(image.to_bytes())
        content[76:80], content[254:256] = np.float32(qfac).tobytes(), bytes(2)  # pixdim[0], and no sform
        file.write_bytes(gzip.compress(bytes(content)))
    scan = ingested(path).scan
    assert scan is not None
    np.testing.assert_allclose(np.asarray(scan.affine)[:3, :3], [[0, 0, 2], [0, 1, 0], [1.5 * sign, 0, 0]])


def test_48_resizing_stretches_the_spacing(tmp_path: Path) -> None:
    data = ingested(dicom_set(tmp_path), fit="resize", size=8)
    assert data.scan is not None
    np.testing.assert_allclose(data.scan.spacing_mm, (3.0, 0.5 * 12 / 8, 0.75 * 14 / 8))


def test_48_a_padded_scan_is_padded_with_its_lowest_number(tmp_path: Path) -> None:
    data = ingested(dicom_set(tmp_path), fit="pad", size=14)
    assert data.scan is not None
    stored = data.scan.stored(data.images)
    assert (stored[0, 0, 0] == numbers(0).min()).all()
    np.testing.assert_array_equal(stored[0, 0, 1:13], numbers(0))


def test_48_what_is_mixed_is_not_stated_and_said(tmp_path: Path) -> None:
    path = dicom_set(tmp_path)
    dicom(path / "a" / "other.dcm", numbers(99), series=99, PixelSpacing=[2, 2])
    found = read(ImageSource(kind="images", path=str(path)), seed=0)
    assert isinstance(found.data, ImageSet)
    assert found.data.scan is not None
    assert found.data.scan.affine is None
    assert "mixed_voxel_grids" in {problem["kind"] for problem in found.problems}


UNPLACED: dict[str, object] = {
    "ImageOrientationPatient": None,
    "ImagePositionPatient": None,
    "SliceThickness": None,
}


def radiographs(root: Path, *, sides: Sequence[int] = (12,), **tags: object) -> Path:
    """X-ray images, which state the spacing of their pixels and not how they lie in the patient."""
    for number in range(24):
        pixels = numbers(number, (sides[number % len(sides)],) * 2)
        dicom(root / "scans" / "ab"[number // 2 % 2] / f"{number:02}.dcm", pixels, series=number, **UNPLACED | tags)
    return root / "scans"


def grids(root: Path, **source: object) -> tuple[ImageSet, list[str]]:
    """The images, and what is said of their grids."""
    found = read(ImageSource.model_validate({"kind": "images", "path": str(root), **source}), seed=0)
    assert isinstance(found.data, ImageSet)
    return found.data, [str(item["message"]) for item in found.problems if item["kind"] == "mixed_voxel_grids"]


AT_DETECTOR = {"PixelSpacing": None, "ImagerPixelSpacing": [0.5, 0.75]}


@pytest.mark.parametrize("tags", [{}, AT_DETECTOR], ids=["48-pixel-spacing", "48-spacing-at-the-detector"])
def test_48_an_image_without_orientation_keeps_its_spacing_and_gets_none(
    tags: dict[str, object], tmp_path: Path
) -> None:
    out = emitted(radiographs(tmp_path / "in", **tags), tmp_path / "out")
    for path in out.rglob("*.dcm"):
        file = pydicom.dcmread(path)
        assert [float(value) for value in file.PixelSpacing] == [0.5, 0.75]
        assert not {"ImageOrientationPatient", "ImagePositionPatient", "SliceThickness"} & set(file.dir())
    again, lost = grids(out / "train")
    assert lost == []
    assert again.scan is not None
    assert again.scan.affine is None
    assert again.scan.spacing_mm == (0, 0.5, 0.75)


@pytest.mark.parametrize(("fit", "factor"), [("pad", 20 / 16), ("crop", 12 / 16)])
def test_48_images_without_orientation_are_scaled_by_one_factor(fit: str, factor: float, tmp_path: Path) -> None:
    data, lost = grids(radiographs(tmp_path, sides=(12, 20)), fit=fit, size=16)
    assert lost == []
    assert data.scan is not None
    np.testing.assert_allclose(data.scan.spacing_mm, (0, 0.5 * factor, 0.75 * factor))


LOST = {
    "48-resized": ({"fit": "resize", "size": 16}, {}, "source.fit: resize stretches images of different sizes", None),
    "48-other-spacing": ({"fit": "pad", "size": 16}, {"PixelSpacing": [0.5, 0.8]}, "differ in the spacing", None),
    "48-no-spacing": ({"fit": "pad", "size": 16}, {"PixelSpacing": None}, "1 of 25 images do not state the spacing",
                      None),
    "48-no-spacing-at-all": ({"fit": "pad", "size": 16}, {"PixelSpacing": [0, 0]}, "1 of 25 images do not", None),
    "48-oriented": ({"fit": "pad", "size": 16}, {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
                    "24 of 25 images do not state how they lie in the patient, so what is emitted states the spacing "
                    "alone", (0, 0.5 * 20 / 16, 0.75 * 20 / 16)),
}  # fmt: skip


@pytest.mark.parametrize(("keys", "tags", "sentence", "spacing"), LOST.values(), ids=LOST)
def test_48_a_spacing_without_orientation_that_is_lost_is_told(
    keys: dict[str, object],
    tags: dict[str, object],
    sentence: str,
    spacing: tuple[float, ...] | None,
    tmp_path: Path,
) -> None:
    path = radiographs(tmp_path, sides=(12, 20))
    dicom(path / "a" / "other.dcm", numbers(99, (12, 12)), series=99, **UNPLACED | tags)
    data, [told] = grids(path, **keys)
    assert sentence in told
    assert data.scan is not None
    assert data.scan.affine is None
    assert data.scan.spacing_mm == spacing


def test_48_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    path = dicom_set(tmp_path, "uint8", RescaleSlope=2, RescaleIntercept=-100)
    data = ingested(path)
    assert data.scan is not None
    assert data.scan.dtype == "int16"
    expected = {(numbers(n, dtype="uint8") * 2.0 - 100).astype(np.int16).tobytes() for n in range(24)}
    assert {image.tobytes() for image in data.scan.stored(data.images)} == expected


def test_48_fractions_are_stretched_when_asked(tmp_path: Path) -> None:
    for number in range(24):
        nifti(tmp_path / "scans" / "ab"[number % 2] / f"{number}.nii.gz", numbers(number, (9, 10, 11)) / 7)
    images = ingested(tmp_path / "scans", intensity="stretch").images
    assert images.dtype == np.uint16
    assert (images.min(axis=(1, 2, 3, 4)) == 0).all()
    assert (images.max(axis=(1, 2, 3, 4)) == 65_535).all()


@pytest.mark.parametrize(("key", "value"), [("series", "volume"), ("intensity", "stretch")])
def test_48_a_key_of_scans_is_refused_for_other_files(key: str, value: str, refused: Refused, tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=np.zeros((20, 8, 8), np.uint8), labels=np.arange(20) % 2)
    [problem] = refused("check", config_file(tmp_path / "set.npz", **{key: value}))
    assert problem["where"] == f"source.{key}"


@pytest.mark.parametrize("reason", ["missing slice", "uneven", "no place"], ids=lambda reason: f"54-{reason}")
def test_54_a_series_that_is_no_volume_is_refused(reason: str, refused: Refused, tmp_path: Path) -> None:
    path = series_set(tmp_path, count=10)
    if reason == "missing slice":
        (path / "a" / "00-1.dcm").unlink()
    elif reason == "uneven":
        dicom(path / "a" / "00-8.dcm", numbers(0, (12, 14)), place=20)
    else:
        dicom(path / "a" / "00-8.dcm", numbers(0, (12, 14)), place=8, ImagePositionPatient=None)
    [problem] = refused("check", config_file(path, series="volume"))
    assert "is no volume" in problem["problem"]


PLANES = ([1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1])  # axial, sagittal, coronal
MIXED = {
    "54-localizer": (lambda place: {"ImageOrientationPatient": PLANES[place // 3]}, "3 orientations"),
    "54-spacing": (lambda place: {"PixelSpacing": [1 + place // 5, 1]}, "2 spacings of their pixels"),
    "54-sizes": (lambda place: {"Rows": 6, "Columns": 28} if place == 4 else {}, "differ in size"),
    "54-shifted": (lambda place: {"shift": 10 if place == 4 else 0}, "shifted against each other"),
    "54-no-direction": (lambda _: {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "does not state its position"),
}


@pytest.mark.parametrize(("tags", "sentence"), MIXED.values(), ids=MIXED)
def test_54_a_series_of_several_grids_is_refused(
    tags: Callable[[int], dict[str, Any]], sentence: str, refused: Refused, tmp_path: Path
) -> None:
    path = series_set(tmp_path, count=10)
    for place in range(9):
        own = {"ImageOrientationPatient": PLANES[0], "shift": 0, **tags(place)}
        row, column = np.reshape(own["ImageOrientationPatient"], (2, 3))
        # Evenly spaced, each along its own normal.
        own["ImagePositionPatient"] = (np.cross(row, column) * place + row * own.pop("shift")).tolist()
        dicom(path / "a" / f"00-{(place * 5) % 9}.dcm", numbers(0, (9, 12, 14))[place], place=place, **own)
    [problem] = refused("check", config_file(path, series="volume"))
    assert "the series of 'a/00-0.dcm' is no volume: " in problem["problem"]
    assert sentence in problem["problem"]
