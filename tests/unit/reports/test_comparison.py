"""Runs side by side: what is called a difference, and what is not."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from synthgen.errors import UsageError
from synthgen.files import write_json
from synthgen.findings import Finding, Judgement, Report, Verdict
from synthgen.reports.comparison import Side, compared, load_side, write_comparison
from synthgen.runs import Run
from synthgen.workspace import Workspace


def side(name: str, low: float, high: float, *, higher: bool = False, config: object = None) -> Side:
    finding = Finding("c2st_auc", "fidelity", (low + high) / 2, low, high, 0.5, higher, 90)
    judgements = [Judgement("c2st_auc", "≤ 0.9", Verdict.PASS, True)]
    report = Report(Verdict.PASS, [finding], judgements, (), (), {"data_sha256": "abc"})
    return Side(name, report, {"seed": 0, "plan": {"kind": config or "balance"}})


@pytest.mark.parametrize(
    ("other", "change"),
    [
        ((0.2, 0.3, False), "better"),
        ((0.7, 0.8, False), "worse"),
        ((0.55, 0.65, False), ""),
        ((0.6, 0.65, False), ""),  # they touch
        ((0.7, 0.8, True), "better"),
        ((0.2, 0.3, True), "worse"),
    ],
)
def test_a_difference_is_marked_only_when_intervals_do_not_overlap(
    other: tuple[float, float, bool], change: str
) -> None:
    low, high, higher = other
    comparison = compared([side("a", 0.5, 0.6, higher=higher), side("b", low, high, higher=higher)])
    (row,) = comparison.rows
    assert [cell.change for cell in row.cells] == ["", change]


def test_only_settings_that_differ_are_listed() -> None:
    comparison = compared([side("a", 0.5, 0.6), side("b", 0.5, 0.6, config="ratio")])
    assert comparison.settings == [("plan.kind", ["balance", "ratio"])]
    assert not comparison.warnings


def test_other_data_are_warned_of() -> None:
    other = side("b", 0.5, 0.6)
    other = replace(other, report=replace(other.report, provenance={"data_sha256": "def"}))
    comparison = compared([side("a", 0.5, 0.6), other])
    assert comparison.warnings
    assert "data_sha256" in dict(comparison.settings)


def test_a_metric_that_one_run_lacks_is_a_gap(samples: ModuleType) -> None:
    table = Side("table", samples.table_report(), {})
    image = Side("image", samples.image_report(), {})
    rows = {row.metric: row for row in compared([table, image]).rows}
    assert rows["frechet_ratio"].cells[0].value == "–"
    assert rows["tstr_gap"].cells[1].numbers is None
    metrics = {item["metric"]: item["runs"] for item in compared([table, image]).to_json()["metrics"]}
    assert metrics["frechet_ratio"][0] is None
    assert metrics["frechet_ratio"][1]["value"] == 1.84


def test_hostile_names_are_text_on_the_page(tmp_path: Path, samples: ModuleType) -> None:
    hostile = "<script>alert(1)</script>"
    sides = [Side(hostile, samples.table_report(), {hostile: hostile}), Side("b", samples.image_report(), {})]
    write_comparison(tmp_path / "compare.html", compared(sides))
    html = (tmp_path / "compare.html").read_text()
    assert "<script" not in html
    assert "default-src 'none'" in html
    assert "&lt;script&gt;" in html


def test_a_folder_with_a_report_alone_can_be_compared(tmp_path: Path, samples: ModuleType) -> None:
    write_json(tmp_path / "report.json", samples.table_report().to_json())
    loaded = load_side(Workspace(tmp_path / "space"), str(tmp_path))
    assert loaded.report.verdict == Verdict.PASS


def test_a_run_that_failed_has_nothing_to_compare(tmp_path: Path, samples: ModuleType) -> None:
    run = Run.create(Workspace(tmp_path), samples.table_config(), "abc")
    run.update(state="failed")
    with pytest.raises(UsageError, match="has no report: its state is 'failed'"):
        load_side(Workspace(tmp_path), run.id)


def test_a_misspelt_run_is_answered_with_the_nearest(tmp_path: Path, samples: ModuleType) -> None:
    run = Run.create(Workspace(tmp_path), samples.table_config(), "abc")
    with pytest.raises(UsageError, match=f"did you mean '{run.id}'"):
        load_side(Workspace(tmp_path), f"x{run.id[1:]}")
