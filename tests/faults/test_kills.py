"""Case 66: a run is killed at random moments; the same command goes on, and ends as if nothing had happened."""

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthgen.files import sha256_file
from synthgen.manifests import verify_manifest
from synthgen.runs import list_runs
from synthgen.workspace import Workspace

SPAWN = multiprocessing.get_context("forkserver")
# Imported once; a killed process should have spent its time on work.
PRELOADED = ["synthgen.augmentation", "mlflow.tracking", "ctgan", "xgboost", "sdmetrics.reports", "sqlalchemy"]


def table(path: Path, rows: int = 240) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=rows), "c": rng.choice(list("abc"), rows)})
    frame["class"] = np.where(frame["x"] + rng.normal(0, 0.3, rows) > 0, "right", "left")
    frame.to_csv(path, index=False)
    return path


def settings(data: Path) -> dict[str, Any]:
    return {
        "name": "killed",
        "source": {"kind": "table", "path": str(data), "label": "class"},
        "synthesizer": {"kind": "ctgan", "budget_steps": 150, "batch_size": 60},
        "plan": {"kind": "ratio", "ratio": 1},
        "evaluation": {"profile": "quick"},
    }


def run_plainly(raw: dict[str, Any], space: Path, said: Path) -> None:
    """In a process of its own: the whole run, without orchestrator."""
    os.setsid()
    with said.open("w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    import torch

    from synthgen.augmentation import run_augmentation
    from synthgen.config_reading import parse_config

    torch.set_num_threads(1)
    run_augmentation(parse_config(raw), Workspace(space), force=True)


@dataclass
class Command:
    """What is killed and run again: plain calls, or the command line with Prefect."""

    raw: dict[str, Any]
    space: Path

    def killed_after(self, delay: float) -> bool:
        """Whether it was still at work after so many seconds, and so was killed."""
        process = SPAWN.Process(target=run_plainly, args=(self.raw, self.space, self.space.with_suffix(".log")))
        process.start()
        process.join(delay)
        if process.is_alive():
            assert process.pid is not None
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
            return True
        assert process.exitcode == 0, self.space.with_suffix(".log").read_text()
        return False


def finished_stages(space: Path) -> dict[str, int]:
    return {str(path.parent): path.stat().st_mtime_ns for path in space.glob("artifacts/*/*/artifact.json")}


def whole_datasets(space: Path) -> list[Path]:
    found = list(space.glob("runs/*/*/dataset"))
    for dataset in found:
        verify_manifest(dataset)
    return found


def left_behind(space: Path) -> list[Path]:
    return [*space.rglob("*.partial"), *space.glob("runs/*/*/.*")]


def contents(space: Path) -> dict[str, Any]:
    """What must not depend on how often the run was stopped: weights and rows."""
    (dataset,) = whole_datasets(space)
    (model,) = space.glob("artifacts/fit/*/model")
    weights = {path.name: sha256_file(path) for path in model.glob("*.safetensors")}
    assert weights
    tables = {path.name: path for path in dataset.glob("*.parquet")}
    assert tables
    return weights | {name: pd.read_parquet(path).to_csv() for name, path in tables.items()}


def tracked_once(space: Path) -> None:
    """One MLflow run, finished, in which no number stands twice."""
    with sqlite3.connect(space / "mlflow.db") as store:
        runs = store.execute("SELECT run_uuid, status FROM runs").fetchall()
        twice = store.execute("SELECT key, step FROM metrics GROUP BY key, step HAVING count(*) > 1").fetchall()
        ticks = store.execute("SELECT count(*) FROM metrics WHERE key = 'train.seconds'").fetchone()[0]
        inputs = store.execute("SELECT count(*) FROM inputs").fetchone()[0]
    store.close()
    assert [status for _, status in runs] == ["FINISHED"]
    assert not twice
    assert (ticks, inputs) == (50, 2)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Command, float]:
    folder = tmp_path_factory.mktemp("straight")
    SPAWN.set_forkserver_preload(PRELOADED)
    command = Command(settings(table(folder / "data.csv")), folder / "space")
    started = time.monotonic()
    assert not command.killed_after(280)
    return command, time.monotonic() - started


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=[pytest.mark.nightly, pytest.mark.timeout(7200)])])
def test_66_killed_at_any_moment_the_same_command_ends_as_if_it_had_not_been(
    kills: int, uninterrupted: tuple[Command, float], tmp_path: Path
) -> None:
    command, seconds = uninterrupted
    expected, rng, killed, chain = contents(command.space), random.Random(66), 0, 0
    while killed < kills:
        space, chain, done = tmp_path / f"space-{chain}", chain + 1, dict[str, int]()
        again = Command(command.raw, space)
        while again.killed_after(rng.uniform(0.02, seconds / 3)):
            killed += 1
            whole_datasets(space)
            done = finished_stages(space) | done
            if any(record["state"] == "finished" for record in list_runs(Workspace(space))):
                # On its way out: the same command again would be another run.
                break
        now = finished_stages(space)
        assert {path: now[path] for path in done} == done, "a finished stage was built again"
        assert left_behind(space) == []
        (record,) = list_runs(Workspace(space))
        assert record["state"] == "finished"
        tracked_once(space)
        assert contents(space) == expected
