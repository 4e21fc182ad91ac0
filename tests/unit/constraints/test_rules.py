"""Each kind of constraint: which rows break it, and that what is taken from rows comes back."""

import numpy as np
import pandas as pd
import pytest

from synthgen.config import TableSource, parse_constraints
from synthgen.config_reading import parse_config
from synthgen.constraints import RULES, Derivation, Rule, derivation_order, rule_of
from synthgen.constraints.expression import Expression
from synthgen.datasets import Schema, Table
from synthgen.errors import ConfigError, DataError
from synthgen.sources import ingest_frame

NAN = float("nan")
LOW_HIGH: dict[str, object] = {"kind": "inequality", "low": "low", "high": "high"}


def rule(**section: object) -> Rule:
    return rule_of(parse_constraints([section])[0])


def broken(frame: pd.DataFrame, train: pd.DataFrame | None = None, **section: object) -> list[bool]:
    of_kind = rule(**section)
    return of_kind.violations(frame, of_kind.learn(frame if train is None else train)).tolist()


@pytest.mark.parametrize(
    ("section", "columns", "expected"),
    [
        ({"kind": "inequality", "low": "a", "high": "b"}, {"a": [1, 2, 3], "b": [2, 2, 2]}, [0, 0, 1]),
        ({"kind": "inequality", "low": "a", "high": "b", "strict": True}, {"a": [1, 2], "b": [2, 2]}, [0, 1]),
        ({"kind": "inequality", "low": "a", "high": "b"}, {"a": [NAN, 9.0], "b": [1.0, NAN]}, [0, 0]),
        ({"kind": "inequality", "low": "a", "high": "b"}, {"a": pd.to_datetime(["2020-01-02", None]),
          "b": pd.to_datetime(["2020-01-01", "2020-01-01"])}, [1, 0]),
        ({"kind": "formula", "column": "t", "formula": "a * b"}, {"t": [6, 7], "a": [2, 2], "b": [3, 3]}, [0, 1]),
        ({"kind": "formula", "column": "t", "formula": "a / b"}, {"t": [0.33, 0.34], "a": [1, 1], "b": [3, 3]}, [0, 1]),
        ({"kind": "formula", "column": "t", "formula": "a / b"}, {"t": [NAN, 1.0], "a": [1, 1], "b": [0, 0]}, [0, 1]),
        ({"kind": "formula", "column": "t", "formula": "a + 1"}, {"t": [NAN, NAN], "a": [NAN, 1.0]}, [0, 1]),
        ({"kind": "implied", "when": {"a": "No"}, "then": {"b": 0}}, {"a": ["No", "No", "Si"], "b": [0, 1, 1]},
         [0, 1, 0]),
        ({"kind": "implied", "when": {"a": None}, "then": {"b": None}}, {"a": [NAN, NAN, 1.0], "b": [NAN, 1.0, 1.0]},
         [0, 1, 0]),
        # What the column cannot hold is in no row: a truth value is no text, half is no whole number.
        ({"kind": "implied", "when": {"a": False}, "then": {"b": 0}}, {"a": ["No"], "b": [1]}, [0]),
        ({"kind": "implied", "when": {"b": 1.5}, "then": {"a": "x"}}, {"a": ["No"], "b": [1]}, [0]),
        ({"kind": "unique", "columns": ["a", "b"]}, {"a": [1, 1, 1], "b": ["x", "y", "x"]}, [0, 0, 1]),
    ],
)  # fmt: skip
def test_rows_that_break_a_rule_are_found(section: dict[str, object], columns: dict, expected: list[int]) -> None:
    assert broken(pd.DataFrame(columns), **section) == [bool(item) for item in expected]


def test_a_combination_that_training_did_not_have_breaks_the_rule() -> None:
    train = pd.DataFrame({"a": ["x", "x", None], "b": [1.0, 2.0, NAN]})
    other = pd.DataFrame({"a": ["x", "x", None, None], "b": [2.0, NAN, NAN, 1.0]})
    assert broken(other, train, kind="fixed_combinations", columns=["a", "b"]) == [False, True, False, True]


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 400
    a, b = rng.integers(1, 30, n), np.round(rng.gamma(2, 3, n), 2)
    start = pd.Timestamp("2021-03-27", tz="Europe/Oslo") + pd.to_timedelta(rng.integers(0, 90, n), unit="D")
    plan = rng.choice(["none", "basic", "gold"], n)
    return pd.DataFrame({
        "a": a,
        "b": b,
        "total price": np.round(a * b, 2),
        "paid": pd.Series(np.round(a * b + rng.gamma(1, 5, n), 1)).mask(rng.random(n) < 0.2),
        "start": start,
        "end": start + pd.to_timedelta(rng.integers(0, 40, n), unit="h"),
        "least": pd.Series(rng.integers(0, 5, n), dtype="Int64"),
        "most": pd.Series(rng.integers(5, 9, n), dtype="Int64").mask(rng.random(n) < 0.1),
        "plan": plan,
        "level": pd.Series(plan).map({"none": 0, "basic": 1, "gold": 7}),
        "bonus": pd.Series(rng.choice(["cash", "trip"], n)).mask(plan == "none", "not for you"),
        "points": np.where(plan == "none", 0, rng.integers(1, 900, n)),
        "code": pd.Categorical(rng.choice(["p", "q"], n), ["p", "q", "r"]),
    })  # fmt: skip


