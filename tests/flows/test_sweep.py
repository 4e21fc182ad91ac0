"""A sweep under Prefect on every runner: the same results as in one process, interrupted and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from synthgen.runs import list_runs
from synthgen.workspace import Workspace

pytestmark = [pytest.mark.flow, pytest.mark.slow, pytest.mark.timeout(900)]
CONFIG = """
source: {kind: builtin, name: wine}
synthesizer: {kind: ctgan, budget_steps: 20}
plan: {kind: ratio, ratio: 1}
"""
Command = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Command:
    """Start `synthgen` in a process group of its own."""
    (tmp_path / "wine.yaml").write_text(CONFIG)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT", "MLFLOW"))}

    def call(*words: str) -> "subprocess.Popen[str]":
        # A shell's background job ignores SIGINT, and so would what it starts.
        heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", *words],
            cwd=tmp_path,
            env={**clean, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=heard,
        )

    return call


def answered(process: "subprocess.Popen[str]") -> dict[str, Any]:
    out, err = process.communicate(timeout=600)
    assert process.returncode in (0, 3, 4), err
    content: dict[str, Any] = json.loads(out)
    return content


def hashes(space: Path) -> dict[str, str]:
    records = list_runs(Workspace(space))
    assert {record["state"] for record in records} == {"finished"}
    return {record["config_hash"]: record["synthetic_sha256"] for record in records}


def test_every_runner_makes_the_same_bytes(start: Command, tmp_path: Path) -> None:
    found = []
    for runner in ("threads", "processes", "dask"):
        words = ("sweep", "wine.yaml", "--seeds", "0-1", "--runner", runner, "--workers", "2", "--json")
        swept = answered(start(*words, "--workspace", runner))
        assert [run["state"] for run in swept["runs"]] != ["failed", "failed"]
        found.append(hashes(tmp_path / runner))
    assert len(found[0]) == 2
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_leaves_no_process_and_goes_on(start: Command, tmp_path: Path, number: int) -> None:
    words = ("sweep", "wine.yaml", "--seeds", "0-2", "--workers", "2", "--json", "--workspace", "space")
    process = start(*words)
    until = time.monotonic() + 300
    while not list(tmp_path.glob("space/runs/wine/*/run.json")):
        assert time.monotonic() < until
        time.sleep(0.1)
    process.send_signal(number)
    process.communicate(timeout=120)
    assert process.returncode == 128 + number
    until = time.monotonic() + 30
    while subprocess.run(["pgrep", "-g", str(process.pid)], stdout=subprocess.DEVNULL, check=False).returncode == 0:
        # The tracker of semaphores sees a little later that it is alone.
        assert time.monotonic() < until, "a process is left"
        time.sleep(0.2)
    swept = answered(start(*words))
    assert {run["state"] for run in swept["runs"]} <= {"emitted", "refused"}
    assert len(hashes(tmp_path / "space")) == 3
