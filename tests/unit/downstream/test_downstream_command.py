"""`synthgen downstream` answers mistakes before any server starts."""

import json
from pathlib import Path

import pytest

from pipelines.cli import _answer


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--seeds", "1"], "at least 2"), ([], "holds no emitted dataset")],
)
def test_a_mistake_is_one_json_object_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    arguments = ["downstream", str(tmp_path), "--json", "--workspace", str(tmp_path / "space"), *options]
    assert _answer(arguments) == 2
    said = json.loads(capsys.readouterr().out)
    assert message in said["error"]
    assert said["exit_code"] == 2
    assert not (tmp_path / "space").exists()


@pytest.mark.parametrize(
    ("run", "message"),
    [("2026-01-01", "2026-01-01-000000-abcd' emitted no dataset"), ("2027", "no run has the id '2027'")],
)
def test_a_run_is_named_by_the_beginning_of_its_id(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], run: str, message: str
) -> None:
    record = tmp_path / "runs" / "demo" / "2026-01-01-000000-abcd" / "run.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"run_id": record.parent.name, "state": "finished"}))
    assert _answer(["downstream", run, "--json", "--workspace", str(tmp_path)]) == 2
    assert message in json.loads(capsys.readouterr().out)["error"]
