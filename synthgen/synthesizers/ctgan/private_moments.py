"""The moments that the GAN matches, counted once with noise, and made into what counts of rows could have been."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch

from synthgen.config import DpConfig
from synthgen.datasets import Index
from synthgen.device import best_device
from synthgen.errors import DataError
from synthgen.stats import FloatArray
from synthgen.synthesizers.codes import CodeRows, Layout
from synthgen.synthesizers.ctgan.groups import Groups
from synthgen.synthesizers.ctgan.material import Material, class_moments, is_stratified
from synthgen.synthesizers.ctgan.private_budget import Query, moment_query, on_simplex, secret_rng

_SWEEPS = 5


@dataclass(frozen=True)
class PrivateMoments:
    """Noised counts of one table.

    Attributes:
        rows: float64 [k], rows of each class, at least 1.
        pairs: float64 [k, d, d], rows of each class that have two levels; the diagonal has the single levels.
        sigma: deviation of the noise that was added to each count.
    """

    sizes: tuple[int, ...]
    rows: FloatArray
    pairs: FloatArray
    sigma: float

    @classmethod
    def of(cls, train: CodeRows, layout: Layout, query: Query, rng: np.random.Generator) -> "PrivateMoments":
        """Asks the rows once. `rng` must be secret (`secret_rng`).

        Raises:
            DataError: so many classes or levels that classes could not have moments of their own.
        """
        if not is_stratified(sum(layout.sizes), layout.class_count):
            raise DataError(
                f"{layout.class_count} classes with {sum(layout.sizes)} levels are too many for dp",
                where="synthesizer.dp",
                hint="set fewer bins, or leave out the columns with the most values",
            )
        counts = _counts(train, layout)
        rows = np.maximum(query.noised(counts[:, -1, -1], rng), 1.0)
        pairs = np.triu(query.noised(counts[:, :-1, :-1], rng))
        cleaned = [_possible(table, layout.sizes, total) for table, total in zip(pairs, rows.tolist(), strict=True)]
        return cls(layout.sizes, rows, np.stack(cleaned), query.sigma)

    def material(self, batch_size: int, rng: np.random.Generator) -> Material:
        """What the GAN is trained on. Its rows have independent columns: they only stand where real rows were."""
        groups = Groups.of(self.sizes, best_device())
        classes, width = len(self.rows), groups.width
        target = np.zeros((classes, width + classes, width + classes), dtype=np.float32)
        for k, (table, total) in enumerate(zip(self.pairs, self.rows.tolist(), strict=True)):
            target[k, :width, :width] = table / total
            target[k, :width, width + k] = target[k, width + k, :width] = np.diag(table) / total
            target[k, width + k, width + k] = 1.0
        counts = self.rows.astype(np.int64)
        rows = torch.from_numpy(self._independent(counts, rng)).to(groups.offsets.device)
        moments = torch.from_numpy(target).to(groups.offsets.device)
        return Material.of_moments(groups, rows, counts, moments, batch_size=batch_size, noise=self.sigma)

    def _independent(self, counts: Index, rng: np.random.Generator) -> Index:
        """int64 [n, columns]: codes by the frequency of single levels in the class, sorted by class."""
        found = np.empty((int(counts.sum()), len(self.sizes)), dtype=np.int64)
        of_class = np.repeat(np.arange(len(counts)), counts)
        for j, span in enumerate(_spans(self.sizes)):
            for k, table in enumerate(self.pairs):
                share = np.diag(table)[span]
                found[of_class == k, j] = rng.choice(len(share), counts[k], p=share / share.sum())
        return found


def private_material(train: CodeRows, layout: Layout, dp: DpConfig, *, batch_size: int) -> Material:
    """What the GAN is trained on instead of the rows."""
    rng = secret_rng()
    return PrivateMoments.of(train, layout, moment_query(dp, len(layout.sizes)), rng).material(batch_size, rng)


def _counts(train: CodeRows, layout: Layout) -> FloatArray:
    """float64 [k, d + 1, d + 1]: rows of each class with two levels; the last level is the one that all have."""
    groups = Groups.of(layout.sizes, torch.device("cpu"))
    counts = np.zeros((layout.class_count, groups.width + 1, groups.width + 1))
    for k in range(layout.class_count):
        codes = torch.from_numpy(train.codes[train.classes == k])
        moments = class_moments(groups, codes, 0, 1).double().numpy()
        counts[k] = np.rint(moments * len(codes))
    return counts


def _possible(noised: FloatArray, sizes: tuple[int, ...], rows: float) -> FloatArray:
    """Symmetric [d, d] near the noised upper triangle, whose tables of one and two columns are >= 0, sum `rows`."""
    table = np.zeros_like(noised)
    spans = _spans(sizes)
    singles = [on_simplex(np.diag(noised)[span], rows) for span in spans]
    for span, single in zip(spans, singles, strict=True):
        table[span, span] = np.diag(single)
    for a, b in combinations(range(len(sizes)), 2):
        pair = _raked(on_simplex(noised[spans[a], spans[b]], rows), singles[a], singles[b])
        table[spans[a], spans[b]] = pair
        table[spans[b], spans[a]] = pair.T
    return table


def _raked(pair: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """The table [a, b] with these sums, by proportional fitting (Deming and Stephan 1940): sums are known better."""
    # A little of the independent table: no row or column is then empty that must not be.
    pair = np.asarray(pair + 1e-6 * np.outer(first, second) / first.sum())
    for _ in range(_SWEEPS):
        pair *= (first / np.maximum(pair.sum(axis=1), 1e-12))[:, None]
        pair *= second / np.maximum(pair.sum(axis=0), 1e-12)
    return pair


def _spans(sizes: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
