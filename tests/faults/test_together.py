"""Eight runs at once on one empty workspace: all end well, and no number is lost."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from synthgen.files import read_json
from synthgen.manifests import verify_manifest
from synthgen.runs import list_runs
from synthgen.workspace import Workspace

RUNS = 8


@pytest.mark.flow
@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_eight_runs_at_once_on_an_empty_workspace_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "wine.yaml").write_text("source: {kind: builtin, name: wine}\nsynthesizer: {kind: marginals}\n")
    space = tmp_path / "space"
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT", "MLFLOW"))}
    command = [sys.executable, "-m", "pipelines.cli", "run", "wine.yaml", "--json", "--workspace", str(space)]
    started = [
        subprocess.Popen(
            [*command, "-s", f"seed={seed}"], cwd=tmp_path, env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for seed in range(RUNS)
    ]
    for process in started:
        out, said = process.communicate()
        assert process.returncode in (0, 3, 4), said.decode()
        assert b"warning" not in said
        outcome = json.loads(out)
        if outcome["dataset_dir"]:
            verify_manifest(Path(outcome["dataset_dir"]))
        findings = read_json(Path(outcome["report_json"]))["findings"]
        expected = {item["metric"]: item["value"] for item in findings}
        assert expected.items() <= tracked(space, outcome["mlflow_run_id"]).items()
    assert [record["state"] for record in list_runs(Workspace(space))] == ["finished"] * RUNS


def tracked(space: Path, mlflow_run_id: str) -> dict[str, float]:
    """What MLflow has of a finished run."""
    with sqlite3.connect(space / "mlflow.db") as store:
        (status,) = store.execute("SELECT status FROM runs WHERE run_uuid = ?", (mlflow_run_id,)).fetchone()
        metrics = store.execute("SELECT key, value FROM latest_metrics WHERE run_uuid = ?", (mlflow_run_id,)).fetchall()
    store.close()
    assert status == "FINISHED"
    return dict(metrics)
