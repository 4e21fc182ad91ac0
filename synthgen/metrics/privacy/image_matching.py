"""How alike two images are, whatever was done to one of them: shifted, mirrored, noised, brightened."""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from synthgen.datasets import ImageSet, Index
from synthgen.device import best_device
from synthgen.progress import counted

Correlations = npt.NDArray[np.float32]

# Up to this size every pair is compared in full; above, a coarse pass names the candidates. By the number of axes.
EXHAUSTIVE_PX = {2: 32, 3: 16}
CANDIDATES = 16
# A volume has 27 shifts of 1 voxel, and would have 125 of 2.
MAX_SHIFT_PX = {2: 2, 3: 1}
POOLS = {2: F.avg_pool2d, 3: F.avg_pool3d}
QUERY_CHUNK, REFERENCE_CHUNK = 256, 2_048
# Images with their candidates: windows of two fit the cache of a core, those of 16 took up to 3x the time.
PAIRED_CHUNK, GPU_PAIRED_CHUNK = 2, 256


def nearest_correlations(images: ImageSet, references: ImageSet, *, count: int = 1) -> tuple[Correlations, Index]:
    """Highest correlations of each image with a reference, best first, float32 [n, k] in [-1, 1]; which, int64 [n, k].

    k is `count`, or fewer where there are fewer references. Grey values blurred 3x3. The middle of each image, as it is
    and mirrored, against the reference at every shift of +-2 px (+-1 px below 16 px and in volumes), both windows at
    mean 0 and norm 1. Above 32 px, of volumes 16, only the 16 references are compared that match best at that size.
    """
    count = min(count, len(references))
    if len(images) == 0 or count == 0:
        return np.empty((len(images), count), dtype=np.float32), np.empty((len(images), count), dtype=np.int64)
    queries, gallery = _grey(images), _grey(references)
    if max(queries.shape[1:]) <= EXHAUSTIVE_PX[queries.dim() - 1]:
        best, where = _best_matches(_blurred(queries), _blurred(gallery), count=count)
        return best.clamp(-1, 1).cpu().numpy(), where.cpu().numpy()
    small = [_blurred(_reduced(part)) for part in (queries, gallery)]
    _, candidates = _best_matches(small[0], small[1], count=min(max(CANDIDATES, count), len(gallery)))
    queries, gallery = _blurred(queries), _blurred(gallery)
    at_once = PAIRED_CHUNK if queries.device.type == "cpu" else GPU_PAIRED_CHUNK
    pairs = list(zip(torch.split(queries, at_once), torch.split(candidates, at_once), strict=True))
    found = (_correlations(images, gallery[rows]) for images, rows in pairs)
    scores = torch.cat(list(counted(found, "block", len(pairs))))
    best, position = scores.topk(count, dim=1)
    return best.clamp(-1, 1).cpu().numpy(), candidates.gather(1, position).cpu().numpy()


def _best_matches(queries: torch.Tensor, gallery: torch.Tensor, *, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlations [n, count], best first, and positions in the gallery."""
    best = torch.full((len(queries), count), -2.0, device=queries.device)
    where = torch.zeros((len(queries), count), dtype=torch.int64, device=queries.device)
    blocks = math.ceil(len(gallery) / REFERENCE_CHUNK) * math.ceil(len(queries) / QUERY_CHUNK)
    for rows, value, index in counted(_matches_by_block(queries, gallery, count=count), "block", blocks):
        value, index = torch.cat([best[rows], value], 1), torch.cat([where[rows], index], 1)
        best[rows], kept = value.topk(count, dim=1)
        where[rows] = index.gather(1, kept)
    return best, where


def _matches_by_block(
    queries: torch.Tensor, gallery: torch.Tensor, *, count: int
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Of each part of the gallery and each of the queries: the queries' rows, correlations, positions."""
    for start in range(0, len(gallery), REFERENCE_CHUNK):
        windows = _shifted_windows(gallery[start : start + REFERENCE_CHUNK])
        for first in range(0, len(queries), QUERY_CHUNK):
            rows = slice(first, first + QUERY_CHUNK)
            scores = _scores(queries[rows], windows)
            value, index = scores.topk(min(count, scores.shape[1]), dim=1)
            yield rows, value, index + start


def _scores(queries: torch.Tensor, windows: list[torch.Tensor]) -> torch.Tensor:
    """Highest correlation over shifts and mirror image, float32 [queries, gallery]."""
    middle = _middle(queries)
    variants = torch.cat([_unit(middle), _unit(middle.flip(-1))])  # [2 q, pixels]
    scores = variants @ windows[0].T
    for window in windows[1:]:
        torch.maximum(scores, variants @ window.T, out=scores)
    plain, mirrored = scores.chunk(2)
    return torch.maximum(plain, mirrored)


def _correlations(queries: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    """The same as `_scores` for images [q, *size] and a few candidates of each [q, k, *size]: float32 [q, k]."""
    middle = _middle(queries)
    sought = torch.stack([_unit(middle), _unit(middle.flip(-1))], 1).mT  # [q, pixels, 2]
    windows = (_unit(window.flatten(0, 1)) for window in _windows(candidates, middle.shape[1:]))
    scores = [torch.bmm(window.view(*candidates.shape[:2], -1), sought).amax(2) for window in windows]
    highest: torch.Tensor = torch.stack(scores).amax(0)
    return highest


def _shifted_windows(gallery: torch.Tensor) -> list[torch.Tensor]:
    return [_unit(window) for window in _windows(gallery, _middle(gallery).shape[1:])]


def _windows(images: torch.Tensor, size: Sequence[int]) -> Iterator[torch.Tensor]:
    """Of images [..., *sides] what lies at each shift, [..., *size]."""
    # The outermost line is left out: the blur brought in pixels from beyond the border, which a shift replaces.
    places = [range(1, side - length) for side, length in zip(images.shape[-len(size) :], size, strict=True)]
    for corner in itertools.product(*places):
        window = images
        for axis, (start, length) in enumerate(zip(corner, size, strict=True), images.dim() - len(size)):
            window = window.narrow(axis, start, length)
        yield window


def _middle(images: torch.Tensor) -> torch.Tensor:
    margin = _shift(images) + 1
    return images[:, *[slice(margin, -margin)] * (images.dim() - 1)]


def _shift(images: torch.Tensor) -> int:
    # Two pixels would leave 2x2 of an 8x8 image to compare.
    return MAX_SHIFT_PX[images.dim() - 1] if min(images.shape[1:]) >= 16 else 1


def _unit(windows: torch.Tensor) -> torch.Tensor:
    # A window without contrast becomes 0 and correlates with nothing.
    flat = windows.flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    norm: torch.Tensor = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
    return flat / norm.clamp_min(1e-6)


def _grey(images: ImageSet) -> torch.Tensor:
    """float32 [n, *size] in [0, 1], the mean of the channels, on the GPU when there is one."""
    grey = torch.from_numpy(images.images.mean(axis=1, dtype=np.float32) / np.float32(images.max_value))
    return grey.to(best_device())


def _reduced(grey: torch.Tensor) -> torch.Tensor:
    scale = EXHAUSTIVE_PX[grey.dim() - 1] / max(grey.shape[1:])
    size = [max(round(side * scale), 8) for side in grey.shape[1:]]
    return F.interpolate(grey[:, None], size=size, mode="area")[:, 0]


def _blurred(grey: torch.Tensor) -> torch.Tensor:
    axes = grey.dim() - 1
    return POOLS[axes](F.pad(grey[:, None], (1, 1) * axes, mode="replicate"), 3, stride=1)[:, 0]
