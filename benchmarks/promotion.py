"""What does comparing a candidate with the champion cost, and how wide is the interval where both are equal?

Two random halves of the training rows stand for the rows that two models draw, so the true difference is 0. Both are
compared as `synthgen promote` does, on the held-out rows, for each purpose: on Adult, and on a small table (Wisconsin
breast cancer).

    OMP_NUM_THREADS=1 SYNTHGEN_TEST_DATA=../shared/data python benchmarks/promotion.py [--seed 0]

prints a line for each table and purpose; docs/decisions/0010-champions-are-compared-by-use.md has the result.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tabular import config_of

from synthgen.config import RunConfig
from synthgen.config_reading import parse_config
from synthgen.datasets import Splits
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.utility.augmentation import gain_between
from synthgen.metrics.utility.controls import Gain
from synthgen.sources import read
from synthgen.splitting import split
from synthgen.stats import named_rng


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SYNTHGEN_TEST_DATA", "../shared/data")))
    arguments = parser.parse_args()
    small = parse_config({"source": {"kind": "builtin", "name": "breast-cancer"}, "seed": arguments.seed})
    for config in (config_of("adult", arguments.seed, arguments), small):
        splits = split(read(config.source, seed=config.seed), config.split, named_rng(config.seed, "split"))
        for purpose in ("augment", "share"):
            began = time.process_time()
            gain = gain_of_halves(splits, config, alone=purpose == "share")
            interval = f"{gain['value']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]"
            seconds = time.process_time() - began
            print(f"{len(splits.holdout)} held-out rows, {purpose}: {interval}, {seconds:.0f} CPU s", flush=True)


def gain_of_halves(splits: Splits, config: RunConfig, *, alone: bool) -> Gain:
    """Balanced accuracy with one random half of the training rows as the synthetic ones minus with the other."""
    train = splits.train
    order = named_rng(config.seed, "halves").permutation(len(train))
    ours, theirs = (
        Evaluation(
            train=train,
            holdout=splits.holdout,
            synthetic=train.take(half),
            size=config.evaluation_size,
            seed=config.seed,
        )
        for half in (order[: len(train) // 2], order[len(train) // 2 :])
    )
    return gain_between(ours, theirs, alone=alone)


if __name__ == "__main__":
    main()
