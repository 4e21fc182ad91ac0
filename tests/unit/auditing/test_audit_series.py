"""DICOM volumes in audits and as a source: an index names the first slice of each, and all of them are read."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pydicom
import pytest

from pipelines.cli import _answer
from synthgen.auditing.reading import Inputs, read_inputs
from synthgen.config import ImageSource
from synthgen.config_reading import parse_audit_options
from synthgen.datasets import ImageSet, Splits
from synthgen.errors import DataError, UsageError
from synthgen.exporters import emit_dataset
from synthgen.remote import send
from synthgen.scans import Scan
from synthgen.sources import read

FACTS = {"run_id": "r1", "name": "v", "verdict": "PASS", "passed": True, "forced": False, "data_sha256": "ab"}
SAGITTAL = ((0.0, 0.0, -1.0, 0.0), (2.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
# Slices run against the cross product of rows and columns, as NIfTI allows.
LEFT_HANDED = ((0.0, 0.0, 1.0, 0.0), (2.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
GRIDS = {"a grid": SAGITTAL, "a left-handed grid": LEFT_HANDED, "no grid": None}
PARTS = ("train", "synthetic", "holdout")


def volumes(n: int, seed: int, affine: tuple[tuple[float, ...], ...] | None) -> ImageSet:
    pixels = np.random.default_rng(seed).integers(0, 900, (n, 1, 8, 9, 10)).astype(np.uint16)
    scan = Scan("dicom", "uint16", 0, "CT", affine)
    return ImageSet(pixels, np.arange(n, dtype=np.int64) % 2, ("a", "b"), scan=scan)


@pytest.fixture(scope="module", params=GRIDS)
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Splits, ImageSet]:
    folder = tmp_path_factory.mktemp("volumes") / "dataset"
    affine = GRIDS[request.param]
    parts, made = Splits(*(volumes(12, seed, affine) for seed in range(3))), volumes(10, 3, affine)
    emit_dataset(folder, parts, made, purpose="augment", formats=["dicom"], facts=FACTS)
    return folder, parts, made


@pytest.fixture
def emitted(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    parts = Splits(*(volumes(12, seed, SAGITTAL) for seed in range(3)))
    emit_dataset(folder, parts, volumes(10, 3, SAGITTAL), purpose="augment", formats=["dicom"], facts=FACTS)
    return folder


def opened(given: Mapping[str, Path | str], downloads: Path | None = None, **options: object) -> Inputs:
    return read_inputs(given, parse_audit_options(options), downloads=downloads)


def of_index(path: Path | str, downloads: Path | None = None) -> Inputs:
    return opened(dict.fromkeys(PARTS, path), downloads)


def volumes_of(data: object) -> np.ndarray:
    assert isinstance(data, ImageSet)
    return data.images


def without_slices(index: Path) -> None:
    """The index as synthgen wrote it before it had the column."""
    pd.read_parquet(index).drop(columns="slices").to_parquet(index, index=False)


@pytest.mark.parametrize("is_old", [False, True])
def test_the_index_of_emitted_volumes_is_audited_as_whole_volumes(
    dataset: tuple[Path, Splits, ImageSet], tmp_path: Path, is_old: bool
) -> None:
    folder, parts, made = dataset
    if is_old:
        folder = shutil.copytree(folder, tmp_path / "old")
        without_slices(folder / "index.parquet")
    inputs = of_index(folder / "index.parquet")
    np.testing.assert_array_equal(volumes_of(inputs.train), volumes_of(parts.train))
    np.testing.assert_array_equal(volumes_of(inputs.holdout), volumes_of(parts.holdout))
    assert len(inputs.synthetic) == 2 * len(made)  # beside the training volumes, and alone
    np.testing.assert_array_equal(volumes_of(inputs.synthetic)[:10], made.images)


def test_the_index_of_emitted_volumes_is_a_source_of_whole_volumes(emitted: Path) -> None:
    source = ImageSource(kind="images", path=str(emitted / "index.parquet"), series="slices")
    frame = pd.read_parquet(source.path)
    assert set(frame["slices"]) == {8}
    kept = frame[~frame["synthetic"]]
    kept.to_parquet(source.path, index=False)
    found = read(source, seed=0, split_column="split")
    assert isinstance(found.data, ImageSet)
    assert found.data.images.shape == (36, 1, 8, 9, 10)
    assert found.data.groups is None
    assert found.data.scan is not None
    np.testing.assert_allclose(np.asarray(found.data.scan.affine), SAGITTAL, atol=1e-6)


@pytest.mark.parametrize("is_old", [False, True])
def test_a_volume_that_lacks_a_slice_is_refused(emitted: Path, is_old: bool) -> None:
    if is_old:
        without_slices(emitted / "index.parquet")
    for path in emitted.glob("train/a/real-000000-000[1-7].dcm"):
        path.unlink()
    with pytest.raises(DataError, match=r"index.parquet row 1: there is no such file|no other slice of it"):
        of_index(emitted / "index.parquet")


@pytest.mark.parametrize("count", [0, -1, 10**12, 2.5])
def test_a_number_of_slices_that_no_volume_has_is_refused(emitted: Path, count: float) -> None:
    frame = pd.read_parquet(emitted / "index.parquet")
    frame["slices"] = count
    frame.to_parquet(emitted / "index.parquet", index=False)
    with pytest.raises(DataError, match=r"column 'slices' of 'index.parquet' holds what is no number of slices"):
        of_index(emitted / "index.parquet")


def test_an_index_behind_an_address_brings_all_slices(emitted: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    send(emitted, "memory://volumes/v1")
    try:
        inputs = of_index("memory://volumes/v1/index.parquet", tmp_path / "downloads")
    finally:
        memory.store.clear()
    assert volumes_of(inputs.train).shape == (12, 1, 8, 9, 10)


def class_folders(emitted: Path) -> dict[str, Path]:
    """The parts as somebody else hands them on: folders of slices, real and synthetic apart."""
    for part, strangers in {"train": "synthetic-*", "holdout": "synthetic-*", "synthetic": "real-*"}.items():
        for path in (emitted / part).rglob(strangers):
            path.unlink()
    (emitted / "manifest.json").unlink()
    return {part: emitted / part for part in PARTS}


def test_class_folders_of_series_are_slices_unless_volumes_are_asked_for_and_the_audit_says_which(
    emitted: Path,
) -> None:
    given = class_folders(emitted)
    told = {}
    for series in (None, "slices", "volume"):
        inputs = opened(given, series=series)
        told[series] = (volumes_of(inputs.train).shape, [item.message for item in inputs.problems])
    assert told[None] == told["slices"]
    assert told[None][0] == (96, 1, 9, 10)
    assert told["volume"][0] == (12, 1, 8, 9, 10)
    message = "read as train: 96 images of 10 x 9 px, as synthetic: 80 images of 10 x 9 px, as holdout: 96 images of"
    assert message in told[None][1][0]
    assert "read as train: 12 volumes of 10 x 9 x 8 px" in told["volume"][1][0]


def test_volumes_stand_beside_those_of_an_npz(emitted: Path, tmp_path: Path) -> None:
    given = class_folders(emitted)
    pixels = volumes(10, 3, None).images[:, 0]
    np.savez(tmp_path / "made.npz", images=pixels, labels=np.arange(10) % 2)
    for folder in ("a", "b"):  # an npz has numbers for classes
        for part in ("train", "holdout"):
            (emitted / part / folder).rename(emitted / part / str("ab".index(folder)))
    inputs = opened({**given, "synthetic": tmp_path / "made.npz"}, series="volume")
    np.testing.assert_array_equal(volumes_of(inputs.synthetic)[:, 0], pixels)


def test_series_of_a_table_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"a": range(20), "b": range(20)}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UsageError, match="'series' is for images"):
        opened(dict.fromkeys(("train", "synthetic"), tmp_path / "t.csv"), series="volume")


def foreign(emitted: Path, *, per_series: int) -> Path:
    """A manifest of somebody else that lists the first slices of each series of the training part."""
    rows = []
    for number, path in enumerate(sorted((emitted / "train").rglob("*.dcm"))):
        # No name of ours.
        other = path.with_name(f"scan{number // 8:03}_{number % 8}.dcm")
        path.rename(other)
        if number % 8 < per_series:
            rows.append({"path": other.relative_to(emitted).as_posix(), "label": other.parent.name})
    pd.DataFrame(rows).to_csv(emitted / "list.csv", index=False)
    return emitted / "list.csv"


@pytest.mark.parametrize("series", [None, "volume"])
def test_a_manifest_of_one_slice_of_each_series_is_refused_unless_slices_are_asked_for(
    emitted: Path, series: str | None
) -> None:
    source = {"kind": "images", "path": str(foreign(emitted, per_series=1))}
    with pytest.raises(DataError, match=r"row 1' is one slice of a series, and other slices of it are not listed"):
        read(ImageSource.model_validate(source | ({"series": series} if series else {})), seed=0)
    data = read(ImageSource.model_validate(source | {"series": "slices"}), seed=0).data
    assert volumes_of(data).shape == (22, 1, 9, 10)


def test_a_manifest_that_chooses_among_the_slices_of_series_is_read(emitted: Path) -> None:
    path = foreign(emitted, per_series=3)
    assert volumes_of(read(ImageSource(kind="images", path=str(path)), seed=0).data).shape == (66, 1, 9, 10)


def test_a_manifest_of_all_slices_is_read_as_volumes_when_asked(emitted: Path) -> None:
    path = foreign(emitted, per_series=8)
    data = read(ImageSource(kind="images", path=str(path), series="volume"), seed=0).data
    assert volumes_of(data).shape == (22, 1, 8, 9, 10)


def test_the_command_reads_series_and_says_so(emitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = class_folders(emitted)
    words = [word for part in ("train", "synthetic") for word in (f"--{part}", str(given[part]))]
    assert _answer(["audit", *words, "--series", "volume", "-o", str(emitted.parent / "out")]) == 4
    said = capsys.readouterr()
    assert "read as train: 12 volumes of 10 x 9 x 8 px" in " ".join(said.out.split())
    assert "12 volumes of 10 x 9 x 8 px" in (emitted.parent / "out" / "report.html").read_text()


def test_the_files_of_a_volume_are_one_series(emitted: Path) -> None:
    files = sorted((emitted / "train").glob("a/real-000000-*.dcm"))
    assert len({str(pydicom.dcmread(path).SeriesInstanceUID) for path in files}) == 1
