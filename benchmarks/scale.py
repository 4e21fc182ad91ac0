"""Seconds and peak memory of every stage on generated tables, up to a million rows; the source of estimates.py.

    python benchmarks/scale.py --rows 10000 100000 --kinds ctgan autoregressive cart tvae
    python benchmarks/scale.py --rows 1000000 --kinds ctgan --steps 300 --no-judge

One process for each line, one thread. The tables have real, whole and categorical columns and one column with 1,000
categories. Cells are CPU seconds and the largest resident memory up to the end of the stage, in GB; `levels` counts the
codes of all columns.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from synthgen.config import RowsPlan, RunConfig
from synthgen.config_reading import parse_config
from synthgen.curation.choice import judged_arms
from synthgen.curation.plan import planned_counts
from synthgen.curation.selection import CurationRecord, Screen, candidates_per_row, curate
from synthgen.datasets import Data, Labels, Splits, Table, class_counts
from synthgen.metrics import Evaluation, measure
from synthgen.stages import ingest, split_data
from synthgen.stats import named_rng
from synthgen.synthesizers import Synthesizer, create
from synthgen.synthesizers.encoding.encoder import Encoder
from synthgen.workspace import Workspace

T = TypeVar("T")
STAGES = ("ingest", "split", "fit", "sample", "judge", "curate", "evaluate")


def main() -> None:
    """Measure each combination and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000])
    parser.add_argument("--columns", type=int, nargs="+", default=[20])
    parser.add_argument("--levels", type=int, default=1_000, help="categories of the widest column")
    parser.add_argument("--kinds", nargs="+", default=["ctgan"])
    parser.add_argument("--steps", type=int, default=200, help="of the kinds that train by steps")
    parser.add_argument("--drawn", type=int, default=100_000, help="rows to sample")
    parser.add_argument("--format", choices=("parquet", "csv"), default="parquet")
    parser.add_argument("--judge", action=argparse.BooleanOptionalAction, default=True, help="the stages after sample")
    parser.add_argument("--json", action="store_true", help="one JSON object for each line instead of a table")
    arguments = parser.parse_args()
    if not arguments.json:
        print("| rows | columns | levels | kind |", " | ".join(f"{name} s, GB" for name in STAGES), "|")
        print("|" + "---|" * (4 + len(STAGES)))
    for rows in arguments.rows:
        for columns in arguments.columns:
            for kind in arguments.kinds:
                line = measured(rows, columns, kind, arguments)
                print(json.dumps(line) if arguments.json else shown(line), flush=True)


def table(rows: int, columns: int, levels: int, rng: np.random.Generator) -> pd.DataFrame:
    """`columns` columns that depend on one hidden factor, the label among them."""
    hidden = rng.normal(size=rows)
    frame = {"class": np.where(hidden + rng.normal(size=rows) > 1, "yes", "no")}
    names = np.asarray([f"town {position:05}" for position in range(levels)])
    frame["town"] = names[np.minimum(rng.exponential(levels / 7, rows).astype(int), levels - 1)]
    for position in range(columns - 2):
        noise = rng.normal(size=rows)
        match position % 3:
            case 0:
                frame[f"real{position}"] = np.round(np.exp(0.5 * hidden + noise), 6)
            case 1:
                frame[f"count{position}"] = rng.poisson(np.exp(1 + 0.3 * hidden))
            case _:
                frame[f"kind{position}"] = names[np.clip((2 * hidden + 2 * noise + 8).astype(int), 0, 15)]
    return pd.DataFrame(frame)


def measured(rows: int, columns: int, kind: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One line, from a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"table.{arguments.format}"
        # Linux counts the peak of the parent as the child's: the table is made in a process of its own, too.
        maker = context.Process(target=_write_table, args=(path, rows, columns, arguments.levels))
        maker.start()
        maker.join()
        process = context.Process(target=_measure, args=(path, kind, arguments, sending))
        process.start()
        sending.close()
        line: dict[str, Any] = receiving.recv()
        process.join()
    return {"rows": rows, "columns": columns, "kind": kind, **line}


def _write_table(path: Path, rows: int, columns: int, levels: int) -> None:
    frame = table(rows, columns, levels, np.random.default_rng(0))
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)


