"""Scans of several sizes: one factor for all where they have one spacing, and what is said where it is lost."""

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest

from synthgen.config import ImageSource
from synthgen.datasets import ImageSet, Ingested
from synthgen.errors import ConfigError
from synthgen.sources import read
from synthgen.sources.scan_files import Grid, Shape
from synthgen.sources.scan_fitting import fitted, fittings

SHAPES: Sequence[Shape] = ((9, 20, 14), (12, 10, 16), (8, 24, 8))
ANISOTROPIC = np.array([[0, 0.2, 0.5, -4], [0, 0.8, -0.1, 6], [2.0, 0, 0, 7], [0, 0, 0, 1]])


def source(**keys: object) -> ImageSource:
    return ImageSource.model_validate({"kind": "images", "path": "scans", **keys})


def grids(*spacings: float | None, shapes: Sequence[Shape] = SHAPES) -> list[Grid]:
    affines = [None if spacing is None else ANISOTROPIC @ np.diag([*[spacing] * 3, 1]) for spacing in spacings]
    return [Grid(shape, affine) for shape, affine in zip(shapes, affines, strict=True)]


@pytest.mark.parametrize(
    ("fit", "size", "shrinkage", "sides"),
    [
        ("pad", 16, 24 / 16, (16, 16, 16)),
        ("crop", 16, 8 / 16, (16, 16, 16)),
        ("pad", None, 1, (12, 24, 16)),
        ("crop", None, 1, (8, 10, 8)),
    ],
)
def test_scans_of_one_spacing_are_scaled_by_one_factor_and_keep_it(
    fit: str, size: int | None, shrinkage: float, sides: Shape
) -> None:
    for fitting in fittings(grids(1, 1, 1), source(fit=fit, size=size)):
        assert fitting.sides == sides
        np.testing.assert_allclose(fitting.shrinkage, shrinkage)
        assert fitting.affine is not None
        np.testing.assert_allclose(fitting.affine[:3, :3], ANISOTROPIC[:3, :3] * shrinkage)
        fits, covers = fitting.scaled <= sides, fitting.scaled >= sides
        assert (fits if fit == "pad" else covers).all()


@pytest.mark.parametrize("spacings", [(None, None, None), (1, 1, None), (1, 1, 2)])
@pytest.mark.parametrize(("fit", "factors"), [("pad", (16 / 20, 1, 16 / 24)), ("crop", (16 / 9, 16 / 10, 16 / 8))])
def test_scans_without_one_spacing_are_each_scaled_to_the_size(
    spacings: Sequence[float | None], fit: str, factors: Sequence[float]
) -> None:
    plan = fittings(grids(*spacings), source(fit=fit, size=16))
    for fitting, factor in zip(plan, factors, strict=True):
        np.testing.assert_allclose(1 / fitting.shrinkage, factor)


def test_slices_are_scaled_in_their_plane_by_one_factor_whatever_their_thickness() -> None:
    thick = [Grid((1, *shape[1:]), ANISOTROPIC * [number, 1, 1, 1]) for number, shape in enumerate(SHAPES, 1)]
    for fitting in fittings(thick, source(fit="pad", size=16)):
        assert fitting.sides == (1, 16, 16)
        np.testing.assert_allclose(fitting.shrinkage, [1, 24 / 16, 24 / 16])


