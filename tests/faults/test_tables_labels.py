"""Cases 3, 11, 22-24 and 28-30 of tables: labels, classes and the split."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines import preview
from synthgen import stages
from synthgen.config_reading import load_config
from synthgen.datasets import Splits, Table
from synthgen.splitting import group_names
from synthgen.workspace import Workspace

N = 60
SUFFIXES = ["csv", "csv.gz", "parquet"]
Config = Callable[..., Path]
Refused = Callable[..., list[dict[str, Any]]]


def frame(**columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "size": rng.normal(size=N).round(3), "town": rng.choice(["Ulm", "Zanzibar-4711"], N),
        "patient": [f"p{row // 3}" for row in range(N)], "class": rng.choice(["a", "b"], N),
    }).assign(**columns)  # fmt: skip


def written(folder: Path, data: pd.DataFrame, suffix: str) -> Path:
    path = folder / f"table.{suffix}"
    data.to_parquet(path) if suffix == "parquet" else data.to_csv(path, index=False)
    return path


REFUSED = {
    "03-nine-rows": (frame().head(9), {}, "has 9 rows, at least 10 are needed"),
    "11-missing-label": (frame(**{"class": [None] * 7 + ["a", "b"] * 26 + ["a"]}), {}, "missing in 7 of 60 rows"),
    "22-single-class": (frame(**{"class": "a"}), {}, "has one class only, at least two are needed"),
    "30-absent-label": (frame(), {"label": "clas"}, "label column 'clas' is not in"),
    "30-label-is-measured": (frame(), {"label": "size"}, "it does not name classes"),
    "29-absent-group": (frame(), {"group": "patent"}, "did you mean 'patient'?"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("data", "source", "sentence"), REFUSED.values(), ids=REFUSED)
def test_labels_that_cannot_be_learnt_are_refused(
    data: pd.DataFrame, source: dict[str, object], sentence: str, suffix: str,
    refused: Refused, config: Config, tmp_path: Path,
) -> None:  # fmt: skip
    path = written(tmp_path, data, suffix)
    problems = refused("check", config(path, **source))
    assert [sentence in problem["problem"] for problem in problems] == [True], problems
    assert repr(path.name) in problems[0]["problem"]
    if "clas" in source.values():
        assert problems[0]["problem"].endswith("did you mean 'class'?")


RARE = frame(**{"class": ["rare"] + ["a", "b"] * 29 + ["a"]})
LACKING = frame(**{"class": ["c"] * 12 + ["a", "b"] * 24, "part": ["train"] * 30 + ["test"] * 30})
TWINS = frame(town=["K\u00f6ln", "Ko\u0308ln"] * 30)
WARNED: dict[str, tuple[pd.DataFrame, dict[str, object], str, str]] = {
    "23-class-with-one-sample": (RARE, {}, "tiny_class", "class 'rare' has 1 of 60 rows"),
    "24-class-not-in-holdout": (LACKING, {"split": {"column": "part"}}, "class_missing", "holdout has no row of 'c'"),
    "33-unicode-twins": (TWINS, {}, "unicode_twins", "column 'town' has categories that look equal"),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("data", "source", "kind", "sentence"), WARNED.values(), ids=WARNED)
def test_odd_data_are_warned_about(
    data: pd.DataFrame, source: dict[str, object], kind: str, sentence: str, suffix: str,
    ask: Callable[..., Any], config: Config, tmp_path: Path,
) -> None:  # fmt: skip
    path = config(written(tmp_path, data, suffix), **source)
    answer = ask("check", path, "--json")
    found = [
        problem for problem in answer.json["problems"] if problem["kind"] == kind and sentence in problem["message"]
    ]
    assert answer.code == 0
    assert [problem["severity"] for problem in found] == ["warning"]
    assert sentence in ask("check", path).out.replace("\n", " ")


@pytest.mark.slow
def test_23_24_33_warnings_stand_in_the_report_and_on_stderr(
    ask: Callable[..., Any], config: Config, tmp_path: Path
) -> None:
    data = LACKING.assign(town=TWINS["town"])
    data.loc[0, "class"] = "rare"
    path = config(written(tmp_path, data, "csv"), split={"column": "part"})
    answer = ask("run", path, "--json")
    assert answer.code in (0, 3, 4)
    report = json.loads(Path(answer.json["report_json"]).read_text())
    assert {"tiny_class", "class_missing", "unicode_twins"} <= {problem["kind"] for problem in report["problems"]}
    for sentence in ("class 'rare' has 1 of 60 rows", "holdout has no row of 'c'", "look equal but differ in Unicode"):
        assert sentence in answer.err


def test_23_24_33_warnings_stand_on_stderr_before_a_run_trains(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = LACKING.assign(town=TWINS["town"])
    data.loc[0, "class"] = "rare"
    loaded = load_config(config(written(tmp_path, data, "csv"), split={"column": "part"}), ())
    preview.announce_run(loaded, Workspace(tmp_path / "artifacts"))
    shown = capsys.readouterr()
    for sentence in ("class 'rare' has 1 of 60 rows", "holdout has no row of 'c'", "look equal but differ in Unicode"):
        assert sentence in shown.err
        assert sentence not in shown.out


def parts(data: pd.DataFrame, config: Config, folder: Path, **source: object) -> dict[str, Table]:
    loaded = load_config(config(written(folder, data, "parquet"), **source), ())
    space = Workspace(folder / "artifacts")
    cut = Splits.load(stages.split_data(loaded, space, stages.ingest(loaded, space)).directory)
    return {name: part for name, part in cut.parts() if isinstance(part, Table)}


def test_23_a_class_with_one_sample_is_learnt_and_never_on_two_sides(config: Config, tmp_path: Path) -> None:
    counts = {name: int((part.labels == "rare").sum()) for name, part in parts(RARE, config, tmp_path).items()}
    assert counts == {"train": 1, "valid": 0, "holdout": 0}


def test_28_equal_rows_are_never_on_two_sides(config: Config, tmp_path: Path) -> None:
    cut = parts(pd.concat([frame()] * 3, ignore_index=True), config, tmp_path, drop=["patient"])
    keys = {name: set(part.row_keys().tolist()) for name, part in cut.items()}
    assert sum(map(len, keys.values())) == len(set.union(*keys.values())) == N


def test_28_equal_rows_are_noted(ask: Callable[..., Any], config: Config, tmp_path: Path) -> None:
    data = pd.concat([frame(), frame().head(7)])
    answer = ask("check", config(written(tmp_path, data, "csv"), drop=["patient"]), "--json")
    assert "7 of 67 rows repeat an earlier row" in [problem["message"] for problem in answer.json["problems"]]


def test_29_a_group_is_never_on_two_sides(config: Config, tmp_path: Path) -> None:
    cut = parts(frame(), config, tmp_path, group="patient")
    groups = {name: {*(group_names(part) if group_names(part) is not None else ())} for name, part in cut.items()}
    assert all(groups.values())
    assert sum(map(len, groups.values())) == len(set.union(*groups.values())) == 20


def test_29_groups_on_two_sides_of_a_given_split_are_refused(refused: Refused, config: Config, tmp_path: Path) -> None:
    data = frame(part=["train", "test", "valid"] * 20)
    path = config(written(tmp_path, data, "csv"), group="patient", split={"column": "part"})
    problems = refused("check", path)
    assert "20 groups stand in train and in valid of the given split" in problems[0]["problem"]
