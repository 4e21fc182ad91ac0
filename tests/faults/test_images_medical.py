"""Cases 43-55 of DICOM and NIfTI, and what these formats keep: depth, spacing, orientation; and never a patient."""

import gzip
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import yaml
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import MRImageStorage

from synthgen import stages
from synthgen.config import ImageSource
from synthgen.config_reading import parse_config
from synthgen.datasets import ImageSet, Splits, load_data
from synthgen.errors import DataError
from synthgen.exporters import emit_dataset, load_dataset
from synthgen.files import read_json
from synthgen.reports.pictures import class_pictures
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


DAMAGED = {
    "43-truncated-dicom": (dicom_set, lambda path: path.write_bytes(path.read_bytes()[:-100]), "damaged, cut short"),
    "43-half-a-dicom": (dicom_set, lambda path: path.write_bytes(path.read_bytes()[:300]), "without an image"),
    "43-truncated-nifti": (nifti_set, lambda path: path.write_bytes(path.read_bytes()[:-200]), "damaged or cut short"),
    "43-short-nifti": (nifti_set, lambda path: path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-9])),
                       "damaged or cut short"),
    "44-empty-among-dicom": (dicom_set, lambda path: path.write_bytes(b""), "is empty (zero bytes)"),
    "44-empty-among-nifti": (nifti_set, lambda path: path.write_bytes(b""), "is empty (zero bytes)"),
    "52-nan": (nifti_set, lambda path: nifti(path, np.where(np.arange(990).reshape(9, 10, 11) < 3, np.nan, 1.0)),
               "is not a number (NaN) or infinite in 3 of 990 voxels"),
    "52-infinite": (nifti_set, lambda path: nifti(path, np.full((9, 10, 11), -np.inf, dtype=np.float32)),
                    "is not a number (NaN) or infinite in 990 of 990 voxels"),
    "52-fractions": (nifti_set, lambda path: nifti(path, np.full((9, 10, 11), 0.5)), "holds fractions"),
    "52-beyond-16-bits": (nifti_set, lambda path: nifti(path, np.full((9, 10, 11), 70_000.0)), "more than 16 bits"),
    "52-a-time-axis": (nifti_set, lambda path: nifti(path, np.zeros((9, 10, 11, 4), np.int16)), "has 4 dimensions"),
    "52-complex": (nifti_set, lambda path: nifti(path, np.zeros((9, 10, 11), np.complex64)), "of type complex64"),
    "52-an-intercept-of-nan": (nifti_set, lambda path: scaled(path, np.nan), "has an intercept (scl_inter) of nan"),
    "52-an-intercept-of-inf": (nifti_set, lambda path: scaled(path, np.inf), "has an intercept (scl_inter) of inf"),
    "53-deflated": (dicom_set, lambda path: dicom(path, numbers(0), syntax="1.2.840.10008.1.2.1.99"),
                    "is a deflated DICOM"),
    "53-several-frames": (dicom_set, lambda path: dicom(path, numbers(0), NumberOfFrames=2), "has several frames"),
    "53-high-bit": (dicom_set, lambda path: dicom(path, numbers(0), BitsStored=12), "HighBit 15 for 12 bits"),
    "53-colour": (dicom_set, lambda path: dicom(path, numbers(0), PhotometricInterpretation="RGB"), "in colour"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "damage", "sentence"), DAMAGED.values(), ids=DAMAGED)
def test_43_53_a_file_that_cannot_be_used_is_named(
    make: Callable[[Path], Path], damage: Callable[[Path], object], sentence: str, refused: Refused, tmp_path: Path
) -> None:
    path = make(tmp_path)
    [first, *_] = sorted((path / "a").iterdir())
    damage(first)
    [problem] = refused("check", config_file(path))
    assert sentence in problem["problem"]
    assert f"'a/{first.name}'" in problem["problem"]


def test_45_a_wrong_extension_is_read_by_its_first_bytes(tmp_path: Path) -> None:
    right = [ingested(dicom_set(tmp_path / "dicom")), ingested(nifti_set(tmp_path / "nifti", suffix=".nii"))]
    for name in ("dicom", "nifti"):
        for path in sorted((tmp_path / name).rglob("*.*")):
            path.rename(path.with_name(f"{path.name.split('.')[0]}.png"))
    wrong = [ingested(tmp_path / name / "scans") for name in ("dicom", "nifti")]
    assert [data.fingerprint() for data in wrong] == [data.fingerprint() for data in right]


