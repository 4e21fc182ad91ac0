"""Schedules on a real server, through the command line: they fire, queue, pause, and do nothing when nothing is new."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from pipelines.background import running
from synthgen.runs import Workspace, list_runs

pytestmark = [pytest.mark.flow, pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Site:
    """A workspace with servers of its own, and the commands on it."""

    space: Workspace
    environment: dict[str, str]

    def start(self, *words: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "pipelines.cli", *map(str, words)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def ask(self, *words: object) -> Any:
        process = self.start(*words, "--json")
        out, said = process.communicate()
        assert process.returncode == 0, out + said
        return json.loads(out)

    def schedule(self, name: str) -> dict[str, Any]:
        return next(item for item in self.ask("schedules")["schedules"] if item["name"] == name)

    def flow_runs(self, name: str) -> list[dict[str, Any]]:
        """Of one schedule, oldest first, those that have begun."""
        wanted = {"deployments": {"name": {"any_": [name]}}, "sort": "START_TIME_ASC", "limit": 200}
        address = running(self.space)["prefect"].address
        answer = httpx.post(f"{address}/flow_runs/filter", json=wanted, timeout=30)
        return [run for run in answer.json() if run["start_time"] is not None]

    def states(self, name: str) -> list[str]:
        return [run["state_name"] for run in self.flow_runs(name)]


def table(path: Path, seed: int, rows: int = 300) -> Path:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=rows), "c": rng.choice(list("abc"), rows)})
    frame["y"] = np.where(frame["x"] + rng.normal(0, 0.3, rows) > 0, "right", "left")
    frame.to_csv(path, index=False)
    return path


def config(folder: Path, name: str, synthesizer: str = "{kind: marginals}") -> Path:
    data = table(folder / f"{name}.csv", seed=0)
    path = folder / f"{name}.yaml"
    path.write_text(
        f"name: {name}\nsource: {{kind: table, path: {data.name}, label: y}}\n"
        f"synthesizer: {synthesizer}\nplan: {{kind: ratio, ratio: 1}}\n"
    )
    return path


def wait_for(condition: Callable[[], object], seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("site")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT", "MLFLOW"))}
    environment = {**clean, "SYNTHGEN_WORKSPACE": str(root), "PYTHONPATH": str(Path(__file__).parents[2])}
    environment["PYTHONPATH"] += os.pathsep + os.environ.get("PYTHONPATH", "")
    made = Site(Workspace(root), environment)
    made.ask("up", "--prefect-port", 0, "--mlflow-port", 0)
    yield made
    assert made.ask("down") == {"stopped": ["prefect", "mlflow"]}


@pytest.fixture
def serving(site: Site) -> Iterator["subprocess.Popen[str]"]:
    process = site.start("serve")
    yield process
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said


@pytest.mark.usefixtures("serving")
def test_a_schedule_fires_by_itself_and_trains_only_when_the_data_are_new(site: Site, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    path = config(tmp_path, "fires")
    site.ask("schedule", path, "--every", "10s")
    wait_for(lambda: site.states("fires").count("Unchanged") >= 2)
    assert site.states("fires")[0] == "Completed"
    (record,) = list_runs(site.space)
    tracked = MlflowClient(running(site.space)["mlflow"].address).get_run(record["mlflow_run_id"])
    assert (tracked.info.status, tracked.data.tags["synthgen.verdict"]) == ("FINISHED", record["verdict"])
    assert tracked.data.tags["prefect.flow_run_id"] == site.flow_runs("fires")[0]["id"]
    last = site.schedule("fires")
    assert (last["last_state"], last["last_verdict"], last["served"]) == ("Unchanged", record["verdict"], True)
    seconds = [run["total_run_time"] for run in site.flow_runs("fires") if run["state_name"] == "Unchanged"]
    assert max(seconds) < 30

    table(path.with_suffix(".csv"), seed=1)
    wait_for(lambda: site.states("fires").count("Completed") == 2)
    site.ask("schedules", "delete", "fires")
    assert [item["state"] for item in list_runs(site.space)] == ["finished", "finished"]
