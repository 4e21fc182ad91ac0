import numpy as np
import pandas as pd
import pytest

from synthgen.datasets import ImageSet, Schema, Table
from synthgen.reports.columns import MISSING, OTHER, column_fits, pair_fits, sides_of
from synthgen.reports.pictures import class_pictures


def table(values: object, labels: object = None, kind: str = "numeric") -> Table:
    frame = pd.DataFrame({"x": values})
    frame["label"] = "a" if labels is None else labels
    return Table(frame, Schema({"x": kind, "label": "categorical"}, "label"))  # type: ignore[dict-item]


def text(**counts: int) -> pd.Series:
    return pd.Series([name for name, count in counts.items() for _ in range(count)], dtype=object)


def test_difference_is_the_total_variation_of_the_categories() -> None:
    train, made = table(text(u=60, v=40), kind="categorical"), table(text(u=30, v=70), kind="categorical")
    (fit,) = column_fits(sides_of(train, train, made))
    assert fit.difference == pytest.approx(0.3)
    assert fit.reference == pytest.approx(0.0)


def test_without_holdout_there_is_no_reference() -> None:
    train = table(text(u=60, v=40), kind="categorical")
    (fit,) = column_fits(sides_of(train, None, train))
    assert (fit.difference, fit.reference) == (0.0, None)


def test_categories_with_fewer_than_five_real_rows_are_pooled() -> None:
    train, holdout = table(text(u=20, v=4, w=3), kind="categorical"), table(text(u=20, v=1, w=1), kind="categorical")
    (fit,) = column_fits(sides_of(train, holdout, holdout))
    assert fit.column.cells == ["u", "v", OTHER, MISSING]
    (alone,) = column_fits(sides_of(train, None, holdout))
    assert alone.column.cells == ["u", OTHER, MISSING]


def test_real_rows_are_weighted_to_the_classes_of_the_synthetic_rows() -> None:
    labels = ["a"] * 90 + ["b"] * 10
    real = table(text(u=90, v=10), labels, kind="categorical")
    made = table(text(v=20), "b", kind="categorical")
    (fit,) = column_fits(sides_of(real, real, made))
    assert fit.difference == pytest.approx(0.0)


def test_missing_values_have_a_cell_of_their_own() -> None:
    real, made = table(np.arange(100.0)), table(np.where(np.arange(100) < 25, np.nan, np.arange(100.0)))
    (fit,) = column_fits(sides_of(real, real, made))
    assert fit.real[-1] == 0.0
    assert fit.synthetic[-1] == pytest.approx(0.25)


def test_axes_end_at_the_quantiles_so_that_an_outlier_is_not_shown() -> None:
    real = table(np.append(np.linspace(0, 1, 999), 1e9))
    (fit,) = column_fits(sides_of(real, real, real))
    assert fit.column.edges is not None
    assert fit.column.edges.max() < 1.0
    assert fit.real.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1.0] * 30, "numeric"),
        ([np.nan] * 30, "numeric"),
        ([1, 2, 3] * 10, "integer"),
        (pd.array([1, None, 3] * 10, dtype="Int64"), "integer"),
        (pd.date_range("2020", periods=30), "datetime"),
        (pd.date_range("2020", periods=30, tz="Asia/Tokyo"), "datetime"),
        (pd.to_datetime([None] * 30), "datetime"),
        ([True, False, True] * 10, "boolean"),
        (pd.array([True, None, False] * 10, dtype="boolean"), "boolean"),
        (pd.Series([None] * 30, dtype=object), "categorical"),
        (pd.Categorical(["u", "v", None] * 10), "categorical"),
    ],
)
def test_every_kind_of_column_has_shares_that_sum_to_one(values: object, kind: str) -> None:
    data = table(values, kind=kind)
    (fit,) = column_fits(sides_of(data, data, data))
    assert fit.real.sum() == pytest.approx(1.0)
    assert fit.difference == 0.0


def test_dates_without_a_clock_are_binned_in_days() -> None:
    data = table(pd.Series(pd.date_range("1970-01-02", periods=30)).astype("datetime64[s]"), kind="datetime")
    (fit,) = column_fits(sides_of(data, data, data))
    assert fit.column.edges is not None
    assert fit.column.edges[[0, -1]].tolist() == [1.0, 30.0]


def test_pairs_see_dependence_where_the_columns_alone_are_equal() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=2_000)
    frame = pd.DataFrame({"x": x, "y": x + 0.1 * rng.normal(size=2_000), "z": rng.normal(size=2_000), "label": "a"})
    kinds = {"x": "numeric", "y": "numeric", "z": "numeric", "label": "categorical"}
    real = Table(frame, Schema(kinds, "label"))  # type: ignore[arg-type]
    made = Table(frame.assign(y=rng.permutation(frame["y"])), real.schema)
    sides = sides_of(real, real, made)
    worst, *others = pair_fits(column_fits(sides), sides, shown=9)
    assert {worst.first.name, worst.second.name} == {"x", "y"}
    assert worst.difference > 0.4
    assert max(pair.difference for pair in others) < 0.15


def test_the_nearest_real_image_of_a_copy_is_the_original() -> None:
    rng = np.random.default_rng(0)
    train = ImageSet(rng.integers(0, 2**16, (20, 3, 12, 10), dtype=np.uint16), np.arange(20) % 2, ("a", "b"))
    (pictures,) = class_pictures(train, train.take(np.array([4, 8])))
    real, synthetic, nearest = pictures.strips
    assert pictures.name == "a"
    assert synthetic.uri == nearest.uri != real.uri
