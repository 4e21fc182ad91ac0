"""Columns that are nearly formulas of others: found, taken apart and put together again."""

import numpy as np
import pandas as pd
import pytest

from synthgen.config import CartConfig
from synthgen.datasets import Schema, Table
from synthgen.errors import ModelError
from synthgen.synthesizers import create, load_synthesizer
from synthgen.synthesizers.encoding.relations import Relations

ROWS = 1_500
RNG = np.random.default_rng(5)
PRICE = np.round(RNG.uniform(20, 120, ROWS), 2)
MONTHS = RNG.integers(1, 72, ROWS)
KINDS = {"price": "numeric", "months": "integer", "total": "numeric", "cost": "numeric", "left": "categorical"}


def bills() -> Table:
    """total is nearly price * months, cost nearly a part of total; some of both are missing."""
    total = np.round(PRICE * MONTHS * RNG.normal(1, 0.04, ROWS), 2)
    cost = pd.Series(np.rint(total * RNG.beta(40, 60, ROWS))).astype("Int64")
    frame = pd.DataFrame({"price": PRICE, "months": MONTHS, "total": total, "cost": cost})
    frame.loc[::29, "total"] = np.nan
    frame.loc[::19, "cost"] = pd.NA
    return Table(frame.assign(left=np.where(MONTHS < 12, "yes", "no")), Schema(KINDS, "left"))


BILLS = bills()


def ways(relations: Relations) -> dict[str, tuple[str, set[str]]]:
    return {one.name: (one.form, set(one.sources)) for one in relations.relations}


def test_products_and_ratios_are_found_and_never_in_a_circle() -> None:
    found = ways(Relations.fit(BILLS, 16))
    assert found["total"] == ("ratio", {"price", "months"})
    assert found["cost"] == ("ratio", {"total"})


def test_a_difference_is_found() -> None:
    frame = pd.DataFrame({"start": PRICE, "end": np.round(PRICE + RNG.normal(0, 1, ROWS), 2)})
    relations = Relations.fit(Table(frame, Schema(dict.fromkeys(frame, "numeric"), None)), 16)
    assert [one.form for one in relations.relations] == ["difference"]


def test_independent_columns_have_no_relation() -> None:
    frame = pd.DataFrame({name: RNG.permutation(PRICE) for name in "abc"})
    table = Table(frame, Schema(dict.fromkeys(frame, "numeric"), None))
    relations = Relations.fit(table, 16)
    assert relations.relations == ()
    assert relations.reduced(table) is table


def test_what_was_taken_apart_is_put_together_exactly() -> None:
    relations = Relations.fit(BILLS, 16)
    back = relations.restored(relations.reduced(BILLS))
    pd.testing.assert_frame_equal(back.frame, BILLS.frame)
    assert back.schema == BILLS.schema


@pytest.mark.parametrize("left", [-1e300, 1e300, 0.0])
def test_a_restored_value_is_legal_whatever_was_drawn(left: float) -> None:
    relations = Relations.fit(BILLS, 16)
    reduced = relations.reduced(BILLS)
    drawn = Table(reduced.frame.assign(total=left, cost=left), reduced.schema)
    for name in ("total", "cost"):
        values, known = relations.restored(drawn).frame[name], BILLS.frame[name]
        assert values.dtype == known.dtype
        assert values.between(known.min(), known.max()).all()
        assert (values.astype(float).round(2) == values.astype(float)).all()


def test_relations_read_back_are_the_same() -> None:
    relations = Relations.fit(BILLS, 16)
    again = Relations.restore(*relations.state())
    reduced = relations.reduced(BILLS)
    pd.testing.assert_frame_equal(again.restored(reduced).frame, relations.restored(reduced).frame)
    assert again.kinds == relations.kinds


@pytest.fixture(scope="module")
def model():
    return create(CartConfig(kind="cart"), BILLS).fit(BILLS, BILLS, np.random.default_rng(0))


def test_drawn_rows_keep_the_formula(model) -> None:
    rows = model.sample(1_000, None, np.random.default_rng(1)).frame
    share = (rows["total"] / (rows["price"] * rows["months"])).dropna()
    assert share.std() == pytest.approx(0.04, rel=0.25)
    assert list(rows) == list(BILLS.frame)


def test_a_column_in_a_relation_can_be_asked_for(model, tmp_path) -> None:
    model.save(tmp_path)
    total = float(BILLS.frame["total"].quantile(0.6, interpolation="nearest"))
    labels = np.array(["no", "yes", "no"])
    for each in (model, load_synthesizer(tmp_path)):
        rows = each.sample_where(3, labels, {"total": total}, np.random.default_rng(2))
        assert rows.labels.tolist() == labels.tolist()
        assert (rows.frame["total"] == total).all()
        # The rest of the row fits to the value that was asked for.
        kept = rows.frame[rows.frame["left"] == "no"]
        assert (kept["price"] * kept["months"]).to_numpy() == pytest.approx(kept["total"].to_numpy(), rel=0.25)


def test_a_value_that_no_row_has_and_one_that_is_never_drawn_are_refused(model) -> None:
    with pytest.raises(ModelError, match="has no value 'much'"):
        model.sample_where(1, None, {"total": "much"}, np.random.default_rng(0))
    with pytest.raises(ModelError, match="was found in 12 rounds"):
        model.sample_where(1, None, {"months": 1, "total": float(BILLS.frame["total"].max())}, np.random.default_rng(0))


def test_no_row_is_asked_for_and_none_is_drawn(model) -> None:
    assert len(model.sample_where(0, None, {"total": None}, np.random.default_rng(0))) == 0
