"""Schedules on a real server, through the command line: they fire, queue, pause, and do nothing when nothing is new."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from pipelines.background import running
from synthgen.runs import list_runs
from synthgen.workspace import Workspace

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.flow, pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Site:
    """A workspace with servers of its own, and the commands on it."""

    space: Workspace
    environment: dict[str, str]

    def start(self, *words: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "pipelines.cli", *map(str, words)]
        pipe = subprocess.PIPE
        # A shell's background job ignores SIGINT, and so would what it starts.
        heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(command, env=self.environment, stdout=pipe, stderr=pipe, text=True, preexec_fn=heard)

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
    environment = {**clean, "SYNTHGEN_WORKSPACE": str(root), "PYTHONPATH": str(ROOT)}
    environment["PYTHONPATH"] += os.pathsep + os.environ.get("PYTHONPATH", "")
    made = Site(Workspace(root), environment)
    made.ask("up", "--prefect-port", 0, "--mlflow-port", 0)
    yield made
    assert made.ask("down") == {"stopped": ["prefect", "mlflow"]}


@pytest.fixture
def serving(site: Site) -> Iterator["subprocess.Popen[str]"]:
    # More at once than one schedule may have.
    process = site.start("serve", "--limit", 3)
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


@pytest.mark.usefixtures("serving")
def test_runs_of_one_schedule_queue_and_never_overlap(site: Site, tmp_path: Path) -> None:
    site.ask("schedule", config(tmp_path, "queued"), "--every", "1d")
    for _ in range(3):
        site.ask("schedules", "run-now", "queued")
    wait_for(lambda: [run["end_time"] is not None for run in site.flow_runs("queued")].count(True) == 3)
    runs = site.flow_runs("queued")
    assert sorted(run["state_name"] for run in runs) == ["Completed", "Unchanged", "Unchanged"]
    for earlier, later in pairwise(runs):
        assert earlier["end_time"] <= later["start_time"]
    site.ask("schedules", "delete", "queued")


def test_a_paused_schedule_stays_paused_over_a_restart_of_serve_and_fires_when_resumed(
    site: Site, tmp_path: Path
) -> None:
    site.ask("schedule", config(tmp_path, "paused"), "--every", "10s")
    site.ask("schedules", "pause", "paused")
    for _ in range(2):
        process = site.start("serve")
        time.sleep(25)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert (site.schedule("paused")["paused"], site.states("paused")) == (True, [])
    site.ask("schedules", "resume", "paused")
    process = site.start("serve")
    wait_for(lambda: "Completed" in site.states("paused"))
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert not site.schedule("paused")["paused"]
    site.ask("schedules", "delete", "paused")


def test_a_run_that_is_stopped_with_serve_goes_on_with_the_next_one(site: Site, tmp_path: Path) -> None:
    path = config(tmp_path, "stopped", "{kind: ctgan, budget_steps: 2000, batch_size: 60}")
    site.ask("schedule", path, "--every", "1d")
    site.ask("schedules", "run-now", "stopped")
    process = site.start("serve")
    wait_for(lambda: list(site.space.root.glob("artifacts/fit/*.partial/checkpoint/**/*.safetensors")))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    (before,) = [item for item in list_runs(site.space) if item["name"] == "stopped"]
    assert before["state"] == "interrupted"
    site.ask("schedules", "run-now", "stopped")
    process = site.start("serve")
    wait_for(lambda: site.states("stopped").count("Completed") == 1, 600)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    (after,) = [item for item in list_runs(site.space) if item["name"] == "stopped"]
    assert (after["run_id"], after["state"], after["resumed"]) == (before["run_id"], "finished", 1)
    site.ask("schedules", "delete", "stopped")


def test_a_run_that_serve_had_taken_but_not_begun_is_begun_by_the_next_one(site: Site, tmp_path: Path) -> None:
    site.ask("schedule", config(tmp_path, "taken"), "--every", "1d")
    site.ask("schedules", "run-now", "taken")
    address = running(site.space)["prefect"].address
    wanted = {"deployments": {"name": {"any_": ["taken"]}}, "sort": "EXPECTED_START_TIME_ASC", "limit": 1}
    (asked,) = httpx.post(f"{address}/flow_runs/filter", json=wanted, timeout=30).json()
    state = {"state": {"type": "PENDING"}}
    taken = httpx.post(f"{address}/flow_runs/{asked['id']}/set_state", json=state, timeout=30)
    assert taken.json()["status"] == "ACCEPT"
    process = site.start("serve")
    wait_for(lambda: "Completed" in site.states("taken"))
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    (ran,) = site.flow_runs("taken")
    assert ran["id"] == asked["id"]
    site.ask("schedules", "delete", "taken")


def test_runs_of_a_deleted_schedule_take_no_place_of_others(site: Site, tmp_path: Path) -> None:
    site.ask("schedule", config(tmp_path, "deleted"), "--every", "1d")
    for _ in range(2):
        site.ask("schedules", "run-now", "deleted")
    address = running(site.space)["prefect"].address
    wanted = {"deployments": {"name": {"any_": ["deleted"]}}, "sort": "EXPECTED_START_TIME_ASC", "limit": 2}
    asked = httpx.post(f"{address}/flow_runs/filter", json=wanted, timeout=30).json()
    site.ask("schedules", "delete", "deleted")
    for run in asked:
        # Prefect deletes what only waits; what a worker had in its hands comes back.
        again = {key: run[key] for key in ("flow_id", "deployment_id", "work_pool_name", "work_queue_name")}
        body = {**again, "state": {"type": "SCHEDULED"}}
        made = httpx.post(f"{address}/flow_runs/", json=body, timeout=30)
        assert made.status_code == 201, made.text
    site.ask("schedule", config(tmp_path, "other"), "--every", "1d")
    site.ask("schedules", "run-now", "other")
    process = site.start("serve")
    wait_for(lambda: site.states("other") == ["Completed"])
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    site.ask("schedules", "delete", "other")


def test_two_processes_do_not_serve_one_workspace(site: Site) -> None:
    both = [site.start("serve") for _ in range(2)]
    wait_for(lambda: any(process.poll() is not None for process in both))
    refused, serving = sorted(both, key=lambda process: process.poll() is None)
    _, said = refused.communicate()
    assert (refused.returncode, "another `synthgen serve`" in said) == (2, True), said
    serving.send_signal(signal.SIGTERM)
    serving.communicate(timeout=60)


def test_the_server_refuses_a_config_that_is_not_valid(site: Site, tmp_path: Path) -> None:
    path = config(tmp_path, "checked")
    deployment = site.ask("schedule", path, "--every", "1d")["deployment_id"]
    address = running(site.space)["prefect"].address
    wrong = {"parameters": {"config": {"source": {"kind": "builtin", "name": "wine"}, "sede": 1}}}
    answer = httpx.post(f"{address}/deployments/{deployment}/create_flow_run", json=wrong, timeout=30)
    assert answer.status_code in (409, 422)
    assert "sede" in answer.text
    process = site.start("schedule", path, "--every", "1d", "--pool", "gpus")
    _, said = process.communicate()
    assert process.returncode == 2
    assert "work pool 'gpus' is not known" in said
    site.ask("schedules", "delete", "checked")


def test_the_file_for_prefect_deploy_makes_a_schedule_that_a_worker_of_its_pool_runs(site: Site) -> None:
    environment = {**site.environment, "PREFECT_API_URL": running(site.space)["prefect"].address}
    environment["PREFECT_HOME"] = str(site.space.root / "prefect")

    def prefect(*words: str) -> None:
        command = [sys.executable, "-m", "prefect", "--no-prompt", *words]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    prefect("work-pool", "create", "synthgen", "--type", "process")
    prefect("deploy", "--all")
    assert site.schedule("breast-cancer")["timing"] == "0 2 * * * UTC"
    site.ask("schedules", "run-now", "breast-cancer")
    prefect("worker", "start", "--pool", "synthgen", "--run-once")
    assert site.states("breast-cancer") == ["Completed"]
    assert site.schedule("breast-cancer")["last_verdict"] in {"PASS", "INCONCLUSIVE", "FAIL"}
