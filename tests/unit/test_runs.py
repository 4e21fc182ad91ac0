"""Artifacts are built once, survive a kill, and are never half there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from synthgen.config_reading import parse_config
from synthgen.errors import IntegrityError, UsageError
from synthgen.files import sha256_path
from synthgen.manifests import verify_manifest, write_manifest
from synthgen.runs import Run, find_model, find_run, list_runs
from synthgen.workspace import Workspace

CONFIG = parse_config({"name": "wine", "source": {"kind": "builtin", "name": "wine"}})


def write_hello(out: Path) -> None:
    (out / "hello.txt").write_text("hello")


def test_the_same_inputs_are_built_once(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    first = space.build("ingest", {"a": 1}, write_hello)
    second = space.build("ingest", {"a": 1}, lambda out: pytest.fail("built twice"))
    assert (first.reused, second.reused, first.key) == (False, True, second.key)


def test_other_inputs_another_stage_and_another_parent_are_built_again(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    parent = space.build("ingest", {"a": 1}, write_hello)
    other = space.build("ingest", {"a": 2}, write_hello)
    keys = {space.build("split", {"data": ref}, write_hello).key for ref in (parent, other)}
    assert len(keys | {parent.key, other.key}) == 4


def test_a_stage_that_fails_leaves_no_artifact_but_its_checkpoint(tmp_path: Path) -> None:
    space = Workspace(tmp_path)

    def killed(out: Path) -> None:
        (out / "checkpoint").write_text("step 10")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        space.build("fit", {}, killed)

    def resumed(out: Path) -> None:
        assert (out / "checkpoint").read_text() == "step 10"
        write_hello(out)

    assert not space.build("fit", {}, resumed).reused


def test_a_damaged_artifact_is_built_again(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    ref = space.build("ingest", {}, write_hello)
    (ref.directory / "hello.txt").write_text("tampered")
    again = space.build("ingest", {}, write_hello)
    assert not again.reused
    assert (again.directory / "hello.txt").read_text() == "hello"


def test_a_run_records_config_and_provenance(tmp_path: Path) -> None:
    run = Run.create(Workspace(tmp_path), CONFIG, "abc")
    run.update(verdict="PASS")
    record = run.record()
    assert (record["name"], record["state"], record["verdict"]) == ("wine", "running", "PASS")
    assert {"python", "torch", "synthgen"} <= set(record["versions"])
    assert (run.directory / "config.yaml").exists()


def test_runs_are_found_by_the_beginning_of_their_id(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    run = Run.create(space, CONFIG, "abc")
    assert find_run(space, run.id[:-2]) == run
    assert find_run(space, str(run.directory)) == run
    assert [record["run_id"] for record in list_runs(space)] == [run.id]
    with pytest.raises(UsageError, match="no run has the id 'nine'"):
        find_run(space, "nine")


@pytest.mark.parametrize("find", [find_run, find_model])
def test_a_path_is_not_taken_for_the_id_of_a_run(find: Callable[[Workspace, str], object], tmp_path: Path) -> None:
    for path in ("/nonexistent", "models/gone", str(tmp_path / "gone")):
        with pytest.raises(UsageError, match=f"path '{path}' does not exist"):
            find(Workspace(tmp_path), path)
    with pytest.raises(UsageError, match="holds neither a run nor a model"):
        find(Workspace(tmp_path), str(tmp_path))


def test_a_run_adopts_files_of_an_artifact(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    ref = space.build("ingest", {}, write_hello)
    run = Run.create(space, CONFIG, "abc")
    assert (run.adopt(ref.directory, "model") / "hello.txt").read_text() == "hello"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("a")
    write_manifest(tmp_path / "data", {"verdict": "PASS"})
    return tmp_path / "data"


def test_a_manifest_states_bytes_and_hash_of_each_file(dataset: Path) -> None:
    manifest = verify_manifest(dataset)
    assert manifest["verdict"] == "PASS"
    assert manifest["files"] == [
        {"path": "a.txt", "bytes": 1, "sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "a.txt").write_text("b"), "'a.txt' differs"),
        (lambda folder: (folder / "a.txt").unlink(), "'a.txt' is missing"),
        (lambda folder: (folder / "b.txt").write_text(""), "'b.txt' is not in the manifest"),
        (lambda folder: (folder / "manifest.json").unlink(), "has no manifest.json"),
    ],
)
def test_a_changed_dataset_does_not_verify(dataset: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]  # lambdas of a table
    change(dataset)
    with pytest.raises(IntegrityError, match=message):
        verify_manifest(dataset)


def test_the_hash_of_a_folder_changes_with_names_and_bytes(tmp_path: Path) -> None:
    write_hello(tmp_path)
    before = sha256_path(tmp_path)
    (tmp_path / "hello.txt").rename(tmp_path / "hallo.txt")
    assert sha256_path(tmp_path) != before