@pytest.mark.parametrize(
    "keys",
    [
        {"fit": "resize", "size": 16},
        {"fit": "pad", "size": 16},
        {"fit": "crop", "size": 16},
        {"fit": "pad"},
        {"fit": "crop"},
    ],
    ids=str,
)
def test_every_voxel_of_a_fitted_scan_stays_in_its_place(keys: dict[str, object]) -> None:
    """Numbers that rise with the place in mm rise by the same rule with the new grid's places."""

    def rising(affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        index = np.stack([*np.indices(shape), np.ones(shape)])
        return np.asarray(np.tensordot(np.array([700, 500, 100, 9_000]) @ affine, index, axes=1))

    for fitting in fittings(grids(1, 1, 1), source(**keys)):
        image = np.rint(rising(ANISOTROPIC, fitting.grid.shape)).astype(np.int16)
        assert fitting.affine is not None
        found, expected = fitted(image, fitting), rising(fitting.affine, fitting.sides)
        assert found.shape == fitting.sides
        # Blurring and the edge reach some voxels far.
        start, end = np.maximum(-fitting.start, 0) + 3, np.minimum(fitting.scaled - fitting.start, fitting.sides) - 3
        inside = tuple(slice(low, high) for low, high in zip(start, end, strict=True))
        np.testing.assert_allclose(found[inside], expected[inside], atol=25)


def test_a_thin_scan_is_cropped_without_being_scaled_as_a_whole() -> None:
    [fitting] = fittings([Grid((2, 400, 400), None)], source(fit="crop", size=128))
    assert fitting.scaled.tolist() == [128, 25_600, 25_600]
    assert fitted(np.zeros((2, 400, 400), np.uint8), fitting).shape == (128, 128, 128)


def ingested(root: Path, affines: Sequence[np.ndarray | None], **keys: object) -> Ingested:
    """Of NIfTI files with these affines in turn; one of zeros for None, which is unusable."""
    rng = np.random.default_rng(0)
    for number in range(12):
        path = root / "ab"[number % 2] / f"{number:02}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        voxels = rng.integers(-90, 900, SHAPES[number % 3], dtype=np.int16)
        affine = affines[number % len(affines)]
        image = nibabel.Nifti1Image(voxels, affine)
        if affine is None:
            image.header.set_sform(np.zeros((4, 4)), code=1)
        nibabel.save(image, path)
    return read(source(path=str(root), **keys), seed=0)


TURNED = np.diag([-1.0, 1, 1, 1])
DIFFERING = {
    "resized": ([np.eye(4)], "resize", "source.fit: resize stretches images of different sizes"),
    "spacing": ([np.eye(4), np.diag([2.0, 2, 2, 1])], "pad", "differ in the spacing of their voxels, so"),
    "orientation": ([np.eye(4), TURNED], "pad", "the files differ in the orientation of their voxels, so"),
    "both": ([np.eye(4), 2 * TURNED], "resize", "differ in the spacing and the orientation of their voxels"),
    "unknown": (
        [np.eye(4), None],
        "crop",
        "6 of 12 images do not state the spacing of their voxels",
    ),
}


@pytest.mark.parametrize(("affines", "fit", "reason"), DIFFERING.values(), ids=DIFFERING)
def test_a_lost_spacing_is_told_with_its_reason(
    affines: Sequence[np.ndarray | None], fit: str, reason: str, tmp_path: Path
) -> None:
    found = ingested(tmp_path, affines, fit=fit, size=8)
    assert isinstance(found.data, ImageSet)
    assert found.data.scan is not None
    assert found.data.scan.affine is None
    [problem] = [problem for problem in found.problems if problem["kind"] == "mixed_voxel_grids"]
    assert reason in str(problem["message"])
    assert problem["message"].endswith("so what is emitted states neither spacing nor orientation")
    assert ("pad or crop" in str(problem["hint"])) == (reason == DIFFERING["resized"][2])


@pytest.mark.parametrize(
    ("keys", "shape", "spacing"),
    [
        ({"fit": "pad", "size": 16}, (16, 16, 16), 24 / 16),
        ({"fit": "crop", "size": 16}, (16, 16, 16), 8 / 16),
        ({"fit": "pad"}, (16, 24, 12), 1),
        ({"fit": "crop"}, (8, 10, 8), 1),
    ],
)
def test_files_of_several_sizes_and_one_spacing_keep_it(
    keys: dict[str, object], shape: tuple[int, ...], spacing: float, tmp_path: Path
) -> None:
    found = ingested(tmp_path, [np.eye(4)], **keys)
    assert isinstance(found.data, ImageSet)
    assert found.data.images.shape[2:] == shape
    assert found.data.scan is not None
    np.testing.assert_allclose(found.data.scan.spacing_mm, spacing)
    # The middle of each image stays in the middle, so they begin at different places.
    assert np.asarray(found.data.scan.affine)[:3, 3].tolist() == [0, 0, 0]
    assert "mixed_voxel_grids" not in {problem["kind"] for problem in found.problems}


def test_resizing_needs_a_size(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"source\.fit is 'resize', but source\.size is not set"):
        ingested(tmp_path, [np.eye(4)], fit="resize")
