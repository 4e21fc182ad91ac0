"""The ordinary augmentation of image classifiers: for judges that are to be good, and as a control of utility."""

import math

import torch
import torch.nn.functional as F

# Mild enough to keep the label of digits and of medical images.
MAX_ROTATION_DEGREES = 12.0
MAX_ZOOM = 0.10
MAX_SHIFT = 0.08  # of the edge
MAX_CONTRAST = 0.15


def classic_augmentation(images: torch.Tensor, generator: torch.Generator, *, mirror: bool) -> torch.Tensor:
    """The images [n, c, h, w], each rotated, zoomed, shifted and changed in contrast by its own random amount.

    Args:
        images: float32 in [-1, 1].
        mirror: mirror half of them; only where a mirrored image keeps its label.
    """
    angle, zoom, right, down, contrast = torch.rand((5, len(images)), generator=generator) * 2 - 1
    angle = angle * math.radians(MAX_ROTATION_DEGREES)
    zoom = 1 + zoom * MAX_ZOOM
    # affine_grid counts in half edges.
    rows = [
        torch.stack([angle.cos() * zoom, -angle.sin() * zoom, right * 2 * MAX_SHIFT], dim=1),
        torch.stack([angle.sin() * zoom, angle.cos() * zoom, down * 2 * MAX_SHIFT], dim=1),
    ]
    if mirror:
        sign = 1 - 2 * torch.randint(0, 2, (len(images), 1), generator=generator)
        rows[0] = rows[0] * sign
    grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    brighter: torch.Tensor = (moved + 1) * (1 + contrast * MAX_CONTRAST)[:, None, None, None] - 1
    return brighter
