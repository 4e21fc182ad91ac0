"""A column that is computed from others: not modelled, but computed anew."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from synthgen.config import ColumnKind, FormulaConfig
from synthgen.constraints.cells import RELATIVE_ERROR, decimals, numbers
from synthgen.constraints.expression import Expression
from synthgen.constraints.rule import Facts, Kinds, Mask, dtypes_of


@dataclass(frozen=True)
class Formula:
    """Equal as far as the decimals of the column tell, and missing exactly where the formula has no value.

    Facts: the decimals of the column.
    """

    config: FormulaConfig

    @cached_property
    def expression(self) -> Expression:
        """The formula, parsed."""
        return Expression.parse(self.config.formula)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.config.column, *self.expression.columns)

    def misfit(self, kinds: Kinds) -> str | None:
        """All are numbers, and the column is not computed from itself."""
        if self.config.column in self.expression.columns:
            return f"computes {self.config.column!r} from itself; other columns are allowed"
        other = next((name for name in self.columns if kinds[name] not in ("numeric", "integer")), None)
        return None if other is None else f"computes with {other!r}, which is {kinds[other]}; numbers are allowed"

    def learn(self, train: pd.DataFrame) -> Facts:
        """The decimals."""
        content = {"decimals": decimals(numbers(train[self.config.column]))}
        return Facts(dtypes_of(train, self.columns), content)

    def violations(self, frame: pd.DataFrame, facts: Facts) -> Mask:
        """Rows that are off by more than a rounding, or missing on one side."""
        actual, expected = numbers(frame[self.config.column]), self.expression.evaluate(frame)
        digits = facts.content["decimals"]
        rounding = 0.0 if digits is None else 0.5 * 10.0**-digits
        allowed = rounding + RELATIVE_ERROR * np.fmax(np.abs(actual), np.abs(expected))
        # A comparison with NaN is false: only a value missing on both sides is none to compare.
        close = np.abs(actual - expected) <= allowed
        return np.asarray(~(close | (np.isnan(actual) & np.isnan(expected))))

    def derived(self, facts: Facts) -> tuple[str, ...]:
        """The column."""
        return (self.config.column,)

    def inputs(self, facts: Facts) -> tuple[str, ...]:
        """What the formula names."""
        return self.expression.columns

    def reduced_kinds(self, kinds: Kinds, facts: Facts) -> dict[str, ColumnKind]:
        """The column goes."""
        return {name: kind for name, kind in kinds.items() if name != self.config.column}

    def reduce(self, frame: pd.DataFrame, facts: Facts, rng: np.random.Generator) -> pd.DataFrame:
        """The rows without the column."""
        return frame.drop(columns=self.config.column)

    def restore(self, frame: pd.DataFrame, facts: Facts) -> pd.DataFrame:
        """The column in its decimals, as float64."""
        values, digits = self.expression.evaluate(frame), facts.content["decimals"]
        return frame.assign(**{self.config.column: values if digits is None else np.round(values, digits)})
