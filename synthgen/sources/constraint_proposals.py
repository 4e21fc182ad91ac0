"""Which constraints hold in a table, and not by accident: what `synthgen init` proposes under `constraints`."""

import keyword
from collections.abc import Iterator
from itertools import combinations, permutations

import numpy as np
import pandas as pd

from synthgen.config import FormulaConfig, InequalityConfig
from synthgen.constraints import derivation_order, rule_of
from synthgen.constraints.cells import RELATIVE_ERROR, Floats, decimals, numbers
from synthgen.datasets import Index, Table
from synthgen.sources.constraint_levels import LEAST_STRENGTH, Levels, ProposedConstraint, level_constraints

MIN_ROWS = 200
MAX_PROPOSED = 10
# Evenly spaced rows on which rules are sought; what is found is then checked on all of them.
_SEARCHED_ROWS = 50_000
_MAX_NUMBERS, _PROBED_ROWS = 25, 200
# Of the rows, how many would break an inequality if the columns were unrelated (their scales are then alike), and in
# how many the columns differ (else one is a copy with errors).
_BREAKABLE_SHARE, _GAP_SHARE = 0.05, 0.05
# A column that is computed has so many values, spread over so many roundings, in rows whose operands change something.
_MIN_VALUES, _MIN_ROUNDINGS, _MIN_COMPUTED_SHARE = 10, 20, 0.1


def propose_constraints(table: Table) -> list[ProposedConstraint]:
    """The strongest constraints that hold in all rows and are kept together by construction; none without support.

    The label takes no part: it is asked for, not derived.
    """
    searched = table.frame[table.schema.features]
    if len(searched) < MIN_ROWS:
        return []
    rows = np.unique(np.linspace(0, len(searched) - 1, _SEARCHED_ROWS).astype(np.int64))
    frame = searched.iloc[rows].reset_index(drop=True)
    frame = frame[[name for name in frame.columns if frame[name].nunique(dropna=False) > 1]]
    found = [*level_constraints(Levels.of(table, frame)), *_inequalities(table, frame), *_formulas(table, frame)]
    chosen: list[ProposedConstraint] = []
    for proposal in sorted(found, key=lambda item: -item.strength):
        if len(chosen) < MAX_PROPOSED and _fits(proposal, chosen, searched):
            chosen.append(proposal)
    return chosen


def _fits(proposal: ProposedConstraint, chosen: list[ProposedConstraint], frame: pd.DataFrame) -> bool:
    """Whether it says something new, can be kept by construction beside the chosen ones, and holds in all rows."""
    rule = rule_of(proposal.constraint)
    others = [rule_of(item.constraint) for item in chosen]
    if any(set(rule.columns) <= set(other.columns) for other in others):
        return False
    facts = [each.learn(frame) for each in (*others, rule)]
    if len(derivation_order([*others, rule], facts)) <= len(others):
        return False
    return not rule.violations(frame, facts[-1]).any()


def _inequalities(table: Table, frame: pd.DataFrame) -> Iterator[ProposedConstraint]:
    """Pairs of one kind and scale of which one never exceeds the other; without those that follow from two others."""
    names = [name for name in table.schema.of_kind("numeric", "integer", "datetime") if name in frame][:_MAX_NUMBERS]
    values = {name: _as_floats(frame[name]) for name in names}
    found = {}
    for low, high in permutations(names, 2):
        if table.schema.kinds[low] == table.schema.kinds[high]:
            strength = _inequality_strength(values[low], values[high])
            if strength > LEAST_STRENGTH:
                found[low, high] = strength
    for (low, high), strength in found.items():
        if any((low, middle) in found and (middle, high) in found for middle in names):
            continue
        reason = f"{low!r} never exceeds {high!r}, although their ranges overlap."
        constraint = InequalityConfig(kind="inequality", low=low, high=high)
        yield ProposedConstraint(constraint, reason, strength)


def _as_floats(column: pd.Series) -> Floats:
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        return numbers(column)
    ticks = column.dt.as_unit("ns").astype("int64").to_numpy(dtype=np.float64)
    return np.where(column.isna().to_numpy(dtype=bool), np.nan, ticks)


def _inequality_strength(low: Floats, high: Floats) -> float:
    """-log of the chance that unrelated columns with these values keep it in all rows; 0 where it is none."""
    both = np.isfinite(low) & np.isfinite(high)
    low, high = low[both], high[both]
    if len(low) < MIN_ROWS or (low > high).any() or np.mean(low < high) < _GAP_SHARE:
        return 0.0
    breakable = float(np.mean(np.searchsorted(np.sort(high), low) / len(high)))
    return -len(low) * float(np.log1p(-breakable)) if breakable >= _BREAKABLE_SHARE else 0.0


def _formulas(table: Table, frame: pd.DataFrame) -> Iterator[ProposedConstraint]:
    """Numbers that are the product, sum or copy of others."""
    names = [name for name in table.schema.of_kind("numeric", "integer") if name in frame and "`" not in name]
    values = {name: numbers(frame[name]) for name in names[:_MAX_NUMBERS]}
    for target, result in values.items():
        tolerance = _tolerance(result)
        if len(np.unique(result)) < _MIN_VALUES or np.nanstd(result) < _MIN_ROUNDINGS * tolerance.max():
            continue
        present = np.flatnonzero(np.isfinite(result))
        probe = present[np.linspace(0, len(present) - 1, _PROBED_ROWS).astype(np.int64)]
        for formula, found, changed in _candidates(target, values, probe):
            if not (np.abs(found - result[probe]) <= tolerance[probe]).all() or changed < _MIN_COMPUTED_SHARE:
                continue
            constraint = FormulaConfig(kind="formula", column=target, formula=formula)
            strength = len(present) * float(np.log(np.nanstd(result) / np.nanmax(tolerance)))
            yield ProposedConstraint(constraint, f"{target!r} is {formula} in every row.", strength)


def _tolerance(values: Floats) -> Floats:
    digits = decimals(values)
    return (0.0 if digits is None else 0.5 * 10.0**-digits) + RELATIVE_ERROR * np.abs(values)


def _candidates(target: str, values: dict[str, Floats], probe: Index) -> Iterator[tuple[str, Floats, float]]:
    """Formula, its values in the probed rows, and the share of them in which both operands change the result."""
    others = {name: column[probe] for name, column in values.items() if name != target}
    for name, column in others.items():
        # Of two equal columns the later one is the copy.
        if list(values).index(name) < list(values).index(target):
            yield _quoted(name), column, 1.0
    for first, second in combinations(others, 2):
        a, b = others[first], others[second]
        left, right = _quoted(first), _quoted(second)
        yield f"{left} + {right}", a + b, float(np.mean((a != 0) & (b != 0)))
        neutral = np.isin(a, (0, 1)) | np.isin(b, (0, 1))
        yield f"{left} * {right}", a * b, float(np.mean(~neutral))


def _quoted(name: str) -> str:
    is_plain = name.isascii() and name.isidentifier() and not keyword.iskeyword(name) and name != "round"
    return name if is_plain else f"`{name}`"
