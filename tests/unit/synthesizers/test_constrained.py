"""Any table synthesizer under constraints: none is broken, and all else is as before."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgen.config import EvaluationSize, SynthesizerConfig, parse_constraints
from synthgen.config_reading import parse_config
from synthgen.constraints import violations
from synthgen.datasets import Schema, Table
from synthgen.errors import ModelError
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.fidelity.validity import validity
from synthgen.synthesizers import create, load_synthesizer
from synthgen.synthesizers.constrained.model import Constrained

ROWS = 600
CONSTRAINTS: Sequence[dict[str, object]] = (
    {"kind": "formula", "column": "total", "formula": "count * price"},
    {"kind": "fixed_combinations", "columns": ["plan", "level"]},
    {"kind": "inequality", "low": "start", "high": "end", "strict": True},
    {"kind": "implied", "when": {"plan": "none"}, "then": {"bonus": "not for you", "points": 0}},
    {"kind": "implied", "when": {"answer": "yes"}, "then": {"asked": True}},
    # Its higher column is computed already: left to rejection.
    {"kind": "inequality", "low": "price", "high": "total"},
)
SIZE = EvaluationSize(max_rows=500, utility_seeds=2, bootstrap_rounds=10)


def shop(constraints: Sequence[dict[str, object]] = CONSTRAINTS, rows: int = ROWS) -> Table:
    rng = np.random.default_rng(3)
    answer = np.where(rng.random(rows) < 0.3, "yes", "no")
    count, price = rng.integers(1, 9, rows), np.round(rng.gamma(2, 5, rows) + 0.01, 2)
    start = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), unit="D")
    plan = rng.choice(["none", "basic", "gold"], rows)
    frame = pd.DataFrame({
        "plan": plan,
        "level": pd.Series(plan).map({"none": 0, "basic": 3, "gold": 9}),
        "bonus": pd.Series(rng.choice(["cash", "trip"], rows)).mask(plan == "none", "not for you"),
        "points": np.where(plan == "none", 0, rng.integers(1, 900, rows)),
        "count": count,
        "price": price,
        "total": np.round(count * price, 2),
        "start": start,
        "end": start + pd.to_timedelta(rng.integers(1, 60, rows), unit="D"),
        "asked": (answer == "yes") | (rng.random(rows) < 0.4),
        "answer": answer,
        "note": [f"row {i}" for i in range(rows)],
    })  # fmt: skip
    kinds = ["categorical", "integer", "categorical", "integer", "integer", "numeric", "numeric"]
    kinds += ["datetime", "datetime", "boolean", "categorical", "id"]
    named = dict(zip(frame, kinds, strict=True))
    return Table(frame, Schema(named, "answer", constraints=parse_constraints(constraints)))  # type: ignore[arg-type]


def config_of(kind: str, **more: object) -> SynthesizerConfig:
    source = {"kind": "builtin", "name": "wine"}
    return parse_config({"source": source, "synthesizer": {"kind": kind, **more}}).synthesizer


def fitted(kind: str, table: Table, **more: object) -> Constrained:
    model = create(config_of(kind, **more), table)
    assert isinstance(model, Constrained)
    return model.fit(table, table.take(np.arange(200)), np.random.default_rng(1))


INNER = {"marginals": {}, "copies": {}, "ctgan": {"budget_steps": 20, "batch_size": 60, "width": 16}}


@pytest.mark.parametrize("kind", INNER)
def test_no_drawn_row_breaks_a_constraint_and_every_value_is_legal(kind: str) -> None:
    table = shop()
    drawn = fitted(kind, table, **INNER[kind]).sample(700, None, np.random.default_rng(2))
    assert {name: int(rows.sum()) for name, rows in violations(drawn, table).items()} == dict.fromkeys(
        violations(table, table), 0
    )
    assert drawn.schema == table.schema
    assert drawn.frame.dtypes.to_dict() == table.modelled.dtypes.to_dict()
    assert validity(Evaluation(table, table, drawn, SIZE)).value == 1.0


def test_without_the_wrapper_the_same_model_breaks_them() -> None:
    table = shop()
    plain = replace(table, schema=replace(table.schema, constraints=()))
    drawn = create(config_of("marginals"), plain).fit(plain, plain, np.random.default_rng(1))
    rows = drawn.sample(700, None, np.random.default_rng(2))
    assert isinstance(rows, Table)
    broken = [int(found.sum()) for found in violations(rows, table).values()]
    assert min(broken[:4]) > 50
    assert validity(Evaluation(table, table, rows, SIZE)).value < 0.95


def test_label_quotas_are_exact_row_by_row_under_rejection() -> None:
    labels = np.where(np.arange(301) % 7 == 0, "yes", "no").astype(np.str_)
    drawn = fitted("marginals", shop()).sample(301, labels, np.random.default_rng(0))
    assert drawn.labels.tolist() == labels.tolist()


def test_free_columns_keep_their_distribution_and_derived_ones_come_near() -> None:
    table = shop()
    drawn = fitted("marginals", table).sample(4_000, None, np.random.default_rng(2)).frame
    for name in ("plan", "answer", "bonus"):
        shares = [frame[name].value_counts(normalize=True) for frame in (drawn, table.frame)]
        assert (shares[0] - shares[1]).abs().max() < 0.04, name
    gaps = [(frame["end"] - frame["start"]).dt.days.mean() for frame in (drawn, table.frame)]
    assert gaps[0] == pytest.approx(gaps[1], rel=0.1)


def test_a_loaded_model_draws_the_same_and_its_files_hold_no_row(tmp_path: Path) -> None:
    model = fitted("marginals", shop())
    model.save(tmp_path / "model")
    loaded = load_synthesizer(tmp_path / "model")
    first, second = (each.sample(90, None, np.random.default_rng(5)) for each in (model, loaded))
    assert isinstance(first, Table)
    assert first.fingerprint() == second.fingerprint()
    files = [path for path in (tmp_path / "model").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    assert not any(b"row 17" in path.read_bytes() for path in files)


def test_broken_constraints_in_a_saved_model_say_so(tmp_path: Path) -> None:
    fitted("marginals", shop()).save(tmp_path)
    (tmp_path / "synthesizer.json").write_text('{"kind": "constrained"}')
    with pytest.raises(ModelError, match="saved constraints cannot be read"):
        load_synthesizer(tmp_path)


def test_sample_before_fit_says_so() -> None:
    with pytest.raises(ModelError, match="not been fitted"):
        create(config_of("marginals"), shop()).sample(1, None, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("where", "message"),
    [({"prise": 1}, "did you mean 'price'?"), ({"price": 1.0}, "draws rows by label only")],
)
def test_values_that_cannot_be_asked_for_say_so(where: dict[str, object], message: str) -> None:
    model = fitted("marginals", shop())
    with pytest.raises(ModelError) as caught:
        model.sample_where(5, None, where, np.random.default_rng(0))
    assert message in caught.value.message


def test_values_are_asked_of_the_model_where_columns_are_free_and_waited_for_where_they_are_made() -> None:
    model = fitted("ctgan", shop(), **INNER["ctgan"])
    free = model.sample_where(40, None, {"plan": "gold", "count": 3}, np.random.default_rng(0)).frame
    assert (free["plan"] == "gold").all()
    assert (free["level"] == 9).all()
    assert (free["count"] == 3).all()
    made = model.sample_where(40, None, {"bonus": "not for you", "level": "0"}, np.random.default_rng(0)).frame
    assert (made["bonus"] == "not for you").all()
    assert (made["plan"] == "none").all()
    with pytest.raises(ModelError, match="values of 'bonus', 'level' are too rare"):
        model.sample_where(4, None, {"bonus": "not for you", "level": 3}, np.random.default_rng(0))


def test_unique_rows_differ_and_an_impossible_number_of_them_is_refused() -> None:
    # Real rows need not be unique: what was read from a file has been checked there.
    model = fitted("marginals", shop([{"kind": "unique", "columns": ["plan", "count", "answer"]}]))
    # 3 plans x 8 counts x 2 answers; labels are given, so that all 48 can be reached.
    labels = np.repeat(np.asarray(["yes", "no"], dtype=np.str_), 24)
    drawn = model.sample(48, labels, np.random.default_rng(0))
    assert not drawn.frame.duplicated(["plan", "count", "answer"]).any()
    with pytest.raises(ModelError, match=r"2 of 50 rows are missing .* break constraint unique") as caught:
        model.sample(50, np.repeat(labels[[0, 47]], 25), np.random.default_rng(0))
    assert caught.value.hint is not None


def test_an_empty_quota_gives_no_rows() -> None:
    assert len(fitted("marginals", shop()).sample(0, np.empty(0, dtype=np.str_), np.random.default_rng(0))) == 0


def test_a_table_without_constraints_is_not_wrapped() -> None:
    assert not isinstance(create(config_of("marginals"), shop([])), Constrained)


def test_a_rule_between_columns_that_another_rule_numbers_is_kept() -> None:
    # The level is a formula of count: float until the end, and yet one of the known combinations.
    section = [
        {"kind": "formula", "column": "level", "formula": "count * 2"},
        {"kind": "fixed_combinations", "columns": ["plan", "level"]},
    ]
    table = shop(section)
    table = replace(table, frame=table.frame.assign(level=table.frame["count"] * 2))
    drawn = fitted("marginals", table).sample(200, None, np.random.default_rng(0))
    assert not any(found.any() for found in violations(drawn, table).values())
