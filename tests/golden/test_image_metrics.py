"""Image metrics against independent formulas: matrix square root, brute force, a naive loop."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from synthgen.datasets import ImageSet
from synthgen.metrics.fidelity.coverage import coverage_and_density
from synthgen.metrics.fidelity.frechet import frechet_distance
from synthgen.metrics.privacy.image_matching import nearest_correlations


@pytest.mark.parametrize(("n", "m", "d"), [(200, 150, 8), (40, 300, 32), (2, 50, 4)])
def test_frechet_distance_equals_the_matrix_square_root(n, m, d):
    rng = np.random.default_rng(n)
    mixing = rng.normal(size=(d, d))
    first, second = rng.normal(size=(n, d)) @ mixing, rng.normal(0.3, 1.5, size=(m, d))
    cov_first, cov_second = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = sqrtm(cov_first @ cov_second + 0j).real
    expected = np.square(first.mean(axis=0) - second.mean(axis=0)).sum() + np.trace(cov_first + cov_second - 2 * root)
    # sqrtm itself is good to about 1e-6 on singular matrices.
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-5)


def test_frechet_distance_of_equal_and_of_moved_samples():
    sample = np.random.default_rng(0).normal(size=(60, 5))
    assert frechet_distance(sample, sample) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(sample, sample + 2) == pytest.approx(5 * 2**2)
    assert frechet_distance(sample, sample * 0) == pytest.approx(
        np.square(sample.mean(axis=0)).sum() + np.trace(np.cov(sample, rowvar=False))
    )


@pytest.mark.parametrize(("m", "shift"), [(40, 0.0), (25, 1.0), (1, 0.0), (30, 50.0)])
def test_coverage_and_density_equal_brute_force(m, shift):
    rng = np.random.default_rng(m)
    real, synthetic = rng.normal(size=(30, 3)), rng.normal(shift, 1, size=(m, 3))
    covered, inside = 0, 0
    for i, point in enumerate(real):
        others = sorted(float(np.linalg.norm(point - other)) for j, other in enumerate(real) if j != i)
        hits = [float(np.linalg.norm(point - other)) < others[4] for other in synthetic]
        covered += any(hits)
        inside += sum(hits)
    coverage, density = coverage_and_density(real, synthetic)
    assert coverage == pytest.approx(covered / 30)
    assert density == pytest.approx(inside / (5 * m))


def naive_correlation(image: np.ndarray, reference: np.ndarray, shift: int) -> float:
    """Highest normalised cross-correlation of two grey images, as the definition says, loop by loop."""

    def blur(grey: np.ndarray) -> np.ndarray:
        padded = np.pad(grey.astype(float), 1, mode="edge")
        height, width = grey.shape
        return sum(padded[r : r + height, c : c + width] for r in range(3) for c in range(3)) / 9

    margin = shift + 1
    height, width = (side - 2 * margin for side in image.shape)
    best = -1.0
    for variant in (blur(image), blur(image)[:, ::-1]):
        middle = variant[margin:-margin, margin:-margin]
        for row in range(1, 2 * shift + 2):
            for column in range(1, 2 * shift + 2):
                window = blur(reference)[row : row + height, column : column + width]
                best = max(best, float(np.corrcoef(middle.ravel(), window.ravel())[0, 1]))
    return best


@pytest.mark.parametrize(("height", "width", "shift"), [(8, 8, 1), (16, 20, 2), (28, 28, 2), (40, 36, 2)])
def test_nearest_correlations_equal_a_naive_loop(height, width, shift):
    rng = np.random.default_rng(height)
    images = rng.integers(0, 256, (4, 1, height, width)).astype(np.uint8)
    references = rng.integers(0, 256, (7, 1, height, width)).astype(np.uint8)
    sets = [ImageSet(pixels, np.zeros(len(pixels), dtype=np.int64), ("a",)) for pixels in (images, references)]
    found, index = nearest_correlations(*sets, count=3)
    table = np.array([[naive_correlation(image[0], other[0], shift) for other in references] for image in images])
    order = np.argsort(-table, axis=1)[:, :3]
    assert found == pytest.approx(np.take_along_axis(table, order, axis=1), abs=1e-4)
    assert index.tolist() == order.tolist()
