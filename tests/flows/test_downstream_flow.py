"""The downstream flow under Prefect, through the command line: what stands on the pages of Prefect and MLflow."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgen.datasets import Schema, Splits, Table
from synthgen.exporters import emit_dataset
from synthgen.reports.words import ARMS

pytestmark = pytest.mark.flow
FACTS = {
    "run_id": "r1", "name": "shop", "verdict": "PASS", "passed": True, "forced": False, "data_sha256": "ab",
    "synthesizer": "ctgan",
}  # fmt: skip


def buyers(n: int, seed: int) -> Table:
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    frame = pd.DataFrame({"size": size, "buys": np.where(size + rng.normal(0, 0.5, n) > 0.8, "yes", "no")})
    return Table(frame, Schema({"size": "numeric", "buys": "categorical"}, "buys"))


def test_the_command_runs_the_flow_and_both_pages_show_the_comparison(tmp_path: Path) -> None:
    dataset, space = tmp_path / "dataset", tmp_path / "space"
    parts = Splits(*(buyers(n, seed) for seed, n in enumerate((150, 100, 150))))
    emit_dataset(dataset, parts, buyers(150, 7), purpose="augment", formats=["parquet"], facts=FACTS)
    command = ["downstream", dataset.as_uri(), "--seeds", "2", "-o", str(tmp_path / "out"), "--json"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT", "MLFLOW"))}
    answer = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *command, "--workspace", str(space)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    outcome = json.loads(answer.stdout)
    assert json.loads((tmp_path / "out" / "downstream.json").read_text())["gain"] == outcome["gain"]
    with sqlite3.connect(space / "prefect" / "prefect.db") as prefect:
        ((flow_run, name, state),) = prefect.execute("SELECT id, name, state_type FROM flow_run").fetchall()
        ((page, told),) = prefect.execute("SELECT data, description FROM artifact WHERE key = 'downstream'").fetchall()
    prefect.close()
    assert (state, told) == ("COMPLETED", "r1")
    assert all(ARMS.get(arm, arm) in page for arm in outcome["arms"])
    from mlflow import MlflowClient

    tags = MlflowClient(f"sqlite:///{space}/mlflow.db").get_run(outcome["mlflow_run_id"]).data.tags
    assert (tags["prefect.flow_run_id"], tags["prefect.flow_run_name"]) == (flow_run, name)
