"""The config that `synthgen init` writes: it reads, it says why, and it runs."""

import os
import re
from itertools import pairwise
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from synthgen.config import ImageSource, RunConfig, TableSource
from synthgen.config_reading import parse_config
from synthgen.datasets import ImageSet, Ingested
from synthgen.errors import DataError
from synthgen.sources import propose, read
from synthgen.splitting import split

REAL = Path(os.environ.get("SYNTHGEN_TEST_DATA", "../shared/data"))
N = 300


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "record_no": np.arange(N) + 1000,
        "patient_id": [f"p{row // 3}" for row in range(N)],
        "name": [f"Ada {row}" for row in range(N)],
        "story": [f"it was a long and dull day {row}" for row in range(N)],
        "sex": rng.choice(["f", "m"], N),
        "age": rng.integers(20, 80, N),
        "visit": [f"2024-01-{row % 28 + 1:02}" for row in range(N)],
        "dose": rng.choice(["10", "20", "max"], N),
        "weight": [f"{row % 50},5" for row in range(N)],
        "scan": rng.normal(size=N),
        "outcome": (label := rng.choice(["well", "ill", "ill", "ill"], N)),
        "left_how": np.where(label == "well", "home", "ward"),
        "split": ["train", "train", "test"] * (N // 3),
    })  # fmt: skip


def proposed(path: Path, label: str = "label") -> tuple[str, RunConfig, Ingested]:
    text = propose(path, label=label)
    config = parse_config(yaml.safe_load(text))
    return text, config, read(config.source, seed=0, split_column=config.split.column)


def table_proposal(tmp_path: Path, data: pd.DataFrame, label: str = "outcome") -> tuple[str, RunConfig, TableSource]:
    data.to_parquet(tmp_path / "clinic.parquet")
    text, config, _ = proposed(tmp_path / "clinic.parquet", label)
    assert isinstance(config.source, TableSource)
    return text, config, config.source


def test_every_column_gets_the_role_that_a_person_would_give_it(tmp_path: Path) -> None:
    _, config, source = table_proposal(tmp_path, frame())
    assert source.group == "patient_id"
    assert source.ids == ("record_no", "name")
    assert set(source.drop) == {"story", "weight", "left_how"}
    assert source.protected == ("sex", "age")
    assert source.types == {"visit": "datetime", "dose": "categorical"}
    assert config.split.column == "split"


@pytest.mark.parametrize(
    "reason",
    [
        "'patient_id': 100 different values, several rows each",
        "'name': 100% of its values are different: it identifies rows",
        "'story': free text, which cannot be synthesised",
        "'weight': column 'weight' holds numbers with a comma as text",
        "'left_how': alone tells the class of every row",
        "'visit': every text reads as an ISO date",
        "'dose': numbers and texts, but few different ones",
        "# 2 classes: 'ill'",
        "Column 'split' names the split",
        "Every class up to as many rows as the largest: about",
        "# Expect about 1.1 GB of memory and at most",
    ],
)
def test_the_reason_stands_beside_the_choice(tmp_path: Path, reason: str) -> None:
    assert reason in table_proposal(tmp_path, frame())[0]


def test_every_key_of_a_run_is_written_with_a_comment(tmp_path: Path) -> None:
    text, config, _ = table_proposal(tmp_path, frame())
    raw = yaml.safe_load(text)
    assert set(raw) == set(RunConfig.model_fields)
    assert set(raw["source"]) == set(TableSource.model_fields)
    assert config.name == "clinic"
    lines = text.splitlines()
    commented = [line for before, line in pairwise(lines) if before.lstrip().startswith("#")]
    assert len(commented) > 20
    assert max(map(len, lines)) <= 120


