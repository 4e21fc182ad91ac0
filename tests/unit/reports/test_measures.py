"""What a measured number says in words, and which controls are drawn beside it."""

import base64
import re
from collections.abc import Mapping

import pytest

from synthgen.findings import Finding, Report, Verdict
from synthgen.reports.measures import Measure, measures

COUNTS = {"equal_to_train": 3, "equal_to_holdout": 1, "distinct_train": 900, "distinct_holdout": 300}
CONTROLS = {"control_independent": 0.01, "control_leak": 0.07}


def measured(metric: str, detail: Mapping[str, object]) -> Measure:
    finding = Finding(metric, "privacy", 0.02, 0.01, 0.04, 0.012, False, 300, detail=detail)
    [measure] = measures(Report(Verdict.PASS, [finding], [], [], [], {}), "privacy")
    return measure


def test_an_end_that_is_not_at_95_percent_is_told_with_its_reason() -> None:
    sentence = measured("excess_copies", {**COUNTS, "low_confidence": 0.998}).sentence.replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert "The low end of the interval is at 99.8 %, not 95 %: one of six rules on privacy" in sentence
    assert "low end" not in measured("excess_copies", COUNTS).sentence


@pytest.mark.parametrize("metric", ["membership_tpr_at_1pct_fpr", "membership_rare"])
def test_a_membership_attack_is_drawn_beside_both_controls(metric: str) -> None:
    drawing = measured(metric, CONTROLS).drawing
    assert drawing is not None
    svg = base64.b64decode(drawing.uri.partition("base64,")[2]).decode()
    assert {"independent columns", "known leak: 5 % copies", "unseen real rows"} <= set(
        re.findall(r">([^<>]+)</text>", svg)
    )