def test_45_formats_are_not_mixed(refused: Refused, tmp_path: Path) -> None:
    path = dicom_set(tmp_path)
    nifti(path / "b" / "other.nii", numbers(0, (1, 12, 14)))
    [problem] = refused("check", config_file(path))
    assert problem["problem"] == "'scans' mixes formats: 24 dicom files, 1 nifti files"


@pytest.mark.parametrize("make", [dicom_set, nifti_set], ids=["46-dicom", "46-nifti"])
@pytest.mark.parametrize("fit", ["error", "resize", "crop", "pad"])
def test_46_mixed_sizes_are_refused_or_brought_to_one_as_asked(
    make: Callable[[Path], Path], fit: str, refused: Refused, tmp_path: Path
) -> None:
    path, other = make(tmp_path), numbers(99, (20, 30))
    if make is dicom_set:
        dicom(path / "a" / "other.dcm", other, series=99)
    else:
        nifti(path / "a" / "other.nii.gz", np.repeat(other[None], 15, axis=0))
    if fit == "error":
        [problem] = refused("check", config_file(path))
        assert (problem["where"], "in 2 sizes" in problem["problem"]) == ("source.fit", False)
        assert "have 2 sizes" in problem["problem"]
        return
    data = ingested(path, fit=fit, size=16)
    assert set(data.images.shape[2:]) == {16}
    assert data.images.shape[1:] == ((1, 16, 16) if make is dicom_set else (1, 16, 16, 16))


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


@pytest.mark.parametrize("how", ["huge header", "huge offset", "packed zeros"], ids=lambda how: f"51-{how}")
def test_51_a_bomb_is_refused_before_it_is_unpacked(how: str, refused: Refused, tmp_path: Path) -> None:
    path = nifti_set(tmp_path)
    first = path / "a" / "00.nii.gz"
    head = bytearray(gzip.decompress(first.read_bytes())[:352])
    if how == "huge offset":
        head[108:112] = np.float32(4e9).tobytes()
    else:
        head[42:48] = np.array([32_000, 32_000, 32_000], dtype="<i2").tobytes()
    zeros = gzip.compress(bytes(2**24)) * 64  # a gigabyte in a megabyte
    first.write_bytes(gzip.compress(bytes(head)) + (zeros if how == "packed zeros" else b""))
    [problem] = refused("check", config_file(path))
    assert "'a/00.nii.gz'" in problem["problem"]
    assert "damaged" in problem["problem"] or "128 million are allowed" in problem["problem"]


def test_51_a_dicom_of_a_billion_pixels_is_refused(refused: Refused, tmp_path: Path) -> None:
    path = dicom_set(tmp_path)
    dicom(path / "a" / "00.dcm", numbers(0), Rows=65_000, Columns=65_000)
    [problem] = refused("check", config_file(path))
    assert "4,225,000,000 pixels; 128 million are allowed" in problem["problem"]


@pytest.mark.parametrize(
    ("tags", "is_allowed"),
    [({"PatientName": SECRET}, False), ({"PatientID": SECRET}, False), ({"PatientBirthDate": "19660101"}, False),
     ({"PatientAge": "042Y"}, False), ({"PatientName": "", "PatientID": ""}, True),
     ({"PatientName": SECRET, "PatientIdentityRemoved": "NO"}, False),
     ({"PatientID": SECRET, "PatientIdentityRemoved": "YES"}, True)],
    ids=["53-name", "53-id", "53-birth-date", "53-age", "53-empty", "53-not-removed", "53-removed"],
)  # fmt: skip
def test_53_a_patient_is_refused_unless_removed_and_never_emitted(
    tags: dict[str, str], is_allowed: bool, refused: Refused, tmp_path: Path
) -> None:
    path = dicom_set(tmp_path / "in", **tags)
    if not is_allowed:
        [problem] = refused("check", config_file(path))
        assert problem["problem"].startswith("24 of 24 DICOM files name their patient; the first is 'a/00.dcm'")
        assert next(iter(tags)) in problem["problem"]
        return
    out = emitted(path, tmp_path / "out")
    files = [file for file in out.rglob("*") if file.is_file()]
    assert not [file for file in files if SECRET.encode() in file.read_bytes()]
    for file in (file for file in files if file.suffix == ".dcm"):
        assert not pydicom.dcmread(file).group_dataset(0x0010)