@pytest.mark.parametrize(
    "section",
    [
        {"kind": "fixed_combinations", "columns": ["plan", "level"]},
        {"kind": "fixed_combinations", "columns": ["code", "least", "most"]},
        {"kind": "inequality", "low": "start", "high": "end"},
        {"kind": "inequality", "low": "least", "high": "most"},
        {"kind": "inequality", "low": "least", "high": "paid"},
        {"kind": "inequality", "low": "b", "high": "paid"},
        {"kind": "formula", "column": "total price", "formula": "round(a * b, 2)"},
        {"kind": "formula", "column": "level", "formula": "(`level copy` + 0) * -1 / -1"},
        {"kind": "implied", "when": {"plan": "none"}, "then": {"bonus": "not for you", "points": 0, "level": 0}},
    ],
    ids=lambda section: f"{section['kind']}-{list(section.values())[1]}",
)
def test_what_is_reduced_is_restored(section: dict[str, object]) -> None:
    frame = rows().assign(**{"level copy": lambda frame: frame["level"]})
    frame["paid"] = frame["paid"].fillna(99_999.5) if section.get("high") == "paid" else frame["paid"]
    derivation = rule(**section)
    assert isinstance(derivation, Derivation)
    facts = derivation.learn(frame)
    reduced = derivation.reduce(frame, facts, np.random.default_rng(1))
    kinds = Schema(dict.fromkeys(frame, "numeric"), label=None).kinds
    assert sorted(reduced) == sorted(derivation.reduced_kinds(kinds, facts))
    assert not reduced.equals(frame)
    restored = derivation.restore(reduced, facts)[list(frame)].astype(frame.dtypes.to_dict())
    pd.testing.assert_frame_equal(restored, frame)


def test_implied_cells_carry_no_information_and_no_level_of_their_own() -> None:
    frame = rows()
    implied = rule(kind="implied", when={"plan": "none"}, then={"bonus": "not for you", "points": 0})
    assert isinstance(implied, Derivation)
    reduced = implied.reduce(frame, implied.learn(frame), np.random.default_rng(0))
    assert set(reduced["bonus"]) == {"cash", "trip"}
    shares = reduced.groupby("plan")["bonus"].value_counts(normalize=True).unstack()["cash"]
    assert shares["none"] == pytest.approx(0.5, abs=0.12)
    # The cells of a row come from one row: what depends on each other still does.
    known = set(map(tuple, frame.loc[frame["plan"] != "none", ["bonus", "points"]].to_numpy()))
    assert set(map(tuple, reduced[["bonus", "points"]].to_numpy())) <= known


def test_a_gap_is_not_used_where_a_row_has_the_higher_value_alone() -> None:
    frame = pd.DataFrame({"a": [NAN, 1.0], "b": [2.0, 2.0]})
    inequality = rule(kind="inequality", low="a", high="b")
    assert isinstance(inequality, Derivation)
    assert inequality.derived(inequality.learn(frame)) == ()


def test_a_numeric_column_with_holes_does_not_stand_for_a_combination() -> None:
    frame = pd.DataFrame({"day": [1, 2, 3, 4] * 5, "far": [1, 5_000, 7_000, 90_000] * 5, "name": list("abcd") * 5})
    rules = [rule(kind="fixed_combinations", columns=[name, "name"]) for name in ("day", "far")]
    keys = [each.learn(frame).content["key"] for each in rules]
    assert keys == ["day", "name"]


@pytest.mark.parametrize(
    ("sections", "order"),
    [
        # A formula reads what the inequality makes, which reads what is implied.
        ([{"kind": "formula", "column": "t", "formula": "high + 1"}, LOW_HIGH,
          {"kind": "implied", "when": {"w": 1}, "then": {"low": 0}}], [2, 1, 0]),
        # A column is made once; the second rule is left to rejection.
        ([LOW_HIGH, {"kind": "formula", "column": "high", "formula": "t"}], [0]),
        # Two that wait for each other.
        ([LOW_HIGH, {"kind": "inequality", "low": "high", "high": "low"}], [0]),
        ([{"kind": "unique", "columns": ["t"]}], []),
    ],
)  # fmt: skip
def test_rules_are_restored_before_what_reads_them(sections: list[dict[str, object]], order: list[int]) -> None:
    frame = pd.DataFrame({"low": [0, 1], "high": [1, 2], "t": [2, 3], "w": [1, 0]})
    rules = [rule(**section) for section in sections]
    assert derivation_order(rules, [each.learn(frame) for each in rules]) == order


