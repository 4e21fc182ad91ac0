"""One image GAN trained by one process and by several, with the same total batch and the same images shown.

    OMP_NUM_THREADS=1 python benchmarks/image_team.py run --processes 1 2 --seeds 0 1 2 --out image_team.jsonl
    python benchmarks/image_team.py table image_team.jsonl

`run` cuts mnist-5k by each seed, trains with each number of processes in turn, and appends one line for each, judged on
held-out digits; lines that are there are not made again. `table` prints Markdown: the median over seeds, and of each
seed. Seconds are those of the clock, and CPU seconds of the first process, which say what idle cores would give.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from images import read_lines, told

from pipelines.helping import helped
from synthgen.config import EVALUATION_SIZES, BuiltinSource, ImageGanConfig, SplitConfig
from synthgen.datasets import ImageSet, Splits
from synthgen.metrics import Evaluation, measured
from synthgen.sources import read
from synthgen.splitting import split
from synthgen.stats import named_rng
from synthgen.synthesizers.image_gan import ImageGan

METRICS = ("frechet_ratio", "class_agreement", "coverage")
# Of each metric the number of the worst class, or the mean over classes.
COLUMNS = {
    "Fréchet ratio": ("frechet_ratio", "value"),
    "class agreement − real's": ("class_agreement", "value"),
    "of all classes": ("class_agreement", "mean"),
    "coverage": ("coverage", "value"),
}


def main() -> None:
    """Train and judge, or print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run_parser = commands.add_parser("run")
    run_parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    run_parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    run_parser.add_argument("--images", type=int, default=20_000, help="shown in each training")
    run_parser.add_argument("--out", type=Path, default=Path("image_team.jsonl"))
    one_parser = commands.add_parser("one", help="a single line, as `run` starts it")
    one_parser.add_argument("wanted", type=json.loads)
    table_parser = commands.add_parser("table")
    table_parser.add_argument("results", type=Path)
    arguments = parser.parse_args()
    match arguments.command:
        case "run":
            run(arguments)
        case "one":
            print(json.dumps({**arguments.wanted, **trained_and_judged(**arguments.wanted)}))
        case "table":
            table(read_lines(arguments.results))


def run(arguments: argparse.Namespace) -> None:
    """Append a line for each seed and number of processes that has none; each in a process of its own."""
    for seed in arguments.seeds:
        for processes in arguments.processes:
            wanted = {"processes": processes, "seed": seed, "images": arguments.images}
            if any(wanted.items() <= line.items() for line in read_lines(arguments.out)):
                continue
            command = [sys.executable, __file__, "one", json.dumps(wanted)]
            line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            with arguments.out.open("a", encoding="utf-8") as stream:
                stream.write(line)
            print(line, end="", flush=True)


def trained_and_judged(processes: int, seed: int, images: int) -> dict[str, Any]:
    """Rates and metrics of one training."""
    torch.set_num_threads(1)
    splits = digits(seed)
    assert isinstance(splits.holdout, ImageSet)
    gan = ImageGan(ImageGanConfig(kind="image-gan", budget_images=images))
    with helped(processes):
        before = time.process_time()
        gan.fit(splits.train, splits.valid, np.random.default_rng(seed))
        cpu_s = time.process_time() - before
    drawn = gan.sample(len(splits.holdout), splits.holdout.labels, named_rng(seed, "sample"))
    evaluation = Evaluation(splits.train, splits.holdout, drawn, EVALUATION_SIZES["quick"], seed)
    facts = {
        "per_s": images / gan.history[-1]["seconds"],
        "per_cpu_s": images / cpu_s,
        "load": os.getloadavg()[0],
        "rollbacks": sum("rollbacks" in tick for tick in gan.history),
    }
    return {**facts, **{name: told(measured(evaluation, "images", name)) for name in METRICS}}


def digits(seed: int) -> Splits:
    """Train, valid and holdout by this seed."""
    ingested = read(BuiltinSource(kind="builtin", name="mnist-5k"), seed=0)
    return split(replace(ingested, parts=None), SplitConfig(), named_rng(seed, "split"))


def table(lines: list[dict[str, Any]]) -> None:
    """One row for each number of processes."""
    print(f"| processes | seeds | images/s | images per CPU s of the first | {' | '.join(COLUMNS)} |")
    print("|" + "---|" * (4 + len(COLUMNS)))
    for processes in sorted({line["processes"] for line in lines}):
        group = [line for line in lines if line["processes"] == processes]
        rates = [f"{statistics.median(line[name] for line in group):.0f}" for name in ("per_s", "per_cpu_s")]
        found = [shown([line[metric][part] for line in group]) for metric, part in COLUMNS.values()]
        print(f"| {processes} | {len(group)} | {' | '.join([*rates, *found])} |")


def shown(values: list[float]) -> str:
    """The median, and the value of each seed."""
    return f"{statistics.median(values):.2f} ({', '.join(f'{value:.2f}' for value in values)})"


if __name__ == "__main__":
    main()
