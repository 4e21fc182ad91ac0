"""CPU seconds of encoding: ours against the DataTransformer of the ctgan package, on the same rows of Adult.

    OMP_NUM_THREADS=1 python benchmarks/encoding.py --rows 10000 --repeats 5

prints a table as markdown: median over the repeats, taken in turn, and their ratio. It ends with exit code 1 below a
ratio of 50. The rows have no missing numbers, since the package cannot read them. A minute on one core.
"""

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pandas as pd
from ctgan.data_transformer import DataTransformer
from joblib import parallel_config

from synthgen.config import TableSource
from synthgen.datasets import Table
from synthgen.sources import ingest_frame
from synthgen.synthesizers.encoding.encoder import Encoder

DEMANDED_RATIO = 50


def main() -> None:
    """Time both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SYNTHGEN_TEST_DATA", "../shared/data")))
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    whole = adult(arguments.data)
    some = Table(whole.frame.sample(arguments.rows, random_state=0, ignore_index=True), whole.schema)
    timed = [(cpu_seconds(ours, some), cpu_seconds(library, some)) for _ in range(arguments.repeats)]
    our_seconds, library_seconds = (median(seconds) for seconds in zip(*timed, strict=True))
    full_seconds = median(cpu_seconds(ours, whole) for _ in range(arguments.repeats))
    ratio = library_seconds / our_seconds
    print("| fit and encode | rows | CPU s | ratio |\n|---|---|---|---|")
    print(f"| ctgan DataTransformer | {len(some):,} | {library_seconds:.2f} | 1 |")
    print(f"| synthgen | {len(some):,} | {our_seconds:.3f} | {ratio:.0f} |")
    print(f"| synthgen | {len(whole):,} | {full_seconds:.3f} | |")
    if ratio < DEMANDED_RATIO:
        sys.exit(f"the ratio {ratio:.0f} is below {DEMANDED_RATIO}")


def adult(folder: Path) -> Table:
    """Adult without its own split (Becker 1996, UCI 2)."""
    frame = pd.read_parquet(folder / "adult" / "adult.parquet").drop(columns="split")
    data = ingest_frame(frame, TableSource(kind="table", path="adult", label="income"), split_column=None).data
    assert isinstance(data, Table)
    return data


def ours(table: Table) -> None:
    """Fit and encode."""
    Encoder.fit(table).encode(table)


def library(table: Table) -> None:
    """Fit and transform, as ctgan.fit does, but in this process: the CPU time of its workers could not be counted."""
    with parallel_config(backend="sequential"):
        transformer = DataTransformer()
        transformer.fit(table.frame, table.schema.of_kind("categorical", "boolean"))
        transformer.transform(table.frame)


def cpu_seconds(work: Callable[[Table], None], table: Table) -> float:
    """CPU seconds of one call, all threads."""
    with warnings.catch_warnings():
        # The package's mixture models complain of convergence on spiked columns.
        warnings.simplefilter("ignore")
        started = time.process_time()
        work(table)
        return time.process_time() - started


if __name__ == "__main__":
    main()
