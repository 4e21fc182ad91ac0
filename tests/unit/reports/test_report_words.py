from dataclasses import replace
from types import ModuleType

import pytest

from synthgen.findings import Finding, Judgement, Report, Verdict
from synthgen.redaction import redacted
from synthgen.reports import headline
from synthgen.reports.headline import gain_sentence
from synthgen.reports.words import shown_duration, shown_interval, shown_number, shown_rule

NB = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "score", "–"),
        (0.5412, "score", "0.541"),
        (123.45, "score", "123.5"),
        (0.011, "points", "+1.1"),
        (-0.0021, "points", "−0.2"),
        (0.0, "points", "0.0"),
        (0.0116, "percent", f"1.16{NB}%"),
        (0.34, "percent", f"34.0{NB}%"),
        (1.0, "percent", f"100{NB}%"),
        (0.99998, "percent", f"99.998{NB}%"),
        (0.9996, "percent", f"99.96{NB}%"),
        (0.95, "percent", f"95.0{NB}%"),
        (0.00001, "percent", f"0.001{NB}%"),
        (0.0, "percent", f"0{NB}%"),
        (-0.011, "percent", f"−1.10{NB}%"),
        (1.84, "times", f"1.84{NB}×"),
    ],
)
def test_numbers_are_written_with_their_unit(value: float | None, unit: str, text: str) -> None:
    assert shown_number(value, unit) == text  # type: ignore[arg-type]  # the table holds plain text


def test_an_interval_without_width_is_exact() -> None:
    assert shown_interval(Finding("validity", "fidelity", 1.0, 1.0, 1.0, 1.0, True, 9), "percent") == "exact"
    assert shown_interval(Finding("x", "privacy", 0.01, 0.002, 0.05, None, False, 9), "percent") == f"0.20 to 5.00{NB}%"


@pytest.mark.parametrize(
    ("metric", "rule", "text"),
    [
        ("c2st_auc", "≤ 0.9", "≤ 0.9"),
        ("augmentation_gain", "≥ -0.002", "≥ −0.2"),
        ("excess_copies", "≤ 0.005", f"≤ 0.50{NB}%"),
        ("coverage", "≥ 0.8 × real", "≥ 0.8 × real"),
        ("unheard_of", "≤ 3", "≤ 3"),
    ],
)
def test_limits_are_in_the_unit_of_the_metric(metric: str, rule: str, text: str) -> None:
    assert shown_rule(Judgement(metric, rule, Verdict.PASS, True)) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.42, "0.4 s"), (61, "61 s"), (120, "2 min"), (7200, "2.0 h")])
def test_durations_read_well(seconds: float, text: str) -> None:
    assert shown_duration(seconds) == text


def test_a_pass_says_what_was_emitted_and_gained(samples: ModuleType) -> None:
    assert headline(samples.table_report(), emitted=True) == (
        "Emitted 87 synthetic rows beside 341 real ones: all 3 required checks passed. On real data that no stage has "
        "seen, the classifier gains +1.1 points of balanced accuracy [+0.2, +2.0]; the best control, SMOTE, gains +0.6."
    )


def test_a_fail_says_what_failed(samples: ModuleType) -> None:
    text = headline(samples.image_report(), emitted=False)
    assert text.startswith("Nothing was emitted: 1 of 4 required checks failed (near copies of training images).")


def test_a_forced_emission_says_so(samples: ModuleType) -> None:
    assert "by force, against the verdict: 1 of 4" in headline(samples.image_report(), emitted=True)


def test_an_inconclusive_set_is_marked_as_unproven(samples: ModuleType) -> None:
    report = samples.table_report(Verdict.INCONCLUSIVE)
    assert "marked as unproven: no required check failed, but 2 of 3 could not be decided" in headline(
        report, emitted=True
    )
    assert headline(report, emitted=False).startswith("Nothing was emitted: no required check failed")


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        (["coverage"], "1 of 3 failed (covering the variety)."),
        (["coverage", "kid"], "2 of 3 failed (covering the variety; kernel distance to real images)."),
        (["coverage", "kid", "density"], "3 of 3 failed."),
    ],
)
@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL])
def test_failed_warnings_are_counted_beside_the_required_checks(
    samples: ModuleType, verdict: Verdict, failed: list[str], said: str
) -> None:
    required = Judgement("class_agreement", "≥ -0.02", verdict, True)
    metrics = ("coverage", "kid", "density")
    warnings = [Judgement(name, "≤ 1", Verdict.FAIL if name in failed else Verdict.PASS, False) for name in metrics]
    report = Report(verdict, (), [required, *warnings], (), (), samples.PROVENANCE)
    first, warned = headline(report, emitted=None).split(" Of the checks that only warn, ")
    assert first == headline(replace(report, judgements=[required]), emitted=None)
    assert warned == said


def test_an_audit_emits_nothing_and_says_nothing_of_it(samples: ModuleType) -> None:
    assert headline(replace(samples.table_report(), provenance={}), emitted=None).startswith("Audited: all 3")
    bare = Report(Verdict.NOT_AUDITED, (), (), (), (), {})
    assert headline(bare, emitted=None) == (
        "Audited: without real rows that the model has not seen, nothing has a control."
    )


@pytest.mark.parametrize(
    ("low", "high", "phrase"),
    [(0.001, 0.02, "gains +1.0"), (-0.01, 0.02, "no gain is proven"), (-0.02, -0.001, "loses: ")],
)
def test_the_gain_is_claimed_only_when_its_interval_is_above_zero(low: float, high: float, phrase: str) -> None:
    gain = Finding("augmentation_gain", "utility", 0.01 if high > 0 else -0.01, low, high, 0.0, True, 50)
    assert phrase in gain_sentence(gain)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("s3://key:secret@bucket/x", "s3://[hidden]@bucket/x"),
        ("https://h/x?api_key=12&y=1", "https://h/x?api_key=[hidden]&y=1"),
        ("data/adult.parquet", "data/adult.parquet"),
        ("secrets: []", "secrets: []"),
    ],
)
def test_credentials_are_hidden(text: str, clean: str) -> None:
    assert redacted(text) == clean
