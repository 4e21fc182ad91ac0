"""GPU slots on a server of its own, with processes that are killed: a lease ends what nobody gives back."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest

from pipelines.slots import LIMIT
from synthgen.runs import list_runs
from synthgen.workspace import Workspace

pytestmark = [pytest.mark.flow, pytest.mark.slow, pytest.mark.timeout(600)]


class Runs:
    """Commands on a workspace whose servers have one GPU slot."""

    def __init__(self, space: Path) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT", "MLFLOW"))}
        self.environment = {**clean, "SYNTHGEN_WORKSPACE": str(space)}
        self.space = space
        self.api = self.ask("up", "--prefect-port", "0", "--mlflow-port", "0")["prefect"]["address"]
        httpx.post(f"{self.api}/v2/concurrency_limits/", json={"name": LIMIT, "limit": 1}, timeout=30)

    def ask(self, *words: str) -> dict[str, dict[str, str]]:
        process = self.start(*words, "--json")
        out, said = process.communicate()
        assert process.returncode == 0, out + said
        answer: dict[str, dict[str, str]] = json.loads(out)
        return answer

    def start(self, *words: str) -> "subprocess.Popen[str]":
        command, pipe = [sys.executable, "-m", "pipelines.cli", *words], subprocess.PIPE
        return subprocess.Popen(command, env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, name: str, steps: int) -> "subprocess.Popen[str]":
        """A run whose training takes so many steps."""
        model = f"synthesizer={{kind: ctgan, batch_size: 60, budget_steps: {steps}, budget_minutes: 60}}"
        return self.start("run", str(self.space / "config.yaml"), "-s", f"name={name}", "-s", model, "--force")

    def taken(self) -> float:
        answer = httpx.get(f"{self.api}/v2/concurrency_limits/{LIMIT}", timeout=30)
        return float(answer.json()["active_slots"])

    def states(self) -> dict[str, str]:
        return {str(item["name"]): str(item["state"]) for item in list_runs(Workspace(self.space))}

    def trainings(self) -> int:
        """How many have begun: the folder is made when the slot is had."""
        return len({path.name.split(".")[0] for path in self.space.glob("artifacts/fit/*/")})


def waited(condition: Callable[[], bool], at_most: float = 240) -> float:
    """Seconds until it held."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < at_most, "waited in vain"
        time.sleep(0.5)
    return time.monotonic() - started


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    pd.DataFrame({"x": x, "y": np.where(x + rng.normal(0, 0.3, 200) > 0, "a", "b")}).to_csv(
        tmp_path / "rows.csv", index=False
    )
    (tmp_path / "config.yaml").write_text("source: {kind: table, path: rows.csv, label: y}\n")
    made = Runs(tmp_path)
    yield made
    assert made.ask("down") == {"stopped": ["prefect", "mlflow"]}


def test_the_slot_of_a_killed_run_goes_to_the_next_when_its_lease_is_over(runs: Runs) -> None:
    first = runs.run("first", 1_000_000)
    waited(lambda: first.poll() is not None or runs.taken() == 1)
    assert first.poll() is None, first.communicate()
    # Longer than a lease and the server's look for those that are over: it is renewed while the run lives.
    time.sleep(80)
    second = runs.run("second", 50)
    waited(lambda: runs.states().get("second") == "running")
    time.sleep(20)
    assert runs.taken() == 1
    assert runs.trainings() == 1
    first.kill()
    first.communicate()
    seconds = waited(lambda: runs.trainings() == 2)
    # At most a lease of 60 s, 15 s until the server looks, and the time until the one that waits asks again.
    assert 5 < seconds < 60 + 15 + 45
    out, said = second.communicate(timeout=300)
    assert second.returncode in (0, 3, 4), out + said
    assert "waiting for a slot of synthgen-gpu" in said
    assert runs.taken() == 0