def test_53_nothing_of_a_nifti_header_is_emitted(tmp_path: Path) -> None:
    out = emitted(nifti_set(tmp_path / "in"), tmp_path / "out")
    files = list(out.rglob("*.nii.gz"))
    assert len(files) > 24
    assert not [file for file in files if SECRET.encode() in gzip.decompress(file.read_bytes())]


def test_53_burned_in_text_is_a_warning_with_the_count(ask: Callable[..., Any], tmp_path: Path) -> None:
    path = dicom_set(tmp_path, count=20)
    for number in range(4):
        dicom(path / "a" / f"burned{number}.dcm", numbers(90 + number), series=90 + number, BurnedInAnnotation="YES")
    problems = ask("check", config_file(path), "--json").json["problems"]
    [found] = [problem for problem in problems if problem["kind"] == "burned_in_annotation"]
    assert found["message"] == "4 of 24 DICOM files say that text is burned into their pixels"
    assert found["severity"] == "warning"


@pytest.mark.parametrize("kind", ["copies", "marginals"])
def test_53_an_emitted_file_says_what_it_is(kind: str, tmp_path: Path) -> None:
    source = dicom_set(tmp_path / "in")
    out = emitted(source, tmp_path / "out", kind=kind)
    index = load_dataset(out)
    files = [pydicom.dcmread(path) for path in index["path"]]
    assert [file.SyntheticData == "YES" for file in files] == index["synthetic"].tolist()
    assert {file.Modality for file in files} == {"MR"}
    assert {tuple(map(float, file.PixelSpacing)) for file in files} == {SPACING[1:]}
    uids = {file.SOPInstanceUID for file in files}
    assert len(uids) == len(files)
    assert not uids & {pydicom.dcmread(path).SOPInstanceUID for path in source.rglob("*.dcm")}
    again = emitted(source, tmp_path / "again" / "out", kind=kind)
    names = [path.relative_to(out) for path in out.rglob("*.dcm")]
    assert [name for name in names if (out / name).read_bytes() != (again / name).read_bytes()] == []


def test_53_slices_of_one_patient_stay_on_one_side(tmp_path: Path) -> None:
    for number in range(60):
        dicom(tmp_path / "s" / "ab"[number % 2] / f"{number}.dcm", numbers(number), series=number % 10, place=number)
    groups = ingested(tmp_path / "s").groups
    assert groups is not None
    assert len(set(groups.tolist())) == 10
    assert SECRET not in "".join(groups.tolist())


def test_53_few_patients_are_a_warning(tmp_path: Path) -> None:
    for number in range(24):
        dicom(tmp_path / "s" / "ab"[number % 2] / f"{number}.dcm", numbers(number), series=number % 2, place=number)
    found = read(ImageSource(kind="images", path=str(tmp_path / "s")), seed=0)
    assert "few_subjects" in {problem["kind"] for problem in found.problems}


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


def test_55_the_same_scan_under_two_labels_is_refused(refused: Refused, tmp_path: Path) -> None:
    path = nifti_set(tmp_path)
    (path / "a" / "twin.nii.gz").write_bytes((path / "b" / "01.nii.gz").read_bytes())
    [problem] = refused("check", config_file(path))
    assert "1 of 24 different images" in problem["problem"]


def test_volumes_are_checked_and_refused_by_what_cannot_use_them(
    ask: Callable[..., Any], refused: Refused, tmp_path: Path
) -> None:
    path = nifti_set(tmp_path)
    config = config_file(path)
    assert ask("check", config, "--json").json["shape"] == "24 grey volumes of 9 × 11 × 10 px, int16"
    assert ask("check", config, "-s", "synthesizer={kind: image-gan}", "--json").json["problems"] == []
    [problem] = refused("check", config, "-s", "export.formats=[folder]")
    assert problem["problem"] == "export format 'folder' holds no volumes, these data need another"


