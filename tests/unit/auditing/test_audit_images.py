"""Images of an audit that come as manifests: protected columns, whose images they are, and what is refused."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from synthgen.auditing.reading import Inputs, read_inputs
from synthgen.config import EVALUATION_SIZES
from synthgen.config_reading import parse_audit_options
from synthgen.datasets import ImageSet, Table
from synthgen.errors import DataError, SynthgenError
from synthgen.exporters.images import write_folder
from synthgen.exporters.parts import Part
from synthgen.findings import Verdict
from synthgen.gates import judge, rules_for
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.fairness.representation import representation_ratio
from synthgen.remote import send

Change = Callable[[pd.DataFrame], pd.DataFrame]


def listed(folder: Path, name: str, n: int, seed: int) -> Path:
    """A manifest of n images of noise, two thirds of them of men; `site` is a whole number."""
    rng = np.random.default_rng(seed)
    (folder / name).mkdir()
    rows = []
    for number in range(n):
        path = f"{name}/{number}.png"
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / path)
        rows.append({"path": path, "label": "ab"[number % 2], "sex": "fmm"[number % 3], "site": int(rng.integers(2))})
    frame = pd.DataFrame(rows).assign(patient=[f"{name} {number}" for number in range(n)])
    frame.to_csv(folder / f"{name}.csv", index=False)
    return folder / f"{name}.csv"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("images")
    sizes = {"train": 300, "synthetic": 360, "holdout": 240}
    return {name: listed(folder, name, n, seed) for seed, (name, n) in enumerate(sizes.items())}


def changed(files: dict[str, Path], name: str, change: Change) -> dict[str, Path]:
    """The same, but for a manifest beside the one of `name`."""
    path = files[name].with_name(f"changed-{name}.csv")
    change(pd.read_csv(files[name])).to_csv(path, index=False)
    return {**files, name: path}


def opened(files: dict[str, Path], **options: object) -> Inputs:
    return read_inputs(files, parse_audit_options(options))


def without_men(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["sex"] != "m"]


@pytest.mark.parametrize(("change", "expected"), [(lambda rows: rows, Verdict.PASS), (without_men, Verdict.FAIL)])
def test_a_lost_group_of_images_is_refused_and_an_honest_set_is_not(
    files: dict[str, Path], change: Change, expected: Verdict
) -> None:
    inputs = opened(changed(files, "synthetic", change), protected=["sex"])
    assert inputs.holdout is not None
    finding = representation_ratio(
        Evaluation(inputs.train, inputs.holdout, inputs.synthetic, EVALUATION_SIZES["quick"])
    )
    [rule] = [rule for rule in rules_for("images", "augment") if rule.metric == "representation_ratio"]
    [judgement] = judge([rule], [finding], [])
    assert judgement.verdict == expected
    assert finding.detail["groups"][0]["columns"] == "sex"


def test_every_set_gets_the_levels_of_train_and_what_train_lacks_is_told(files: dict[str, Path]) -> None:
    inputs = opened(
        changed(files, "synthetic", lambda rows: rows.replace({"sex": {"f": "F"}})), protected=["site", "sex"]
    )
    for part in (inputs.train, inputs.synthetic, inputs.holdout):
        assert isinstance(part, ImageSet)
        assert part.attributes is not None
        assert part.attributes.levels == {"site": ("0", "1"), "sex": ("f", "m")}
        assert part.attributes.protected == ("site", "sex")
    [problem] = inputs.problems
    assert problem.message == "120 of 360 images of synthetic have a 'sex' that no training image has"


def test_a_set_is_known_by_its_images_whichever_columns_are_protected(files: dict[str, Path]) -> None:
    assert opened(files).hashes() == opened(files, protected=["sex"]).hashes()


def test_columns_that_are_not_protected_are_not_looked_at(files: dict[str, Path]) -> None:
    inputs = opened(files)
    assert isinstance(inputs.train, ImageSet)
    assert (len(inputs.train), inputs.train.attributes, inputs.problems) == (300, None, [])


@pytest.mark.parametrize("is_folder", [True, False])
def test_synthetic_images_without_attributes_are_named(files: dict[str, Path], tmp_path: Path, is_folder: bool) -> None:
    given = changed(files, "synthetic", lambda rows: rows.drop(columns=["sex", "site"]))
    if is_folder:
        for label in "ab":
            (tmp_path / label).mkdir()
            for number in range(5):
                source = files["train"].parent / "train" / f"{2 * number + 'ab'.index(label)}.png"
                shutil.copy(source, tmp_path / label)
        given["synthetic"] = tmp_path
    inputs = opened(given, protected=["sex", "site"])
    [problem] = inputs.problems
    assert "synthetic has no column 'sex', 'site'" in problem.message
    assert isinstance(inputs.holdout, ImageSet)
    assert inputs.holdout.attributes is not None


@pytest.mark.parametrize(
    ("name", "change", "options", "sentence"),
    [
        ("train", None, {"protected": ["sexx"]}, "protected column 'sexx' is not known .* did you mean 'sex'"),
        ("train", None, {"protected": ["label"]}, "'label' has another part in a manifest"),
        ("train", None, {"secrets": ["sex"]}, "has no use for 'secrets'; 'label', 'group', 'protected' are allowed"),
        ("train", None, {"label": "state"}, "label column 'state' is not known"),
        ("holdout", ["sex"], {"protected": ["sex"]}, "holdout lacks column 'sex', which is protected"),
        ("synthetic", ["sex"], {"protected": ["sex", "site"]}, "synthetic lacks column 'sex', which is protected"),
        ("holdout", ["patient"], {"group": "patient"}, "holdout lacks the group column 'patient'"),
    ],
)
def test_a_column_that_is_not_there_is_named(
    files: dict[str, Path], name: str, change: list[str] | None, options: dict[str, object], sentence: str
) -> None:
    given = files if change is None else changed(files, name, lambda rows: rows.drop(columns=change))
    with pytest.raises(SynthgenError, match=sentence):
        opened(given, **options)


@pytest.mark.parametrize("option", ["label", "group", "protected"])
def test_a_folder_has_no_columns_and_the_error_says_what_has(files: dict[str, Path], option: str) -> None:
    with pytest.raises(SynthgenError, match=f"images have no columns, but '{option}' was given") as caught:
        opened({**files, "train": files["train"].parent}, **{option: ["sex"] if option == "protected" else "sex"})
    assert "a CSV or parquet file of path and label" in caught.value.hint


def test_patients_on_both_sides_are_refused_and_images_without_one_are_not(files: dict[str, Path]) -> None:
    def first_of_train(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(patient=["train 0", *[None] * (len(rows) - 1)])

    with pytest.raises(DataError, match="1 groups of column 'patient' stand in train and in holdout"):
        opened(changed(files, "holdout", first_of_train), group="patient")
    inputs = opened(
        changed(files, "holdout", lambda rows: rows.assign(patient=[None, *rows["patient"][1:]])), group="patient"
    )
    assert isinstance(inputs.train, ImageSet)
    assert inputs.train.groups is not None


def test_of_the_index_of_an_emitted_dataset_each_set_takes_its_own(files: dict[str, Path], tmp_path: Path) -> None:
    sets = opened(files, protected=["sex"])
    assert isinstance(sets.train, ImageSet)
    assert isinstance(sets.holdout, ImageSet)
    made_up = np.arange(300) >= 200
    write_folder(
        [Part("train", sets.train, made_up, "run"), Part("holdout", sets.holdout, np.zeros(240, dtype=bool), "run")],
        tmp_path,
    )
    index = tmp_path / "index.parquet"
    inputs = opened(dict.fromkeys(files, index), protected=["sex"])
    expected = (sets.train.take(np.flatnonzero(~made_up)), sets.train.take(np.flatnonzero(made_up)), sets.holdout)
    for part, images in zip((inputs.train, inputs.synthetic, inputs.holdout), expected, strict=True):
        assert part is not None
        assert part.fingerprint() == images.fingerprint()
    write_folder([Part("train", sets.train, made_up, "run")], tmp_path)
    with pytest.raises(DataError, match="marks no image that is real and of the split 'holdout'"):
        opened(dict.fromkeys(files, index))


def test_images_of_a_model_that_was_told_nothing_have_an_empty_column(files: dict[str, Path], tmp_path: Path) -> None:
    sets = opened(files, protected=["sex"])
    assert isinstance(sets.train, ImageSet)
    attributes = replace(sets.train.attributes, codes=np.full((300, 1), -1))
    write_folder(
        [Part("synthetic", replace(sets.train, attributes=attributes), np.ones(300, dtype=bool), "run")], tmp_path
    )
    [problem] = opened({**files, "synthetic": tmp_path / "index.parquet"}, protected=["sex"]).problems
    assert "synthetic has no column 'sex'" in problem.message


def test_a_manifest_behind_an_address_brings_the_images_that_it_lists_and_no_other_file(
    files: dict[str, Path], tmp_path: Path
) -> None:
    elsewhere = fsspec.filesystem("memory")
    send(files["train"].parent, "memory://scans/2024")
    try:
        places = {name: f"memory://scans/2024/{path.name}" for name, path in files.items()}
        inputs = read_inputs(places, parse_audit_options({"protected": ["sex"]}), downloads=tmp_path)
    finally:
        elsewhere.store.clear()
    expected = opened(files, protected=["sex"])
    for name in files:
        assert getattr(inputs, name).fingerprint() == getattr(expected, name).fingerprint()
    fetched = [
        {path.relative_to(folder).parts[0] for path in folder.rglob("*.png")} for folder in tmp_path.glob("*/2024")
    ]
    assert sorted(fetched, key=min) == [{"holdout"}, {"synthetic"}, {"train"}]


def test_a_file_that_is_not_there_is_named_by_its_row_and_a_table_may_name_its_column(files: dict[str, Path]) -> None:
    given = changed(files, "train", lambda rows: rows.replace({"path": {"train/1.png": "train/none.png"}}))
    with pytest.raises(DataError, match=r"changed-train.csv row 2: there is no such file"):
        opened(given)
    assert isinstance(opened(files, drop=["path", "patient"]).train, Table)
