"""Does training an image GAN go on faster from an earlier model? Fréchet ratio after k steps, warm against cold.

An earlier model of 2,500 digits of mnist-5k is trained with 1,500 steps; 500 others come in. Both arms train on all
3,000 with k steps, and are judged on 1,500 held-out digits: worst class, 1 = real ones. 0 steps is the earlier model.

    OMP_NUM_THREADS=1 python benchmarks/warm_start_images.py [--seeds 2]

prints one JSON line per training, then a table; docs/drift.md has the result.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from synthgen.config import EVALUATION_SIZES, ImageGanConfig
from synthgen.datasets import ImageSet
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.fidelity.frechet import frechet_ratio
from synthgen.sources.builtin import mnist_5k
from synthgen.stats import named_rng
from synthgen.synthesizers import create, load_synthesizer
from synthgen.synthesizers.protocol import Synthesizer

EARLIER_STEPS, STEPS = 1_500, (250, 750, 1_500)
EARLIER, CAME_IN, VALID, HOLDOUT = 2_500, 500, 500, 1_500


def main() -> None:
    """Measure, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    found: dict[tuple[str, int], list[float]] = {}
    for seed in range(parser.parse_args().seeds):
        for arm, steps, ratio, seconds in arms(seed):
            found.setdefault((arm, steps), []).append(ratio)
            print(json.dumps({"seed": seed, "arm": arm, "steps": steps, "frechet_ratio": ratio, "cpu_s": seconds}))
    print("\n| steps | cold | warm |\n|---|---|---|")
    for steps in (0, *STEPS):
        cells = [statistics.mean(found[arm, steps]) if (arm, steps) in found else None for arm in ("cold", "warm")]
        print(f"| {steps:,} | {' | '.join('–' if cell is None else f'{cell:.2f}' for cell in cells)} |")


def arms(seed: int) -> list[tuple[str, int, float, float]]:
    """Arm, steps, Fréchet ratio of the worst class, and CPU seconds of each training."""
    digits = mnist_5k().data
    assert isinstance(digits, ImageSet)
    order = named_rng(seed, "split").permutation(len(digits))
    places = np.cumsum([EARLIER, CAME_IN, VALID, HOLDOUT])
    earlier, _, valid, holdout = (digits.take(rows) for rows in np.split(order, places)[:4])
    train = digits.take(order[: EARLIER + CAME_IN])
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder)
        trained(earlier, valid, EARLIER_STEPS, seed, None)[0].save(start)
        found = [("warm", 0, judged(load_synthesizer(start), train, holdout, seed), 0.0)]
        for steps in STEPS:
            for arm, begin in (("cold", None), ("warm", start)):
                model, seconds = trained(train, valid, steps, seed, begin)
                found.append((arm, steps, judged(model, train, holdout, seed), seconds))
    return found


def config(steps: int) -> ImageGanConfig:
    """The defaults, with so many steps."""
    return ImageGanConfig(kind="image-gan", budget_steps=steps)


def trained(train: ImageSet, valid: ImageSet, steps: int, seed: int, start: Path | None) -> tuple[Synthesizer, float]:
    """The model, and CPU seconds of its training."""
    began = time.process_time()
    model = create(config(steps), train, start=start).fit(train, valid, named_rng(seed, f"fit/{start is None}"))
    return model, time.process_time() - began


def judged(model: Synthesizer, train: ImageSet, holdout: ImageSet, seed: int) -> float:
    """Fréchet ratio of the worst class."""
    drawn = model.sample(len(holdout), holdout.labels, named_rng(seed, "sample"))
    return frechet_ratio(Evaluation(train, holdout, drawn, EVALUATION_SIZES["quick"], seed=seed)).value


if __name__ == "__main__":
    main()
