import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgen.datasets import ImageSet, Schema, Splits, Table
from synthgen.errors import DataError
from synthgen.exporters import emit_dataset
from synthgen.exporters.card import escape_markdown
from synthgen.manifests import verify_manifest

FACTS = {"run_id": "r1", "name": "demo", "verdict": "PASS", "passed": True, "forced": False, "data_sha256": "ab"}


def small_table(name: str = "x", label: str = "y") -> Table:
    frame = pd.DataFrame({name: [1.0, 2.0, 3.0], label: ["a", "b", "a"]})
    return Table(frame, Schema({name: "numeric", label: "categorical"}, label))


def small_images() -> ImageSet:
    return ImageSet(np.zeros((4, 1, 8, 8), dtype=np.uint8), np.array([0, 1, 0, 1]), ("a", "b"))


def emit(target: Path, data: Table | ImageSet, **facts: object) -> Path:
    parts = Splits(data, data, data)
    emit_dataset(target, parts, data, purpose="augment", formats=(), facts={**FACTS, **facts})
    return target


def test_without_formats_a_table_becomes_parquet_and_images_a_folder(tmp_path: Path) -> None:
    assert (emit(tmp_path / "table", small_table()) / "train.parquet").exists()
    assert (emit(tmp_path / "images", small_images()) / "index.parquet").exists()


def test_a_column_named_synthetic_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="already has a column 'synthetic'") as error:
        emit(tmp_path / "dataset", small_table(name="synthetic"))
    assert error.value.hint is not None
    assert list(tmp_path.iterdir()) == []


def test_data_that_cannot_be_written_leave_nothing_behind(tmp_path: Path) -> None:
    broken = small_table()
    broken.frame["x"] = pd.Series([object(), object(), object()], dtype=object)
    with pytest.raises(Exception, match="object"):
        emit(tmp_path / "dataset", broken)
    assert list(tmp_path.iterdir()) == []


def test_a_path_below_a_file_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        emit(tmp_path / "file" / "dataset", small_table())


def test_a_forced_dataset_says_so_in_manifest_and_card(tmp_path: Path) -> None:
    folder = emit(tmp_path / "dataset", small_table(), verdict="FAIL", passed=False, forced=True)
    manifest = verify_manifest(folder)
    assert (manifest["passed"], manifest["forced"]) == (False, True)
    card = (folder / "CARD.md").read_text()
    assert "**Verdict: FAIL.**" in card
    assert "Forced" in card


def test_the_card_counts_rows_and_names_the_limits(tmp_path: Path) -> None:
    card = (emit(tmp_path / "dataset", small_table()) / "CARD.md").read_text()
    assert "| train | 3 | 3 |" in card
    assert "## Limits" in card
    assert "Real rows are in this folder" in card


def test_a_hostile_label_name_stays_text_in_the_card(tmp_path: Path) -> None:
    table = small_table(label="<script>alert(1)</script>\n# heading")
    card = (emit(tmp_path / "dataset", table) / "CARD.md").read_text()
    assert "<script" not in card
    assert "\n# heading" not in card


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name", "plain name"),
        ("a|b", "a\\|b"),
        ("<b>", "&lt;b&gt;"),
        ("line\nbreak", "line break"),
        ("[x](y)", "\\[x\\](y)"),
    ],
)
def test_markdown_is_escaped(text: str, shown: str) -> None:
    assert escape_markdown(text) == shown


def test_croissant_describes_each_column_by_its_file_and_type(tmp_path: Path) -> None:
    folder = emit(tmp_path / "dataset", small_table(label="a label"))
    content = json.loads((folder / "croissant.json").read_text())
    assert content["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    stated = {item["path"]: item["sha256"] for item in verify_manifest(folder)["files"]}
    assert {item["@id"]: item["sha256"] for item in content["distribution"]}.items() <= stated.items()
    (train,) = [record for record in content["recordSet"] if record["@id"] == "train-parquet"]
    assert [(field["@id"], field["dataType"]) for field in train["field"]] == [
        ("train-parquet/x", "sc:Float"),
        ("train-parquet/column-1", "sc:Text"),
        ("train-parquet/synthetic", "sc:Boolean"),
    ]
    assert train["field"][1]["source"]["extract"] == {"column": "a label"}


@pytest.mark.parametrize("data", [small_table(), small_images()], ids=["table", "images"])
def test_croissant_is_valid_by_the_reference_library(tmp_path: Path, data: Table | ImageSet) -> None:
    croissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not a dependency")
    metadata = croissant.Dataset(jsonld=str(emit(tmp_path / "dataset", data) / "croissant.json")).metadata
    assert metadata.issues.errors == set()
