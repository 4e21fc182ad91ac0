import numpy as np
import pytest

from synthgen.config import CartConfig
from synthgen.synthesizers.cart import Cart
from synthgen.synthesizers.codes import CodeRows, Layout

ROWS = 6_000


def even_ranks(size: int) -> np.ndarray:
    return (np.arange(size) + 0.5) / size


# a: ordered; b: unordered, follows from a; c: ordered with a missing code (4); d: unordered and wide, of 10 groups.
LAYOUT = Layout(
    ("a", "b", "c", "d"), (20, 20, 5, 300), (even_ranks(20), None, np.append(even_ranks(4), np.nan), None), 3
)
SCRAMBLED = np.random.default_rng(8).permutation(20)
GROUP_OF = np.random.default_rng(9).permutation(300) % 10


def rows(n: int = ROWS, seed: int = 0) -> CodeRows:
    rng = np.random.default_rng(seed)
    classes = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    a = np.clip(rng.normal(4 + 5 * classes, 3, n).astype(np.int64), 0, 19)
    b = SCRAMBLED[a]
    c = np.where(a > 12, 4, rng.integers(0, 4, n))
    members = np.argsort(GROUP_OF, kind="stable").reshape(10, 30)
    d = members[a // 2, rng.integers(0, 30, n)]
    return CodeRows(np.stack([a, b, c, d], axis=1).astype(np.int64), classes.astype(np.int64))


def cart(train: CodeRows | None = None, *, leaf_rows: int = 25, seed: int = 1) -> Cart:
    config = CartConfig(kind="cart", leaf_rows=leaf_rows)
    train = train or rows()
    return Cart(config).fit(train, train.take(np.arange(0)), LAYOUT, np.random.default_rng(seed), checkpoint=None)


MODEL = cart()
TRAIN = rows()
DRAWN = MODEL.draw(TRAIN.classes, {}, np.random.default_rng(2))


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("label", range(3))
def test_each_column_is_as_frequent_as_in_the_class(column: int, label: int) -> None:
    real, drawn = (
        np.bincount(codes[TRAIN.classes == label, column], minlength=300) for codes in (TRAIN.codes, DRAWN.codes)
    )
    fresh = rows(seed=5)
    other = np.bincount(fresh.codes[fresh.classes == label, column], minlength=300)
    distance = np.abs(real - drawn).sum() / real.sum() / 2
    floor = np.abs(real / real.sum() - other / other.sum()).sum() / 2
    assert distance < 1.3 * floor + 0.02


def test_a_column_that_follows_from_another_still_does() -> None:
    assert (DRAWN.codes[:, 1] == SCRAMBLED[DRAWN.codes[:, 0]]).mean() > 0.97


def test_a_missing_code_keeps_its_condition() -> None:
    assert ((DRAWN.codes[:, 2] == 4) == (DRAWN.codes[:, 0] > 12)).mean() > 0.995


def test_a_wide_column_without_order_depends_on_those_before() -> None:
    assert (GROUP_OF[DRAWN.codes[:, 3]] == DRAWN.codes[:, 0] // 2).mean() > 0.85


def test_nothing_restricted_weighs_nothing() -> None:
    assert (DRAWN.log_weight == 0).all()


def test_restricted_columns_have_allowed_codes_with_the_probability_of_the_model() -> None:
    is_high, is_missing = np.arange(20) > 10, np.arange(5) == 4
    classes = np.full(40_000, 1, dtype=np.int64)
    forced = MODEL.draw(classes, {0: is_high, 2: is_missing}, np.random.default_rng(3))
    free = MODEL.draw(classes, {}, np.random.default_rng(4)).codes
    assert is_high[forced.codes[:, 0]].all()
    assert is_missing[forced.codes[:, 2]].all()
    share = (is_high[free[:, 0]] & is_missing[free[:, 2]]).mean()
    assert np.exp(forced.log_weight).mean() == pytest.approx(share, rel=0.05)


def test_the_weighted_rows_are_distributed_as_the_free_rows_that_meet_the_condition() -> None:
    allowed = np.isin(np.arange(300), np.flatnonzero(GROUP_OF == 3))
    classes = np.zeros(40_000, dtype=np.int64)
    forced = MODEL.draw(classes, {3: allowed}, np.random.default_rng(3))
    free = MODEL.draw(classes, {}, np.random.default_rng(4)).codes
    meeting = free[allowed[free[:, 3]], 0]
    weighted = np.bincount(forced.codes[:, 0], weights=np.exp(forced.log_weight), minlength=20)
    expected = np.bincount(meeting, minlength=20) / len(meeting)
    assert np.abs(weighted / weighted.sum() - expected).sum() / 2 < 0.03


def test_what_no_leaf_has_is_drawn_with_probability_zero() -> None:
    absent = np.arange(20) == SCRAMBLED[19]
    forced = MODEL.draw(np.zeros(500, dtype=np.int64), {0: np.arange(20) == 0, 1: absent}, np.random.default_rng(3))
    assert (forced.codes[:, 1] == SCRAMBLED[19]).all()
    assert (forced.log_weight == -np.inf).all()


def test_same_seed_gives_the_same_codes_and_another_seed_others() -> None:
    again = cart().draw(TRAIN.classes, {}, np.random.default_rng(2)).codes
    assert (again == DRAWN.codes).all()
    assert (MODEL.draw(TRAIN.classes, {}, np.random.default_rng(3)).codes != DRAWN.codes).any()


def test_a_restored_model_draws_the_same_codes() -> None:
    meta, arrays = MODEL.state()
    restored = Cart(MODEL.config).restore(LAYOUT, meta, arrays)
    assert (restored.draw(TRAIN.classes, {}, np.random.default_rng(2)).codes == DRAWN.codes).all()


@pytest.mark.parametrize("leaf_rows", [5, 25, 200])
def test_what_is_saved_are_counts_of_at_least_so_many_rows(leaf_rows: int) -> None:
    _, arrays = cart(leaf_rows=leaf_rows).state()
    for column in range(4):
        starts, counts = arrays[f"cart.{column}.starts"], arrays[f"cart.{column}.counts"]
        assert np.add.reduceat(counts, starts[:-1]).min() >= leaf_rows
        assert counts.sum() == ROWS


def test_noise_is_not_learned_by_heart() -> None:
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, size, ROWS) for size in LAYOUT.sizes], axis=1)
    _, arrays = cart(CodeRows(codes, rng.integers(0, 3, ROWS))).state()
    assert max(len(arrays[f"cart.{column}.starts"]) - 1 for column in range(4)) < 0.5 * ROWS / 25


