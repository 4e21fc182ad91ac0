"""Judgement: PASS, FAIL and INCONCLUSIVE by the interval, and no way around it."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgen.config import GateConfig, Purpose
from synthgen.errors import ConfigError
from synthgen.findings import Finding, NotMeasured, Rule, Verdict, worst
from synthgen.gates import DEFAULT_RULES, judge, rules_for, verdict_of
from synthgen.metrics import METRICS

numbers = st.floats(-10, 10, allow_nan=False)


def finding(value: float, low: float, high: float, reference: float | None = None, n: int = 100) -> Finding:
    return Finding("m", "fidelity", value, low, high, reference, True, n)


@pytest.mark.parametrize(
    ("rule", "value", "low", "high", "reference", "expected"),
    [
        (Rule("m", at_most=0.9), 0.5, 0.4, 0.6, None, Verdict.PASS),
        (Rule("m", at_most=0.9), 0.9, 0.8, 0.95, None, Verdict.INCONCLUSIVE),
        (Rule("m", at_most=0.9), 0.95, 0.91, 0.99, None, Verdict.FAIL),
        (Rule("m", at_most=0.9), 0.9, 0.9, 0.9, None, Verdict.PASS),
        (Rule("m", at_least=1.0), 1.0, 1.0, 1.0, None, Verdict.PASS),
        (Rule("m", at_least=1.0), 0.999, 0.999, 0.999, None, Verdict.FAIL),
        (Rule("m", at_least=-0.002), 0.01, -0.01, 0.03, None, Verdict.INCONCLUSIVE),
        (Rule("m", at_least=-0.002), 0.01, 0.0, 0.02, None, Verdict.PASS),
        (Rule("m", at_least=0.8, relation="ratio"), 0.9, 0.85, 0.95, 1.0, Verdict.PASS),
        (Rule("m", at_least=0.8, relation="ratio"), 0.3, 0.2, 0.35, 0.5, Verdict.FAIL),
        (Rule("m", at_least=0.8, relation="ratio"), 0.3, 0.2, 0.35, None, Verdict.INCONCLUSIVE),
        (Rule("m", at_least=0.8, relation="ratio"), 0.3, 0.2, 0.35, 0.0, Verdict.INCONCLUSIVE),
        (Rule("m", at_most=0.02, relation="difference"), 0.06, 0.055, 0.065, 0.05, Verdict.PASS),
        (Rule("m", at_most=0.005, fail_beyond=0.001), 0.003, 0.002, 0.004, None, Verdict.FAIL),
        (Rule("m", at_most=0.005, fail_beyond=0.001), 0.002, 0.0, 0.004, None, Verdict.PASS),
        (Rule("m", at_most=0.005, fail_beyond=0.001), 0.002, 0.0, 0.006, None, Verdict.INCONCLUSIVE),
        (Rule("m", at_most=0.9), math.nan, math.nan, math.nan, None, Verdict.INCONCLUSIVE),
        (Rule("m", at_most=0.9), 0.5, -math.inf, math.inf, None, Verdict.INCONCLUSIVE),
    ],
)
def test_the_bad_end_of_the_interval_decides(
    rule: Rule, value: float, low: float, high: float, reference: float | None, expected: Verdict
) -> None:
    (judgement,) = judge([rule], [finding(value, low, high, reference)], [])
    assert judgement.verdict == expected


@given(threshold=numbers, at_most=st.booleans(), interval=st.lists(numbers, min_size=3, max_size=3).map(sorted))
def test_pass_needs_the_whole_interval_on_the_good_side(threshold: float, at_most: bool, interval: list[float]) -> None:
    low, value, high = interval
    rule = Rule("m", at_most=threshold) if at_most else Rule("m", at_least=threshold)
    (judgement,) = judge([rule], [finding(value, low, high)], [])
    good = high <= threshold if at_most else low >= threshold
    bad = low > threshold if at_most else high < threshold
    expected = Verdict.PASS if good else Verdict.FAIL if bad else Verdict.INCONCLUSIVE
    assert judgement.verdict == expected


@given(st.lists(st.sampled_from([Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NOT_AUDITED]), max_size=6))
def test_a_run_passes_only_when_every_required_rule_passes(verdicts: list[Verdict]) -> None:
    assert (worst(verdicts) == Verdict.PASS) == (bool(verdicts) and set(verdicts) == {Verdict.PASS})


def test_what_was_not_measured_never_passes() -> None:
    missing = [NotMeasured("m", "privacy", "too few rows")]
    (with_holdout,) = judge([Rule("m", at_most=1)], [], missing)
    (without,) = judge([Rule("m", at_most=1)], [], missing, holdout_given=False)
    assert (with_holdout.verdict, without.verdict) == (Verdict.INCONCLUSIVE, Verdict.NOT_AUDITED)
    assert "too few rows" in with_holdout.remark


def test_a_rule_on_a_metric_that_did_not_run_is_an_error() -> None:
    with pytest.raises(ValueError, match="did not run"):
        judge([Rule("m", at_most=1)], [], [])


def test_an_open_verdict_says_how_many_rows_would_decide() -> None:
    # Half-width .1 must shrink to .05: four times the rows.
    (judgement,) = judge([Rule("m", at_most=0.55)], [finding(0.5, 0.4, 0.6, n=100)], [])
    assert judgement.remark == "about 400 examples like these would decide (now 100)"


def test_a_value_beyond_the_warning_passes_with_a_remark() -> None:
    (judgement,) = judge([Rule("m", at_most=0.9, warn_beyond=0.75)], [finding(0.8, 0.78, 0.82)], [])
    assert (judgement.verdict, "0.75" in judgement.remark) == (Verdict.PASS, True)


def test_a_rule_that_could_not_judge_every_class_does_not_pass() -> None:
    found = replace(finding(0.5, 0.4, 0.6), detail={"too_few": ["rare"]})
    (judgement,) = judge([Rule("m", at_most=0.9)], [found], [])
    assert (judgement.verdict, "'rare'" in judgement.remark) == (Verdict.INCONCLUSIVE, True)
    (judgement,) = judge([Rule("m", at_most=0.3)], [found], [])
    assert judgement.verdict == Verdict.FAIL


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("beta_recall", Verdict.FAIL),
        ("coverage", Verdict.FAIL),
        ("mode_coverage", Verdict.FAIL),
        ("c2st_auc", Verdict.INCONCLUSIVE),
        ("frechet_ratio", Verdict.INCONCLUSIVE),
        ("excess_copies", Verdict.PASS),
    ],
)
def test_no_rule_that_compares_by_class_passes_a_set_that_lost_one(metric: str, expected: Verdict) -> None:
    found = replace(finding(0.5, 0.4, 0.6), metric=metric)
    rule = Rule(metric, at_most=0.9, required=False, blocks=True)
    assert [judge([rule], [found], [], lost_classes=lost)[0].verdict for lost in (0, 1)] == [Verdict.PASS, expected]
    (judgement,) = judge([rule], [found], [], lost_classes=1)
    assert judgement.required is (expected == Verdict.FAIL)


def test_only_required_rules_decide_the_run() -> None:
    rules = [Rule("m", at_most=1, required=True), Rule("m", at_most=0, required=False)]
    judgements = judge(rules, [finding(0.5, 0.4, 0.6)], [])
    assert verdict_of(judgements) == Verdict.PASS
    assert verdict_of([]) == Verdict.NOT_AUDITED


def test_every_default_rule_has_its_metric() -> None:
    for modality, rules in DEFAULT_RULES.items():
        assert {rule.metric for rule in rules} <= set(METRICS[modality])


def test_privacy_is_required_only_for_sharing() -> None:
    required = {
        purpose: {rule.metric for rule in rules_for("table", purpose) if rule.required}
        for purpose in ("augment", "share")
    }
    assert "excess_copies" not in required["augment"]
    assert {"excess_copies", "membership_tpr_at_1pct_fpr", "identifier_replay"} <= required["share"]


@pytest.mark.parametrize("purpose", ["augment", "share"])
def test_wrong_labels_refuse_images_for_every_purpose(purpose: Purpose) -> None:
    [rule] = [rule for rule in rules_for("images", purpose) if rule.metric == "class_agreement"]
    wrong = replace(finding(-0.1, -0.12, -0.08), metric="class_agreement")
    assert verdict_of(judge([rule], [wrong], [])) == Verdict.FAIL


def test_a_gate_in_the_config_replaces_the_threshold() -> None:
    rules = {rule.metric: rule for rule in rules_for("table", "augment", [GateConfig(metric="c2st_auc", at_most=0.6)])}
    assert (rules["c2st_auc"].at_most, rules["c2st_auc"].required) == (0.6, True)


def test_a_gate_can_be_made_required_without_a_new_threshold() -> None:
    gate = GateConfig(metric="excess_copies", required=True)
    rules = {rule.metric: rule for rule in rules_for("table", "augment", [gate])}
    assert (rules["excess_copies"].at_most, rules["excess_copies"].required) == (0.005, True)


def test_a_gate_on_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'c2st_auc'"):
        rules_for("table", "augment", [GateConfig(metric="c2st_acu", at_most=0.6)])


def test_a_rule_whose_metric_does_not_apply_judges_nothing() -> None:
    rules = [Rule("validity", at_least=1.0)]
    nothing = [NotMeasured("validity", "fidelity", "no column", applies=False)]
    assert judge(rules, [], nothing) == []
    assert verdict_of(judge(rules, [], nothing)) == Verdict.NOT_AUDITED
