"""What spreading costs and gains: draws, evaluations and sweeps in one process and over two Dask workers.

python benchmarks/scale_out.py [--rows 262144] [--rounds 1] > table.md      (about three minutes on two idle cores)

Every line is a ratio within one call: seconds in one process over seconds with two workers, once with the start of the
workers and once without. Results of both are compared, and the script fails when a byte differs.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pipelines.bootstrap import bootstrap
from pipelines.combinations import combinations
from pipelines.orchestration import start_server
from pipelines.runners import Runner, spreading
from pipelines.sweeping import sweep_plainly
from synthgen.augmentation import run_augmentation
from synthgen.config_reading import load_config
from synthgen.datasets import Splits
from synthgen.runs import list_runs
from synthgen.shards import Compared, Spread, Wanted, drawn, in_turn, measured_apart
from synthgen.stages import curate_candidates, fit, ingest, sample, split_data
from synthgen.stats import named_rng
from synthgen.workspace import Workspace

R = TypeVar("R")
CONFIG = """
source: {kind: builtin, name: breast-cancer}
synthesizer: {kind: autoregressive, budget_steps: 200}
plan: {kind: ratio, ratio: 1}
"""
TWO = Runner("dask", 2)


def timed(work: Callable[[], R]) -> tuple[R, float]:
    """What it returns, and its seconds."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def report(name: str, alone: list[float], spread: list[float], start: float) -> None:
    """One line of the table."""
    one, two = statistics.median(alone), statistics.median(spread)
    print(f"| {name} | {one:.1f} | {two:.1f} | {start:.1f} | {one / two:.2f} | {one / (two + start):.2f} |", flush=True)


def compare(name: str, work: Callable[[Spread, int], R], rounds: int) -> None:
    """Measure the work in turn and over two workers, whose first call also imports what it needs."""
    alone = [timed(lambda i=i: work(in_turn, i)) for i in range(rounds)]  # type: ignore[misc]
    started = time.perf_counter()
    with spreading(TWO) as spread:
        list(spread(len, ["", ""]))
        start = time.perf_counter() - started
        spreads = [timed(lambda i=i: work(spread, rounds + i)) for i in range(rounds)]  # type: ignore[misc]
    assert all(found == alone[0][0] for found, _ in [*alone, *spreads]), f"{name}: the results differ"
    report(name, [seconds for _, seconds in alone], [seconds for _, seconds in spreads], start)


def draws_and_metrics(space: Workspace, path: Path, rows: int, rounds: int) -> None:
    """A large draw, and the metrics of a run."""
    config = load_config(path)
    splits = split_data(config, space, ingest(config, space))
    model = fit(config, space, splits)
    folder = model.directory / "model"

    def draw(spread: Spread, number: int) -> str:
        scratch = space.root / f"scratch{number}"
        return drawn(folder, Wanted(rows), named_rng(0, "draw"), scratch=scratch, spread=spread).fingerprint()

    compare(f"draw of {rows:,} rows", draw, rounds)
    synthetic = curate_candidates(config, space, splits, model, sample(config, space, splits, model))
    compared = Compared(splits.path, synthetic.path, "quick", 0)
    train = len(Splits.load(splits.directory).train)
    compare(f"metrics of {train} rows", lambda spread, _: measured_apart(compared, "table", spread=spread), rounds)


def sweeps(folder: Path, path: Path) -> None:
    """Four runs in one process, and over Prefect's task runner on two Dask workers."""
    attempts = combinations([path], seeds="0-3", settings=[])
    alone, spread = Workspace(folder / "alone"), Workspace(folder / "spread")
    # The store of MLflow is made before the clock runs.
    run_augmentation(load_config(path, ["seed=9"]), alone)
    run_augmentation(load_config(path, ["seed=9"]), spread)
    _, one = timed(lambda: sweep_plainly(attempts, alone, "alone"))
    _, start = timed(lambda: start_server(spread))
    from pipelines.sweep import sweep_flow

    _, two = timed(lambda: sweep_flow(attempts, spread, "spread", TWO))
    hashes = [
        {str(run["config_hash"]): run["synthetic_sha256"] for run in list_runs(space)} for space in (alone, spread)
    ]
    assert hashes[0] == hashes[1], "the results differ"
    report("sweep of 4 runs", [one], [two], start)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4 * 65_536)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "config.yaml").write_text(CONFIG)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
        bootstrap(Workspace(folder / "spread"))
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
        print("| work | one process, s | two workers, s | start, s | faster by | with the start |")
        print("|---|---|---|---|---|---|")
        draws_and_metrics(Workspace(folder / "alone"), folder / "config.yaml", arguments.rows, arguments.rounds)
        sweeps(folder, folder / "config.yaml")


if __name__ == "__main__":
    main()