@pytest.mark.parametrize("n", [1, 3, 30])
def test_a_handful_of_rows_is_enough(n: int) -> None:
    model = cart(rows(n))
    drawn = model.draw(np.asarray([0, 1, 2]), {}, np.random.default_rng(0)).codes
    assert drawn.shape == (3, 4)
    assert all(set(drawn[:, j].tolist()) <= set(rows(n).codes[:, j].tolist()) for j in range(4))


def test_no_rows_asked_for_are_no_rows() -> None:
    drawn = MODEL.draw(np.empty(0, dtype=np.int64), {0: np.arange(20) == 0}, np.random.default_rng(0))
    assert drawn.codes.shape == (0, 4)
    assert drawn.log_weight.shape == (0,)


def test_likelihoods_are_the_shares_of_what_is_drawn() -> None:
    row = TRAIN.take(np.array([7]))
    many = np.repeat(np.column_stack([row.classes, row.codes]), 40_000, axis=0)
    for column, size in enumerate(LAYOUT.sizes):
        every = np.repeat(row.codes, size, axis=0)
        every[:, column] = np.arange(size)
        likelihood = MODEL.likelihood(CodeRows(every, np.repeat(row.classes, size)))[:, column]
        codes, _ = MODEL.draw_column(column, many, None, np.random.default_rng(column))
        assert likelihood.sum() == pytest.approx(1)
        assert likelihood == pytest.approx(np.bincount(codes, minlength=size) / 40_000, abs=0.012)
