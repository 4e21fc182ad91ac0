"""The table of constraints. To add one: a config class in config.Constraint, a file with its rule, a line here.

A rule says which rows break it; a `Derivation` also takes what it determines from the rows, and makes it anew.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from synthgen.config import Constraint
from synthgen.constraints.fixed_combinations import FixedCombinations
from synthgen.constraints.formula import Formula
from synthgen.constraints.implied import Implied
from synthgen.constraints.inequality import Inequality
from synthgen.constraints.plan import derivation_order
from synthgen.constraints.rule import Derivation, Facts, Mask, Rule
from synthgen.constraints.unique import Unique
from synthgen.datasets import Table
from synthgen.errors import DataError, name_list, nearest_name

__all__ = [
    "RULES", "Derivation", "Facts", "Mask", "Rule", "derivation_order", "describe", "require_kept", "rule_of",
    "violations",
]  # fmt: skip

# Each takes its own member of Constraint (the key is its kind).
RULES: Mapping[str, Callable[[Any], Rule]] = {
    "fixed_combinations": FixedCombinations,
    "implied": Implied,
    "inequality": Inequality,
    "formula": Formula,
    "unique": Unique,
}


def rule_of(constraint: Constraint) -> Rule:
    """The rule of a constraint; raises ConfigError for a formula that is none."""
    return RULES[constraint.kind](constraint)


def describe(constraint: Constraint) -> str:
    """Kind and columns, without any value."""
    return f"{constraint.kind} ({name_list(rule_of(constraint).columns)})"


def violations(table: Table, train: Table) -> dict[str, Mask]:
    """bool [n] for each constraint of the training table, by its description: rows that break it."""
    rules = [(describe(constraint), rule_of(constraint)) for constraint in train.schema.constraints]
    return {name: rule.violations(table.frame, rule.learn(train.frame)) for name, rule in rules}


def require_kept(table: Table, file: str) -> None:
    """The constraints of the table name columns that are learnt and of fitting kinds, and hold in every row.

    Raises:
        DataError: they do not; with the number of rows, never a value.
    """
    for position, constraint in enumerate(table.schema.constraints):
        where, rule = f"source.constraints.{position}", rule_of(constraint)
        _require_columns(rule.columns, table.schema.modelled, constraint.kind, where)
        misfit = rule.misfit(table.schema.kinds)
        if misfit is not None:
            raise DataError(f"constraint {describe(constraint)} {misfit}", where=where)
        if isinstance(rule, Implied) and not rule.applies(table.frame).any():
            message = f"constraint {describe(constraint)} never applies: no row of {file!r} meets its condition"
            raise DataError(message, where=where, hint="YAML reads No, Yes, On and Off as truth values: quote them")
        broken = int(rule.violations(table.frame, rule.learn(table.frame)).sum())
        if broken:
            message = (
                f"constraint {describe(constraint)} does not hold in {broken:,} of {len(table):,} rows of {file!r}"
            )
            raise DataError(message, where=where, hint="correct these rows, or leave the constraint out")


def _require_columns(columns: Sequence[str], known: Sequence[str], kind: str, where: str) -> None:
    for name in columns:
        if name in known:
            continue
        guess = nearest_name(name, known)
        suffix = f"; did you mean {guess!r}?" if guess else ""
        message = f"{kind} names column {name!r}, which is not among the columns that are learnt ({name_list(known)})"
        raise DataError(f"{message}{suffix}", where=where)
