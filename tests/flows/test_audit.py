"""An audit from the command line and as a flow: what it writes, how it ends, and how it is shown again."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.cli import _answer
from synthgen.auditing import run_audit, run_tracked_audit
from synthgen.augmentation import run_augmentation
from synthgen.config_reading import parse_audit, parse_config
from synthgen.errors import DataError
from synthgen.files import read_json
from synthgen.workspace import Workspace

RARE = ("Zanzibar", "987654", "quokka")


def people(n: int, seed: int) -> pd.DataFrame:
    """Rows of one population, of which three have a rare value in every column."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, n)
    frame = pd.DataFrame(
        {
            "person": np.arange(1, n + 1),
            "age": age,
            "income": np.round(rng.gamma(2, 900, n) + 20 * age, 2),
            "town": rng.choice(["Oslo", "Rome", "Kyiv"], n),
            "ill": np.where(rng.random(n) < age / 100, "yes", "no"),
        }
    )
    frame.loc[:2, "town"], frame.loc[:2, "income"], frame.loc[:2, "ill"] = "Zanzibar", 987_654.321, "quokka"
    return frame


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("data")
    for seed, (name, rows) in enumerate({"train": 400, "holdout": 300, "fresh": 400}.items()):
        people(rows, seed).to_csv(folder / f"{name}.csv", index=False)
    paths = {name: str(folder / f"{name}.csv") for name in ("train", "holdout")}
    return {**paths, "synthetic": str(folder / "train.csv"), "fresh": str(folder / "fresh.csv")}


def raw(files: dict[str, str], **changes: Any) -> dict[str, Any]:
    parts = {name: files[name] for name in ("train", "synthetic", "holdout")}
    return {**parts, "label": "ill", "protected": ["town"], **changes}


@pytest.fixture(scope="module")
def tracked(files: dict[str, str], space: Workspace) -> dict[str, Any]:
    outcome = run_tracked_audit(parse_audit(raw(files)), space, {"prefect.flow_run_id": "abc"})
    return read_json(Path(outcome.run_dir) / "run.json") | vars(outcome)


def test_a_copy_fails_and_its_run_is_on_record(tracked: dict[str, Any]) -> None:
    assert (tracked["verdict"], tracked["exit_code"], tracked["state"]) == ("FAIL", 3, "finished")
    report = read_json(Path(tracked["report_json"]))
    verdicts = {item["metric"]: item["verdict"] for item in report["judgements"]}
    assert verdicts["excess_copies"] == "FAIL"
    # Both files number their rows from 1: that is no name.
    assert "identifier_replay" not in verdicts
    [reason] = [item["reason"] for item in report["not_measured"] if item["metric"] == "identifier_replay"]
    assert reason.endswith("only numbers the synthetic rows")


