"""The tables of groups: every group with its numbers, and nothing that rests on a few rows on a shared page."""

import pytest

from synthgen.findings import Finding, Report, Verdict
from synthgen.reports.fairness import SHOWN_PAIRS, group_tables


def finding(metric: str, **detail: object) -> Finding:
    return Finding(metric, "fairness", 0.9, 0.8, 1.0, None, higher_is_better=True, n=100, detail=detail)


def share(columns: str, group: str, ratio: float, real: int = 200) -> dict[str, object]:
    counts = {"real": real, "synthetic": round(100 * ratio), "expected": 100.0}
    return {"columns": columns, "group": group, **counts, "ratio": ratio, "ratio_of_all": 1.0}


def report() -> Report:
    pairs = [share("race × sex", f"{number} × f", 0.5 + number / 20) for number in range(SHOWN_PAIRS + 3)]
    small = [{"columns": "race", "group": name, "real": rows} for name, rows in (("rare", 7), ("few", 30))]
    rates = {"label": "yes", "real": 0.04, "expected": 0.1, "synthetic": 0.2}
    findings = [
        finding(
            "representation_ratio",
            groups=[*pairs, share("sex", "f", 0.7), share("sex", "m", 1.1)],
            not_measurable=small,
        ),
        finding("label_rate_shift", groups=[{"columns": "sex", "group": "f", **rates}]),
    ]
    return Report(Verdict.PASS, findings, [], [], [], {})


def test_each_group_stands_with_its_share_and_label_rates():
    tables = group_tables(report())
    women, men = tables.groups
    assert (women.group, women.synthetic, women.expected, women.ratio, women.is_off) == ("f", "70", "100", "0.70", True)
    assert [rate.replace("\N{NO-BREAK SPACE}", " ") for rate in women.rates] == ["4.00 %", "10.0 %", "20.0 %"]
    assert (men.is_off, men.label, men.rates, men.auc) == (False, "", ("–", "–", "–"), "–")
    assert tables.odds == []


def test_of_two_columns_the_farthest_groups_are_shown():
    tables = group_tables(report())
    assert len(tables.pairs) == SHOWN_PAIRS
    assert tables.pairs[0].group == "0 × f"
    assert tables.hidden_pairs == 3


@pytest.mark.parametrize(("shared", "named"), [(False, ["rare", "few"]), (True, ["few"])])
def test_a_shared_page_names_no_group_of_a_few_rows_and_no_rate_of_a_few(shared, named):
    tables = group_tables(report(), shared=shared)
    assert [group for _, group, _ in tables.too_small] == named
    # 8 of 200 women have the label.
    assert (tables.groups[0].rates[0] == "a few rows") == shared


@pytest.mark.parametrize(
    ("control", "named"), [("duplicated", "duplicated real images"), ("random oversampling", "duplicated real rows")]
)
def test_gaps_of_classifiers_stand_there_though_synthetic_images_carry_no_attribute(control, named):
    gaps = {"real": 0.1, control: 0.125, "synthetic": 0.2}
    odds = finding("equalized_odds_change", control=control, groupings=[{"columns": "sex", "change": 0.075, **gaps}])
    tables = group_tables(Report(Verdict.PASS, [odds], [], [], [], {}))
    assert tables.groups == []
    assert tables.arms == ["real only", named, "this synthetic data"]
    [line] = tables.odds
    assert [gap.replace("\N{NO-BREAK SPACE}", " ") for gap in line.gaps] == ["10.0 %", "12.5 %", "20.0 %"]
    assert (line.columns, line.change) == ("sex", "+7.5")


def test_without_measured_groups_there_is_no_table():
    assert group_tables(Report(Verdict.PASS, [], [], [], [], {})) is None
