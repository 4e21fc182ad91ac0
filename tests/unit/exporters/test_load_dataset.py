import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgen.datasets import ImageSet, Schema, Splits, Table
from synthgen.errors import DataError, IntegrityError, UsageError
from synthgen.exporters import emit_dataset, load_dataset
from synthgen.files import read_json, sha256_file, write_json

FACTS = {"run_id": "r1", "name": "demo", "verdict": "PASS", "passed": True, "forced": False, "data_sha256": "ab"}


def table(colours: list[str | None]) -> Table:
    n = len(colours)
    frame = pd.DataFrame(
        {
            "patient": [f"p{row}" for row in range(n)],
            "size": np.where(np.arange(n) == 1, np.nan, np.arange(n)).astype(float),
            "colour": pd.Series(colours, dtype=object),
            "born": pd.to_datetime(["1970-01-03"] * n),
            "label": (["yes", "no"] * n)[:n],
        }
    )
    kinds = {
        "patient": "categorical",
        "size": "numeric",
        "colour": "categorical",
        "born": "datetime",
        "label": "categorical",
    }
    return Table(frame, Schema(kinds, "label", group="patient"))


def without_group(data: Table) -> Table:
    return Table(data.modelled, data.schema)


def emit_table(target: Path, **facts: object) -> Path:
    splits = Splits(table(["red", "blue", "red"]), table(["blue", None]), table(["unseen", "red"]))
    synthetic = without_group(table(["red", "red"]))
    emit_dataset(target, splits, synthetic, purpose="augment", formats=["parquet"], facts={**FACTS, **facts})
    return target


def emit_images(target: Path, formats: list[str]) -> ImageSet:
    rng = np.random.default_rng(0)
    groups = np.array(["g1", "g2", "g1", "g3"])
    data = ImageSet(rng.integers(0, 256, (4, 1, 8, 8), dtype=np.uint8), np.array([1, 0, 1, 0]), ("cat", "dog"), groups)
    emit_dataset(target, Splits(data, data, data), data, purpose="augment", formats=formats, facts=FACTS)
    return data


def test_a_run_folder_stands_for_its_dataset(tmp_path: Path) -> None:
    emit_table(tmp_path / "dataset")
    assert len(load_dataset(tmp_path)) == 5
    assert len(load_dataset(str(tmp_path))) == 5


def test_torch_rows_are_numbers_with_the_class_index(tmp_path: Path) -> None:
    train = load_dataset(emit_table(tmp_path / "dataset"), "torch")
    assert train.classes == ("no", "yes")
    assert train.feature_names == ("size", "colour", "born")
    features, label = train[0]
    assert features.dtype.is_floating_point
    assert features.tolist() == [0.0, 1.0, 2.0]  # size 0, "red" after "blue", two days after 1970
    assert label == 1
    assert train[1][0][0].isnan()


def test_torch_categories_that_train_does_not_have_are_missing(tmp_path: Path) -> None:
    folder = emit_table(tmp_path / "dataset")
    holdout, valid = load_dataset(folder, "torch", split="holdout"), load_dataset(folder, "torch", split="valid")
    assert holdout[0][0][1].isnan()
    assert holdout[1][0][1] == 1.0
    assert valid[1][0][1].isnan()


@pytest.mark.parametrize("formats", [["folder"], ["npz"]])
def test_torch_images_are_scaled_to_one(tmp_path: Path, formats: list[str]) -> None:
    data = emit_images(tmp_path / "dataset", formats)
    train = load_dataset(tmp_path / "dataset", "torch")
    assert train.classes == ("cat", "dog")
    assert len(train) == 8
    image, label = train[2]
    np.testing.assert_allclose(image.numpy(), data.images[2] / 255, rtol=1e-6)
    assert label == 1
    assert len(pickle.loads(pickle.dumps(train))) == 8  # a DataLoader's workers get a copy


def test_the_image_index_keeps_groups_of_real_images_only(tmp_path: Path) -> None:
    emit_images(tmp_path / "dataset", ["folder"])
    train = load_dataset(tmp_path / "dataset")
    assert train["group"].tolist() == ["g1", "g2", "g1", "g3", None, None, None, None]
    assert all(Path(path).exists() for path in train["path"])


def test_npz_is_readable_as_medmnist(tmp_path: Path) -> None:
    data = emit_images(tmp_path / "dataset", ["npz"])
    with np.load(tmp_path / "dataset" / "dataset.npz", allow_pickle=False) as arrays:
        assert arrays["train_images"].shape == (8, 8, 8)
        assert arrays["train_labels"].shape == (8, 1)
        assert arrays["train_synthetic"].tolist() == [False] * 4 + [True] * 4
        np.testing.assert_array_equal(arrays["val_images"], data.images[:, 0])
        assert arrays["classes"].tolist() == ["cat", "dog"]


@pytest.mark.parametrize("verdict", ["INCONCLUSIVE", "FAIL", "NOT AUDITED"])
def test_a_dataset_that_did_not_pass_warns(tmp_path: Path, verdict: str) -> None:
    folder = emit_table(tmp_path / "dataset", verdict=verdict, passed=False, forced=verdict == "FAIL")
    with pytest.warns(UserWarning, match=f"the verdict is {verdict}") as caught:
        load_dataset(folder)
    assert ("by force" in str(caught[0].message)) == (verdict == "FAIL")
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "panda"}, "did you mean 'pandas'"),
        ({"split": "hold-out"}, "did you mean 'holdout'"),
    ],
)
def test_a_misspelt_word_names_the_nearest(tmp_path: Path, arguments: dict[str, str], message: str) -> None:
    folder = emit_table(tmp_path / "dataset")
    with pytest.raises(UsageError, match=message):
        load_dataset(folder, **arguments)


def test_a_run_that_emitted_nothing_points_to_its_report(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DataError, match="emitted no dataset") as error:
        load_dataset(tmp_path)
    assert "report" in str(error.value.hint)


def test_a_folder_without_manifest_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"manifest\.json"):
        load_dataset(tmp_path)


def test_an_index_that_leads_out_of_the_dataset_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    emit_images(folder, ["folder"])
    index = pd.read_parquet(folder / "index.parquet")
    index.loc[0, "path"] = "../secret.png"
    index.to_parquet(folder / "index.parquet", index=False)
    manifest = read_json(folder / "manifest.json")
    for item in manifest["files"]:
        item["sha256"] = sha256_file(folder / item["path"])
    write_json(folder / "manifest.json", manifest)
    with pytest.raises(IntegrityError, match="not in the manifest"):
        load_dataset(folder)


def test_a_manifest_that_leads_out_of_the_dataset_is_refused(tmp_path: Path) -> None:
    folder = emit_table(tmp_path / "dataset")
    (tmp_path / "outside").write_text("x")
    manifest = read_json(folder / "manifest.json")
    manifest["files"].append({"path": "../outside", "bytes": 1, "sha256": sha256_file(tmp_path / "outside")})
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(IntegrityError, match="outside"):
        load_dataset(folder)
