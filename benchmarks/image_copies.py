"""How many copies of training images, altered, `near_copies` flags, and how many fresh real images: images.md.

    python benchmarks/image_copies.py [fashion_mnist_12k ...]

Up to 300 training images of each dataset, each altered in one way; the bar rests on one half of the held-out images,
the other half is fresh. Data: ../shared/data or SYNTHGEN_TEST_DATA.
"""

import argparse
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
from images import DATASETS, splits_of

from synthgen.config import EVALUATION_SIZES
from synthgen.datasets import ImageSet
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.privacy.near_copies import MINIMUM_IMAGES, near_copies
from synthgen.stats import named_rng

COPIES = 300
NOISE = 0.05

Pixels = npt.NDArray[Any]


def moved(pixels: Pixels, by: int) -> Pixels:
    """Moved down and to the left, what leaves on one side comes in on the other."""
    return np.roll(pixels, (by, -by), axis=(-2, -1))


ALTERED: Mapping[str, Callable[[Pixels], Pixels]] = {
    "as they are": lambda pixels: pixels,
    "moved 1 px": lambda pixels: moved(pixels, 1),
    "moved 2 px": lambda pixels: moved(pixels, 2),
    "mirrored": lambda pixels: pixels[..., ::-1],
    "60 % contrast": lambda pixels: 0.6 * pixels + 0.2,
    "mirrored, moved 1 px": lambda pixels: moved(pixels[..., ::-1], 1),
}


def main() -> None:
    """Print a row for each dataset and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", choices=(*DATASETS, []))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"| dataset | train | fresh | fresh flagged [95 %] | {' | '.join(ALTERED)} |")
    print("|" + "---|" * (4 + len(ALTERED)))
    for dataset in arguments.datasets or DATASETS:
        for edge in DATASETS[dataset][1]:
            print(row(dataset, edge, arguments.seed), flush=True)


def row(dataset: str, edge: int | None, seed: int) -> str:
    """Shares flagged; each copy has noise of 5 % of the range, but those that are as they are."""
    splits = splits_of(dataset, edge, seed)
    train, held_out = splits.train, splits.holdout
    assert isinstance(train, ImageSet)
    assert isinstance(held_out, ImageSet)
    rng = named_rng(seed, "copies")
    title = dataset + (f", {edge} px" if edge else "")
    if len(held_out) < 2 * MINIMUM_IMAGES:
        return f"| {title} | {len(train):,} | – |" + " – |" * (1 + len(ALTERED))
    order = rng.permutation(len(held_out))
    bar, fresh = held_out.take(order[::2]), held_out.take(order[1::2])
    source = train.take(rng.permutation(len(train))[:COPIES])
    flagged = near_copies(Evaluation(train, bar, fresh, EVALUATION_SIZES["quick"]))
    cells = [f"{100 * flagged.value:.1f} [{100 * flagged.low:.1f}, {100 * flagged.high:.1f}]"]
    for name, alter in ALTERED.items():
        pixels = alter(source.images / source.max_value)
        if name != "as they are":
            pixels = pixels + rng.normal(0, NOISE, pixels.shape)
        copies = replace(source, images=np.clip(np.rint(pixels * source.max_value), 0, 255).astype(np.uint8))
        cells.append(f"{100 * near_copies(Evaluation(train, bar, copies, EVALUATION_SIZES['quick'])).value:.1f}")
    return f"| {title} | {len(train):,} | {len(fresh):,} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
