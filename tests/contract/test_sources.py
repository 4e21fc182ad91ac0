"""What every source keeps: the same data twice, whole labels, a faithful save, no trace, no global randomness."""

import random
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from synthgen.config import BuiltinSource, ImageSource, Source, TableSource
from synthgen.datasets import ImageSet, Table, load_data
from synthgen.sources import SOURCES, read


def table_file(folder: Path, suffix: str) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "amount": [None, *rng.normal(size=39)],
        "count": pd.array([None, *range(1, 40)], dtype="Int64"),
        "town": ["Köln", None] * 20,
        "day": pd.date_range("2024-01-01", periods=40, tz="UTC"),
        "ok": [True, False] * 20,
        "class": ["a", "b", "b", "b"] * 10,
    })  # fmt: skip
    path = folder / f"table.{suffix}"
    frame.to_parquet(path) if suffix == "parquet" else frame.to_csv(path, index=False)
    return path


def image_folder(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(24):
        (folder / "images" / f"class {number % 2}").mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"class {number % 2}" / f"{number}.png")
    return folder / "images"


def image_archive(folder: Path) -> Path:
    images = image_folder(folder)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for path in sorted(images.rglob("*.png")):
            archive.write(path, path.relative_to(images).as_posix())
    return folder / "images.zip"


def image_arrays(folder: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 60_000, (24, 8, 8), dtype=np.uint16)
    np.savez(folder / "images.npz", images=pixels, labels=np.arange(24) % 3)
    return folder / "images.npz"


def image_manifest(folder: Path) -> Path:
    files = sorted(path.relative_to(folder).as_posix() for path in image_folder(folder).rglob("*.png"))
    rows = pd.DataFrame({"path": files, "label": [1, 2] * 12, "patient": [f"p{row // 4}" for row in range(24)]})
    rows.to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


EXAMPLES: dict[str, dict[str, Callable[[Path], Source]]] = {
    "table": {
        "csv": lambda folder: TableSource(kind="table", path=str(table_file(folder, "csv")), label="class"),
        "gzip": lambda folder: TableSource(kind="table", path=str(table_file(folder, "csv.gz")), label="class"),
        "parquet": lambda folder: TableSource(kind="table", path=str(table_file(folder, "parquet")), label="class"),
    },
    "images": {
        "folder": lambda folder: ImageSource(kind="images", path=str(image_folder(folder))),
        "zip": lambda folder: ImageSource(kind="images", path=str(image_archive(folder)), mirror_keeps_label=True),
        "npz": lambda folder: ImageSource(kind="images", path=str(image_arrays(folder))),
        "manifest": lambda folder: ImageSource(kind="images", path=str(image_manifest(folder)), group="patient"),
    },
    "builtin": {
        "table": lambda _: BuiltinSource(kind="builtin", name="wine"),
        "thinned": lambda _: BuiltinSource(kind="builtin", name="digits", thin={"3": 10}),
    },
}
CASES = [pytest.param(make, id=f"{kind}-{name}") for kind, made in EXAMPLES.items() for name, make in made.items()]


def test_every_source_has_an_example() -> None:
    assert set(EXAMPLES) == set(SOURCES)


@pytest.mark.parametrize("make", CASES)
def test_reading_twice_gives_the_same_data(tmp_path: Path, make: Callable[[Path], Source]) -> None:
    source = make(tmp_path)
    first, second = read(source, seed=3), read(source, seed=3)
    assert first.data.fingerprint() == second.data.fingerprint()
    np.testing.assert_array_equal(first.parts, second.parts)
    assert list(first.problems) == list(second.problems)


@pytest.mark.parametrize("make", CASES)
def test_every_row_has_a_class_and_every_class_a_row(tmp_path: Path, make: Callable[[Path], Source]) -> None:
    data = read(make(tmp_path), seed=0).data
    assert len(data.labels) == len(data)
    assert set(data.labels.tolist()) == set(data.classes)
    assert len(data.classes) >= 2


@pytest.mark.parametrize("make", CASES)
def test_what_is_saved_is_what_is_loaded(tmp_path: Path, make: Callable[[Path], Source]) -> None:
    data = read(make(tmp_path), seed=0).data
    data.save(tmp_path / "saved")
    loaded = load_data(tmp_path / "saved")
    assert loaded.fingerprint() == data.fingerprint()
    if isinstance(data, Table) and isinstance(loaded, Table):
        pd.testing.assert_frame_equal(loaded.frame, data.frame, check_freq=False)
        assert loaded.schema == data.schema
    if isinstance(data, ImageSet) and isinstance(loaded, ImageSet):
        assert loaded.mirror_keeps_label == data.mirror_keeps_label
        np.testing.assert_array_equal(loaded.groups, data.groups)


@pytest.mark.parametrize("make", CASES)
def test_parts_name_every_row_or_are_absent(tmp_path: Path, make: Callable[[Path], Source]) -> None:
    ingested = read(make(tmp_path), seed=0)
    if ingested.parts is not None:
        assert len(ingested.parts) == len(ingested.data)
        assert set(ingested.parts.tolist()) <= {"train", "valid", "holdout"}


@pytest.mark.parametrize("make", CASES)
def test_reading_leaves_no_file_behind(
    tmp_path: Path, make: Callable[[Path], Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make(tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path != scratch}
    read(source, seed=0)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path != scratch} == before


@pytest.mark.parametrize("make", CASES)
def test_the_global_random_state_is_untouched(tmp_path: Path, make: Callable[[Path], Source]) -> None:
    source = make(tmp_path)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    read(source, seed=0)
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002


@pytest.mark.parametrize("make", CASES)
def test_problems_are_json_of_the_report(tmp_path: Path, make: Callable[[Path], Source]) -> None:
    for problem in read(make(tmp_path), seed=0).problems:
        assert set(problem) == {"kind", "message", "severity", "column", "hint"}
