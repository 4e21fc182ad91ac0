"""A whole run: the same through plain calls and through Prefect, tracked, cached, resumable, refusing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from synthgen.augmentation import run_augmentation
from synthgen.config import RunConfig
from synthgen.config_reading import parse_config
from synthgen.errors import TrainingError
from synthgen.files import read_json
from synthgen.manifests import verify_manifest
from synthgen.workspace import Workspace

BASE: dict[str, Any] = {
    "name": "wine",
    "source": {"kind": "builtin", "name": "wine"},
    "synthesizer": {"kind": "marginals"},
    "plan": {"kind": "ratio", "ratio": 1},
}


def config(**changes: Any) -> RunConfig:
    return parse_config({**BASE, **changes})


def test_a_run_ends_with_a_verdict_a_report_and_a_record(space: Workspace) -> None:
    outcome = run_augmentation(config(), space)
    report = read_json(Path(outcome.report_json))
    assert outcome.verdict == report["verdict"]
    assert {"c2st_auc", "validity", "augmentation_gain"} <= {finding["metric"] for finding in report["findings"]}
    assert Path(outcome.report_html).read_text().startswith("<!doctype html>")
    record = read_json(Path(outcome.run_dir) / "run.json")
    assert record["state"] == "finished"
    assert (
        record["split_rows"] == {"train": 106, "valid": 36, "holdout": 36} or sum(record["split_rows"].values()) == 178
    )


def test_a_full_run_is_shown_beside_the_classical_control_which_is_trained_once(space: Workspace) -> None:
    full = {"evaluation": {"profile": "full"}}
    outcome = run_augmentation(config(**full), space)
    assert read_json(Path(outcome.report_json))["control"]["kind"] == "cart"
    assert "A classical control" in Path(outcome.report_html).read_text()
    assert "control" in run_augmentation(config(**full), space).reused_stages


def test_the_same_config_again_does_no_work_twice(space: Workspace) -> None:
    run_augmentation(config(), space)
    outcome = run_augmentation(config(), space)
    assert outcome.reused_stages == ["ingest", "split", "fit", "sample", "curate", "evaluate"]


def test_a_change_redoes_only_what_depends_on_it(space: Workspace) -> None:
    run_augmentation(config(), space)
    outcome = run_augmentation(config(plan={"kind": "rows", "rows": 60}), space)
    assert outcome.reused_stages == ["ingest", "split", "fit"]
    gates = [{"metric": "c2st_auc", "at_most": 0.99}]
    assert "evaluate" in run_augmentation(config(gates=gates), space).reused_stages


def test_copies_to_be_shared_are_refused_unless_forced(space: Workspace) -> None:
    leaky = config(purpose="share", synthesizer={"kind": "copies"})
    refused = run_augmentation(leaky, space)
    assert (refused.verdict, refused.exit_code, refused.dataset_dir) == ("FAIL", 3, None)
    forced = run_augmentation(leaky, space, force=True)
    assert forced.dataset_dir is not None
    manifest = verify_manifest(Path(forced.dataset_dir))
    assert (manifest["verdict"], manifest["passed"], manifest["forced"]) == ("FAIL", False, True)
    assert not list(Path(forced.dataset_dir).glob("train*"))


def test_an_emitted_dataset_holds_real_and_synthetic_rows(space: Workspace) -> None:
    outcome = run_augmentation(config(), space, force=True)
    assert outcome.dataset_dir is not None
    train = pd.read_parquet(Path(outcome.dataset_dir) / "train.parquet")
    synthetic = pd.read_parquet(Path(outcome.dataset_dir) / "synthetic.parquet")
    assert train["synthetic"].sum() == len(synthetic)
    assert len(train) == 2 * len(synthetic)


def test_everything_is_tracked(space: Workspace) -> None:
    from mlflow import MlflowClient

    outcome = run_augmentation(config(), space)
    client = MlflowClient(space.mlflow_uri)
    assert outcome.mlflow_run_id is not None
    run = client.get_run(outcome.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["synthgen.verdict"] == outcome.verdict
    assert run.data.params["synthesizer.kind"] == "marginals"
    assert "c2st_auc" in run.data.metrics
    contexts = {
        tag.value for item in run.inputs.dataset_inputs for tag in item.tags if tag.key == "mlflow.data.context"
    }
    assert contexts == {"real", "synthetic"}
    names = {item.path for item in client.list_artifacts(outcome.mlflow_run_id)}
    assert names == {"report", "model", "config.yaml"}


def test_a_failure_is_tracked_as_a_failure(space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    def broken(*args: object, **named: object) -> None:
        raise TrainingError("loss is not a number")

    monkeypatch.setattr("synthgen.stages.create", broken)
    with pytest.raises(TrainingError):
        run_augmentation(config(seed=99, name="broken"), space)
    client = MlflowClient(space.mlflow_uri)
    (run,) = client.search_runs([client.get_experiment_by_name("broken").experiment_id])
    assert (run.info.status, run.data.tags["synthgen.error"]) == ("FAILED", "loss is not a number")
    (record,) = [read_json(path) for path in space.runs.glob("broken/*/run.json")]
    assert (record["state"], record["error"]) == ("failed", "loss is not a number")


def test_a_tracking_store_out_of_reach_costs_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    outcome = run_augmentation(config(), Workspace(tmp_path / "space"), force=True)
    assert outcome.mlflow_run_id is None
    assert outcome.dataset_dir is not None
    assert "tracking_error" in read_json(Path(outcome.run_dir) / "run.json")


@pytest.mark.flow
def test_the_command_runs_the_flow_with_an_embedded_prefect_api(tmp_path: Path) -> None:
    path = tmp_path / "wine.yaml"
    path.write_text("source: {kind: builtin, name: wine}\nsynthesizer: {kind: marginals}\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT", "MLFLOW"))}
    answer = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "run", str(path), "--json", "--workspace", str(tmp_path / "space")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert answer.returncode in (0, 3, 4), answer.stderr
    outcome = json.loads(answer.stdout)
    assert outcome["exit_code"] == answer.returncode
    assert outcome["reused_stages"] == []
    stages = json.loads((Path(outcome["run_dir"]) / "run.json").read_text())["stages"]
    assert [name for name, stage in stages.items() if stage["reused"]] == []
    assert Path(outcome["report_html"]).exists()
    from mlflow import MlflowClient

    run = MlflowClient(f"sqlite:///{tmp_path}/space/mlflow.db").get_run(outcome["mlflow_run_id"])
    assert run.data.tags["prefect.flow_run_id"]
