"""A run that needs a person's yes: it waits, says so, and ends without training again; no yes overrules a FAIL."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthgen.approval import decide
from synthgen.augmentation import conclude, run_augmentation
from synthgen.config import RunConfig
from synthgen.config_reading import parse_config
from synthgen.errors import UsageError
from synthgen.files import read_json
from synthgen.manifests import verify_manifest
from synthgen.registry.versions import list_versions
from synthgen.runs import WAITING, Run
from synthgen.workspace import Workspace

ALONE = [
    {"metric": metric, "required": False}
    for metric in ("augmentation_gain", "beta_recall", "c2st_auc", "excess_copies")
]


def settings(path: Path, **changes: Any) -> dict[str, Any]:
    """A table of three columns: a report draws every column, twice."""
    rng = np.random.default_rng(5)
    size = rng.normal(size=300)
    buys = np.where(size + rng.normal(size=300) > 0, "yes", "no")
    pd.DataFrame({"size": size.round(2), "town": rng.choice(["Oslo", "Rome"], 300), "buys": buys}).to_csv(
        path, index=False
    )
    return {
        "name": "asked",
        "source": {"kind": "table", "path": str(path), "label": "buys"},
        "synthesizer": {"kind": "marginals"},
        "plan": {"kind": "ratio", "ratio": 1},
        "gates": [*ALONE, {"metric": "gain_over_controls", "at_least": -0.9}],
        "approval": "required",
        **changes,
    }


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunConfig]:
    path = tmp_path_factory.mktemp("data") / "buyers.csv"
    return lambda **changes: parse_config(settings(path, **changes))


def test_a_run_waits_until_a_person_approves_and_trains_no_second_time(
    space: Workspace, config: Callable[..., RunConfig]
) -> None:
    from mlflow import MlflowClient

    waiting = run_augmentation(config(), space)
    run = Run(Path(waiting.run_dir))
    assert (waiting.verdict, waiting.state, waiting.exit_code, waiting.dataset_dir) == ("PASS", WAITING, 4, None)
    assert "before a person approves" in Path(waiting.report_html).read_text()
    assert not [item for item in list_versions(space) if item.tags["run_id"] == run.id]
    again = run_augmentation(config(), space)
    assert (again.run_id, again.state) == (waiting.run_id, WAITING)

    decide(run, approved=True, by="Ann", reason="looks right")
    (run.directory / "dataset").mkdir()  # as a kill in the middle of an earlier attempt leaves it
    outcome = conclude(space, run)
    assert outcome.dataset_dir is not None
    manifest = verify_manifest(Path(outcome.dataset_dir))
    assert (manifest["approval"]["decision"], manifest["approval"]["by"]) == ("approved", "Ann")
    assert (outcome.state, outcome.exit_code, outcome.model) == ("finished", 0, "asked@1")
    assert read_json(Path(outcome.report_json))["provenance"]["approval"]["reason"] == "looks right"
    lines = [json.loads(line) for line in (run.directory / "log.jsonl").read_text().splitlines()]
    assert [line["state"] for line in lines if line.get("stage") == "fit"] == ["done", "reused"]
    metrics = MlflowClient(space.mlflow_uri).get_run(str(outcome.mlflow_run_id)).data.metrics
    assert {"stage.fit.seconds", "stage.evaluate.seconds", "stage.emit.rows_per_second"} <= set(metrics)
    with pytest.raises(UsageError, match="does not wait for approval"):
        decide(run, approved=False, by="Bob", reason="too late")


def test_a_rejected_run_emits_nothing_and_its_model_never_becomes_champion(
    space: Workspace, config: Callable[..., RunConfig]
) -> None:
    waiting = run_augmentation(config(name="refused"), space)
    run = Run(Path(waiting.run_dir))
    decide(run, approved=False, by="Ann", reason="wrong month")
    # The same command, as a schedule calls it, ends what was decided in the meantime.
    outcome = run_augmentation(config(name="refused"), space)
    assert outcome.run_id == waiting.run_id
    assert (outcome.state, outcome.exit_code, outcome.dataset_dir) == ("rejected", 3, None)
    assert outcome.promotion == "a person rejected its run"
    assert "Ann rejected it" in Path(outcome.report_html).read_text()


def test_no_approval_overrules_a_fail(space: Workspace, config: Callable[..., RunConfig]) -> None:
    strict = config(gates=[{"metric": "c2st_auc", "at_most": 0.01}], name="failing")
    outcome = run_augmentation(strict, space)
    assert (outcome.verdict, outcome.state, outcome.dataset_dir) == ("FAIL", "finished", None)
    with pytest.raises(UsageError, match="failed its gates, which no approval overrules"):
        decide(Run(Path(outcome.run_dir)), approved=True, by="Ann", reason="")
    with pytest.raises(UsageError, match="one of the two"):
        run_augmentation(config(), space, force=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a Prefect server of our own."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "PREFECT_HOME": str(tmp_path / "server"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/api"
    try:
        until = time.monotonic() + 240
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.mark.slow
@pytest.mark.flow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("by", ["command", "page"])
def test_a_flow_pauses_on_a_server_until_a_command_or_the_page_says_yes(tmp_path: Path, server: str, by: str) -> None:
    path, folder = tmp_path / "asked.yaml", tmp_path / "space"
    path.write_text(json.dumps(settings(tmp_path / "buyers.csv")))
    env = {**os.environ, "PREFECT_API_URL": server, "SYNTHGEN_WORKSPACE": str(folder)}
    synthgen = [sys.executable, "-m", "pipelines.cli"]
    command = [*synthgen, "run", str(path), "--json"]
    going = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run, flow_run_id = _paused(folder, server, going)
    if by == "command":
        said = subprocess.run([*synthgen, "approve", run.id, "--json"], env=env, capture_output=True, text=True)
        assert said.returncode == 0, said.stderr
        assert json.loads(said.stdout)["approval"]["decision"] == "approved"
    else:
        _post(f"{server}/flow_runs/{flow_run_id}/resume", {"run_input": {"approved": True, "by": "Ann"}})
    stdout, stderr = going.communicate(timeout=300)
    assert going.returncode == 0, stderr
    outcome = json.loads(stdout)
    assert (outcome["state"], outcome["run_id"]) == ("finished", run.id)
    assert read_json(run.record_path)["approval"]["decision"] == "approved"
    assert _get(f"{server}/flow_runs/{flow_run_id}")["state"]["type"] == "COMPLETED"


def _paused(folder: Path, server: str, going: "subprocess.Popen[str]") -> tuple[Run, str]:
    until = time.monotonic() + 400
    while time.monotonic() < until and going.poll() is None:
        for path in folder.glob("runs/*/*/run.json"):
            flow_run_id = (read_json(path).get("paused_flow_run") or {}).get("id")
            if flow_run_id and _get(f"{server}/flow_runs/{flow_run_id}")["state"]["type"] == "PAUSED":
                return Run(path.parent), flow_run_id
        time.sleep(1)
    raise AssertionError(f"the flow did not pause: {going.communicate()[1] if going.poll() is not None else ''}")


def _get(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return json.load(answer)


def _post(address: str, content: Any) -> None:
    body, kind = json.dumps(content).encode(), {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(address, body, kind), timeout=30).close()
