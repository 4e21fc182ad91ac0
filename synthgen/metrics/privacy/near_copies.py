"""Images that repeat a training image: shifted, mirrored, noised, brightened."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from synthgen.datasets import ImageSet, Index
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.image_features import image_sets

Correlation = npt.NDArray[np.float32]

# Work at this size at most: two pixels of shift then cover four at 64 px, and the cost stays that of 32 px.
MAX_PX = 32
MAX_SHIFT_PX = 2
# Share of fresh real images that may be flagged.
FALSE_FLAGS = 0.01
# A real pair this far above the usual nearest neighbour is a twin: the same object photographed or stored twice.
TWIN_SIGMAS = 3.5
MINIMUM_IMAGES = 50
QUERY_CHUNK, REFERENCE_CHUNK = 256, 2_048

THREAT_MODEL = (
    "The attacker holds the shipped images only and looks in them for a training image, "
    "recognisable after a shift of up to 2 px, a mirror image, noise, or a change of brightness or contrast."
)


def near_copies(evaluation: Evaluation) -> Finding:
    """Share of all shipped images that lie closer to a training image than fresh real images do, in [0, 1].

    Closeness is `nearest_correlation`; the bar is `copy_threshold` of the holdout. Every synthetic image is looked at,
    so the interval holds only the uncertainty of the bar: the share at the ends of its own 95 % interval.
    The reference is the share of the holdout, its twins left out.
    """
    sets = image_sets(evaluation)
    if len(sets.holdout) < MINIMUM_IMAGES:
        raise NotMeasurable(f"the bar needs {MINIMUM_IMAGES} held-out images, there are {len(sets.holdout)}")
    real, _ = nearest_correlation(sets.holdout, sets.train)
    found, _ = nearest_correlation(sets.synthetic, sets.train)
    usual = _without_twins(real)
    thresholds = np.quantile(usual, _level_interval(len(usual)))
    value, high, low = (float(np.mean(found > threshold)) for threshold in thresholds)
    return Finding(
        metric="near_copies",
        family="privacy",
        value=value,
        low=min(low, value),
        high=max(high, value),
        reference=float(np.mean(usual > thresholds[0])),
        higher_is_better=False,
        n=len(found),
        threat_model=THREAT_MODEL,
        detail={
            "flagged": int(np.sum(found > thresholds[0])),
            "threshold": float(thresholds[0]),
            "median_correlation": float(np.median(found)),
            "median_correlation_holdout": float(np.median(real)),
            "twin_share_holdout": 1 - len(usual) / len(real),
        },
    )


def copy_threshold(real: ImageSet, train: ImageSet) -> float:
    """Correlation that 1 in 100 fresh real images exceeds against train, twins left out."""
    correlation, _ = nearest_correlation(real, train)
    return float(np.quantile(_without_twins(correlation), 1 - FALSE_FLAGS))


def nearest_correlation(images: ImageSet, references: ImageSet) -> tuple[Correlation, Index]:
    """Highest correlation of each image with any reference, float32 [n] in [-1, 1], and which reference, int64 [n].

    Grey values, area-averaged to 32 px at most and blurred 3x3. The middle of the image is compared with the
    reference at every shift of +-2 px (+-1 px below 16 px), as it is and mirrored; both windows have mean 0 and norm 1.
    """
    if len(images) == 0 or len(references) == 0:
        return np.full(len(images), -1, dtype=np.float32), np.zeros(len(images), dtype=np.int64)
    queries, gallery = _blurred(images), _blurred(references)
    best = torch.full((len(queries),), -2.0)
    where = torch.zeros(len(queries), dtype=torch.int64)
    for start in range(0, len(gallery), REFERENCE_CHUNK):
        windows = _shifted_windows(gallery[start : start + REFERENCE_CHUNK])
        for first in range(0, len(queries), QUERY_CHUNK):
            rows = slice(first, first + QUERY_CHUNK)
            value, index = _best_match(queries[rows], windows)
            better = value > best[rows]
            best[rows] = torch.where(better, value, best[rows])
            where[rows] = torch.where(better, index + start, where[rows])
    return best.clamp(-1, 1).numpy(), where.numpy()


def _best_match(queries: torch.Tensor, windows: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    margin = _margin(queries)
    middle = queries[:, margin:-margin, margin:-margin]
    variants = torch.cat([_unit(middle), _unit(middle.flip(-1))])  # [2 q, pixels]
    scores = variants @ windows[0].T
    for window in windows[1:]:
        torch.maximum(scores, variants @ window.T, out=scores)
    return torch.maximum(*scores.chunk(2)).max(1)


def _shifted_windows(gallery: torch.Tensor) -> list[torch.Tensor]:
    margin = _margin(gallery)
    height, width = (side - 2 * margin for side in gallery.shape[1:])
    corners = [(row, column) for row in range(2 * margin + 1) for column in range(2 * margin + 1)]
    return [_unit(gallery[:, row : row + height, column : column + width]) for row, column in corners]


def _margin(images: torch.Tensor) -> int:
    # Two pixels would leave a quarter of an 8x8 image to compare.
    return MAX_SHIFT_PX if min(images.shape[1:]) >= 16 else 1


def _unit(windows: torch.Tensor) -> torch.Tensor:
    # A window without contrast becomes 0 and correlates with nothing.
    flat = windows.flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    return flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-6)


def _blurred(images: ImageSet) -> torch.Tensor:
    """float32 [n, h, w], grey in [0, 1], at most MAX_PX on the longer side, 3x3 mean with the border repeated."""
    grey = torch.from_numpy(images.images.mean(axis=1, dtype=np.float32, keepdims=True) / images.max_value)
    scale = MAX_PX / max(grey.shape[2:])
    if scale < 1:
        size = [max(round(side * scale), 4) for side in grey.shape[2:]]
        grey = F.interpolate(grey, size=size, mode="area")
    return F.avg_pool2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), 3, stride=1).squeeze(1)


def _without_twins(correlation: Correlation) -> Correlation:
    # Fisher's z makes correlations near 1 comparable; median and MAD ignore up to half of twins.
    z = np.arctanh(np.clip(correlation, -0.999999, 0.999999))
    centre = np.median(z)
    spread = 1.4826 * np.median(np.abs(z - centre))
    return correlation[z <= centre + TWIN_SIGMAS * max(spread, 1e-6)]


def _level_interval(n: int) -> list[float]:
    # 95 % interval of the level that the empirical quantile of n values really has (normal form of the order statistic).
    level = 1 - FALSE_FLAGS
    spread = 1.96 * float(np.sqrt(level * FALSE_FLAGS / n))
    return [level, max(level - spread, 0.5), min(level + spread, 1.0)]
