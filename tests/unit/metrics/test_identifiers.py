"""What is an identifier, and which of them are replayed: numbers of people, not of rows, nor values that recur."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthgen.config import EvaluationSize
from synthgen.datasets import Schema, Table
from synthgen.findings import NotMeasured, Verdict
from synthgen.gates import judge, rules_for
from synthgen.metrics.evaluation import Evaluation, NotApplicable
from synthgen.metrics.privacy.identifiers import identifier_replay

SIZE = EvaluationSize(max_rows=1_000, utility_seeds=2, bootstrap_rounds=10)


def numbered(ids: object) -> Table:
    column = pd.Series(ids)
    rng = np.random.default_rng(len(column))
    frame = pd.DataFrame({"id": column, "x": rng.normal(size=len(column)), "y": rng.choice(["a", "b"], len(column))})
    return Table(frame, Schema({"id": "id", "x": "numeric", "y": "categorical"}, "y"))


def replayed(train: object, synthetic: object) -> float:
    holdout = numbered(range(10_000, 10_100))
    return identifier_replay(Evaluation(numbered(train), holdout, numbered(synthetic), SIZE)).value


@pytest.mark.parametrize(
    ("train", "synthetic"),
    [
        (range(1, 101), range(1, 81)),
        (range(100), range(120)),
        ([str(number) for number in range(1, 101)], [str(number) for number in range(1, 101)]),
        (range(0, 200, 2), np.random.default_rng(0).permutation(100)),
    ],
)
def test_a_column_that_numbers_the_synthetic_rows_is_no_replay(train: object, synthetic: object) -> None:
    with pytest.raises(NotApplicable, match="column 'id' only numbers the synthetic rows"):
        replayed(train, synthetic)


@pytest.mark.parametrize(
    ("train", "synthetic", "count"),
    [
        (range(1, 101), [7, 7, 9], 2),  # drawn from train, not counted
        (range(500_001, 500_101), range(500_001, 500_011), 10),  # numbers of people, though in a row
        (range(1, 101), [1, 2, 3, 5], 4),
        (["O'Brien-1", "2"], ["O'Brien-1", "3"], 1),
    ],
)
def test_numbers_of_people_are_replayed(train: object, synthetic: object, count: int) -> None:
    assert replayed(train, synthetic) == count


WHOLE = [171_443, 171_444, 171_445]
GAPPY = [171_443, None, 171_445]


@pytest.mark.parametrize("dtype", ["float64", "float32", "Float64", "Int64", "object"])
@pytest.mark.parametrize("is_train", [True, False])
def test_numbers_are_replayed_whatever_they_are_stored_as(dtype: str, is_train: bool) -> None:
    sides = pd.Series(GAPPY, dtype=dtype), pd.Series(WHOLE)
    assert replayed(*(sides if is_train else sides[::-1])) == 2


def test_a_fraction_among_them_changes_no_number() -> None:
    assert replayed(WHOLE, [171_443.0, 171_444.5, 171_445.0]) == 2


def test_a_text_with_leading_zeros_is_another_identifier() -> None:
    assert replayed(["007", "008"], ["7", "008"]) == 1


def test_the_finding_names_the_columns_that_only_count() -> None:
    parts = []
    for start, rows in ((1, 50), (60, 30), (1, 40)):
        table = numbered(range(start, start + rows))
        frame = table.frame.assign(name=[f"{start}-{row}" for row in range(rows)])
        parts.append(replace(table, frame=frame, schema=Schema({**table.schema.kinds, "name": "id"}, "y")))
    finding = identifier_replay(Evaluation(*parts, SIZE))
    assert finding.detail == {"replayed": {"name": 40}, "row_numbers": ["id"]}


def priced(seed: int, *, guessed: bool, distinct: int = 20_000, rows: int = 1_000) -> Table:
    """Prices in words: nearly every row has one of its own, and some recur by chance."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"price": [f"$ {price}" for price in rng.integers(0, distinct, rows)], "x": rng.random(rows)})
    return Table(frame, Schema({"price": "id", "x": "numeric"}, None, guessed_ids=("price",) if guessed else ()))


def with_copies(fresh: Table, train: Table, copies: int) -> Table:
    price = train.frame["price"].where(np.arange(len(fresh)) < copies, fresh.frame["price"])
    return replace(fresh, frame=fresh.frame.assign(price=price))


@pytest.mark.parametrize("seed", range(5))
def test_what_was_guessed_to_be_an_id_and_recurs_by_chance_is_none(seed: int) -> None:
    train, holdout, synthetic = (priced(3 * seed + part, guessed=True) for part in range(3))
    with pytest.raises(NotApplicable, match="column 'price' was taken for an id, but its values recur by chance"):
        identifier_replay(Evaluation(train, holdout, synthetic, SIZE))


@pytest.mark.parametrize(
    ("guessed", "distinct", "copies"),
    [
        (True, 20_000, 200),  # far beyond chance
        (True, 10**12, 3),  # names: they recur nowhere
        (True, 10**12, 1),
        (False, 20_000, 0),  # who says that it identifies means every single one
    ],
)
def test_replays_beyond_chance_and_declared_identifiers_count(guessed: bool, distinct: int, copies: int) -> None:
    train, holdout, fresh = (priced(part, guessed=guessed, distinct=distinct) for part in range(3))
    finding = identifier_replay(Evaluation(train, holdout, with_copies(fresh, train, copies), SIZE))
    assert finding.low >= max(copies, 1)


def test_without_an_emitted_identifier_it_does_not_apply() -> None:
    train = priced(0, guessed=False)
    emitted = replace(train, frame=train.modelled)
    with pytest.raises(NotApplicable, match="no identifier was emitted"):
        identifier_replay(Evaluation(train, train, emitted, SIZE))
    plain = replace(emitted, schema=Schema({"x": "numeric"}, None))
    with pytest.raises(NotApplicable, match="no column identifies a row"):
        identifier_replay(Evaluation(plain, plain, plain, SIZE))


def test_the_rule_on_identifiers_is_left_out_where_none_was_emitted() -> None:
    [rule] = [rule for rule in rules_for("table", "share") if rule.metric == "identifier_replay"]
    missing = [NotMeasured("identifier_replay", "privacy", "no identifier was emitted", applies=False)]
    assert rule.required
    assert judge([rule], [], missing) == []
    [asked] = judge([replace(rule, asked=True)], [], missing)
    assert asked.verdict is Verdict.INCONCLUSIVE
