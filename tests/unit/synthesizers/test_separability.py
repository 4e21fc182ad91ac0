import numpy as np
import pytest

from synthgen.synthesizers.codes import CodeRows
from synthgen.synthesizers.separability import code_auc


def rows(n: int, seed: int, link: float) -> CodeRows:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 8, n)
    second = np.where(rng.random(n) < link, first, rng.integers(0, 8, n))
    return CodeRows(np.stack([first, second], axis=1), rng.integers(0, 2, n))


@pytest.mark.parametrize(("link", "low", "high"), [(0.9, 0.46, 0.54), (0.0, 0.85, 1.0), (0.7, 0.55, 0.75)])
def test_the_area_grows_with_what_is_wrong(link: float, low: float, high: float) -> None:
    area = code_auc(rows(1_500, 0, 0.9), rows(1_400, 1, link), np.random.default_rng(0))
    assert low < area < high


def test_a_wrong_class_mix_is_seen() -> None:
    real, drawn = rows(1_000, 0, 0.5), rows(1_000, 1, 0.5)
    flipped = CodeRows(drawn.codes, np.ones(1_000, dtype=np.int64))
    assert code_auc(real, flipped, np.random.default_rng(0)) > 0.7


def test_the_same_rng_gives_the_same_number() -> None:
    first, second = (code_auc(rows(300, 0, 0.9), rows(200, 1, 0.5), np.random.default_rng(4)) for _ in "ab")
    assert first == second
