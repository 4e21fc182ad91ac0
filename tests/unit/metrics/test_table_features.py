"""How rows become numbers."""

import numpy as np
import pandas as pd
import pytest

from synthgen.config import EvaluationSize
from synthgen.datasets import Schema, Table
from synthgen.metrics.evaluation import Evaluation, NotMeasurable, canonical
from synthgen.metrics.table_features import (
    column_decimals,
    distinct_tables,
    encode,
    independent_columns,
    joined,
    numbers,
    texts,
)

SIZE = EvaluationSize(max_rows=100, utility_seeds=2, bootstrap_rounds=10)


def table(kinds: dict[str, str], label: str | None = None, **columns: object) -> Table:
    return Table(pd.DataFrame(columns), Schema(kinds, label))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2], [1, 2]),
        ([1.5, None], [1.5, np.nan]),
        (pd.array([3, None], dtype="Int64"), [3, np.nan]),
        (pd.array([True, None], dtype="boolean"), [1, np.nan]),
        (pd.to_datetime(["1970-01-02", None]), [86_400, np.nan]),
        (pd.to_datetime(["1970-01-02", None]).as_unit("s"), [86_400, np.nan]),
        (pd.to_datetime(["1970-01-01T01:00", None]).tz_localize("Europe/Paris"), [0, np.nan]),
        ([None, None], [np.nan, np.nan]),
    ],
)
def test_numbers_of_every_dtype(values, expected):
    assert numbers(pd.DataFrame({"x": values}), "x") == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["001", "NA", None], ["001", "NA", None]),
        ([True, False, True], ["True", "False", "True"]),
        (pd.Categorical(["a", None, "b"]), ["a", None, "b"]),
        (pd.array(["a", None, "b"], dtype="string"), ["a", None, "b"]),
        ([1, 2, 3], ["1", "2", "3"]),
    ],
)
def test_texts_of_every_dtype(values, expected):
    assert texts(pd.DataFrame({"x": values}), "x").tolist() == expected


def test_codes_do_not_tell_which_side_a_row_came_from():
    sides = [table({"city": "categorical"}, city=names) for names in (["c", "a", None], ["b", "c", "a"])]
    first, second = encode(sides, ["city"])
    assert first.codes.ravel().tolist() == [2, 0, -1]
    assert second.codes.ravel().tolist() == [1, 2, 0]
    assert first.levels == (3,)


def test_matrix_has_columns_by_name_and_missing_as_nan():
    part = table({"b": "numeric", "a": "integer", "c": "categorical"}, b=[0.5, np.nan], a=[1, 2], c=["x", None])
    (rows,) = encode([part], ["b", "a", "c"])
    assert rows.names == ("a", "b", "c")
    assert rows.kinds == ["q", "q", "c"]
    assert rows.matrix() == pytest.approx(np.array([[1, 0.5, 0], [2, np.nan, np.nan]]), nan_ok=True)


def test_a_numeric_label_is_a_category():
    part = table({"x": "numeric", "y": "integer"}, "y", x=[0.5, 1.5], y=[0, 1])
    (rows,) = encode([part], ["x", "y"])
    assert rows.category_names == ("y",)


@pytest.mark.parametrize(
    ("values", "decimals"),
    [([1.0, 20.0], 0), ([0.1, 0.25], 2), ([0.1 + 0.2], 1), ([0.0], 0), ([], 0), ([1e-12], 22), ([1 / 3, 200 / 7], 8)],
)
def test_decimals_of_a_column(values, decimals):
    assert column_decimals(np.array([values]).T) == [decimals]


def test_keys_ignore_the_sign_of_zero_and_digits_beyond_train():
    part = table({"x": "numeric"}, x=[0.0, -0.0, 0.004, 0.01, np.nan, np.nan])
    (rows,) = encode([part], ["x"])
    assert pd.factorize(rows.keys([2]))[0].tolist() == [0, 0, 0, 1, 2, 2]


def test_distinct_tables_keep_each_row_once_and_only_synthesised_classes():
    kinds = {"x": "numeric", "y": "categorical"}
    train = table(kinds, "y", x=[1.0, 1.0, 2.0, 3.0], y=["a", "a", "a", "b"])
    synthetic = table(kinds, "y", x=[1.0000000000001, 5.0], y=["a", "a"])
    found = distinct_tables(Evaluation(train, train, synthetic, SIZE))
    assert [sorted(part.rows.frame["x"]) for part in found[:2]] == [[1, 2], [1, 2]]
    assert len(np.intersect1d(found[0].keys, found[2].keys)) == 1


def test_independent_columns_keep_the_values_and_lose_the_pairs():
    part = table({"x": "integer", "c": "categorical"}, x=np.arange(50), c=[f"{i:02}" for i in range(50)])
    (rows,) = encode([part], ["x", "c"])
    drawn = independent_columns(rows, 2_000, np.random.default_rng(0))
    assert set(drawn.numeric.ravel()) == set(range(50))
    assert (drawn.numeric[:, 0] == drawn.codes[:, 0]).mean() < 0.1
    assert len(joined(rows, drawn)) == 2_050


def test_canonical_order_depends_on_content_alone():
    part = table({"x": "numeric", "c": "categorical"}, x=[3.0, 1.0, 2.0], c=["a", "b", None])
    turned = Table(
        part.frame.iloc[::-1].reset_index(drop=True)[["c", "x"]], Schema({"c": "categorical", "x": "numeric"}, None)
    )
    assert canonical(part).frame["x"].tolist() == canonical(turned).frame["x"].tolist()


def test_matched_sets_have_equal_classes_and_at_most_max_rows():
    kinds = {"x": "numeric", "y": "categorical"}
    rng = np.random.default_rng(1)
    train, holdout = (table(kinds, "y", x=rng.random(n), y=np.where(np.arange(n) % 3, "a", "b")) for n in (900, 300))
    synthetic = table(kinds, "y", x=rng.random(60), y=["b"] * 60)
    matched = Evaluation(train, holdout, synthetic, SIZE).matched
    assert [len(part) for part in (matched.train, matched.holdout, matched.synthetic)] == [60, 60, 60]
    assert set(matched.train.labels) == {"b"}
    assert len(Evaluation(train, holdout, train, SIZE).matched) <= 101


def test_sets_without_a_common_class_are_not_measurable():
    kinds = {"x": "numeric", "y": "categorical"}
    first, second = (table(kinds, "y", x=[1.0], y=[name]) for name in ("a", "b"))
    with pytest.raises(NotMeasurable, match="share no class"):
        _ = Evaluation(first, first, second, SIZE).matched
