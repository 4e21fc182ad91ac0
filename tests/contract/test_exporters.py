"""What every exporter must do: these tests run over the whole table of exporters."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgen.config import Purpose
from synthgen.datasets import Data, ImageSet, Schema, Splits, Table
from synthgen.errors import ConfigError, DataError, IntegrityError, UsageError
from synthgen.exporters import EXPORTERS, emit_dataset, load_dataset
from synthgen.files import sha256_path
from synthgen.manifests import verify_manifest

FACTS = {
    "run_id": "2026-11-22-091400-k3f9",
    "name": "demo",
    "verdict": "PASS",
    "passed": True,
    "forced": False,
    "data_sha256": "49540a92",
    "created": "2026-11-22T09:14:00+00:00",
    "synthesizer": "ctgan",
}


def table(n: int, seed: int) -> Table:
    """Every dtype that a source can give, with missing values and cells that a spreadsheet would run."""
    rng = np.random.default_rng(seed)
    hours = pd.date_range("2020-03-28", periods=n, freq="h")
    frame = pd.DataFrame(
        {
            "id": np.arange(n) + 2**60 + 1000 * seed,  # beyond what a float can hold
            "number": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "whole": rng.integers(-9, 9, n),
            "formula": rng.choice(["=1+1", "-1", "'quoted", "@x", 'é,"\n', ""], n),
            "gap": pd.Series(rng.choice(np.array(["u", None], dtype=object), n), dtype=object),
            "moment": hours,
            "zoned": hours.tz_localize("Europe/Berlin", ambiguous=True, nonexistent="shift_forward"),
            "flag": rng.random(n) < 0.5,
            "nullable": pd.array(np.where(np.arange(n) % 7 == 0, None, np.arange(n)), dtype="Int64"),
            "maybe": pd.array(np.where(np.arange(n) % 5 == 0, None, np.arange(n) % 2 == 0), dtype="boolean"),
            "@label": rng.choice(["yes", "no"], n),
        }
    )
    kinds = {
        "id": "id", "number": "numeric", "whole": "integer", "formula": "categorical", "gap": "categorical",
        "moment": "datetime", "zoned": "datetime", "flag": "boolean", "nullable": "integer", "maybe": "boolean",
        "@label": "categorical",
    }  # fmt: skip
    return Table(frame, Schema(kinds, "@label"))


def images(n: int, seed: int, channels: int = 3) -> ImageSet:
    """16-bit, with class names that no file system takes as they are."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 2**16, (n, channels, 8, 9), dtype=np.uint16)
    return ImageSet(pixels, np.arange(n, dtype=np.int64) % 3, ("../up", "a/b", "CON"))


def parts_for(name: str) -> tuple[Splits, Data]:
    if EXPORTERS[name].modality == "images":
        channels = 1 if name in ("dicom", "nifti") else 3
        return Splits(*(images(n, seed, channels) for seed, n in enumerate((12, 6, 6)))), images(9, 3, channels)
    made = table(30, 3)
    return Splits(table(40, 0), table(20, 1), table(20, 2)), replace(made, frame=made.modelled)


def emit(target: Path, name: str, purpose: Purpose = "augment") -> Path:
    splits, synthetic = parts_for(name)
    emit_dataset(target, splits, synthetic, purpose=purpose, formats=[name], facts=FACTS)
    return target


@pytest.fixture(params=list(EXPORTERS))
def exporter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def pixels_of(folder: Path, split: str) -> np.ndarray:
    dataset = load_dataset(folder, "torch", split=split)
    return np.stack([dataset[index][0].numpy() for index in range(len(dataset))])


@pytest.mark.parametrize("split", ["valid", "holdout", "synthetic"])
def test_a_part_comes_back_as_it_was(tmp_path: Path, exporter: str, split: str) -> None:
    splits, synthetic = parts_for(exporter)
    expected = {"valid": splits.valid, "holdout": splits.holdout, "synthetic": synthetic}[split]
    folder = emit(tmp_path / "dataset", exporter)
    back = load_dataset(folder, split=split)
    if isinstance(expected, Table):
        pd.testing.assert_frame_equal(back, expected.frame)
        return
    assert isinstance(expected, ImageSet)
    assert back["label"].tolist() == expected.labels.tolist()
    np.testing.assert_array_equal(np.rint(pixels_of(folder, split) * 65535), expected.images)


