"""Cases 66 and 70 under Prefect, through the command line: killed, stopped, its server dead or out of reach."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from synthgen.files import read_json
from synthgen.manifests import verify_manifest
from synthgen.runs import list_runs
from synthgen.workspace import Workspace

pytestmark = [pytest.mark.flow, pytest.mark.nightly, pytest.mark.timeout(1800)]
CONFIG = """
source: {kind: builtin, name: wine}
synthesizer: {kind: ctgan, budget_steps: 400}
plan: {kind: ratio, ratio: 1}
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start a command of `synthgen` in a process group of its own, on a workspace of its own."""
    (tmp_path / "wine.yaml").write_text(CONFIG)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT", "MLFLOW"))}

    def call(*words: str, **environment: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "pipelines.cli", *words, "--workspace", str(tmp_path / "space")]
        # A shell's background job ignores SIGINT, and so would what it starts.
        heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(
            command,
            preexec_fn=heard,
            cwd=tmp_path,
            env={**clean, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return call


def servers(space: Path) -> list[int]:
    return [int(read_json(path)["pid"]) for path in space.glob("prefect/processes/*.server.json")]


def wait_for(condition: Callable[[], object], seconds: float = 600) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def training_began(space: Path) -> list[Path]:
    return list(space.glob("artifacts/fit/*.partial/checkpoint/**/*.safetensors"))


def ends_well(process: "subprocess.Popen[str]", space: Path) -> tuple[dict[str, object], str]:
    out, said = process.communicate()
    assert process.returncode in (0, 3, 4), said
    assert "Traceback" not in said
    outcome = json.loads(out)
    if outcome["dataset_dir"]:
        verify_manifest(Path(outcome["dataset_dir"]))
    assert Path(outcome["report_html"]).exists()
    assert {record["state"] for record in list_runs(Workspace(space))} == {"finished"}
    return outcome, said


def test_66_killed_under_prefect_its_server_ends_and_the_same_command_goes_on(start: Start, tmp_path: Path) -> None:
    space = tmp_path / "space"
    process = start("run", "wine.yaml", "--json")
    wait_for(lambda: training_began(space))
    (server,) = servers(space)
    (before,) = list_runs(Workspace(space))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not is_alive(server), 60)

    listed = json.loads(start("doctor", "--json").communicate()[0])["checks"]
    kinds = {check["name"] for check in listed}
    assert {"run of a dead process", "flow run of a dead process"} <= kinds
    reaped = start("doctor", "--reap", "--json")
    assert reaped.communicate()[0].count(": ended") == 2
    assert training_began(space), "a training that can go on is no leftover"
    again = json.loads(start("doctor", "--json").communicate()[0])["checks"]
    assert not {check["name"] for check in again} & {"run of a dead process", "flow run of a dead process"}

    outcome, _ = ends_well(start("run", "wine.yaml", "--json"), space)
    assert outcome["run_id"] == before["run_id"]
    assert outcome["mlflow_run_id"] == before["mlflow_run_id"]


@pytest.mark.parametrize(
    ("number", "code", "words"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")]
)
def test_66_a_signal_stops_the_run_with_one_sentence_and_it_goes_on(
    number: int, code: int, words: str, start: Start, tmp_path: Path
) -> None:
    space = tmp_path / "space"
    process = start("run", "wine.yaml")
    wait_for(lambda: training_began(space))
    (server,) = servers(space)
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == code, said
    assert f"error: stopped by {words}" in said
    assert "Traceback" not in said
    assert not is_alive(server)
    (record,) = list_runs(Workspace(space))
    assert record["state"] == "interrupted"
    outcome, _ = ends_well(start("run", "wine.yaml", "--json"), space)
    assert outcome["run_id"] == record["run_id"]


def test_70_a_prefect_out_of_reach_costs_its_pages_only(start: Start, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9/api"
    outcome, said = ends_well(start("run", "wine.yaml", "--json", PREFECT_API_URL=nowhere), tmp_path / "space")
    assert "warning: Prefect failed" in said
    assert outcome["mlflow_run_id"]


def test_70_a_prefect_that_dies_midway_costs_its_pages_only(start: Start, tmp_path: Path) -> None:
    space = tmp_path / "space"
    process = start("run", "wine.yaml", "--json")
    wait_for(lambda: training_began(space))
    os.kill(servers(space)[0], signal.SIGKILL)
    outcome, said = ends_well(process, space)
    assert "warning: Prefect failed" in said
    assert outcome["mlflow_run_id"]


def test_70_two_commands_at_once_on_an_empty_workspace_both_end_well(start: Start, tmp_path: Path) -> None:
    both = [start("run", "wine.yaml", "--json") for _ in range(2)]
    outcomes = [ends_well_alone(process) for process in both]
    assert outcomes[0]["run_id"] != outcomes[1]["run_id"]
    assert len(list((tmp_path / "space").glob("artifacts/fit/*/artifact.json"))) == 1


def ends_well_alone(process: "subprocess.Popen[str]") -> dict[str, object]:
    out, said = process.communicate()
    assert process.returncode in (0, 3, 4), said
    assert "warning" not in said
    outcome: dict[str, object] = json.loads(out)
    return outcome