def test_the_audit_is_tracked_without_a_model(tracked: dict[str, Any], space: Workspace) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{space.root}/mlflow.db")
    run = client.get_run(tracked["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["synthgen.verdict"] == "FAIL"
    assert run.data.tags["prefect.flow_run_id"] == "abc"
    assert run.data.params["label"] == "ill"
    assert "excess_copies.low" in run.data.metrics
    assert {item.path for item in client.list_artifacts(tracked["mlflow_run_id"])} == {"report", "config.yaml"}


def test_no_value_of_a_rare_row_is_on_the_shareable_page(tracked: dict[str, Any]) -> None:
    shared = Path(tracked["report_shareable_html"]).read_text()
    internal = Path(tracked["report_html"]).read_text()
    assert not [value for value in (*RARE, "train.csv") if value in shared]
    assert "train.csv" in internal


def test_a_page_is_drawn_again_as_it_was(
    tracked: dict[str, Any], space: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["report", tracked["run_id"][:-1], "--workspace", str(space.root), "-o", str(tmp_path)]
    assert _answer(arguments) == 0
    for name in ("report_html", "report_shareable_html"):
        page = Path(tracked[name])
        assert (tmp_path / page.name).read_text() == page.read_text()
    capsys.readouterr()
    assert _answer([*arguments[:-1], str(tmp_path / "only"), "--shareable", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": [str(tmp_path / "only" / "report-shareable.html")]}
    assert [path.name for path in (tmp_path / "only").iterdir()] == ["report-shareable.html"]


def test_other_data_under_the_old_name_are_not_drawn(files: dict[str, str], tmp_path: Path) -> None:
    train = tmp_path / "train.csv"
    people(60, 5).to_csv(train, index=False)
    run_audit(parse_audit({"train": str(train), "synthetic": files["fresh"]}), tmp_path / "audit")
    people(60, 6).to_csv(train, index=False)
    assert _answer(["report", str(tmp_path / "audit")]) == 2


def test_an_audit_without_a_workspace_leaves_a_folder_that_can_be_compared(
    files: dict[str, str], tracked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--label", "ill", "--protected", "town", "--gate", "c2st_auc<=0.95", "--gate", "excess_copies<=0.01"]
    arguments = ["audit", "--train", files["train"], "--synthetic", files["fresh"], "--holdout", files["holdout"]]
    code = _answer([*arguments, *options, "-o", str(tmp_path / "fresh"), "--json"])
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["exit_code"] == code
    assert code in (0, 4)
    gates = {gate["metric"]: gate for gate in outcome["gates"]}
    assert (gates["c2st_auc"]["rule"], gates["c2st_auc"]["verdict"]) == ("≤ 0.95", "PASS")
    assert gates["excess_copies"]["low"] <= gates["excess_copies"]["value"] <= gates["excess_copies"]["high"]
    assert {path.name for path in (tmp_path / "fresh").iterdir()} == {
        "config.yaml", "run.json", "report.html", "report-shareable.html", "report.json",
    }  # fmt: skip
    sides = [tracked["run_dir"], str(tmp_path / "fresh")]
    assert _answer(["compare", *sides, "-o", str(tmp_path), "--json"]) == 0
    metrics = {item["metric"]: item["runs"] for item in json.loads(capsys.readouterr().out)["metrics"]}
    assert metrics["excess_copies"][1]["change"] == "better"
    assert "▲ better" in (tmp_path / "compare.html").read_text()


def test_a_failed_audit_is_tracked_as_failed(tmp_path: Path) -> None:
    config = parse_audit({"train": "gone.csv", "synthetic": "gone.csv", "name": "gone"})
    with pytest.raises(DataError):
        run_tracked_audit(config, Workspace(tmp_path), {})
    (record,) = [read_json(path) for path in (tmp_path / "runs").glob("gone/*/run.json")]
    assert record["state"] == "failed"
    assert "gone.csv" in record["error"]


@pytest.mark.flow
def test_the_tracked_command_runs_the_flow(files: dict[str, str], tmp_path: Path) -> None:
    command = ["audit", "--train", files["train"], "--synthetic", files["fresh"], "--track", "--json"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT", "MLFLOW"))}
    answer = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *command, "--workspace", str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert answer.returncode == 4, answer.stderr
    outcome = json.loads(answer.stdout)
    assert outcome["verdict"] == "NOT AUDITED"
    from mlflow import MlflowClient

    run = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_run(outcome["mlflow_run_id"])
    assert run.data.tags["prefect.flow_run_name"]
    # Without a server the link is to where `synthgen ui` serves the pages of both.
    with sqlite3.connect(tmp_path / "prefect" / "prefect.db") as prefect:
        links = dict(prefect.execute("SELECT key, data FROM artifact WHERE type = 'markdown'").fetchall())
    prefect.close()
    page = f"http://127.0.0.1:5000/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    assert f"({page}/artifacts/report/report.html)" in links["report"]
    assert f"({page})" in links["mlflow-run"]


def test_the_page_of_an_augmentation_is_drawn_again_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = {"kind": "builtin", "name": "wine"}
    config = parse_config({"name": "wine", "source": source, "synthesizer": {"kind": "marginals"}})
    outcome = run_augmentation(config, Workspace(tmp_path / "space"))
    page = Path(outcome.report_html)
    arguments = ["report", outcome.run_id, "--workspace", str(tmp_path / "space")]
    assert _answer([*arguments, "-o", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "report.html").read_text() == page.read_text()
    shutil.rmtree(tmp_path / "space" / "artifacts" / "curate")
    capsys.readouterr()
    assert _answer(arguments) == 2
    assert "the artifact of stage 'curate'" in capsys.readouterr().err.replace("\n", " ")
