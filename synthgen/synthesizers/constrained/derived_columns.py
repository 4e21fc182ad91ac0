"""Rows without what their constraints determine, and back; and which rows break a constraint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthgen.config import Scalar
from synthgen.constraints import Derivation, Facts, Mask, Rule, derivation_order, rule_of
from synthgen.constraints.cells import as_json, typed
from synthgen.datasets import Schema, Table
from synthgen.synthesizers.encoding.table_state import Cells, DType, dtype_state, is_measured, restored_dtype


@dataclass(frozen=True)
class Bounds:
    """Range of a derived column of numbers or dates in train, and whether it may be missing."""

    low: Scalar
    high: Scalar
    has_missing: bool

    @classmethod
    def of(cls, column: Cells) -> "Bounds":
        """The bounds of a column that has a value."""
        low, high = as_json(column.dropna().sort_values().iloc[[0, -1]])
        return cls(low, high, bool(column.isna().any()))

    def legal(self, column: Cells, dtype: DType) -> tuple[Mask, Cells]:
        """Which cells are legal, and the column in its dtype, with a legal value in place of one that is not."""
        low, high = typed([self.low, self.high], dtype)
        missing = column.isna().to_numpy(dtype=bool)
        inside = ((column >= low) & (column <= high)).fillna(False).to_numpy(dtype=bool)
        legal = np.asarray(np.where(missing, self.has_missing, inside), dtype=np.bool_)
        return legal, column.where(legal, low).astype(dtype)


@dataclass(frozen=True)
class DerivedColumns:
    """What the constraints of a table determine.

    Attributes:
        schema: of the table, with its constraints.
        dtypes: of all modelled columns.
        facts: of each constraint, in the order of the schema.
        order: positions of the constraints that are kept by construction, as they are restored.
        names: columns that these make.
        bounds: of those among them that have a range.
    """

    schema: Schema
    dtypes: Mapping[str, DType]
    facts: Sequence[Facts]
    order: Sequence[int]
    names: tuple[str, ...]
    bounds: Mapping[str, Bounds]

    @classmethod
    def of(cls, train: Table) -> "DerivedColumns":
        """What the constraints determine in these rows."""
        rules, frame = _rules(train.schema), train.frame
        facts = [rule.learn(frame) for rule in rules]
        order = derivation_order(rules, facts)
        names = tuple(name for i in order for name in _derivation(rules[i]).derived(facts[i]))
        ranged = [name for name in names if is_measured(frame[name].dtype) and frame[name].notna().any()]
        dtypes = {name: frame[name].dtype for name in train.schema.modelled}
        return cls(train.schema, dtypes, facts, order, names, {name: Bounds.of(frame[name]) for name in ranged})

    def reduced(self, table: Table, rng: np.random.Generator) -> Table:
        """The rows without what the constraints determine, as a table without constraints."""
        frame, kinds, rules = table.frame, dict(self.schema.kinds), _rules(self.schema)
        # The rule that is restored last is reduced first: what it reads is then as it will be.
        for i in reversed(self.order):
            rule, facts = _derivation(rules[i]), self.facts[i]
            frame, kinds = rule.reduce(frame, facts, rng), rule.reduced_kinds(kinds, facts)
        names = [name for name in kinds if name in frame]
        protected, secrets = (
            tuple(name for name in role if name in names) for role in (self.schema.protected, self.schema.secrets)
        )
        return Table(frame[names], Schema(kinds, self.schema.label, self.schema.group, protected, secrets))

    def restored(self, reduced: Table) -> tuple[Table, Mask]:
        """The rows with all columns, and in which of them the derived values are legal, bool [n]."""
        frame, rules = reduced.frame, _rules(self.schema)
        for i in self.order:
            frame = _derivation(rules[i]).restore(frame, self.facts[i])
        legal = np.ones(len(frame), dtype=bool)
        columns: dict[str, Cells] = {}
        for name, bounds in self.bounds.items():
            is_legal, columns[name] = bounds.legal(frame[name], self.dtypes[name])
            legal &= is_legal
        frame = frame.assign(**columns)[self.schema.modelled].astype(dict(self.dtypes))
        return Table(frame, self.schema), legal

    def broken(self, frame: pd.DataFrame) -> Mask:
        """bool [n, constraints]: which row breaks which."""
        rules = zip(_rules(self.schema), self.facts, strict=True)
        return np.stack([rule.violations(frame, facts) for rule, facts in rules], axis=1)

    def state(self) -> dict[str, Any]:
        """JSON-ready content."""
        return {
            "schema": self.schema.state(),
            "dtypes": {name: dtype_state(dtype) for name, dtype in self.dtypes.items()},
            "facts": [dict(facts.content) for facts in self.facts],
            "order": list(self.order),
            "names": list(self.names),
            "bounds": {name: vars(bounds) for name, bounds in self.bounds.items()},
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "DerivedColumns":
        """The derived columns whose `state` this is."""
        schema = Schema.restore(state["schema"])
        dtypes = {name: restored_dtype(dtype) for name, dtype in state["dtypes"].items()}
        known = zip(_rules(schema), state["facts"], strict=True)
        facts = [Facts({name: dtypes[name] for name in rule.columns}, content) for rule, content in known]
        bounds = {name: Bounds(**fields) for name, fields in state["bounds"].items()}
        return cls(schema, dtypes, facts, list(state["order"]), tuple(state["names"]), bounds)


def _rules(schema: Schema) -> list[Rule]:
    return [rule_of(constraint) for constraint in schema.constraints]


def _derivation(rule: Rule) -> Derivation:
    assert isinstance(rule, Derivation)
    return rule
