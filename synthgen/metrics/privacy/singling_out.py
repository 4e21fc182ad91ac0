"""Singling out: does a description that fits one synthetic row fit one real person?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthgen.datasets import Index
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.privacy.excess import MIN_ROWS, Excess, Success, excess_success
from synthgen.metrics.table_features import Encoded, column_decimals, distinct_tables, encode
from synthgen.stats import FloatArray

THREAT_MODEL = (
    "An attacker reads the synthetic rows alone, finds a description that fits one of them, and claims that it fits "
    "exactly one real person."
)
ATTACKS = 2_000
MIN_ATTACKS = 100
# A description names half of so many columns, or more: fewer fit many rows.
MOST_COLUMNS = 8
# Descriptions tried in turn until so many single out a synthetic row.
CANDIDATES = 6_000
# Descriptions compared with all rows at once.
BLOCK = 32
MISSING = -1
HIGHEST = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Predicates:
    """Descriptions: column[i, j] of a row lies between low[i, j] and high[i, j], for all j; each int64 [p, k].

    On codes, not on text: an apostrophe in a value is a value like another.
    """

    column: Index
    low: Index
    high: Index

    def __len__(self) -> int:
        return len(self.column)

    def take(self, index: Index) -> "Predicates":
        """The descriptions at these positions."""
        return Predicates(self.column[index], self.low[index], self.high[index])

    def fitting(self, rows: Index) -> Index:
        """How many of the rows (int64 [n, d] of codes) each description fits, int64 [p]."""
        by_column = np.ascontiguousarray(rows.T, dtype=np.int32)
        found = [np.empty(0, dtype=np.int64)]
        for start in range(0, len(self), BLOCK):
            block = slice(start, start + BLOCK)
            fits = np.ones((len(self.column[block]), len(rows)), dtype=bool)
            for column, low, high in zip(self.column[block].T, self.low[block].T, self.high[block].T, strict=True):
                values = by_column[column]
                fits &= (values >= low[:, None].astype(np.int32)) & (values <= high[:, None].astype(np.int32))
            found.append(fits.sum(axis=1))
        return np.concatenate(found)


def singling_out(evaluation: Evaluation) -> Finding:
    """(a - c) / (1 - c): of descriptions that fit one synthetic row, a share a fits one member, c by coincidence.

    A description fits exactly one of all real people; a of them are members (train), and c is the share that would be
    strangers (holdout) if there were as many strangers as members: without a leak both are equal, whatever the sizes.
    Giomi 2023, arXiv:2211.10459, on different rows. Two attacks, the stronger counts: one column (a value that occurs
    once, or lies beyond all others), and up to eight columns of one synthetic row (its categories; numbers at least,
    or at most, its own, away from the median). Interval: see `excess_success`. Reference: half of the holdout in place
    of the synthetic rows, the other half as strangers. For information: descriptions that fit one of n people are found
    by chance in up to 37 of 100 cases, with or without a leak.
    """
    parts = [part.rows for part in distinct_tables(evaluation)]
    if min(map(len, parts)) < MIN_ROWS:
        raise NotMeasurable(f"fewer than {MIN_ROWS} different rows of the synthesised classes on one side")
    rng = evaluation.rng("singling_out")
    columns = Columns.of(encode(parts, parts[0].schema.modelled))
    train, holdout, synthetic = columns.parts
    found = columns.attacked(train, holdout, synthetic, rng)
    if not found:
        raise NotMeasurable(f"fewer than {MIN_ATTACKS} descriptions fit one synthetic row")
    name, best = max(found.items(), key=lambda item: item[1].value)
    order = rng.permutation(len(holdout))
    published, others = np.split(holdout[order], [len(holdout) // 2])
    fresh = columns.attacked(train, others, published, rng)
    return Finding(
        metric="singling_out", family="privacy", value=best.value, low=max(excess.low for excess in found.values()),
        high=max(excess.high for excess in found.values()), reference=fresh[name].value if name in fresh else None,
        higher_is_better=False, n=len(holdout), threat_model=THREAT_MODEL,
        detail={
            "attack": name, "members_singled_out": best.members, "strangers_singled_out": best.strangers,
            "attacks": {name: excess.value for name, excess in found.items()},
        },
    )  # fmt: skip


@dataclass(frozen=True)
class Columns:
    """Train, holdout and synthetic rows as codes (int64 [n, d], in order of value), and which columns have an order."""

    parts: Sequence[Index]
    is_number: Sequence[bool]

    @classmethod
    def of(cls, encoded: Sequence[Encoded]) -> "Columns":
        """Numbers are coded by rank after rounding to the decimals of train; missing is -1."""
        decimals = column_decimals(encoded[0].numeric)
        ends = np.cumsum([len(rows) for rows in encoded])[:-1]
        numeric = np.concatenate([rows.numeric for rows in encoded])
        ranks = [_ranked(np.round(values, digits)) for values, digits in zip(numeric.T, decimals, strict=True)]
        codes = np.column_stack([*ranks, np.concatenate([rows.codes for rows in encoded])])
        names = encoded[0].names
        return cls(np.split(codes, ends), [name in encoded[0].numeric_names for name in names])

    def attacked(
        self, members: Index, strangers: Index, published: Index, rng: np.random.Generator
    ) -> dict[str, Excess]:
        """What each attack finds that has descriptions enough."""
        tried = {"one column": self._univariate(published, rng), "several columns": self._multivariate(published, rng)}
        found = {}
        for name, predicates in tried.items():
            unique = predicates.take(np.flatnonzero(predicates.fitting(published) == 1)[:ATTACKS])
            if len(unique) >= MIN_ATTACKS:
                found[name] = _excess(unique, members, strangers, tests=len(tried))
        return found

    def _univariate(self, published: Index, rng: np.random.Generator) -> Predicates:
        """One column each: a value that occurs once; for numbers also the least and the greatest."""
        found = []
        for column, is_number in enumerate(self.is_number):
            values, counts = np.unique(published[:, column], return_counts=True)
            bounds = [np.column_stack([values, values])[counts == 1]]
            if is_number:
                bounds.append(np.array([[0, values[values != MISSING].min(initial=0)], [values[-1], HIGHEST]]))
            found.append(np.insert(np.vstack(bounds), 0, column, axis=1))
        column, low, high = rng.permutation(np.vstack(found)).T[:, :, None]
        return Predicates(column, low, high)

    def _multivariate(self, published: Index, rng: np.random.Generator) -> Predicates:
        """Random columns of a random row each: its categories; its numbers or anything farther out."""
        width = min(published.shape[1], MOST_COLUMNS)
        row = rng.permutation(len(published))[:CANDIDATES, None]
        column = rng.random((len(row), published.shape[1])).argsort(axis=1)[:, :width]
        is_named = np.arange(width) < rng.integers((width + 1) // 2, width, (len(row), 1), endpoint=True)
        value = published[row, column]
        is_open = np.asarray(self.is_number)[column] & (value != MISSING)
        is_above = value > np.median(published, axis=0)[column]
        low = np.where(is_open & ~is_above, 0, value)
        high = np.where(is_open & is_above, HIGHEST, value)
        return Predicates(column, np.where(is_named, low, MISSING), np.where(is_named, high, HIGHEST))


def _ranked(values: FloatArray) -> Index:
    """int64 [n]: the rank among the different values; missing is -1."""
    codes = pd.factorize(values, sort=True)[0]
    return codes.astype(np.int64)


def _excess(predicates: Predicates, members: Index, strangers: Index, *, tests: int) -> Excess:
    fitting = np.stack([predicates.fitting(side) for side in (members, strangers)])
    alone = fitting[:, fitting.sum(axis=0) == 1].sum(axis=1)  # [members, strangers] singled out
    # As many as if there were as many strangers as members.
    scale = len(members) / len(strangers)
    n = len(predicates)
    guarded = (alone[0] + 0.5) / (n + 1)
    return excess_success(
        Success(float(alone[0] / n), float(guarded * (1 - guarded) / n)),
        Success(min(1.0, float(alone[1] * scale / n)), float((alone[1] + 0.5) * (scale / n) ** 2)),
        tests=tests,
    )