def test_a_run_on_few_volumes_says_what_it_could_not_measure_and_shows_the_middle(tmp_path: Path) -> None:
    config, space = parse_config(config_of(nifti_set(tmp_path))), Workspace(tmp_path / "space")
    splits = stages.split_data(config, space, stages.ingest(config, space))
    model = stages.fit(config, space, splits)
    curated = stages.curate_candidates(config, space, splits, model, stages.sample(config, space, splits, model))
    content = read_json(stages.evaluate(config, space, splits, curated).directory / "findings.json")
    assert content["not_measured"]
    assert all("held-out" in item["reason"] for item in content["not_measured"] if item["applies"])
    train, synthetic = Splits.load(splits.directory).train, load_data(curated.directory / "synthetic")
    assert isinstance(train, ImageSet)
    assert isinstance(synthetic, ImageSet)
    assert [len(item.strips) for item in class_pictures(train, synthetic)] == [3, 3]


@pytest.mark.parametrize("kind", ["image-gan", "image-vae"])
def test_volumes_are_learned_and_screened_for_copies(tmp_path: Path, kind: str) -> None:
    synthesizer = {"kind": kind, "budget_steps": 2, "batch_size": 4, "width": 4}
    config = parse_config({**config_of(nifti_set(tmp_path)), "synthesizer": synthesizer})
    space = Workspace(tmp_path / "space")
    splits = stages.split_data(config, space, stages.ingest(config, space))
    model = stages.fit(config, space, splits)
    curated = stages.curate_candidates(config, space, splits, model, stages.sample(config, space, splits, model))
    train, synthetic = Splits.load(splits.directory).train, load_data(curated.directory / "synthetic")
    assert isinstance(train, ImageSet)
    assert isinstance(synthetic, ImageSet)
    assert synthetic.images.shape[1:] == train.images.shape[1:]
    assert read_json(curated.directory / "curation.json")["near_copy_threshold"] > 0


def real(name: str) -> Path:
    if not (REAL / name).is_dir():
        pytest.skip(f"{name} is not under SYNTHGEN_TEST_DATA")
    return REAL / name


def test_53_real_dicom_with_patients_is_refused_and_read_when_they_are_removed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="76 of 76 DICOM files name their patient"):
        ingested(real("dicom_mr"))
    for path in [*sorted(real("dicom_mr").glob("anat*/*.dcm"))[:10], *sorted(real("dicom_mr").glob("epi*/*.dcm"))[:10]]:
        file = pydicom.dcmread(path)
        for item in list(file.group_dataset(0x0010)):
            del file[item.tag]
        (tmp_path / "in" / path.parent.name).mkdir(parents=True, exist_ok=True)
        file.save_as(tmp_path / "in" / path.parent.name / path.name)
    found = read(ImageSource(kind="images", path=str(tmp_path / "in"), fit="resize", size=32), seed=0)
    assert isinstance(found.data, ImageSet)
    assert found.data.images.shape == (20, 1, 32, 32)
    assert {problem["kind"] for problem in found.problems} >= {"few_subjects", "mixed_voxel_grids", "mixed_sizes"}
    out = emitted(tmp_path / "in", tmp_path / "out", fit="resize", size=32)
    assert not [path for path in out.rglob("*.dcm") if b"Jane" in path.read_bytes() or b"NIH" in path.read_bytes()]


def test_real_nifti_is_stretched_padded_and_emitted(tmp_path: Path) -> None:
    folder = real("hippocampus_nifti")
    with pytest.raises(DataError, match="sizes"):
        ingested(folder)
    with pytest.raises(DataError, match="holds fractions"):
        ingested(folder, fit="pad", size=64)
    data = ingested(folder, fit="pad", size=64, intensity="stretch")
    assert data.images.shape == (80, 1, 64, 64, 64)
    assert data.classes == ("images", "labels")
    assert data.scan is not None
    # 57 voxels of 1 mm are the longest side; all have one factor.
    np.testing.assert_allclose(data.scan.spacing_mm, 57 / 64)
    out = emitted(folder, tmp_path / "out", fit="pad", size=64, intensity="stretch")
    affines = {nibabel.load(path).affine.tobytes() for path in out.rglob("*.nii.gz")}
    assert affines == {np.diag([57 / 64, 57 / 64, 57 / 64, 1]).tobytes()}
