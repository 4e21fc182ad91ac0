"""The run's outcome in one or two plain sentences."""

from collections.abc import Sequence
from typing import Any

from synthgen.findings import Finding, Judgement, Report, Verdict
from synthgen.reports.words import arm_name, shown_number, words_of

# More are counted only: the sentence is read in seconds, and the table below it names all.
_NAMED_WARNINGS = 2


def headline(report: Report, *, emitted: bool | None) -> str:
    """What was emitted or refused and why, how many warnings failed, and what the classifier gains.

    Args:
        emitted: None when nothing was to be emitted, as in an audit.
    """
    gain = report.finding("augmentation_gain")
    sentences = [_outcome(report, emitted), _warnings(report), gain_sentence(gain) if gain else ""]
    return " ".join(filter(None, sentences))


def gain_sentence(gain: Finding) -> str:
    """The gain with its interval and the best control."""
    score = str(gain.detail.get("score", "balanced accuracy"))
    interval = f"[{shown_number(gain.low, 'points')}, {shown_number(gain.high, 'points')}]"
    amount = f"{shown_number(gain.value, 'points')} points of {score} {interval}"
    control = _best_control(gain)
    if gain.low > 0:
        return f"On real data that no stage has seen, the classifier gains {amount}{control}."
    if gain.high < 0:
        return f"On real data that no stage has seen, the classifier loses: {amount}{control}."
    return f"On real data that no stage has seen, the classifier changes by {amount}, so no gain is proven{control}."


def _best_control(gain: Finding) -> str:
    best = gain.detail.get("best_control")
    gains: dict[str, Any] = gain.detail.get("gains", {})
    if best not in gains:
        return ""
    change = float(gains[best]["value"])
    return (
        f"; the best control, {arm_name(best)}, {'loses' if change < 0 else 'gains'} {shown_number(change, 'points')}"
    )


def _outcome(report: Report, emitted: bool | None) -> str:
    required = [judgement for judgement in report.judgements if judgement.required]
    failed = [judgement for judgement in required if judgement.verdict == Verdict.FAIL]
    undecided = [judgement for judgement in required if judgement.verdict == Verdict.INCONCLUSIVE]
    match report.verdict:
        case Verdict.PASS:
            return f"{_state(report, emitted)}: all {len(required)} required checks passed."
        case Verdict.INCONCLUSIVE:
            marked = ", marked as unproven" if emitted else ""
            count = f"{len(undecided)} of {len(required)} could not be decided with so few rows"
            return f"{_state(report, emitted)}{marked}: no required check failed, but {count} ({_subjects(undecided)})."
        case Verdict.FAIL:
            forced = " by force, against the verdict" if emitted else ""
            count = f"{len(failed)} of {len(required)} required checks failed ({_subjects(failed)})"
            return f"{_state(report, emitted)}{forced}: {count}."
        case Verdict.NOT_AUDITED:
            return f"{_state(report, emitted)}: without real rows that the model has not seen, nothing has a control."


def _warnings(report: Report) -> str:
    """A sentence where a rule failed that does not decide: the table shows it right below the verdict."""
    warning = [judgement for judgement in report.judgements if not judgement.required]
    failed = [judgement for judgement in warning if judgement.verdict == Verdict.FAIL]
    if not failed:
        return ""
    named = f" ({_subjects(failed)})" if len(failed) <= _NAMED_WARNINGS else ""
    return f"Of the checks that only warn, {len(failed)} of {len(warning)} failed{named}."


def _state(report: Report, emitted: bool | None) -> str:
    if emitted is None:
        return "Audited"
    if not emitted:
        return _withheld(report)
    made, real = report.provenance.get("synthetic_rows"), report.provenance.get("split_rows", {}).get("train")
    beside = f" beside {real:,} real ones" if real else ""
    unit = report.provenance.get("unit", "rows")
    return f"Emitted {made:,} synthetic {unit}{beside}" if made else "Emitted"


def _withheld(report: Report) -> str:
    approval = report.provenance.get("approval") or {}
    if report.verdict == Verdict.FAIL or not approval:
        return "Nothing was emitted"
    if approval.get("decision") is None:
        return "Nothing is emitted before a person approves"
    return f"Nothing was emitted, because {approval.get('by')} rejected it"


def _subjects(judgements: Sequence[Judgement]) -> str:
    return "; ".join(words_of(judgement.metric).subject for judgement in judgements)
