"""Groups of protected columns, their cells, and the worst of many."""

import numpy as np
import pandas as pd
import pytest

from synthgen.datasets import Schema, Table
from synthgen.metrics.evaluation import NotApplicable, NotMeasurable
from synthgen.metrics.fairness.cells import Cells, worst_of
from synthgen.metrics.fairness.groups import groupings, too_small

KINDS = {"sex": "categorical", "age": "integer", "seen": "datetime", "dose": "integer", "ill": "categorical"}


def patients(protected: tuple[str, ...], *, sex: list[str | None] | None = None) -> Table:
    """400 rows: ages 0 to 99, dates, and a dose with three values."""
    at = np.arange(400)
    frame = pd.DataFrame(
        {
            "sex": sex or ["f", "m"] * 200,
            "age": at % 100,
            "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(at, unit="D"),
            "dose": at % 3,
            "ill": np.where(at % 5 == 0, "yes", "no"),
        }
    )
    return Table(frame, Schema(KINDS, "ill", protected=protected))


@pytest.mark.parametrize(
    ("column", "names"),
    [
        ("sex", ("f", "m")),
        ("age", ("≤ 24", "24 < … ≤ 49", "49 < … ≤ 74", "> 74")),
        ("seen", ("≤ 2020-04-09", "2020-04-09 < … ≤ 2020-07-18", "2020-07-18 < … ≤ 2020-10-26", "> 2020-10-26")),
        ("dose", ("0", "1", "2")),
    ],
)
def test_categories_are_groups_and_numbers_are_cut_at_their_quartiles(column, names):
    [grouping] = groupings(patients((column,)))
    assert grouping.names == names
    assert (grouping.codes[0] >= 0).all()


def test_two_protected_columns_give_their_intersections_too():
    found = groupings(patients(("sex", "dose")))
    assert [grouping.columns for grouping in found] == [("dose",), ("sex",), ("dose", "sex")]
    assert found[2].names == ("0 × f", "0 × m", "1 × f", "1 × m", "2 × f", "2 × m")


def test_small_groups_are_listed_rare_ones_are_not_named_and_missing_is_a_group():
    sex = ["f"] * 200 + ["m"] * 100 + [None] * 60 + ["x"] * 37 + ["y"] * 3
    found = groupings(patients(("sex",), sex=sex))
    assert found[0].names == ("f", "m", "missing")
    assert too_small(found) == [{"columns": "sex", "group": "x", "real": 37}]
    assert (found[0].codes[0] == -1).sum() == 40


def test_a_level_that_training_rows_do_not_have_belongs_to_no_group():
    [grouping] = groupings(patients(("sex",)), synthetic=patients(("sex",), sex=["f", "new"] * 200))
    assert sorted(set(grouping.codes[1].tolist())) == [-1, 0]


def test_without_protected_columns_there_is_nothing_to_measure():
    with pytest.raises(NotApplicable, match="no protected column"):
        groupings(patients(()))
    with pytest.raises(NotMeasurable, match="has 50 training rows"):
        groupings(patients(("sex",)).take(np.arange(40)))


def test_shares_at_other_class_weights_are_those_of_reweighted_rows():
    # 80 rows of class 0, a quarter in group 0; 20 of class 1, half of them in it.
    cells = Cells.of(np.repeat([0, 1], [80, 20]), np.r_[np.repeat([0, 1], [20, 60]), np.repeat([0, 1], 10)], (2, 2))
    joint, _ = cells.joint(np.array([0.5, 0.5]))
    assert joint.sum(axis=0) == pytest.approx([0.375, 0.625])
    rates, _ = cells.label_rates(np.array([0.5, 0.5]))
    assert rates[1] == pytest.approx([0.25 / 0.375, 0.25 / 0.625])


def test_variances_are_those_of_repeated_samples():
    rng = np.random.default_rng(0)
    weights, shares, totals = np.array([0.7, 0.3]), np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([300, 200])
    drawn = [
        Cells(np.array([rng.multinomial(n, share) for n, share in zip(totals, shares, strict=True)], float), totals)
        for _ in range(2_000)
    ]
    joint = np.array([cells.joint(weights)[0].sum(axis=0)[0] for cells in drawn])
    rates = np.array([cells.label_rates(weights)[0][1, 0] for cells in drawn])
    truth = Cells(shares * totals[:, None], totals)
    assert truth.joint(weights)[1].sum(axis=0)[0] == pytest.approx(joint.var(), rel=0.1)
    assert truth.label_rates(weights)[1][1, 0] == pytest.approx(rates.var(), rel=0.1)


def test_the_worst_of_many_covers_the_largest_true_number():
    rng = np.random.default_rng(1)
    truth, errors = np.linspace(0, 0.3, 20), np.linspace(0.02, 0.2, 20)
    found = [worst_of(rng.normal(truth, errors), errors) for _ in range(500)]
    assert all(worst.low <= worst.value <= worst.high for worst in found)
    assert np.mean([worst.low <= truth.max() <= worst.high for worst in found]) >= 0.95


def test_one_number_alone_has_its_ordinary_interval():
    worst = worst_of(np.array([1.0]), np.array([0.1]))
    assert (worst.low, worst.high) == pytest.approx((0.804, 1.196), abs=1e-3)
