"""What does comparing a candidate with the champion cost on Adult, and how wide is the interval where both are equal?

Two random halves of the training rows stand for the rows that two models draw, so the true difference is 0. Both are
compared as `synthgen promote` does, on the held-out rows, for each purpose.

    OMP_NUM_THREADS=1 SYNTHGEN_TEST_DATA=../shared/data python benchmarks/promotion.py [--seed 0]

prints a line for each purpose; docs/decisions/0010-champions-are-compared-by-use.md has the result.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tabular import config_of

from synthgen.datasets import Table
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.utility.augmentation import gain_between
from synthgen.sources import read
from synthgen.splitting import split
from synthgen.stats import named_rng


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SYNTHGEN_TEST_DATA", "../shared/data")))
    arguments = parser.parse_args()
    config = config_of("adult", arguments.seed, arguments)
    splits = split(read(config.source, seed=config.seed), config.split, named_rng(config.seed, "split"))
    train, holdout = splits.train, splits.holdout
    assert isinstance(train, Table)
    order = named_rng(config.seed, "halves").permutation(len(train))
    for purpose in ("augment", "share"):
        began = time.process_time()
        ours, theirs = (
            Evaluation(
                train=train, holdout=holdout, synthetic=train.take(half), size=config.evaluation_size, seed=config.seed
            )
            for half in (order[: len(train) // 2], order[len(train) // 2 :])
        )
        gain = gain_between(ours, theirs, alone=purpose == "share")
        interval = f"{gain['value']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]"
        print(
            f"{purpose}: {len(holdout)} held-out rows, {interval}, {time.process_time() - began:.0f} CPU s", flush=True
        )


if __name__ == "__main__":
    main()
