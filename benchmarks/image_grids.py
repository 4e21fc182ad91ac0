"""Real images, what the image GAN makes of them, and the nearest real ones: a picture of each dataset, to look at.

    python benchmarks/image_grids.py fashion_mnist_12k sign_digits64 --sizes 32 64 --seconds 120 --out docs/grids

Each row is a class. Trained on the split of seed 3, which no table is of. Nothing is curated or chosen: what is shown
lies evenly over what was drawn. Data: ../shared/data or SYNTHGEN_TEST_DATA.
"""

import argparse
import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from images import DATASETS, splits_of, train_ours
from PIL import Image

from synthgen.datasets import ImageSet
from synthgen.reports.pictures import ClassPictures, class_pictures
from synthgen.stats import named_rng

SEED = 3
GAP_PX = 6
LEAST_PX = 900  # of a picture's width, by whole multiples


def main() -> None:
    """Write a picture for each dataset and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", choices=DATASETS)
    parser.add_argument("--seconds", type=float, default=120.0, help="CPU seconds of training")
    parser.add_argument("--sizes", type=int, nargs="+", help="only these edge lengths of a dataset that has several")
    parser.add_argument("--out", type=Path, default=Path("docs/grids"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for dataset in arguments.datasets:
        for edge in DATASETS[dataset][1]:
            if arguments.sizes and edge not in (None, *arguments.sizes):
                continue
            path = arguments.out / f"{dataset}{f'-{edge}' if edge else ''}.png"
            picture_of(dataset, edge, arguments.seconds).save(path, optimize=True)
            print(path, flush=True)


def picture_of(dataset: str, edge: int | None, seconds: float) -> Image.Image:
    """Train, draw as many as the holdout has, and lay out."""
    splits = splits_of(dataset, edge, SEED)
    assert isinstance(splits.train, ImageSet)
    draw, _ = train_ours("ours", splits, seconds, SEED)
    return laid_out(class_pictures(splits.train, draw(splits.holdout.labels, named_rng(SEED, "sample"))))


def laid_out(classes: Sequence[ClassPictures]) -> Image.Image:
    """A row for each class: real, synthetic, nearest real."""
    rows = [[_pixels(strip.uri) for strip in pictures.strips] for pictures in classes]
    lines = [_padded(np.concatenate([_padded(strip, 1) for strip in row], 1), 0) for row in rows]
    # A class of few images has a shorter row.
    widest = max(line.shape[1] for line in lines)
    blank = [(0, 0)] * (lines[0].ndim - 2)
    joined = np.concatenate(
        [np.pad(line, [(0, 0), (0, widest - line.shape[1]), *blank], constant_values=255) for line in lines]
    )
    zoom = -(-LEAST_PX // joined.shape[1])
    return Image.fromarray(joined.repeat(zoom, 0).repeat(zoom, 1))


def _pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1]))))


def _padded(pixels: np.ndarray, axis: int) -> np.ndarray:
    widths = [(0, 0)] * pixels.ndim
    widths[axis] = (0, GAP_PX if axis else 2)
    return np.pad(pixels, widths, constant_values=255)


if __name__ == "__main__":
    main()
