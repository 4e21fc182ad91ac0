"""What `synthgen sample` writes: in the format of the training data, and saying what it is and where it comes from."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from pipelines.cli import _answer
from synthgen import __version__
from synthgen.config import CopiesConfig, MarginalsConfig
from synthgen.datasets import Data, ImageSet, Schema, Table
from synthgen.exporters import load_dataset
from synthgen.scans import Scan
from synthgen.synthesizers import create

RUN = "2026-11-22-091400-k3f9"
AFFINE = ((3.0, 0.0, 0.0, 0.0), (0.0, 0.5, 0.0, 0.0), (0.0, 0.0, 0.75, 0.0), (0.0, 0.0, 0.0, 1.0))
CT = Scan("dicom", "int16", offset=-1_024, modality="CT", affine=AFFINE)
MR = Scan("nifti", "int16", offset=-1_024, affine=AFFINE)


def images(*shape: int, scan: Scan | None = None, dtype: type[np.unsignedinteger] = np.uint16) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max // 30, (24, *shape), dtype=dtype)
    return ImageSet(pixels, np.arange(24) % 2, ("a", "b"), scan=scan)


def table() -> Table:
    frame = pd.DataFrame({"age": np.arange(60), "label": ["x", "y"] * 30})
    return Table(frame, Schema({"age": "integer", "label": "categorical"}, "label"))


def run_of(root: Path, data: Data) -> Path:
    """The folder of a run whose model draws rows of these data."""
    folder = root / "runs" / "demo" / RUN
    model = create(CopiesConfig(kind="copies"), data)
    model.fit(data, data, np.random.default_rng(0))
    (folder / "model").mkdir(parents=True)
    model.save(folder / "model")
    record = {"run_id": RUN, "name": "demo", "model": "copies", "data_sha256": "49540a92"}
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def sampled(tmp_path: Path, data: Data, name: str, *, seed: int = 0) -> Path:
    folder = tmp_path / "runs" / "demo" / RUN
    model = folder if folder.exists() else run_of(tmp_path, data)
    arguments = ["sample", str(model), "--rows", "6", "--seed", str(seed), "-o", str(tmp_path / name)]
    assert _answer(arguments) == 0
    return tmp_path / name


def loaded(folder: Path) -> pd.DataFrame:
    with pytest.warns(UserWarning, match="the verdict is NOT AUDITED"):
        return load_dataset(folder, split="synthetic")


def test_a_model_of_dicom_files_gives_dicom_files(tmp_path: Path) -> None:
    data = images(1, 8, 9, scan=CT)
    files = [pydicom.dcmread(path) for path in loaded(sampled(tmp_path, data, "more"))["path"]]
    assert len(files) == 6
    assert {file.SyntheticData for file in files} == {"YES"}
    assert {(file.Modality, *map(float, file.PixelSpacing)) for file in files} == {("CT", 0.5, 0.75)}
    known = {(image[0].astype(np.int32) - 1_024).astype(np.int16).tobytes() for image in data.images}
    assert {file.PixelData for file in files} <= known


def test_another_draw_gives_dicom_files_of_other_names(tmp_path: Path) -> None:
    folders = [sampled(tmp_path, images(1, 8, 9, scan=CT), f"more{seed}", seed=seed) for seed in (0, 1)]
    first, second = ({path: pydicom.dcmread(path) for path in folder.rglob("*.dcm")} for folder in folders)
    pixels = {file.SOPInstanceUID: file.PixelData for file in first.values()}
    assert len(pixels) == 6
    for file in second.values():
        assert pixels.get(file.SOPInstanceUID, file.PixelData) == file.PixelData
    assert not {file.SOPInstanceUID for file in second.values()}.issubset(pixels)


def test_a_model_of_nifti_volumes_gives_nifti_volumes(tmp_path: Path) -> None:
    files = [nibabel.load(path) for path in loaded(sampled(tmp_path, images(1, 9, 8, 7, scan=MR), "more"))["path"]]
    assert len(files) == 6
    for file in files:
        assert sorted(file.shape) == [7, 8, 9]
        assert sorted(file.header.get_zooms()) == pytest.approx([0.5, 0.75, 3.0])
        assert np.asarray(file.dataobj).min() < 0
        assert file.header["descrip"].item().decode() == f"synthetic, synthgen run {RUN}"


def test_a_model_of_other_volumes_gives_an_npz(tmp_path: Path) -> None:
    folder = sampled(tmp_path, images(1, 9, 8, 7), "more")
    assert {path.name for path in folder.iterdir()} == {"dataset.npz", "manifest.json"}
    assert len(loaded(folder)) == 6


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_model_of_pictures_gives_png_files_that_say_what_they_are(
    tmp_path: Path, channels: int, dtype: type[np.unsignedinteger]
) -> None:
    paths = loaded(sampled(tmp_path, images(channels, 8, 9, dtype=dtype), "more"))["path"].tolist()
    assert len(paths) == 6
    comment = f"made by synthgen, run {RUN}, model copies"
    for path in paths:
        with Image.open(path) as image:
            assert image.text == {"Source": "synthetic", "Software": f"synthgen {__version__}", "Comment": comment}  # type: ignore[attr-defined]


MADE_BY = {"synthgen_version": __version__, "run_id": RUN, "model": "copies"}


@pytest.mark.parametrize("data", [images(3, 8, 9), images(1, 9, 8, 7), images(1, 8, 9, scan=CT)])
def test_an_npz_names_run_and_model(tmp_path: Path, data: ImageSet) -> None:
    with np.load(sampled(tmp_path, data, "more.npz"), allow_pickle=False) as arrays:
        assert {name: str(arrays[name]) for name in MADE_BY} == MADE_BY
        assert len(arrays["synthetic_images"]) == 6


@pytest.mark.parametrize(
    ("data", "name", "file"),
    [(images(3, 8, 9), "more", "more/index.parquet"), (table(), "more.parquet", "more.parquet")],
    ids=["index", "table"],
)
def test_a_parquet_file_names_run_and_model(tmp_path: Path, data: Data, name: str, file: str) -> None:
    sampled(tmp_path, data, name)
    assert pd.read_parquet(tmp_path / file).attrs == MADE_BY


def test_the_manifest_says_that_nobody_has_judged_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = sampled(tmp_path, images(3, 8, 9), "more", seed=3)
    manifest = json.loads((folder / "manifest.json").read_text())
    stated = {"run_id": RUN, "name": "demo", "model": "copies", "data_sha256": "49540a92", "verdict": "NOT AUDITED",
              "passed": False, "seed": 3, "formats": ["folder"],
              "parts": {"synthetic": {"real": 0, "synthetic": 6}}}  # fmt: skip
    assert {name: manifest[name] for name in stated} == stated
    capsys.readouterr()
    assert _answer(["verify", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "NOT AUDITED"


def test_a_model_by_itself_is_named_by_kind_and_hash(tmp_path: Path) -> None:
    data = images(1, 8, 9)
    model = create(MarginalsConfig(kind="marginals"), data)
    model.fit(data, data, np.random.default_rng(0))
    model.save(tmp_path / "model")
    assert _answer(["sample", str(tmp_path / "model"), "--rows", "3", "-o", str(tmp_path / "more")]) == 0
    attrs = pd.read_parquet(tmp_path / "more" / "index.parquet").attrs
    assert attrs["run_id"] == "unknown"
    assert attrs["model"].startswith("marginals of SHA-256 ")


def test_images_that_their_format_cannot_hold_are_refused_as_check_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(tmp_path, images(3, 8, 9, scan=MR))
    assert _answer(["sample", str(run), "--rows", "6", "-o", str(tmp_path / "more"), "--json"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["error"] == "export format 'nifti' holds no colour here, these data need another"
    assert not (tmp_path / "more").exists()


@pytest.mark.parametrize(
    ("data", "name", "allowed"),
    [(table(), "more", ".parquet or .csv"), (table(), "more.npz", ".parquet or .csv"),
     (images(1, 8, 9), "more.csv", ".npz or a folder (no suffix)")],
)  # fmt: skip
def test_a_suffix_that_does_not_fit_says_which_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: Data, name: str, allowed: str
) -> None:
    assert _answer(["sample", str(run_of(tmp_path, data)), "--rows", "6", "-o", str(tmp_path / name), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"].endswith(f"; allowed: {allowed}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]
