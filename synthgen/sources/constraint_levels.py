"""Constraints between columns of few values that hold in a table and not by accident."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from synthgen.config import Constraint, FixedCombinationsConfig, ImpliedConfig, Scalar
from synthgen.constraints.cells import as_json
from synthgen.datasets import Index, Table
from synthgen.errors import name_list

# Rows that a value needs to have consequences; values of a column, and columns, of which all pairs are looked at.
_LEVEL_ROWS, _LEVEL_SHARE, _MAX_LEVELS, _MAX_COLUMNS = 15, 0.005, 1_000, 60
# Natural logarithms of improbability: among the thousands of rules that are tried none holds by chance.
LEAST_STRENGTH = 20.0
# Of the combinations that unrelated columns would show, at most; and of rows whose combination no other row has.
_COMBINATION_SHARE, _SINGLE_SHARE = 0.6, 0.001


@dataclass(frozen=True)
class ProposedConstraint:
    """A constraint, why it is proposed, and how many natural logarithms of improbability speak for it."""

    constraint: Constraint
    reason: str
    strength: float


@dataclass(frozen=True)
class Levels:
    """Columns of few values, missing being one of them.

    Attributes:
        codes: int64 [n] of each column.
        values: of each column, by code.
        named: columns of categories and truth values.
    """

    codes: dict[str, Index]
    values: dict[str, list[Scalar]]
    named: frozenset[str]

    @classmethod
    def of(cls, table: Table, frame: pd.DataFrame) -> "Levels":
        """The columns of `frame` with few values for its number of rows."""
        codes: dict[str, Index] = {}
        values: dict[str, list[Scalar]] = {}
        for name in map(str, frame.columns):
            found, uniques = pd.factorize(frame[name], use_na_sentinel=False)
            if len(uniques) <= min(_MAX_LEVELS, len(frame) // 20) and len(codes) < _MAX_COLUMNS:
                codes[name], values[name] = found.astype(np.int64), as_json(pd.Series(uniques))
        return cls(codes, values, frozenset(table.schema.of_kind("categorical", "boolean")) & codes.keys())

    def counts(self, first: str, second: str) -> Index:
        """int64 [k, l]: rows with each pair of values."""
        k, m = len(self.values[first]), len(self.values[second])
        return np.bincount(self.codes[first] * m + self.codes[second], minlength=k * m).reshape(k, m)


def level_constraints(levels: Levels) -> Iterator[ProposedConstraint]:
    """Implied values, columns that determine others, and pairs of columns with few combinations."""
    counts = {pair: levels.counts(*pair) for pair in combinations(levels.codes, 2)}
    counts |= {(second, first): table.T for (first, second), table in counts.items()}
    for first in levels.codes:
        others = {second: counts[first, second] for second in levels.codes if second != first}
        yield from _implied(levels, first, others)
        yield from _determined(first, others)
    for first, second in combinations([name for name in levels.codes if name in levels.named], 2):
        yield from _few_combinations(first, second, counts[first, second])


def _implied(levels: Levels, first: str, others: dict[str, Index]) -> Iterator[ProposedConstraint]:
    """Values of `first` with which several others come that hardly occur elsewhere, one of them nowhere."""
    rows = np.bincount(levels.codes[first])
    least = max(_LEVEL_ROWS, _LEVEL_SHARE * rows.sum())
    for level in np.flatnonzero(rows >= least).tolist():
        then: dict[str, Scalar] = {}
        strength, nowhere_else = 0.0, 0
        for second, table in others.items():
            other = int(table[level].argmax())
            outside = int(table[:, other].sum() - rows[level])
            if table[level, other] < rows[level] or outside > rows[level]:
                continue
            share = (outside + 1) / (rows.sum() - rows[level] + 2)
            then[second] = levels.values[second][other]
            strength, nowhere_else = strength - rows[level] * np.log(share), nowhere_else + (outside == 0)
        if len(then) > 1 and nowhere_else and strength > LEAST_STRENGTH:
            constraint = ImpliedConfig(kind="implied", when={first: levels.values[first][level]}, then=then)
            reason = f"All {rows[level]:,} rows with this value of {first!r} have these values of {name_list(then)}."
            yield ProposedConstraint(constraint, reason, strength)


def _determined(first: str, others: dict[str, Index]) -> Iterator[ProposedConstraint]:
    """All columns of which each value of `first` has one value only."""
    determined: list[str] = []
    strength = 0.0
    for second, table in others.items():
        total = int(table.sum())
        # The chance that all rows of a value agree by accident is at most this per further row.
        gain = -(total - len(table)) * float(np.log(table.sum(axis=0).max() / total))
        if ((table > 0).sum(axis=1) == 1).all() and len(table) > 2 and gain > LEAST_STRENGTH:
            determined.append(second)
            strength += gain
    if determined:
        constraint = FixedCombinationsConfig(kind="fixed_combinations", columns=(first, *determined))
        yield ProposedConstraint(constraint, f"{first!r} alone tells {name_list(determined)} in every row.", strength)


def _few_combinations(first: str, second: str, table: Index) -> Iterator[ProposedConstraint]:
    total = int(table.sum())
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / total
    # Poisson: the chance that unrelated columns never show the pair.
    shown = float((1 - np.exp(-expected)).sum())
    found, strength = int((table > 0).sum()), float(expected[table == 0].sum())
    if found > _COMBINATION_SHARE * shown or (table == 1).sum() > _SINGLE_SHARE * total or strength < LEAST_STRENGTH:
        return
    constraint = FixedCombinationsConfig(kind="fixed_combinations", columns=(first, second))
    yield ProposedConstraint(constraint, f"{found} of {table.size} possible combinations occur.", strength)
