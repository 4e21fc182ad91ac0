"""Planted failures of image sets, in the form of planted.py: what the audit must refuse, and fresh images it must not.

500 images of each class in train and in the synthetic set, 350 held out. The sets are those of data/README.md, found
through SYNTHGEN_TEST_DATA or beside the repository; what is absent is left out.
"""

import io
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from planted import HONEST, Experiment, Outcome, Plant, Sides
from scipy.cluster.vq import kmeans2

from synthgen.datasets import ImageSet, Index, class_rows

TRAIN, HELD_OUT, SYNTHETIC = 500, 350, 500
MODES = 5
WRONG_LABELS = 0.1
DATA = Path(os.environ.get("SYNTHGEN_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
PX = 28

Pixels = npt.NDArray[np.uint8]


@cache
def fashion(classes: tuple[int, ...]) -> ImageSet:
    """1,500 images of each of these classes of fashion_mnist_12k."""
    return _of_classes(DATA / "fashion_mnist_12k" / "fashion_mnist_12k.npz", classes)


@cache
def pneumonia(classes: tuple[int, ...]) -> ImageSet:
    """1,583 and 4,273 chest X-rays of children."""
    return _of_classes(DATA / "pneumoniamnist" / "pneumoniamnist.npz", classes)


@cache
def mednist(classes: tuple[int, ...]) -> ImageSet:
    """1,200 images of each kind of scan, reduced to 28 px: at most 350 are left as synthetic ones."""
    images, codes = [], []
    with zipfile.ZipFile(DATA / "mednist64_7k" / "mednist64.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith((".jpeg", ".jpg", ".png")))
        kinds = sorted({Path(name).parent.name for name in names})
        for name in names:
            kind = kinds.index(Path(name).parent.name)
            if kind in classes:
                image = Image.open(io.BytesIO(archive.read(name))).convert("L").resize((PX, PX), Image.Resampling.BOX)
                images.append(np.asarray(image))
                codes.append(classes.index(kind))
    return ImageSet(np.stack(images)[:, None], np.asarray(codes), tuple(kinds[kind] for kind in classes))


def _of_classes(path: Path, classes: tuple[int, ...]) -> ImageSet:
    with np.load(path) as parts:
        images = np.concatenate([parts[name] for name in sorted(parts) if name.endswith("images")])
        labels = np.concatenate([parts[name].ravel() for name in sorted(parts) if name.endswith("labels")])
    rows = np.flatnonzero(np.isin(labels, classes))
    return ImageSet(images[rows][:, None], np.searchsorted(classes, labels[rows]), tuple(map(str, classes)))


Plan = Callable[[Sides, np.random.Generator], ImageSet]


def planted(population: Callable[[], ImageSet], failure: Plan, *, lost: bool = False) -> Plant:
    """Three lots of different images, the third changed by the failure; `lost`: one mode of a class is not in it."""

    def plant(rng: np.random.Generator) -> Sides:
        everyone = population()
        gone = lost_mode(everyone, rng) if lost else np.zeros(len(everyone), dtype=bool)
        lots: list[list[Index]] = [[], [], []]
        for name in everyone.classes:
            rows = rng.permutation(class_rows(everyone, name))
            rest = rows[TRAIN + HELD_OUT :]
            cut = rows[:TRAIN], rows[TRAIN : TRAIN + HELD_OUT], rest[~gone[rest]][:SYNTHETIC]
            for lot, part in zip(lots, cut, strict=True):
                lot.append(part)
        sides = Sides(*(everyone.take(np.concatenate(lot)) for lot in lots))
        return sides._replace(synthetic=failure(sides, rng))

    return plant


def lost_mode(everyone: ImageSet, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """bool [n]: of one class, the cluster of five that is nearest to a fifth of it (k-means on 20 principal axes)."""
    rows = class_rows(everyone, everyone.classes[int(rng.integers(len(everyone.classes)))])
    flat = everyone.images[rows].reshape(len(rows), -1).astype(np.float64)
    flat -= flat.mean(axis=0)
    axes = np.linalg.eigh(flat.T @ flat)[1][:, -20:]
    cluster = kmeans2(flat @ axes, MODES, minit="++", rng=rng)[1]
    shares = np.bincount(cluster, minlength=MODES) / len(rows)
    gone = np.zeros(len(everyone), dtype=bool)
    gone[rows[cluster == np.argmin(np.abs(shares - 1 / MODES))]] = True
    return gone


def fresh(sides: Sides, rng: np.random.Generator) -> ImageSet:
    """The third lot as it is."""
    assert isinstance(sides.synthetic, ImageSet)
    return sides.synthetic


def with_wrong_labels(sides: Sides, rng: np.random.Generator) -> ImageSet:
    """One label in ten is another class."""
    images = fresh(sides, rng)
    others = (images.codes + rng.integers(1, len(images.classes), len(images))) % len(images.classes)
    return replace(images, codes=np.where(rng.random(len(images)) < WRONG_LABELS, others, images.codes))


def one_image_repeated(sides: Sides, rng: np.random.Generator) -> ImageSet:
    """All images of the first class are one."""
    images = fresh(sides, rng)
    return images.take(np.where(images.codes == 0, np.flatnonzero(images.codes == 0)[0], np.arange(len(images))))


def shifted_train(sides: Sides, rng: np.random.Generator, *, share: float = 1.0) -> ImageSet:
    """That share of the images are training images, moved by 1 px each way, with noise of 5 % of the range."""
    images, train = fresh(sides, rng), sides.train
    assert isinstance(train, ImageSet)
    copies = replace(train, images=_noisy(np.roll(train.images, (1, -1), axis=(2, 3)), rng))
    chosen = rng.permutation(len(images))[: round(share * len(images))]
    source = rng.permutation(len(train))[: len(chosen)]
    pixels, codes = images.images.copy(), images.codes.copy()
    pixels[chosen], codes[chosen] = copies.images[source], copies.codes[source]
    return replace(images, images=pixels, codes=codes)


def altered_train(alter: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Plan:
    """The images are training images, altered, with noise of 5 % of the range."""

    def failure(sides: Sides, rng: np.random.Generator) -> ImageSet:
        train = sides.train
        assert isinstance(train, ImageSet)
        chosen = train.take(rng.permutation(len(train))[: len(sides.synthetic)])
        return replace(chosen, images=_noisy(alter(chosen.images), rng))

    return failure


def mirrored(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Left and right exchanged."""
    return images[..., ::-1]


def flatter(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """With 60 % of their contrast, and lighter."""
    return images * 0.6 + 60


def _noisy(images: npt.NDArray[Any], rng: np.random.Generator) -> Pixels:
    return np.clip(np.rint(images + rng.normal(0, 13, images.shape)), 0, 255).astype(np.uint8)


MEMBERSHIP = "membership_tpr_at_1pct_fpr"
JUDGED = (
    "class_agreement", "intra_class_diversity", "coverage", "density", "mode_coverage", "frechet_ratio",
    "frechet_ratio_random", "near_copies", MEMBERSHIP,
)  # fmt: skip
POPULATIONS: Mapping[str, Callable[[], ImageSet]] = {
    # Classes 0, 1, 4, 5, 6 and 8 chose the metrics' constants; all classes, and pneumonia, those of near_copies.
    "fashion": partial(fashion, (2, 3, 7)),
    "pneumonia": partial(pneumonia, (0, 1)),
    "mednist": partial(mednist, (0, 2, 4)),
}
FOLDERS = {"fashion": "fashion_mnist_12k", "pneumonia": "pneumoniamnist", "mednist": "mednist64_7k"}


def _experiments(name: str, population: Callable[[], ImageSet]) -> dict[str, Experiment]:
    def refused(what: str, failure: Plan, metric: str, *, lost: bool = False) -> Experiment:
        plant = planted(population, failure, lost=lost)
        return Experiment(f"{name} images: {what}", plant, {metric: Outcome.FAIL}, modality="images")

    return {
        f"{name}-modes": refused("a class without one mode in five", fresh, "mode_coverage", lost=True),
        f"{name}-labels": refused("one label in ten wrong", with_wrong_labels, "class_agreement"),
        f"{name}-repeated": refused("a class is one image", one_image_repeated, "intra_class_diversity"),
        f"{name}-shifted": refused("train shifted by 1 px, with noise", shifted_train, "near_copies"),
        f"{name}-few": refused(
            "5 % are train shifted by 1 px, with noise", partial(shifted_train, share=0.05), "near_copies"
        ),
        f"{name}-mirrored": refused("train mirrored, with noise", altered_train(mirrored), "near_copies"),
        f"{name}-flatter": refused("train with 60 % contrast, with noise", altered_train(flatter), "near_copies"),
        f"{name}-fresh": Experiment(
            f"{name} images: fresh real ones", planted(population, fresh), dict.fromkeys(JUDGED, Outcome.NO_FAIL),
            HONEST, "images",
        ),
    }  # fmt: skip


EXPERIMENTS: Mapping[str, Experiment] = {
    key: experiment
    for name, population in POPULATIONS.items()
    if (DATA / FOLDERS[name]).exists()
    for key, experiment in _experiments(name, population).items()
}