def test_a_split_without_a_test_part_is_dropped(tmp_path: Path) -> None:
    data = frame().assign(split=["train", "val", "train"] * (N // 3))
    text, config, source = table_proposal(tmp_path, data)
    assert (config.split.column, "split" in source.drop) == (None, True)
    assert "'split': names parts of a split, but no complete one" in text


@pytest.mark.parametrize(
    ("counts", "kind", "share"), [((150, 150), "ratio", None), ((225, 75), "balance", 1.0), ((292, 8), "balance", 0.25)]
)
def test_the_plan_follows_the_class_counts(tmp_path: Path, counts: tuple[int, int], kind: str, share: float) -> None:
    labels = ["a"] * counts[0] + ["b"] * counts[1]
    _, config, _ = table_proposal(tmp_path, frame()[["age", "scan"]].assign(outcome=labels))
    assert (config.plan.kind, getattr(config.plan, "share", None)) == (kind, share)


def test_odd_column_names_do_not_break_the_text(tmp_path: Path) -> None:
    data = frame()[["scan", "outcome"]].assign(**{"a: b": 1.5, "line\nbreak #": range(N), "שם": "x", "- {x": "y"})
    _, _, source = table_proposal(tmp_path, data)
    assert source.ids == ("line\nbreak #",)


def test_a_column_that_holds_lists_is_dropped(tmp_path: Path) -> None:
    data = frame()[["scan", "outcome"]].assign(tags=[["a"]] * N)
    text, _, source = table_proposal(tmp_path, data)
    assert source.drop == ("tags",)
    assert "'tags': column 'tags' holds" in text


@pytest.mark.parametrize(
    ("label", "message"), [("outcom", "did you mean 'outcome'"), ("scan", "does not name classes")]
)
def test_a_label_that_will_not_do_is_refused_before_anything_is_written(
    tmp_path: Path, label: str, message: str
) -> None:
    frame().to_parquet(tmp_path / "clinic.parquet")
    with pytest.raises(DataError, match=message):
        propose(tmp_path / "clinic.parquet", label=label)


def write_images(root: Path, sizes: list[tuple[int, int]]) -> Path:
    rng = np.random.default_rng(0)
    for number, size in enumerate(sizes):
        folder = root / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, size, dtype=np.uint8)).save(folder / f"{number}.png")
    return root


def test_a_folder_of_even_classes_gets_enough_images_for_a_verdict(tmp_path: Path) -> None:
    _, config, _ = proposed(write_images(tmp_path / "pets", [(16, 16)] * 20))
    assert isinstance(config.source, ImageSource)
    assert (config.source.size, config.source.fit, config.plan.model_dump()) == (
        None,
        "error",
        {"kind": "rows", "rows": 400},
    )


