"""The classical control: CART on the same rows, in full table reports only, and never what ends one."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgen import classical
from synthgen.auditing import audit_data, judging
from synthgen.classical import MEASURED, cart_control, control_of, has_control, read_control
from synthgen.config import EvaluationSize, Profile
from synthgen.config_reading import parse_audit_options, parse_config
from synthgen.datasets import Schema, Splits, Table, class_counts
from synthgen.findings import Control, Finding, Report, Verdict
from synthgen.metrics import Evaluation, Modality
from synthgen.reports import Material
from synthgen.reports.classical import control_table
from synthgen.reports.page import render
from synthgen.workspace import Ref, Workspace

SMALL = EvaluationSize(profile="full", max_rows=300, utility_seeds=2, bootstrap_rounds=20)
KINDS = {"person": "id", "age": "integer", "income": "numeric", "town": "categorical", "ill": "categorical"}


def people(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, n)
    return pd.DataFrame(
        {
            "person": [f"P-{seed}-{number:05d}" for number in range(n)],
            "age": age,
            "income": np.round(rng.gamma(2, 900, n) + 20 * age, 2),
            "town": rng.choice(["Oslo", "Rome", "Kyiv"], n),
            "ill": np.where(rng.random(n) < age / 200, "yes", "no"),
        }
    )


def table(frame: pd.DataFrame) -> Table:
    return Table(frame, Schema(KINDS, "ill"))


def copied(train: pd.DataFrame, rows: int | None = None) -> Evaluation:
    """The training rows in place of synthetic ones."""
    synthetic = table(train.drop(columns="person").head(rows or len(train)))
    return Evaluation(table(train), table(people(300, 2)), synthetic, SMALL)


def values(control: Control) -> Mapping[str, float]:
    return {item.metric: item.value for item in control.findings}


def audited(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> tuple[Report, str]:
    """An audit of copied rows as report and page."""
    quick = SMALL.model_copy(update={"profile": "quick"})
    monkeypatch.setattr(judging, "EVALUATION_SIZES", {"quick": quick, "full": SMALL})
    train, holdout = people(300, 1), people(300, 2)
    options = parse_audit_options({"label": "ill", "profile": profile, "ids": ["person"]})
    report, material = audit_data(train, train, holdout, options)
    return report, render(report, material)


def test_a_full_audit_has_the_control_of_other_rows_than_the_synthetic_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    report, page = audited("full", monkeypatch)
    assert report.control is not None
    assert [item.metric for item in report.control.findings] + [
        item.metric for item in report.control.not_measured
    ] == list(MEASURED)
    copies = report.finding("excess_copies")
    assert copies is not None
    assert copies.value > 0.95
    assert values(report.control)["excess_copies"] < 0.05
    assert report.control.drawn_rows == report.control.learnt_rows == 300
    assert page.count("A classical control: sequential CART on the same rows") == 2
    assert Report.from_json(report.to_json()).control == report.control


def test_a_quick_audit_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    report, page = audited("quick", monkeypatch)
    assert report.control is None
    assert "sequential CART" not in page


def test_a_table_that_cart_cannot_learn_is_listed_and_raises_nothing() -> None:
    evaluation = copied(people(100, 1).assign(age=np.resize([1, -(2**62), 2**62], 100)))
    control = control_of(evaluation)
    assert not control.findings
    assert [item.metric for item in control.not_measured] == list(MEASURED)
    assert all("'age'" in item.reason for item in control.not_measured)
    report = Report(Verdict.PASS, [], [], [], [], {}, control=control)
    page = render(report, Material(None, evaluation.train, evaluation.holdout, evaluation.synthetic))
    assert "Not measured of CART: CART failed on this table" in page


def test_an_unexpected_error_is_told_by_its_name_alone() -> None:
    evaluation = copied(people(100, 1))
    broken = replace(evaluation, train=table(people(100, 1).drop(columns="age")))
    assert {item.reason for item in control_of(broken).not_measured} == {
        "CART failed on this table: unexpected KeyError"
    }


def test_the_order_of_rows_moves_no_number() -> None:
    train = people(300, 1)
    assert values(control_of(copied(train))) == values(control_of(copied(train.iloc[::-1].reset_index(drop=True))))


def test_of_many_rows_a_sample_is_learnt_drawn_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classical, "_MOST_ROWS", 100)
    control = control_of(copied(people(300, 1), rows=200))
    assert (control.train_rows, control.synthetic_rows) == (300, 200)
    assert 100 <= min(control.learnt_rows, control.drawn_rows) <= max(control.learnt_rows, control.drawn_rows) <= 101
    shown = control_table(Report(Verdict.PASS, [], [], [], [], {}, control=control), "fidelity")
    assert shown is not None
    assert "of the 300 training rows" in shown.left_out
    assert "where there are 200 synthetic ones" in shown.left_out


@pytest.mark.parametrize(
    ("ours", "control", "higher_is_better", "better"),
    [
        ((0.6, 0.7), (0.8, 0.9), True, "CART"),
        ((0.6, 0.7), (0.8, 0.9), False, "this data"),
        ((0.8, 0.9), (0.6, 0.7), True, "this data"),
        ((0.8, 0.9), (0.6, 0.7), False, "CART"),
        ((0.6, 0.8), (0.8, 0.9), True, "no clear difference"),
        (None, (0.8, 0.9), True, "–"),
    ],
)
def test_one_is_better_only_where_the_intervals_do_not_overlap(
    ours: tuple[float, float] | None, control: tuple[float, float], higher_is_better: bool, better: str
) -> None:
    def found(low: float, high: float) -> Finding:
        return Finding("c2st_auc", "fidelity", low, low, high, 0.5, higher_is_better, 9)

    cart = Control("cart", 9, 9, 9, 9, [found(*control)], [])
    report = Report(Verdict.PASS, [found(*ours)] if ours else [], [], [], [], {}, control=cart)
    shown = control_table(report, "fidelity")
    assert shown is not None
    assert [row.better for row in shown.rows] == [better]


def test_rows_without_a_label_have_the_control_too() -> None:
    evaluation = copied(people(300, 1))
    bare = [replace(part, schema=Schema(KINDS, None)) for part in (evaluation.train, evaluation.holdout)]
    made = replace(evaluation.synthetic, schema=Schema(KINDS, None))
    assert len(control_of(Evaluation(*bare, made, SMALL)).findings) >= 5


@pytest.fixture
def refs(tmp_path: Path) -> tuple[Ref, Ref]:
    parts = Splits(table(people(300, 1)), table(people(100, 3)), table(people(200, 2)))
    parts.save(tmp_path / "split")
    table(people(100, 4)).save(tmp_path / "curate" / "synthetic")
    return tuple(Ref(name, name, str(tmp_path / name), False, 0.0) for name in ("split", "curate"))


def test_a_run_trains_the_control_once_for_the_same_splits_and_class_counts(
    tmp_path: Path, refs: tuple[Ref, Ref]
) -> None:
    space = Workspace(tmp_path / "space")
    source = {"kind": "builtin", "name": "wine"}
    config = parse_config({"name": "people", "source": source, "evaluation": {"profile": "full"}})
    first, again = cart_control(config, space, *refs), cart_control(config, space, *refs)
    assert (first.reused, again.reused) == (False, True)
    found = read_control(again)
    assert found.drawn_rows == sum(class_counts(table(people(100, 4))).values())
    assert {"c2st_auc", "excess_copies"} <= set(values(found))


@pytest.mark.parametrize(
    ("modality", "profile", "expected"),
    [("table", "quick", False), ("table", "full", True), ("table", "release", True), ("images", "full", False)],
)
def test_reports_on_tables_beyond_quick_have_it(modality: Modality, profile: Profile, *, expected: bool) -> None:
    assert has_control(modality, profile) == expected
