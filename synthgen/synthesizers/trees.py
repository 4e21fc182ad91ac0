"""Regression trees as arrays: scikit-learn grows them, numpy walks them, a file holds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.tree import DecisionTreeRegressor

from synthgen.datasets import Index

Features = npt.NDArray[np.float32]
# Feature [nodes], -1 at a leaf; threshold [nodes]; children [nodes, 2].
_Tree = tuple[Index, npt.NDArray[np.float64], Index]


@dataclass(frozen=True)
class Growth:
    """How trees are grown.

    Attributes:
        trees: how many; each sees its own random `share` of the rows, at most `max_rows`.
        leaf_rows: rows of a leaf, at least.
        min_gain: what a split must explain, in units of the variance of a row in its node (one random split explains 1,
            the best of many about 8): weaker ones are pruned from the leaves up; 0 takes every split.
        features: share of the features that are tried at each split.
    """

    leaf_rows: int
    trees: int = 1
    share: float = 1.0
    max_rows: int = 100_000
    min_gain: float = 0.0
    features: float = 1.0


@dataclass(frozen=True)
class Forest:
    """Trees in one set of arrays; the leaves of all trees are numbered in the order of the nodes.

    Attributes:
        roots: int32 [trees].
        feature: int32 [nodes], -1 at a leaf.
        threshold: float32 [nodes]; a row goes to the first child where its feature is at most this.
        children: int32 [nodes, 2]; at a leaf both are its number.
    """

    roots: npt.NDArray[np.int32]
    feature: npt.NDArray[np.int32]
    threshold: Features
    children: npt.NDArray[np.int32]

    @classmethod
    def grow(cls, x: Features, y: npt.NDArray[Any], growth: Growth, rng: np.random.Generator) -> Self:
        """Trees that predict y [n] or [n, d] from x [n, features] by least squares (Breiman 1984)."""
        rows = min(max(round(growth.share * len(x)), 1), growth.max_rows)
        grown = []
        for _ in range(growth.trees):
            taken = np.sort(rng.permutation(len(x))[:rows]) if rows < len(x) else np.arange(rows)
            tree = DecisionTreeRegressor(
                min_samples_leaf=growth.leaf_rows,
                max_features=growth.features,
                random_state=int(rng.integers(2**31)),
            )
            grown.append(_pruned(tree.fit(x[taken], y[taken]).tree_, growth.min_gain))
        return cls._joined(grown)

    @classmethod
    def _joined(cls, grown: list[_Tree]) -> Self:
        sizes = [len(feature) for feature, _, _ in grown]
        roots = np.cumsum([0, *sizes[:-1]]).astype(np.int32)
        feature = np.concatenate([feature for feature, _, _ in grown]).astype(np.int32)
        threshold = np.concatenate([threshold for _, threshold, _ in grown])
        both = [children + root for (_, _, children), root in zip(grown, roots, strict=True)]
        children = np.concatenate(both).astype(np.int32)
        is_leaf = feature < 0
        children[is_leaf] = np.arange(is_leaf.sum(), dtype=np.int32)[:, None]
        return cls(roots, feature, _rounded_down(threshold), children)

    @property
    def leaf_count(self) -> int:
        return int((self.feature < 0).sum())

    def leaves(self, x: Features, tree: Index | int = 0) -> Index:
        """int64 [n]: the leaf that each row falls to in its tree; x float32 [n, features]."""
        node = np.broadcast_to(self.roots[tree], len(x)).astype(np.int64)
        walking = np.flatnonzero(self.feature[node] >= 0)
        while len(walking):
            here = node[walking]
            is_right = x[walking, self.feature[here]] > self.threshold[here]
            node[walking] = here = self.children[here, is_right.view(np.int8)].astype(np.int64)
            walking = walking[self.feature[here] >= 0]
        return np.asarray(self.children[node, 0], dtype=np.int64)

    def sibling_ranges(self) -> npt.NDArray[np.int32]:
        """int32 [leaves, 2]: first and last + 1 of the leaves below the parent of each leaf; a lone root is its own.

        They are consecutive because nodes are numbered depth first.
        """
        spans = np.zeros((len(self.feature), 2), dtype=np.int32)
        above = spans.copy()
        for node in range(len(self.feature) - 1, -1, -1):
            first, second = self.children[node]
            if self.feature[node] < 0:
                above[node] = spans[node] = first, first + 1
                continue
            spans[node] = spans[first, 0], spans[second, 1]
            above[first] = above[second] = spans[node]
        return above[self.feature < 0]

    def state(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Arrays by name."""
        return {f"{prefix}.{name}": array for name, array in vars(self).items()}

    @classmethod
    def restore(cls, prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The trees whose `state` is among the arrays."""
        return cls(*(arrays[f"{prefix}.{name}"] for name in ("roots", "feature", "threshold", "children")))


def _pruned(tree: Any, min_gain: float) -> _Tree:
    """The nodes that stay, in their order: depth first, children after their parent."""
    children = np.stack([tree.children_left, tree.children_right], axis=1)
    spread = tree.impurity * tree.n_node_samples
    is_leaf = children[:, 0] < 0
    for node in np.flatnonzero(~is_leaf)[::-1].tolist():
        first, second = children[node].tolist()
        if is_leaf[first] and is_leaf[second]:
            is_leaf[node] = spread[node] - spread[first] - spread[second] < min_gain * tree.impurity[node]
    stays = np.zeros(len(children), dtype=bool)
    stays[0] = True
    for node in np.flatnonzero(~is_leaf).tolist():
        stays[children[node]] = stays[node]
    number = np.cumsum(stays) - 1
    feature = np.where(is_leaf, -1, tree.feature).astype(np.int64)
    return feature[stays], tree.threshold[stays], number[children[stays]]


def _rounded_down(threshold: npt.NDArray[np.float64]) -> Features:
    # The largest float32 that is not above: every float32 feature is then on the same side as before.
    single = threshold.astype(np.float32)
    return np.where(single > threshold, np.nextafter(single, np.float32(-np.inf)), single)
