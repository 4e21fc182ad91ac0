"""What the voxel grids of a set have in common after fitting, and why it is less than the files state."""

from collections.abc import Sequence

import numpy as np

from synthgen.config import ImageSource
from synthgen.findings import Problem
from synthgen.scans import Affine, Spacing
from synthgen.sources.scan_files import Grid, Matrix, Three
from synthgen.sources.scan_fitting import TOLERANCE, Fitting


def common_grid(
    grids: Sequence[Grid], plan: Sequence[Fitting], source: ImageSource
) -> tuple[Affine | None, Spacing | None, list[Problem]]:
    """The affine of all images, or their spacing where that is all they have in common, and what is lost."""
    affines = [affine for fitting in plan if (affine := fitting.affine) is not None]
    spacings = [spacing for fitting in plan if (spacing := fitting.spacing) is not None]
    if not spacings:
        return None, None, []
    if len(affines) == len(plan) and are_alike([affine[:3, :3] for affine in affines]):
        return _with_one_origin(affines), None, []
    if len(affines) < len(plan) == len(spacings):
        common = _common_spacing(spacings, is_flat=plan[0].sides[0] == 1)
        if common is not None:
            return None, common, _lost_orientation(len(plan) - len(affines), len(plan))
    reason, hint = _disagreement(grids, source)
    message = f"{reason}, so what is emitted states neither spacing nor orientation"
    return None, None, [Problem("mixed_voxel_grids", message, "warning", hint=hint)]


def are_alike(values: Sequence[Matrix]) -> bool:
    """Whether all differ from the first by less than what rounding in a header makes."""
    every = np.stack(values)
    return bool(np.abs(every - every[0]).max() <= TOLERANCE * np.abs(every[0]).max())


def _with_one_origin(affines: Sequence[Matrix]) -> Affine:
    affine = affines[0].copy()
    if np.abs(np.stack(affines)[:, :3, 3] - affine[:3, 3]).max() > TOLERANCE:
        affine[:3, 3] = 0
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in affine)


def _common_spacing(spacings: Sequence[Three], *, is_flat: bool) -> Spacing | None:
    first, second, third = spacings[0].tolist()
    if are_alike(spacings):
        return first, second, third
    # Slices on their own may differ in thickness, or not state it.
    return (0.0, second, third) if is_flat and are_alike([spacing[1:] for spacing in spacings]) else None


def _lost_orientation(without: int, images: int) -> list[Problem]:
    if without == images:
        return []
    reason = f"{without:,} of {images:,} images do not state how they lie in the patient"
    message = f"{reason}, so what is emitted states the spacing alone"
    return [Problem("mixed_voxel_grids", message, "warning", hint="write it into their headers, or remove them")]


def _disagreement(grids: Sequence[Grid], source: ImageSource) -> tuple[str, str]:
    """Why the files have neither affine nor spacing in common, and what to do."""
    spacings = [spacing for grid in grids if (spacing := grid.spacing) is not None]
    if len(spacings) < len(grids):
        reason = f"{len(grids) - len(spacings):,} of {len(grids):,} images do not state the spacing of their voxels"
        return reason, "write it into their headers, or remove them"
    steps = [grid.affine[:3, :3] for grid in grids if grid.affine is not None]
    turns = [step / np.linalg.norm(step, axis=0) for step in steps]
    stated = (("spacing", spacings), ("orientation", turns))
    differing = [what for what, values in stated if values and not are_alike(values)]
    if source.fit == "resize" and not differing:
        reason = "source.fit: resize stretches images of different sizes by different factors"
        return reason, "source.fit: pad or crop scales all by one factor, which keeps one spacing and orientation"
    # Each may differ by less than is told, and both together by more.
    reason = f"the files differ in the {' and the '.join(differing or ['grid'])} of their voxels"
    return reason, "resample them to one grid before; a set that mixes left and right is learnt as it is"
