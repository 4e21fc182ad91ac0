"""Rows of a table as points, and how near the nearest lie: what attacks and coverage are measured with."""

import numpy as np
import torch

from synthgen.datasets import Index
from synthgen.device import best_device
from synthgen.metrics.table_features import Encoded
from synthgen.stats import FloatArray

# A block of distances to 30,000 rows then fits the cache of a core; a GPU wants more at once.
BLOCK_ROWS = 256
GPU_BLOCK_ROWS = 4_096


def embed(rows: Encoded, reference: Encoded) -> torch.Tensor:
    """float32 [n, d]: numbers as ranks among the reference in [0, 1], categories one-hot with mismatch 1.

    A missing number lies 1 away from the middle rank. No unit moves a point.
    """
    columns = [_ranks(x, known) for x, known in zip(rows.numeric.T, reference.numeric.T, strict=True)]
    for codes, levels in zip(rows.codes.T, rows.levels, strict=True):
        columns.append(np.sqrt(0.5) * (codes[:, None] == np.arange(-1, levels)))
    return torch.from_numpy(np.concatenate([*columns, np.empty((len(rows), 0))], axis=1).astype(np.float32))


def _ranks(values: FloatArray, reference: FloatArray) -> FloatArray:
    """float64 [n, 2]: mid-rank and whether missing; a change of unit moves neither."""
    known = np.sort(reference[np.isfinite(reference)])
    missing = ~np.isfinite(values)
    if len(known) == 0:
        return np.column_stack([np.zeros(len(values)), missing])
    ranks = (np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")) / (2 * len(known))
    return np.column_stack([np.where(missing, 0.5, ranks), missing])


def nearest_distances(queries: torch.Tensor, points: torch.Tensor, k: int) -> FloatArray:
    """Euclidean distance of each query (float32 [n, d]) to its k-th nearest point (float32 [m, d]), float64 [n]."""
    return nearest(queries, points, k)[1][:, -1]


def nearest(queries: torch.Tensor, points: torch.Tensor, k: int) -> tuple[Index, FloatArray]:
    """Positions of the k nearest points of each query, int64 [n, min(k, m)], nearest first, and their distances.

    All pairs, in blocks, on the GPU when there is one. The distances are exact; of points whose distances differ by
    less than the error of float32 either is taken (among 20,000 in 2 dimensions 0.3 % of nearest distances were too
    long, by 0.0002 at most; in 4 and 10 dimensions none).
    """
    device = best_device()
    queries, points = queries.to(device), points.to(device)
    squares = points.square().sum(1)
    positions, distances = [], []
    for block in torch.split(queries, BLOCK_ROWS if device.type == "cpu" else GPU_BLOCK_ROWS):
        # |x - y|^2 less |x|^2, which does not change the order within a row.
        order = torch.addmm(squares, block, points.T, alpha=-2)
        few = order.argmin(1)[:, None] if k == 1 else order.topk(min(k, len(points)), largest=False).indices
        # Again, exactly: the expanded square loses all digits near 0, where copies are.
        distances.append((block[:, None] - points[few]).square().sum(2).sqrt())
        positions.append(few)
    return torch.cat(positions).cpu().numpy(), torch.cat(distances).cpu().numpy().astype(np.float64)
