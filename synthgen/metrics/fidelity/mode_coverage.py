"""Is a kind of real image missing? What coverage shows but does not refuse."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans

from synthgen.datasets import Index
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.image_classifier import pixels
from synthgen.metrics.image_features import Features, ImageView, image_view
from synthgen.metrics.image_findings import ClassNumber, worst_class
from synthgen.stats import FloatArray

# How many kinds a class is cut into. Not one number but several, each ten times: a kind that one partition splits lies
# whole in another.
KINDS, REPEATS = range(4, 9), 10
# A rarer kind is not asked after; one has so many training images on average, lest it be made of chance.
TENTH, IMAGES_PER_KIND = 0.1, 5
COMPONENTS = 64
MAX_IMAGES = 1_000  # of a side
PERMUTATIONS = 500
# Training images that show a reader what the rarest kind is.
SHOWN = 8

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Shares:
    """How many of two lots of images are of each kind.

    Attributes:
        first, second: float64 [..., kinds].
        sizes: images of either lot.
    """

    first: FloatArray
    second: FloatArray
    sizes: tuple[int, int]

    @property
    def ratio(self) -> FloatArray:
        """Share of the first lot over that of the second."""
        return np.asarray((self.first / self.sizes[0]) / (self.second / self.sizes[1]))

    @property
    def log_ratio(self) -> tuple[FloatArray, FloatArray]:
        """Its logarithm and standard error, of counts with a half added (Walter 1975)."""
        counts = [(count + 0.5, size + 1) for count, size in zip((self.first, self.second), self.sizes, strict=True)]
        (a, n), (b, m) = counts
        return np.log(a / n) - np.log(b / m), np.sqrt(1 / a - 1 / n + 1 / b - 1 / m)


def mode_coverage(evaluation: Evaluation) -> Finding:
    """How often synthetic images are of a kind over how often real ones are, of the kind most clearly rarer.

    Kinds are the cells of k-means on the principal components of the pixels of the training images of a class, with at
    least a tenth of them each, of several numbers of cells (Richardson and Weiss 2018, arXiv:1805.12462, who count
    cells whose shares differ); worst class. 1: as often; 0: never, the kind is missing. Compared are the synthetic
    images with the training and held-out ones together. Interval: of the least ratio over all kinds, from simultaneous
    intervals whose width comes from permutations of real and synthetic images (Westfall and Young 1993), at 95 % for
    all classes together. The reference puts held-out images in place of the synthetic ones, against training images.
    The detail has the positions, among all training images in `canonical` order, of a few that lie in the middle of
    that kind, by class; none where train was too large to be looked at whole.
    """
    view, rng = image_view(evaluation), evaluation.rng("mode_coverage")
    confidence = 1 - 0.05 / len(view.classes)
    numbers: dict[str, ClassNumber] = {}
    examples: dict[str, list[int]] = {}
    for rows in view.classes:
        chosen = [rng.permutation(side)[:MAX_IMAGES] for side in rows.sides]
        numbers[rows.name], typical = _number(_points(view, chosen), rng, confidence)
        examples[rows.name] = chosen[0][typical].tolist()
    # Positions in a sample of train would name other images.
    is_whole = len(view.sets.train) == len(evaluation.train)
    detail = {"rarest_kind_train_positions": examples if is_whole else {}, **view.notes}
    return worst_class("mode_coverage", numbers, higher_is_better=True, detail=detail)


def _points(view: ImageView, chosen: Sequence[Index]) -> list[Features]:
    """These train, held-out and synthetic images on principal axes of train, float64 [n, up to 64]."""
    flat = [
        pixels(part.take(index)).flatten(1).double().numpy()
        for part, index in zip(view.sets.parts, chosen, strict=True)
    ]
    centre = flat[0].mean(axis=0)
    axes = np.linalg.svd(flat[0] - centre, full_matrices=False)[2][:COMPONENTS]
    return [(part - centre) @ axes.T for part in flat]


def _number(sides: Sequence[Features], rng: np.random.Generator, confidence: float) -> tuple[ClassNumber, Index]:
    """What was measured, and which training images lie in the middle of the rarest kind."""
    train, holdout, synthetic = _kinds(sides, rng)
    least = _least(synthetic, np.vstack([train, holdout]), rng, confidence)
    reference = _least(holdout, train, rng, confidence).value
    number = ClassNumber(least.value, least.low, least.high, reference, min(len(train), len(synthetic)))
    return number, _typical(sides[0], train[:, least.kind])


def _typical(train: Features, is_of_kind: Mask) -> Index:
    members = np.flatnonzero(is_of_kind)
    distances = np.linalg.norm(train[members] - train[members].mean(axis=0), axis=1)
    return np.asarray(members[np.argsort(distances, kind="stable")[:SHOWN]], dtype=np.int64)


def _kinds(sides: Sequence[Features], rng: np.random.Generator) -> list[Mask]:
    """Which kinds each image is of, bool [n, kinds] per side."""
    train = sides[0]
    most = min(len(train) // IMAGES_PER_KIND, len(np.unique(train, axis=0)))
    found = []
    for cells in range(min(KINDS.start, most), min(KINDS.stop - 1, most) + 1):
        for seed in rng.integers(2**31, size=REPEATS).tolist():
            partition = KMeans(cells, n_init=1, random_state=seed).fit(train)
            found.append([partition.predict(side)[:, None] == np.arange(cells) for side in sides])
    masks = [np.hstack(parts) for parts in zip(*found, strict=True)]
    common = masks[0].mean(axis=0) >= TENTH
    return [mask[:, common] for mask in masks]


@dataclass(frozen=True)
class _Least:
    kind: int
    value: float
    low: float
    high: float


def _least(first: Mask, second: Mask, rng: np.random.Generator, confidence: float) -> _Least:
    """The ratio of the kind with the lowest upper end, and the lowest lower and upper ends of all kinds."""
    sizes = len(first), len(second)
    either = np.vstack([first, second]).astype(np.float32)
    total = either.sum(axis=0, dtype=np.float64)
    # Each row of these weights is a lot of the first size from all images.
    lots = rng.permuted(np.tile(np.arange(sum(sizes)) < sizes[0], (PERMUTATIONS, 1)), axis=1).astype(np.float32)
    permuted = (lots @ either).astype(np.float64)
    log_ratio, error = _Shares(permuted, total - permuted, sizes).log_ratio
    width = -np.quantile((log_ratio / error).min(axis=1), (1 - confidence) / 2)
    counts = first.sum(axis=0).astype(np.float64)
    seen = _Shares(counts, total - counts, sizes)
    log_ratio, error = seen.log_ratio
    high = np.exp(log_ratio + width * error)
    low = float(np.exp(log_ratio - width * error).min())
    rarest = int(np.argmin(high))
    value = float(seen.ratio[rarest])
    # A half added to no image at all is more than none.
    return _Least(rarest, value, min(low, value), max(float(high[rarest]), value))
