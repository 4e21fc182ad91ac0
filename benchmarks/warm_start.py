"""Does training go on faster from an earlier model? C2ST after k steps, warm against cold, as Adult grows by a fifth.

An earlier ctgan is trained on 3,000 rows of Adult with its usual steps; 600 other rows come in. Both arms train on all
3,600 with k steps; the AUC of a classifier that tells their rows from 3,000 held-out ones is lower for the better one.
0 steps is the earlier model as it stands. With --drift the rows that come in are people over 45, and the earlier ones
are not; of the held-out ones as many are.

    OMP_NUM_THREADS=1 SYNTHGEN_TEST_DATA=../shared/data python benchmarks/warm_start.py [--seeds 3] [--drift]

prints one JSON line per training, then a table; docs/drift.md has the result.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from synthgen.config import EVALUATION_SIZES, CtganConfig, TableSource
from synthgen.datasets import Table
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.fidelity.c2st import c2st_auc
from synthgen.sources import read
from synthgen.synthesizers import create

STEPS = (25, 75, 150, 300)
EARLIER_ROWS, CAME_IN, VALID_ROWS, HOLDOUT_ROWS = 3_000, 600, 1_000, 3_000


def adult() -> Table:
    """A random part of Adult."""
    folder = Path(os.environ.get("SYNTHGEN_TEST_DATA", "../shared/data")) / "adult"
    path = next(file for file in sorted(folder.iterdir()) if file.suffix in (".csv", ".parquet", ".gz"))
    rows = 3 * (EARLIER_ROWS + CAME_IN + VALID_ROWS + HOLDOUT_ROWS)
    source = TableSource(kind="table", path=str(path), label=LABEL, drop=("split",), max_rows=rows)
    data = read(source, seed=0, split_column=None).data
    assert isinstance(data, Table)
    return data


LABEL = "income"


def grown_older(table: Table, order: np.ndarray) -> np.ndarray:
    """The order with nobody over 45 among the earlier rows, nobody else among those that come in."""
    is_old = (table.frame["age"] > 45).to_numpy()[order]
    old, young = order[is_old], order[~is_old]
    others = (VALID_ROWS + HOLDOUT_ROWS) // 6
    rest = np.concatenate([old[CAME_IN : CAME_IN + others], young[EARLIER_ROWS : EARLIER_ROWS + 5 * others]])
    rest = np.random.default_rng(0).permutation(rest)
    return np.concatenate([young[:EARLIER_ROWS], old[:CAME_IN], rest])


def trained(rows: Table, valid: Table, seed: int, *, steps: int | None, start: Path | None, folder: Path) -> float:
    """CPU seconds of the training; the model is in `folder`."""
    began = time.process_time()
    model = create(CtganConfig(kind="ctgan", budget_steps=steps), rows, start=start)
    model.fit(rows, valid, np.random.default_rng(seed))
    model.save(folder)
    stated = json.loads((folder / "synthesizer.json").read_text()).get("start", "cold")
    assert stated == ("cold" if start is None else "warm"), stated
    return time.process_time() - began


def separated(folder: Path, rows: Table, holdout: Table, seed: int) -> float:
    """AUC of the classifier that tells drawn rows from held-out ones."""
    from synthgen.synthesizers import load_synthesizer

    drawn = load_synthesizer(folder).sample(len(holdout), holdout.labels, np.random.default_rng(seed))
    size = EVALUATION_SIZES["quick"]
    return c2st_auc(Evaluation(train=rows, holdout=holdout, synthetic=drawn, size=size, seed=seed)).value


def main() -> None:
    """Every number of steps, warm and cold, over the seeds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--drift", action="store_true")
    options, lines = parser.parse_args(), []
    for seed in range(options.seeds):
        table = adult()
        order = np.random.default_rng(seed).permutation(len(table))
        if options.drift:
            order = grown_older(table, order)
        cuts = np.cumsum([EARLIER_ROWS, CAME_IN, VALID_ROWS])
        earlier, came, valid, holdout = (table.take(part) for part in np.split(order[: cuts[-1] + HOLDOUT_ROWS], cuts))
        rows = Table(pd.concat([earlier.frame, came.frame], ignore_index=True), table.schema)
        with tempfile.TemporaryDirectory() as scratch:
            before = Path(scratch) / "earlier"
            trained(earlier, valid, seed, steps=None, start=None, folder=before)
            lines.append(
                {"seed": seed, "steps": 0, "warm": True, "auc": separated(before, rows, holdout, seed), "cpu_s": 0.0}
            )
            print(json.dumps(lines[-1]), flush=True)
            for steps in STEPS:
                for start in (None, before):
                    folder = Path(scratch) / f"{steps}-{start is None}"
                    seconds = trained(rows, valid, 100 + seed, steps=steps, start=start, folder=folder)
                    auc = separated(folder, rows, holdout, seed)
                    lines.append(
                        {"seed": seed, "steps": steps, "warm": start is not None, "auc": auc, "cpu_s": seconds}
                    )
                    print(json.dumps(lines[-1]), flush=True)
    print(pd.DataFrame(lines).groupby(["steps", "warm"])[["auc", "cpu_s"]].agg(["mean", "std"]).round(3))


if __name__ == "__main__":
    main()
