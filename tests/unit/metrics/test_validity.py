"""Validity passes fresh real rows, and nothing that real rows do not do."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthgen.config import EvaluationSize, parse_constraints
from synthgen.datasets import Schema, Table
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.fidelity.validity import validity

SIZE = EvaluationSize(max_rows=2_000, utility_seeds=2, bootstrap_rounds=10)
KINDS = {"size": "numeric", "price": "numeric", "count": "integer", "city": "categorical", "code": "categorical"}


def people(n: int, seed: int) -> Table:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "size": rng.standard_t(2, n),
        "price": np.round(np.exp(rng.normal(size=n)), 2),
        "count": rng.poisson(3, n),
        "city": rng.choice(["a", "b"], n),
        "code": [f"c{value}" for value in rng.zipf(1.6, n).clip(max=10**9)],
    })  # fmt: skip
    return Table(frame, Schema(KINDS, None))  # type: ignore[arg-type]


def found(synthetic: Table, train: Table | None = None) -> Finding:
    return validity(Evaluation(train or people(1_000, 0), people(500, 1), synthetic, SIZE))


@pytest.mark.parametrize("seed", range(20, 32))
def test_fresh_real_rows_are_legal_although_some_lie_beyond_the_training_rows(seed: int) -> None:
    finding = found(people(800, seed))
    assert finding.value == finding.low == finding.high == 1.0
    assert finding.detail["new_share"]["code"] > 0.05
    assert finding.reference == 1.0


@pytest.mark.parametrize(
    ("name", "value", "rows"),
    [("size", 1e6, 40), ("price", 1.005, 40), ("city", "c", 40), ("code", "unheard of", 200), ("size", np.nan, 40),
     ("count", 2.5, 1)],
)  # fmt: skip
def test_values_that_real_rows_do_not_have_are_illegal(name: str, value: object, rows: int) -> None:
    table = people(800, 5)
    column = table.frame[name].astype(object).copy()
    column.iloc[:rows] = value
    typed = column if isinstance(value, str) else column.astype(float)
    finding = found(replace(table, frame=table.frame.assign(**{name: typed})))
    assert finding.value < 1
    assert set(finding.detail["illegal_share"]) == {name}
    assert finding.detail["illegal_share"][name] >= rows / 800


def test_one_broken_constraint_in_one_row_is_illegal_and_counted() -> None:
    constraints = parse_constraints([{"kind": "inequality", "low": "count", "high": "most"}])
    schema = Schema({**KINDS, "most": "integer"}, None, constraints=constraints)  # type: ignore[arg-type]
    parts = [Table(people(n, n).frame.assign(most=lambda frame: frame["count"] + 1), schema) for n in (900, 500, 800)]
    assert validity(Evaluation(*parts, SIZE)).value == 1.0
    parts[2].frame.loc[3, "most"] = parts[2].frame.loc[3, "count"] - 1 if parts[2].frame.loc[3, "count"] > 1 else 0
    parts[2].frame.loc[3, "count"] = 5
    finding = validity(Evaluation(*parts, SIZE))
    assert finding.value == pytest.approx(1 - 1 / 800 / 7)
    assert finding.detail["constraint_violations"] == {"inequality ('count', 'most')": 1}
