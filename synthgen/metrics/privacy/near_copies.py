"""Images that repeat a training image: shifted, mirrored, noised, brightened."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from synthgen.datasets import ImageSet
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.image_features import image_sets
from synthgen.metrics.privacy.image_matching import nearest_correlations
from synthgen.metrics.privacy.naming import FALSE_POSITIVE_RATE, hits
from synthgen.stats import FloatArray, clopper_pearson

Flags = npt.NDArray[np.bool_]

# Share of fresh real images that may be flagged.
FALSE_FLAGS = FALSE_POSITIVE_RATE
MINIMUM_IMAGES = 50
# How near the nearest is is judged by the mean of so many next ones: a few twins in train do not hide a copy.
NEXT = 4
# A real image this many spreads closer than usual is a twin: one object, stored or imaged twice.
TWIN_CLOSENESS = 8.0
# Correlations beyond 1 minus this are one to float32.
FINEST = 1e-5

THREAT_MODEL = (
    "The attacker holds the shipped images only and looks in them for a training image, "
    "recognisable after a shift of up to 2 px (1 in volumes), a mirror image, noise, or a change of brightness or "
    "contrast."
)


def near_copies(evaluation: Evaluation) -> Finding:
    """Share of all shipped images that lie closer to a training image than 99 of 100 held-out ones do, in [0, 1].

    Closeness is that of `Bar`; twins among the held-out images do not raise it. The reference is the share of the
    holdout, twins included, that the bar flags: 1 in 100 by its definition, and the twins. The interval joins the
    errors of the share, of the bar (see `hits`) and of the share of twins (Clopper-Pearson), by the method of variance
    estimates recovery (Zou and Donner 2008): fresh real images are a sample too.
    """
    sets = image_sets(evaluation)
    if len(sets.holdout) < MINIMUM_IMAGES:
        raise NotMeasurable(f"the bar needs {MINIMUM_IMAGES} held-out images, there are {len(sets.holdout)}")
    bar = Bar.of(sets.holdout, sets.train)
    found, correlation = bar.closeness(sets.synthetic)
    share = hits(found, bar.usual)
    twins = bar.twins / len(sets.holdout)
    fewest, most = clopper_pearson(bar.twins, len(sets.holdout))
    return Finding(
        metric="near_copies",
        family="privacy",
        value=share.rate,
        low=max(0.0, share.rate - float(np.hypot(share.rate - share.low, most - twins))),
        high=min(1.0, share.rate + float(np.hypot(share.high - share.rate, twins - fewest))),
        reference=FALSE_FLAGS * (1 - twins) + twins,
        higher_is_better=False,
        n=len(found),
        threat_model=THREAT_MODEL,
        detail={
            "flagged": int(np.sum(found > bar.height)),
            "threshold": bar.height,
            "median_correlation": float(np.median(correlation)),
            "median_correlation_real": bar.correlation,
            "twin_share_real": twins,
        },
    )


@dataclass(frozen=True)
class _Scale:
    """Median of a number among fresh real images, and its spread as a standard deviation (1.4826 MAD)."""

    centre: float
    spread: float

    @classmethod
    def of(cls, values: FloatArray) -> Self:
        centre = float(np.median(values))
        return cls(centre, max(1.4826 * float(np.median(np.abs(values - centre))), 1e-6))

    def __call__(self, values: FloatArray) -> FloatArray:
        return (values - self.centre) / self.spread


@dataclass(frozen=True)
class Bar:
    """How close fresh real images come to train, and the closeness that 1 in 100 of them exceeds.

    Closeness is the larger of two numbers, both in spreads above the median of fresh real images: the highest
    correlation with a training image (Fisher's z), and how many times farther (1 - correlation) than it the next four
    are (logarithm). Where all images of a class are alike only the second sees a copy, of images that train has
    several times only the first.

    Attributes:
        usual: closeness of each fresh real image that is no twin, float64 [n].
        twins: how many are.
        correlation: median of the highest correlations of fresh real images.
    """

    train: ImageSet
    scales: tuple[_Scale, _Scale]
    usual: FloatArray
    twins: int
    correlation: float

    @classmethod
    def of(cls, real: ImageSet, train: ImageSet) -> Self:
        """From fresh real images of any number but 0."""
        correlations, _ = nearest_correlations(real, train, count=1 + NEXT)
        parts = _parts(correlations)
        scales = _Scale.of(parts[0]), _Scale.of(parts[1])
        closeness = _larger(parts, scales)
        is_twin = closeness > TWIN_CLOSENESS
        return cls(train, scales, closeness[~is_twin], int(is_twin.sum()), float(np.median(correlations[:, 0])))

    @property
    def height(self) -> float:
        """Closeness that 1 in 100 fresh real images exceeds, twins left out."""
        return float(np.quantile(self.usual, 1 - FALSE_FLAGS))

    def closeness(self, images: ImageSet) -> tuple[FloatArray, FloatArray]:
        """Closeness of each image to train, and its highest correlation with a training image, float64 [n] each."""
        correlations, _ = nearest_correlations(images, self.train, count=1 + NEXT)
        return _larger(_parts(correlations), self.scales), correlations[:, 0].astype(np.float64)

    def flags(self, images: ImageSet) -> Flags:
        """Which of the images are near copies, bool [n]."""
        return np.asarray(self.closeness(images)[0] > self.height)


def _parts(correlations: npt.NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
    distance = np.clip(1 - correlations.astype(np.float64), FINEST, 2 - FINEST)
    following = distance[:, 1:].mean(axis=1) if distance.shape[1] > 1 else distance[:, 0]
    return np.log(2 / distance[:, 0] - 1) / 2, np.log(following / distance[:, 0])


def _larger(parts: tuple[FloatArray, FloatArray], scales: tuple[_Scale, _Scale]) -> FloatArray:
    return np.maximum(scales[0](parts[0]), scales[1](parts[1]))
