import numpy as np
import pytest

from synthgen.synthesizers.encoding.inside_curves import Curves

ROWS = 3_000


def data(n: int = ROWS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Column 1 is a power of column 0 that depends on the code of column 2; column 3 says nothing."""
    rng = np.random.default_rng(seed)
    codes = np.stack([np.full(n, 99), np.full(n, 99), rng.integers(0, 3, n), rng.integers(0, 5, n)], axis=1)
    first = rng.random(n)
    ranks = np.stack([first, first ** (1 + codes[:, 2]), codes[:, 2], codes[:, 3]], axis=1)
    return (ranks * [4096, 4096, 1, 1]).astype(np.float32), codes


def fitted() -> Curves:
    return Curves.fit(*data(), 1, 0, np.random.default_rng(1))


def test_a_formula_with_levels_is_found_and_followed() -> None:
    ranks, codes = data(seed=5)
    curves = fitted()
    assert (curves.partner, curves.by) == (0, 2)
    error = curves.ranks(ranks, codes) - ranks[:, 1]
    assert np.abs(error).mean() < 4096 * 0.004
    one = Curves._through(*data(), 1, (0, -1))
    assert np.abs(one.ranks(ranks, codes) - ranks[:, 1]).mean() > 4096 * 0.08


def test_one_curve_does_where_levels_say_nothing() -> None:
    ranks, codes = data()
    ranks[:, 1] = ranks[:, 0] ** 2 / 4096
    curves = Curves.fit(ranks, codes, 1, 0, np.random.default_rng(1))
    assert np.abs(curves.ranks(ranks, codes) - ranks[:, 1]).mean() < 4096 * 0.004


def test_points_are_means_of_twenty_rows_at_least() -> None:
    curves = fitted()
    _, codes = data()
    rows = np.bincount(codes[:, 2])
    assert (rows / np.bincount(curves.levels) >= 20).all()


@pytest.mark.parametrize("n", [1, 2, 19, 60])
def test_without_rows_for_a_curve_the_partner_stands_for_it(n: int) -> None:
    ranks, codes = data(n)
    curves = Curves.fit(ranks, codes, 1, 0, np.random.default_rng(1))
    found = curves.ranks(ranks, codes)
    assert np.isfinite(found).all()
    assert n >= 20 or found.tolist() == ranks[:, 0].tolist()


def test_restored_curves_say_the_same() -> None:
    curves, (ranks, codes) = fitted(), data(seed=5)
    restored = Curves.restore("c", curves.state("c"))
    assert (restored.ranks(ranks, codes) == curves.ranks(ranks, codes)).all()
