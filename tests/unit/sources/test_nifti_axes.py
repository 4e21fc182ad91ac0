"""NIfTI is held as slice, row, column with left and right last, like DICOM, and emitted as its files are."""

import gzip
import json
from pathlib import Path
from typing import cast

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from synthgen.config import ImageSource
from synthgen.datasets import ImageSet, Splits
from synthgen.exporters import emit_dataset, load_dataset
from synthgen.exporters.image_files import Origin
from synthgen.exporters.nifti import nifti_files
from synthgen.scans import Scan
from synthgen.sources import read

FACTS = {"run_id": "r", "name": "demo", "verdict": "PASS", "passed": True, "data_sha256": "0", "created": "now"}
OBLIQUE = Rotation.from_euler("xyz", [9, -14, 20], degrees=True).as_matrix()
AXIAL = np.eye(4)
AXIAL[:3, :3] = OBLIQUE @ np.diag([-0.7, 0.9, 2.5])
AXIAL[:3, 3] = -31.5, 12.25, 8
# From back to front, from head to feet, from left to right.
SAGITTAL = AXIAL[:, [1, 2, 0, 3]] * [1, -1, 1, 1]
SIDES = {"x": 10, "y": 12, "z": 9}
# What each index of the file runs along; a slice lacks one.
CASES = {
    "axial": ("xyz", AXIAL, (9, 12, 10)),
    "sagittal": ("yzx", SAGITTAL, (9, 12, 10)),
    "coronal": ("xzy", AXIAL[:, [0, 2, 1, 3]], (9, 12, 10)),
    "axial slice": ("xy1", AXIAL, (12, 10)),
    "sagittal slice": ("1yz", AXIAL, (9, 12)),
    "sagittal slice, permuted": ("yz1", SAGITTAL, (9, 12)),
    "coronal slice": ("x1z", AXIAL[:, [0, 1, 2, 3]], (9, 10)),
}


def voxels(axes: str, seed: int) -> np.ndarray:
    shape = [SIDES.get(axis, 1) for axis in axes]
    return np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape).astype(np.int16)


def written(root: Path, axes: str, affine: np.ndarray, count: int = 12) -> Path:
    for number in range(count):
        path = root / "ab"[number % 2] / f"{number:02}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(voxels(axes, number), affine), path)
    return root


def ingested(path: Path, **keys: object) -> ImageSet:
    data = read(ImageSource.model_validate({"kind": "images", "path": str(path), **keys}), seed=0).data
    assert isinstance(data, ImageSet)
    return data


def emitted(data: ImageSet, target: Path, form: str = "nifti") -> Path:
    thirds = [cast(ImageSet, data.take(np.arange(start, len(data), 3))) for start in range(3)]
    emit_dataset(target, Splits(*thirds), thirds[0], purpose="augment", formats=[form], facts=FACTS)
    return target