def test_train_holds_the_real_and_the_synthetic_rows_and_marks_them(tmp_path: Path, exporter: str) -> None:
    splits, synthetic = parts_for(exporter)
    train = load_dataset(emit(tmp_path / "dataset", exporter))
    assert train["synthetic"].tolist() == [False] * len(splits.train) + [True] * len(synthetic)
    if isinstance(splits.train, Table) and isinstance(synthetic, Table):
        shared = synthetic.frame.columns
        pd.testing.assert_frame_equal(train[shared].tail(len(synthetic)).reset_index(drop=True), synthetic.frame)
        assert train["id"].head(len(splits.train)).tolist() == splits.train.frame["id"].tolist()
        assert train["id"].tail(len(synthetic)).isna().all()


def test_the_manifest_states_verdict_purpose_and_rows(tmp_path: Path, exporter: str) -> None:
    manifest = verify_manifest(emit(tmp_path / "dataset", exporter))
    assert manifest["verdict"] == "PASS"
    assert manifest["passed"] is True
    assert manifest["forced"] is False
    assert manifest["purpose"] == "augment"
    assert manifest["parts"]["train"] == {
        "real": len(parts_for(exporter)[0].train),
        "synthetic": len(parts_for(exporter)[1]),
    }
    assert set(manifest["rows"]) <= {item["path"] for item in manifest["files"]}


def test_the_same_data_give_the_same_bytes(tmp_path: Path, exporter: str) -> None:
    first, second = emit(tmp_path / "first", exporter), emit(tmp_path / "second", exporter)
    assert sha256_path(first) == sha256_path(second)


def test_a_changed_byte_is_found(tmp_path: Path, exporter: str) -> None:
    folder = emit(tmp_path / "dataset", exporter)
    victim = folder / next(iter(verify_manifest(folder)["rows"]))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    with pytest.raises(IntegrityError, match=victim.name):
        load_dataset(folder)


def test_an_added_file_is_found(tmp_path: Path, exporter: str) -> None:
    folder = emit(tmp_path / "dataset", exporter)
    (folder / "more.csv").write_text("a\n1\n")
    with pytest.raises(IntegrityError, match=r"more\.csv"):
        load_dataset(folder)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 64 bytes: every write fails as on a full disk."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_nothing_is_left_when_the_disk_is_full(tmp_path: Path, exporter: str) -> None:
    with full_disk(), pytest.raises(DataError, match="cannot be written"):
        emit(tmp_path / "dataset", exporter)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_refused_and_untouched(tmp_path: Path, exporter: str) -> None:
    (tmp_path / "dataset").mkdir()
    with pytest.raises(UsageError, match="exists"):
        emit(tmp_path / "dataset", exporter)
    assert list(tmp_path.rglob("*")) == [tmp_path / "dataset"]


def test_shared_data_hold_no_real_row(tmp_path: Path, exporter: str) -> None:
    folder = emit(tmp_path / "dataset", exporter, purpose="share")
    assert set(verify_manifest(folder)["parts"]) == {"synthetic"}
    synthetic = parts_for(exporter)[1]
    if isinstance(synthetic, Table):
        pd.testing.assert_frame_equal(load_dataset(folder, split="synthetic"), synthetic.frame)
    else:
        assert len(load_dataset(folder, split="synthetic")) == len(synthetic)
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert not any(word in name for name in names for word in ("train", "valid", "holdout", "real"))
    with pytest.raises(UsageError, match="split 'train' is not known"):
        load_dataset(folder, split="train")


def test_data_of_the_other_kind_are_refused(tmp_path: Path, exporter: str) -> None:
    other = {"table": "folder", "images": "parquet"}[EXPORTERS[exporter].modality]
    splits, synthetic = parts_for(other)
    with pytest.raises(ConfigError, match=f"{exporter!r} is not known"):
        emit_dataset(tmp_path / "d", splits, synthetic, purpose="augment", formats=[exporter], facts=FACTS)