@pytest.mark.parametrize(
    ("sizes", "size", "words"),
    [
        ([(16, 16), (20, 30)], 16, "16 to 30 wide and 16 to 20 high"),
        ([(70, 90), (99, 80)], 64, "80 to 90 wide and 70 to 99 high"),
        ([(6, 6)], 8, "are 6 x 6 pixels"),
        ([(150, 150)], 64, "are 150 x 150 pixels"),
    ],
)
def test_sizes_that_cannot_stay_are_proposed_to_be_resized_to_one_that_most_images_have(
    tmp_path: Path, sizes: list[tuple[int, int]], size: int, words: str
) -> None:
    root = write_images(tmp_path / "pets", sizes * (20 // len(sizes)))
    text, config, ingested = proposed(root)
    assert isinstance(config.source, ImageSource)
    assert (config.source.size, config.source.fit) == (size, "resize")
    said = re.sub(r"\s*#\s*", " ", text)
    assert words in said
    assert f"they are resized to {size} x {size}; 128 at most" in said
    assert ingested.problems == [] or ingested.problems[0]["kind"] == "mixed_sizes"
    if len(sizes) > 1:
        with pytest.raises(DataError) as caught:
            read(ImageSource(kind="images", path=str(root)), seed=0)
        assert f"source.size: {size}" in str(caught.value.hint)


def test_scans_of_several_sizes_are_proposed_to_be_padded_which_keeps_their_spacing(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / "scans" / ("well", "ill")[number % 2] / f"{number}.nii"
        path.parent.mkdir(parents=True, exist_ok=True)
        voxels = np.random.default_rng(number).integers(0, 99, (16, 18, 20 + number // 10), dtype=np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 2.0, 1.0])), path)
    text, config, ingested = proposed(tmp_path / "scans")
    assert isinstance(config.source, ImageSource)
    assert (config.source.size, config.source.fit) == (16, "pad")
    assert "they are scaled and padded to 16 x 16" in re.sub(r"\s*#\s*", " ", text)
    assert isinstance(ingested.data, ImageSet)
    assert ingested.data.scan is not None
    np.testing.assert_allclose(ingested.data.scan.spacing_mm, np.multiply((2, 1, 1), 21 / 16))


def test_a_csv_of_image_paths_is_a_manifest(tmp_path: Path) -> None:
    write_images(tmp_path, [(16, 16)] * 20)
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    rows = pd.DataFrame({"file": files, "pet": [name.split("/")[0] for name in files]})
    rows.to_csv(tmp_path / "pets.csv", index=False)
    _, config, ingested = proposed(tmp_path / "pets.csv", "pet")
    assert isinstance(config.source, ImageSource)
    assert (config.source.label, config.source.path_column, len(ingested.data)) == ("pet", "file", 20)


@pytest.mark.parametrize("has_split", [False, True])
def test_columns_of_patients_and_parts_of_a_manifest_are_proposed(tmp_path: Path, has_split: bool) -> None:
    root = write_images(tmp_path, [(8, 8)] * 90)
    files = sorted(root.rglob("*.png"))
    rows = pd.DataFrame({"path": [str(file.relative_to(tmp_path)) for file in files]})
    rows["label"] = [file.parent.name for file in files]
    rows["patient_id"] = [f"p{number // 3}" for number in range(len(rows))]
    if has_split:
        rows["split"] = ["test" if number // 3 % 3 == 0 else "train" for number in range(len(rows))]
    rows.to_csv(tmp_path / "images.csv", index=False)
    text, config, ingested = proposed(tmp_path / "images.csv")
    assert isinstance(config.source, ImageSource)
    assert (config.source.group, config.split.column) == ("patient_id", "split" if has_split else None)
    assert "the name of a person or case" in " ".join(text.replace("#", " ").split())
    parts = split(ingested, config.split, np.random.default_rng(0))
    train, holdout = (set(part.groups.tolist()) for part in (parts.train, parts.holdout))
    assert train.isdisjoint(holdout)
    if has_split:
        # A split that parts patients is none to propose.
        rows["split"] = ["test" if number % 3 == 0 else "train" for number in range(len(rows))]
        rows.to_csv(tmp_path / "images.csv", index=False)
        _, config, _ = proposed(tmp_path / "images.csv")
        assert config.split.column is None


@pytest.mark.parametrize(
    ("name", "label", "drop", "split_column"),
    [
        ("adult/adult.parquet", "income", (), "split"),
        ("bank_marketing/bank_marketing.parquet", "y", (), None),
        ("telco_churn/telco_churn.parquet", "churn", (), None),
        ("support2/support2.parquet", "hospdead", (), None),
        ("mammography/mammography.parquet", "label", (), None),
        pytest.param("hotel_bookings/hotel_bookings.parquet", "is_canceled", ("reservation_status",), None,
                     marks=pytest.mark.slow),
        ("pneumoniamnist/pneumoniamnist.npz", "label", None, None),
        ("fashion_mnist_12k/fashion_mnist_12k.npz", "label", None, None),
        ("sign_digits64", "label", None, None),
    ],
)  # fmt: skip
def test_the_proposal_for_a_real_dataset_reads_and_splits(
    name: str, label: str, drop: tuple[str, ...] | None, split_column: str | None
) -> None:
    if not (REAL / name).exists():
        pytest.skip("needs the real datasets; SYNTHGEN_TEST_DATA names their folder")
    _, config, ingested = proposed(REAL / name, label)
    assert getattr(config.source, "drop", None) == drop
    assert config.split.column == split_column
    splits = split(ingested, config.split, np.random.default_rng(0))
    assert min(len(part) for _, part in splits.parts()) > 400


def test_scans_of_fractions_are_proposed_stretched_and_fitted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(24):
        path = tmp_path / "scans" / "ab"[number % 2] / f"{number}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        voxels = rng.random((9 + number % 3, 10, 11)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    text, config, ingested = proposed(tmp_path / "scans")
    assert isinstance(config.source, ImageSource)
    assert (config.source.intensity, config.source.fit) == ("stretch", "pad")
    assert "those of each file are stretched over 16 bits" in text
    assert "# Empty: NIfTI, as they came; npz is possible, too." in text
    assert len(ingested.data) == 24


def test_a_damaged_scan_among_scans_of_fractions_is_refused(tmp_path: Path) -> None:
    for number in range(24):
        path = tmp_path / "scans" / "ab"[number % 2] / f"{number}.nii"
        path.parent.mkdir(parents=True, exist_ok=True)
        voxels = np.full((9, 10, 11), np.nan if number == 5 else number / 7, dtype=np.float32)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    with pytest.raises(DataError) as caught:
        propose(tmp_path / "scans", label="label")
    assert [problem.message for problem in caught.value.problems if "is not a number" in problem.message]


@pytest.mark.parametrize(
    ("shape", "said"),
    [((60, 12, 12), "a folder of PNG files; npz"), ((60, 9, 12, 12), "an npz in MedMNIST's layout; nifti")],
    ids=["images", "volumes"],
)
def test_the_format_that_an_empty_list_means_is_told(shape: tuple[int, ...], said: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {"images": rng.integers(0, 255, shape, dtype=np.uint8), "labels": np.arange(60) % 2}
    np.savez(tmp_path / "set.npz", **{f"train_{name}": array for name, array in arrays.items()})
    text, _, _ = proposed(tmp_path / "set.npz")
    assert f"# Empty: {said} is possible, too." in text
    assert "more rows" not in text
