"""The table of gates: one row for each rule, the required ones first, and of those the worst."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from synthgen.findings import SEVERITY, Finding, Judgement, Report, Verdict
from synthgen.reports.words import (
    SYMBOLS,
    TONES,
    question_of,
    shown_interval,
    shown_number,
    shown_rule,
    words_of,
)


@dataclass(frozen=True)
class GateRow:
    """A judgement as it is shown; numbers are text already. `notes` explains, then says what the verdict means."""

    metric: str
    question: str
    notes: Sequence[str]
    value: str
    interval: str
    reference: str
    rule: str
    verdict: str
    symbol: str
    tone: str
    required: bool


def gate_rows(report: Report) -> list[GateRow]:
    """The required rows, the worst first: what decides is on the first screen. Then the others, the worst first."""
    ordered = sorted(report.judgements, key=lambda item: (not item.required, -SEVERITY.index(item.verdict)))
    return [_row(judgement, report.finding(judgement.metric)) for judgement in ordered]


def finding_row(finding: Finding, judgement: Judgement | None) -> GateRow:
    """The row of a finding, judged or not."""
    judged = judgement or Judgement(finding.metric, "–", Verdict.PASS, required=False)
    row = _row(judged, finding)
    if judgement is not None:
        return row
    return replace(row, verdict="for information", symbol="", tone="none")


def _row(judgement: Judgement, finding: Finding | None) -> GateRow:
    words = words_of(judgement.metric)
    notes = [words.explanation, _detail_note(finding), judgement.remark or _plain(judgement)]
    return GateRow(
        metric=judgement.metric,
        question=question_of(judgement.metric),
        notes=[note for note in notes if note],
        value=shown_number(finding.value if finding else None, words.unit),
        interval=shown_interval(finding, words.unit) if finding else "–",
        reference=shown_number(finding.reference if finding else None, words.unit),
        rule=shown_rule(judgement),
        verdict="open" if judgement.verdict == Verdict.INCONCLUSIVE else judgement.verdict.lower(),
        symbol=SYMBOLS[judgement.verdict],
        tone=TONES[judgement.verdict],
        required=judgement.required,
    )


def _plain(judgement: Judgement) -> str:
    return "no interval could be compared with the limit" if judgement.verdict == Verdict.NOT_AUDITED else ""


def _detail_note(finding: Finding | None) -> str:
    named = {"worst_class": "worst class", "worst_group": "worst group"}
    detail = finding.detail if finding else {}
    return ", ".join(f"{words}: {detail[name]}" for name, words in named.items() if name in detail)