def _measure(path: Path, kind: str, arguments: argparse.Namespace, out: Any) -> None:
    config = _config(path, kind, arguments.steps)
    line: dict[str, Any] = {"base_gb": _peak_gb()}

    space = Workspace(path.parent)
    data = timed(line, "ingest", lambda: ingest(config, space))
    splits = Splits.load(timed(line, "split", lambda: split_data(config, space, data)).directory)
    model = create(config.synthesizer, splits.train)
    timed(line, "fit", lambda: model.fit(splits.train, splits.valid, named_rng(0, "fit")))
    drawn = timed(line, "sample", lambda: model.sample(arguments.drawn, None, named_rng(0, "sample")))
    train, valid = splits.train, splits.valid
    assert isinstance(train, Table)
    assert isinstance(valid, Table)
    assert isinstance(drawn, Table)
    if arguments.judge:
        timed(line, "judge", lambda: judged_arms(kind, 0.0, model, config, train, valid))
        timed(
            line,
            "curate",
            lambda: _curated(model, config, splits, arguments.drawn // candidates_per_row(arguments.drawn)),
        )
        timed(line, "evaluate", lambda: measure(_evaluation(config, splits, drawn), "table"))
    line["levels"] = sum(Encoder.fit(train).sizes)
    out.send(line)


def timed(line: dict[str, Any], stage: str, work: Callable[[], T]) -> T:
    """What the work gives; seconds and peak memory go into the line."""
    cpu, wall = time.process_time(), time.monotonic()
    result = work()
    spent = {"cpu": time.process_time() - cpu, "wall": time.monotonic() - wall, "peak_gb": _peak_gb()}
    line[stage] = {name: round(value, 2) for name, value in spent.items()}
    return result


def _config(path: Path, kind: str, steps: int) -> RunConfig:
    settings = {"kind": kind, **({} if kind in ("cart", "copies", "marginals") else {"budget_steps": steps})}
    source = {"kind": "table", "path": str(path), "label": "class", "max_rows": None}
    return parse_config({"source": source, "synthesizer": settings})


def _curated(model: Synthesizer, config: RunConfig, splits: Splits, rows: int) -> CurationRecord:
    def draw(labels: Labels, rng: np.random.Generator) -> Data:
        return model.sample(len(labels), labels, rng)

    quota = planned_counts(RowsPlan(kind="rows", rows=rows), class_counts(splits.train))
    times = candidates_per_row(sum(quota.values()))
    labels = np.repeat(np.asarray(list(quota), dtype=np.str_), [times * count for count in quota.values()])
    screen = Screen.of(splits.train, splits.valid, config.curation)
    candidates = draw(labels, named_rng(0, "sample"))
    return curate(candidates, quota, draw, screen, config.curation, named_rng(0, "curate"))[1]


def _evaluation(config: RunConfig, splits: Splits, drawn: Table) -> Evaluation:
    synthetic = drawn.take(np.arange(min(len(drawn), len(splits.train) // 2)))
    return Evaluation(
        train=splits.train,
        holdout=splits.holdout,
        synthetic=synthetic,
        size=config.evaluation_size,
        seed=0,
        probe=synthetic,
    )


def _peak_gb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**30 if sys.platform == "darwin" else 2**20), 2)


def shown(line: dict[str, Any]) -> str:
    """The line as Markdown."""
    cells = [f"{line[stage]['cpu']:.1f}, {line[stage]['peak_gb']:.2f}" if stage in line else "–" for stage in STAGES]
    return (
        f"| {line['rows']:,} | {line['columns']} | {line.get('levels', '–')} | {line['kind']} | {' | '.join(cells)} |"
    )


if __name__ == "__main__":
    main()
