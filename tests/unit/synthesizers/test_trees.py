import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from synthgen.synthesizers.trees import Forest, Growth


def material(rows: int = 3_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    return x, x[:, 0] + (x[:, 1] > 0.5) * x[:, 2] + 0.1 * rng.normal(size=rows)


def test_rows_fall_to_the_leaves_that_scikit_learn_gives_them() -> None:
    x, y = material()
    forest = Forest.grow(x, y, Growth(leaf_rows=10), np.random.default_rng(1))
    seed = int(np.random.default_rng(1).integers(2**31))
    theirs = DecisionTreeRegressor(min_samples_leaf=10, random_state=seed).fit(x, y).apply(x)
    ours = forest.leaves(x)
    assert len(np.unique(theirs)) == forest.leaf_count > 50
    assert len(np.unique(np.stack([ours, theirs]), axis=1).T) == forest.leaf_count


@pytest.mark.parametrize("leaf_rows", [5, 40])
def test_leaves_have_the_demanded_number_of_rows(leaf_rows: int) -> None:
    x, y = material()
    growth = Growth(leaf_rows=leaf_rows, trees=2, share=0.6, max_rows=1_000, min_gain=3)
    forest = Forest.grow(x, y, growth, np.random.default_rng(1))
    counts = np.bincount(np.concatenate([forest.leaves(x, tree) for tree in range(2)]))
    assert len(counts) == forest.leaf_count
    assert counts.min() >= leaf_rows


@pytest.mark.parametrize(("step", "leaves"), [(0.0, 1), (1.0, 2)])
def test_pruning_leaves_the_splits_that_noise_does_not_explain(step: float, leaves: int) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2_000, 3)).astype(np.float32)
    y = step * (x[:, 1] > 0) + 0.2 * rng.normal(size=2_000)
    assert Forest.grow(x, y, Growth(leaf_rows=20, min_gain=25), rng).leaf_count == leaves
    assert Forest.grow(x, y, Growth(leaf_rows=20), rng).leaf_count > 40


def test_a_weak_split_above_a_strong_one_stays() -> None:
    x = np.stack(np.meshgrid([0, 1], [0, 1], range(250)), axis=-1).reshape(-1, 3)[:, :2].astype(np.float32)
    y = (x[:, 0] == x[:, 1]) + 0.05 * np.random.default_rng(0).normal(size=len(x))
    forest = Forest.grow(x, y, Growth(leaf_rows=20, min_gain=8), np.random.default_rng(0))
    assert forest.leaf_count == 4


def test_leaves_below_the_same_parent_are_consecutive() -> None:
    nodes = {"feature": [0, -1, 1, -1, -1], "threshold": [0, 0, 0, 0, 0]}
    children = np.asarray([[1, 2], [0, 0], [3, 4], [1, 1], [2, 2]], dtype=np.int32)
    feature, threshold = (np.asarray(nodes[name], dtype=np.int32) for name in ("feature", "threshold"))
    forest = Forest(np.zeros(1, dtype=np.int32), feature, threshold.astype(np.float32), children)
    assert forest.sibling_ranges().tolist() == [[0, 3], [1, 3], [1, 3]]
    assert forest.leaves(np.asarray([[0, 9], [1, 0], [1, 1]], dtype=np.float32)).tolist() == [0, 1, 2]


@pytest.mark.parametrize("rows", [1, 3])
def test_too_few_rows_to_split_are_one_leaf(rows: int) -> None:
    forest = Forest.grow(np.zeros((rows, 2), np.float32), np.zeros(rows), Growth(leaf_rows=5), np.random.default_rng(0))
    assert forest.leaves(np.ones((4, 2), dtype=np.float32)).tolist() == [0, 0, 0, 0]
    assert forest.leaves(np.empty((0, 2), dtype=np.float32)).tolist() == []
    assert forest.sibling_ranges().tolist() == [[0, 1]]


def test_restored_trees_give_the_same_leaves() -> None:
    x, y = material()
    forest = Forest.grow(x, y, Growth(leaf_rows=10, trees=3), np.random.default_rng(1))
    again = Forest.restore("some.place", forest.state("some.place"))
    assert (again.leaves(x, 2) == forest.leaves(x, 2)).all()
    assert (again.leaves(x, 2) != forest.leaves(x, 0)).all()
