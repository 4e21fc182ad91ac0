"""Addresses wherever a command or a function takes the place of data, a dataset or a run."""

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest

import synthgen
from pipelines.cli import _answer
from synthgen.augmentation import Outcome, run_augmentation
from synthgen.config_reading import parse_config
from synthgen.errors import DataError, UsageError
from synthgen.exporters import load_dataset
from synthgen.remote import send
from synthgen.runs import find_run
from synthgen.workspace import Workspace


@pytest.fixture(scope="module")
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


@pytest.fixture(scope="module")
def outcome(space: Workspace, memory: fsspec.AbstractFileSystem) -> Outcome:
    """A run whose dataset and report are handed over to an address."""
    raw = {
        "name": "wine",
        "source": {"kind": "builtin", "name": "wine"},
        "synthesizer": {"kind": "marginals"},
        "export": {"to": "memory://shared"},
    }
    return run_augmentation(parse_config(raw), space, force=True)


@pytest.fixture(autouse=True)
def _workspace(space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHGEN_WORKSPACE", str(space.root))


def people(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"age": rng.integers(20, 80, n), "ill": rng.choice(["yes", "no"], n)})


def test_the_outcome_says_where_the_dataset_was_copied_to(outcome: Outcome) -> None:
    assert outcome.exported_to == f"memory://shared/wine/{outcome.run_id}"


@pytest.mark.parametrize("inside", ["", "/dataset"])
def test_an_emitted_dataset_is_loaded_from_its_address_as_from_its_folder(outcome: Outcome, inside: str) -> None:
    assert outcome.dataset_dir is not None
    with pytest.warns(UserWarning, match="did not pass its audit"):
        here = load_dataset(outcome.dataset_dir, split="valid")
    places = (f"{outcome.exported_to}{inside}", Path(outcome.dataset_dir).parent.as_uri() + inside)
    for place in places:
        with pytest.warns(UserWarning, match="did not pass its audit"):
            pd.testing.assert_frame_equal(load_dataset(place, split="valid"), here)


def test_a_dataset_that_is_changed_behind_its_address_is_refused(
    outcome: Outcome, memory: fsspec.AbstractFileSystem
) -> None:
    memory.copy(f"/shared/wine/{outcome.run_id}/dataset", "/bucket/changed", recursive=True)
    memory.pipe("/bucket/changed/valid.parquet", b"x")
    with pytest.raises(synthgen.errors.IntegrityError):
        load_dataset("memory://bucket/changed")


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_audit_judges_what_lies_behind_addresses_as_it_judges_frames(
    tmp_path: Path, memory: fsspec.AbstractFileSystem, scheme: str
) -> None:
    frames = {name: people(60, seed) for seed, name in enumerate(("train", "synthetic", "holdout"))}
    places = {}
    for name, frame in frames.items():
        frame.to_parquet(tmp_path / f"{name}.parquet")
        memory.pipe(f"/bucket/{name}.parquet", (tmp_path / f"{name}.parquet").read_bytes())
        places[name] = (
            f"memory://bucket/{name}.parquet" if scheme == "memory" else (tmp_path / f"{name}.parquet").as_uri()
        )
    there, here = synthgen.audit(**places, label="ill"), synthgen.audit(**frames, label="ill")
    assert there.findings == here.findings
    assert there.provenance["files"] == places


def test_synthetic_images_behind_an_address_are_not_taken_for_real_ones(
    tmp_path: Path, memory: fsspec.AbstractFileSystem
) -> None:
    memory.pipe("/bucket/set/train/a/1.png", b"")
    memory.pipe("/bucket/set/manifest.json", json.dumps({"parts": {"train": {"synthetic": 7}}}).encode())
    with pytest.raises(DataError, match="'memory://bucket/set/train' holds 7 synthetic images"):
        synthgen.audit("memory://bucket/set/train", "memory://bucket/set/train")


