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
    """The images [n, c, *size], each rotated, zoomed, shifted and changed in contrast by its own random amount.

    Volumes are rotated in the plane of their last two axes, as a patient lies turned on the table.

    Args:
        images: float32 in [-1, 1].
        generator: of the CPU.
        mirror: mirror half of them, the last axis; only where a mirrored image keeps its label.
    """
    axes = images.dim() - 2
    numbers = torch.rand((3 + axes, len(images)), generator=generator).to(images.device)
    angle, zoom, *shifts, contrast = numbers * 2 - 1
    zoom = 1 + zoom * MAX_ZOOM
    matrix = torch.diag_embed(zoom[:, None].expand(-1, axes))
    angle = angle * math.radians(MAX_ROTATION_DEGREES)
    # affine_grid counts the last axis first, and in half edges.
    turn = [torch.stack([angle.cos(), -angle.sin()], 1), torch.stack([angle.sin(), angle.cos()], 1)]
    matrix[:, :2, :2] = torch.stack(turn, 1) * zoom[:, None, None]
    matrix = torch.cat([matrix, torch.stack(shifts, 1)[:, :, None] * 2 * MAX_SHIFT], dim=2)
    if mirror:
        mirrored = torch.randint(0, 2, (len(images), 1), generator=generator)
        matrix[:, 0] *= 1 - 2 * mirrored.to(images.device)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    brighter: torch.Tensor = (moved + 1) * (1 + contrast * MAX_CONTRAST).view(-1, *[1] * (axes + 1)) - 1
    return brighter