@pytest.mark.parametrize(
    ("formula", "expected"),
    [("a", 2), ("-a + 3", 1), ("a * b - 1", 9), ("a / 4", 0.5), ("round(b / 3, 1)", 1.7), ("round(b / 3)", 2),
     ("`unit price` * (a + b)", 21), ("2 * -(a - b)", 6)],
)  # fmt: skip
def test_a_formula_is_arithmetic(formula: str, expected: float) -> None:
    frame = pd.DataFrame({"a": [2], "b": [5], "unit price": [3]})
    assert Expression.parse(formula).evaluate(frame).tolist() == pytest.approx([expected])


@pytest.mark.parametrize(
    "formula",
    ["a ** 9", "open('x')", "a.b", "a if b else c", "[a]", "a == b", "True", "round(a, b)", "'x'", "a +", "lambda: 0",
     "a = 1", "__import__('os').system('true')", "round(a, ndigits=1)", "(" * 400 + "a" + ")" * 400],
)  # fmt: skip
def test_a_formula_that_is_no_arithmetic_is_refused(formula: str) -> None:
    with pytest.raises(ConfigError, match="is not arithmetic on columns"):
        Expression.parse(formula)


def source_of(constraints: list[dict[str, object]]) -> TableSource:
    raw = {"kind": "table", "path": "rows.csv", "label": "label", "drop": ["gone"], "constraints": constraints}
    source = parse_config({"source": raw}).source
    assert isinstance(source, TableSource)
    return source


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"kind": "inequality", "low": "lwo", "high": "high"}, "did you mean 'low'?"),
        ({"kind": "unique", "columns": ["gone"]}, "'gone', which is not among the columns that are learnt"),
        ({"kind": "inequality", "low": "low", "high": "city"}, "compares integer with categorical"),
        ({"kind": "formula", "column": "high", "formula": "low * city"}, "computes with 'city', which is categorical"),
        ({"kind": "formula", "column": "high", "formula": "high + 0"}, "computes 'high' from itself"),
        ({"kind": "inequality", "low": "high", "high": "low"}, "does not hold in 38 of 40 rows of 'rows.csv'"),
        ({"kind": "formula", "column": "high", "formula": "low + 2"}, "does not hold in 40 of 40 rows"),
        ({"kind": "implied", "when": {"city": False}, "then": {"low": 0}}, "never applies"),
        ({"kind": "unique", "columns": ["city"]}, "does not hold in 38 of 40 rows"),
    ],
)
def test_a_constraint_that_does_not_fit_the_data_says_why(section: dict[str, object], message: str) -> None:
    low = np.arange(40) % 39
    frame = pd.DataFrame({"low": low, "high": low + (low > 0), "city": ["Oslo", "Bergen"] * 20, "gone": 1})
    frame["label"] = ["x", "y", "y", "x"] * 10
    assert len(ingest_frame(frame, source_of([]), split_column=None).data) == 40
    with pytest.raises(DataError) as caught:
        ingest_frame(frame, source_of([section]), split_column=None)
    assert message in caught.value.message
    assert caught.value.where == "source.constraints.0"
    assert "Oslo" not in caught.value.message


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"kind": "fixed_combinations", "columns": ["label", "a"]}, "the label 'label' is asked for, never derived"),
        ({"kind": "implied", "when": {"a": 1}, "then": {"label": "x"}}, "it may stand under `when`"),
        ({"kind": "implied", "when": {"a": 1}, "then": {"a": 2}}, "named under when and under then"),
        ({"kind": "implied", "when": {}, "then": {"a": 2}}, "when is {}, allowed: keys and values (length at least 1)"),
        ({"kind": "inequality", "lwo": "a", "high": "b"}, "'source.constraints.0.lwo' is not known; did you mean"),
        ({"kind": "inequality", "low": "a", "high": "a"}, "different columns are needed"),
        ({"kind": "unique", "columns": ["a", "a"]}, "source.constraints.0.columns: a column is named twice"),
        ({"kind": "equality"}, "allowed: 'fixed_combinations', 'inequality', 'formula', 'implied', 'unique'"),
    ],
)  # fmt: skip
def test_a_constraint_that_says_what_is_not_allowed_is_a_config_error(section: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        source_of([section])
    assert message in caught.value.message


def test_the_table_of_rules_has_every_kind_of_the_config() -> None:
    sections = {
        "fixed_combinations": {"columns": ["a", "b"]}, "inequality": {"low": "a", "high": "b"},
        "unique": {"columns": ["a"]},
        "formula": {"column": "a", "formula": "b"}, "implied": {"when": {"a": 1}, "then": {"b": 1}},
    }  # fmt: skip
    assert {kind: rule(kind=kind, **section).columns for kind, section in sections.items()}.keys() == RULES.keys()


def test_a_schema_keeps_its_constraints_through_files(tmp_path) -> None:
    constraints = parse_constraints([{"kind": "implied", "when": {"a": True}, "then": {"b": None}}])
    frame = pd.DataFrame({"a": [True, False], "b": [NAN, 1.0]})
    table = Table(frame, Schema({"a": "boolean", "b": "numeric"}, label=None, constraints=constraints))
    table.save(tmp_path)
    assert Table.load(tmp_path).schema == table.schema
    plain = Schema({"a": "boolean"}, label=None)
    assert "constraints" not in plain.state()
    assert Schema.restore(plain.state()) == plain