def test_an_audit_at_addresses_is_kept_there_and_drawn_again(
    tmp_path: Path, memory: fsspec.AbstractFileSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(("train", "synthetic")):
        memory.pipe(f"/bucket/{name}.csv", people(60, seed).to_csv(index=False).encode())
    arguments = ["--train", "memory://bucket/train.csv", "--synthetic", "memory://bucket/synthetic.csv"]
    assert _answer(["audit", *arguments, "-o", "memory://bucket/audit", "--json"]) == 4
    capsys.readouterr()
    assert _answer(["report", "memory://bucket/audit", "-o", "memory://bucket/again", "--json"]) == 0
    assert memory.cat_file("/bucket/again/report.html") == memory.cat_file("/bucket/audit/report.html")
    capsys.readouterr()
    assert _answer(["report", "memory://bucket/audit", "--json"]) == 2
    assert "say with -o where it goes" in json.loads(capsys.readouterr().out)["hint"]
    assert _answer(["audit", *arguments, "--track", "--workspace", "memory://bucket/space"]) == 2


def test_runs_are_compared_by_address(outcome: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = [str(outcome.exported_to), f"{outcome.exported_to}/report", Path(outcome.run_dir).as_uri()]
    assert _answer(["compare", *sides, "-o", str(tmp_path), "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [run["verdict"] for run in runs] == [outcome.verdict] * 3


def test_a_run_folder_behind_an_address_gives_rows_and_is_promoted_as_the_run_here(
    outcome: Outcome, space: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    send(Path(outcome.run_dir), f"memory://copies/{outcome.run_id}")
    place = f"memory://copies/{outcome.run_id}"
    for name, number in ((place, 1), (outcome.run_id, 2)):
        assert _answer(["sample", name, "--rows", "9", "-o", str(tmp_path / f"{number}.csv")]) == 0
    assert (tmp_path / "1.csv").read_text() == (tmp_path / "2.csv").read_text()
    capsys.readouterr()
    said = []
    for name in (place, outcome.run_id):
        assert _answer(["promote", name, "--json"]) == 2
        said.append(json.loads(capsys.readouterr().out)["error"])
    assert said[0] == said[1]
    assert _answer(["approve", place, "--json"]) == 2
    assert "is an address" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize("command", ["sample", "promote"])
def test_what_was_handed_over_holds_no_model_and_says_so(
    outcome: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    options = ["--rows", "3", "-o", str(tmp_path / "x.csv")] if command == "sample" else []
    assert _answer([command, str(outcome.exported_to), *options, "--json"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert "holds no run: run.json is not there" in said["error"]
    assert "neither its model" in said["hint"]


def test_downstream_takes_a_dataset_at_an_address_and_leaves_the_classifier_at_one(
    outcome: Outcome, memory: fsspec.AbstractFileSystem, capsys: pytest.CaptureFixture[str], space: Workspace
) -> None:
    from synthgen.downstream import run_downstream

    found = run_downstream(str(outcome.exported_to), space, seeds=2, output="memory://bucket/classifier")
    assert found.model_dir == "memory://bucket/classifier/model"
    assert json.loads(memory.cat_file("/bucket/classifier/downstream.json"))["run_id"] == outcome.run_id
    assert memory.exists("/bucket/classifier/model")
    arguments = ["downstream", str(outcome.exported_to), "-o", "memory://bucket/classifier", "--json"]
    assert _answer(arguments) == 2
    assert "memory://bucket/classifier/model exists already" in json.loads(capsys.readouterr().out)["error"]


def test_a_workspace_at_an_address_is_refused_but_a_file_address_is_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Workspace.at(Path(f"file://{tmp_path}/new")).root == tmp_path / "new"
    with pytest.raises(UsageError, match="workspace 's3://bucket/space' is an address"):
        Workspace.at(Path("s3://bucket/space"))
    monkeypatch.setenv("SYNTHGEN_WORKSPACE", "memory://bucket/space")
    monkeypatch.chdir(tmp_path)
    assert _answer(["runs"]) == 2
    with pytest.raises(UsageError, match="is an address"):
        synthgen.augment(people(60, 0), label="ill", workspace="memory://bucket/space")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_gone_behind_its_address_is_one_sentence(space: Workspace) -> None:
    with pytest.raises(DataError, match="'memory://bucket/gone' does not exist"):
        find_run(space, "memory://bucket/gone")