def places(values: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Where in mm the voxel with each number lies, [voxels, 3]."""
    indices = np.argsort(values, axis=None)
    index = np.stack([*np.unravel_index(indices, values.shape), np.ones(values.size)])
    return np.asarray((affine @ index)[:3].T)


@pytest.mark.parametrize(("axes", "affine", "shape"), CASES.values(), ids=CASES)
def test_a_file_is_held_with_left_and_right_last_and_every_voxel_in_its_place(
    axes: str, affine: np.ndarray, shape: tuple[int, ...], tmp_path: Path
) -> None:
    data = ingested(written(tmp_path, axes, affine))
    assert data.images.shape[2:] == shape
    assert data.scan is not None
    held = data.images[0].reshape(*([1] if len(shape) == 2 else []), *shape)
    expected = places(voxels(axes, 0), affine)
    np.testing.assert_allclose(places(held, np.asarray(data.scan.affine)), expected, atol=1e-4)


@pytest.mark.parametrize(("axes", "affine"), [case[:2] for case in CASES.values()], ids=CASES)
def test_an_emitted_file_has_the_numbers_the_shape_and_the_affine_of_its_source(
    axes: str, affine: np.ndarray, tmp_path: Path
) -> None:
    data = ingested(written(tmp_path / "in", axes, affine))
    files = sorted(emitted(data, tmp_path / "out").rglob("*.nii.gz"))
    given = {voxels(axes, number).tobytes(): number for number in range(12)}
    loaded = [nibabel.load(file) for file in files]
    assert {image.shape for image in loaded} == {voxels(axes, 0).shape}
    assert {given[np.asarray(image.dataobj, dtype=np.int16).tobytes()] for image in loaded} == set(range(12))
    for image in loaded:
        np.testing.assert_array_equal(image.affine, affine.astype(np.float32))
        np.testing.assert_allclose(image.header.get_zooms(), np.linalg.norm(affine[:3, :3], axis=0), rtol=1e-6)


@pytest.mark.parametrize("axes", ["xyz", "yzx", "1yz"])
def test_without_one_affine_what_is_emitted_is_read_again_as_it_was(axes: str, tmp_path: Path) -> None:
    affine = CASES[{"xyz": "axial", "yzx": "sagittal", "1yz": "sagittal slice"}[axes]][1]
    written(tmp_path / "in", axes, affine)
    other = nibabel.Nifti1Image(voxels(axes, 99), affine @ np.diag([2, 2, 2, 1]))
    nibabel.save(other, tmp_path / "in" / "a" / "other.nii.gz")
    data = ingested(tmp_path / "in")
    assert data.scan is not None
    assert data.scan.affine is None
    again = ingested(emitted(data, tmp_path / "out") / "train")
    assert {image.tobytes() for image in again.images} <= {image.tobytes() for image in data.images}
    assert again.images.shape[2:] == data.images.shape[2:]


def test_a_set_whose_files_differ_in_their_order_of_axes_alone_has_one_grid(tmp_path: Path) -> None:
    written(tmp_path, "xyz", AXIAL)
    moved = nibabel.Nifti1Image(voxels("xyz", 99).transpose(1, 2, 0), AXIAL[:, [1, 2, 0, 3]])
    nibabel.save(moved, tmp_path / "a" / "99.nii.gz")
    data = ingested(tmp_path)
    assert data.scan is not None
    assert data.scan.affine is not None
    assert voxels("xyz", 99).transpose(2, 1, 0).tobytes() in {image.tobytes() for image in data.images}


@pytest.mark.parametrize("form", ["nifti", "dicom"])
def test_a_loaded_volume_is_the_one_that_was_emitted_whatever_way_a_patient_lies(form: str, tmp_path: Path) -> None:
    volumes = np.random.default_rng(0).integers(0, 200, (12, 1, 8, 9, 10), dtype=np.uint8)
    # A sagittal series: slices from left to right, rows from head to feet, columns from front to back.
    turned = ((1.5, 0, 0, 0), (0, 0, -1, 0), (0, -1, 0, 0), (0, 0, 0, 1))
    scan = Scan("dicom", "uint8", affine=tuple(tuple(map(float, row)) for row in turned))
    data = ImageSet(volumes, np.arange(12, dtype=np.int64) % 2, ("a", "b"), scan=scan)
    tensors = load_dataset(emitted(data, tmp_path / "out", form), "torch", split="holdout")
    found = np.stack([tensors[index][0].numpy() for index in range(len(tensors))])
    np.testing.assert_array_equal(np.rint(found * 255), volumes[2::3])


def test_what_was_saved_before_is_emitted_in_the_order_of_its_files() -> None:
    scan = Scan.restore({"format": "nifti", "dtype": "int16", "offset": 0, "modality": "OT", "affine": AXIAL.tolist()})
    volume = voxels("xyz", 0).astype(np.uint16)
    [content] = nifti_files(volume[None], Origin("train/a/real-0", False, "r", scan)).values()
    file = nibabel.Nifti1Image.from_bytes(gzip.decompress(content))
    np.testing.assert_array_equal(np.asarray(file.dataobj), volume)
    np.testing.assert_array_equal(file.affine, AXIAL.astype(np.float32))


@pytest.mark.parametrize(("unit", "mm"), [("meter", 1_000.0), ("micron", 0.001), ("mm", 1.0), ("unknown", 1.0)])
@pytest.mark.parametrize("affine", [AXIAL, None], ids=["affine", "spacing alone"])
def test_lengths_of_any_unit_become_mm(affine: np.ndarray | None, unit: str, mm: float, tmp_path: Path) -> None:
    for path in sorted(written(tmp_path / "in", "xyz", AXIAL).rglob("*.gz")):
        image = nibabel.Nifti1Image(np.asarray(nibabel.load(path).dataobj), affine)
        if affine is None:
            image.header.set_zooms((0.7, 0.9, 2.5))
        image.header.set_xyzt_units(unit)
        nibabel.save(image, path)
    for path in emitted(ingested(tmp_path / "in"), tmp_path / "out").rglob("*.nii.gz"):
        header = nibabel.load(path).header
        assert header.get_xyzt_units()[0] == "mm"
        np.testing.assert_allclose(header.get_zooms(), np.multiply((0.7, 0.9, 2.5), mm), rtol=1e-6)
        if affine is not None:
            np.testing.assert_allclose(header.get_sform()[:3], AXIAL[:3] * mm, rtol=1e-6)


@pytest.mark.parametrize("axes", ["xyz", "xy1", "xy"])
def test_without_a_code_the_spacing_is_kept_and_no_orientation_made_up(axes: str, tmp_path: Path) -> None:
    zooms = (0.5, 0.6, 0.7)[: len(axes)]
    for path in sorted(written(tmp_path / "in", axes, AXIAL).rglob("*.gz")):
        image = nibabel.Nifti1Image(np.asarray(nibabel.load(path).dataobj), None)
        image.header.set_zooms(zooms)
        nibabel.save(image, path)
    data = ingested(tmp_path / "in")
    assert data.scan is not None
    assert data.scan.affine is None
    np.testing.assert_allclose(np.asarray(data.scan.spacing_mm)[1:], (0.6, 0.5))
    given = {voxels(axes, number).tobytes() for number in range(12)}
    for path in emitted(data, tmp_path / "out").rglob("*.nii.gz"):
        header = nibabel.load(path).header
        assert (int(header["sform_code"]), int(header["qform_code"])) == (0, 0)
        np.testing.assert_allclose(header.get_zooms()[: len(zooms)], zooms)
        assert np.asarray(nibabel.load(path).dataobj, dtype=np.int16).tobytes() in given


def test_scans_without_orientation_are_padded_by_one_factor(tmp_path: Path) -> None:
    for number, path in enumerate(sorted(written(tmp_path, "xyz", AXIAL).rglob("*.gz"))):
        shape = (10, 12, 9) if number % 2 else (14, 16, 12)
        image = nibabel.Nifti1Image(np.random.default_rng(number).integers(0, 99, shape, dtype=np.int16), None)
        image.header.set_zooms((0.5, 0.6, 0.7))
        nibabel.save(image, path)
    scan = ingested(tmp_path, fit="pad", size=8).scan
    assert scan is not None
    np.testing.assert_allclose(scan.spacing_mm, (1.4, 1.2, 1.0))
    assert Scan.restore(json.loads(json.dumps(scan.state()))) == scan
