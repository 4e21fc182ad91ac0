"""Cases 43-55 of DICOM and NIfTI: damage, mixed sizes, bombs, and never a patient; volumes from files to a run."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest

from synthgen import stages
from synthgen.config import ImageSource
from synthgen.config_reading import parse_config
from synthgen.datasets import ImageSet, Splits, load_data
from synthgen.errors import DataError
from synthgen.exporters import load_dataset
from synthgen.files import read_json
from synthgen.reports.pictures import class_pictures
from synthgen.sources import read
from synthgen.workspace import Workspace
from tests.faults.medical_files import (
    REAL,
    SECRET,
    SPACING,
    Refused,
    config_file,
    config_of,
    dicom,
    dicom_set,
    emitted,
    ingested,
    nifti,
    nifti_set,
    numbers,
    scaled,
)

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
    "53-a-table-of-values": (dicom_set, lambda path: dicom(path, numbers(0), ModalityLUTSequence=[pydicom.Dataset()]),
                             "a table of values (ModalityLUTSequence)"),
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
    # Of study and series, what must stand there though nobody knows it; of the patient nothing.
    unknown = ("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber", "SeriesNumber")
    assert all(name in file and file[name].is_empty for file in files for name in unknown)
    assert not [file for file in files if len(file.group_dataset(0x0010))]
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
