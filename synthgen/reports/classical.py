"""The classical control beside the synthetic rows, number by number."""

from collections.abc import Sequence
from dataclasses import dataclass

from synthgen.findings import Control, Family, Finding, Report
from synthgen.reports.words import question_of, shown_interval, shown_number, words_of


@dataclass(frozen=True)
class ControlRow:
    """A metric of both as text; better: whose interval lies wholly on the better side of the other's."""

    question: str
    ours: str
    our_interval: str
    control: str
    control_interval: str
    reference: str
    better: str


@dataclass(frozen=True)
class ControlTable:
    """What a section shows of the control.

    Attributes:
        left_out: of which rows a sample was taken; empty when all were.
        missing: why the control has no number, with the questions.
    """

    rows: Sequence[ControlRow]
    left_out: str
    missing: Sequence[tuple[str, Sequence[str]]]


def control_table(report: Report, family: Family) -> ControlTable | None:
    """The control's findings of a family; None where the report has no control."""
    control = report.control
    if control is None:
        return None
    rows = [_row(report.finding(item.metric), item) for item in control.findings if item.family == family]
    reasons: dict[str, list[str]] = {}
    for item in control.not_measured:
        if item.family == family:
            reasons.setdefault(item.reason, []).append(question_of(item.metric))
    return ControlTable(rows, _left_out(control), list(reasons.items()))


def _row(ours: Finding | None, control: Finding) -> ControlRow:
    unit = words_of(control.metric).unit
    return ControlRow(
        question=question_of(control.metric),
        ours=shown_number(ours.value if ours else None, unit),
        our_interval=shown_interval(ours, unit) if ours else "",
        control=shown_number(control.value, unit),
        control_interval=shown_interval(control, unit),
        reference=shown_number((ours or control).reference, unit),
        better=_better(ours, control),
    )


def _better(ours: Finding | None, control: Finding) -> str:
    if ours is None:
        return "–"
    if ours.low <= control.high and control.low <= ours.high:
        return "no clear difference"
    return "this data" if (ours.low > control.high) == ours.higher_is_better else "CART"


def _left_out(control: Control) -> str:
    told = []
    if 0 < control.learnt_rows < control.train_rows:
        told.append(f"learned from a sample of {control.learnt_rows:,} of the {control.train_rows:,} training rows")
    if 0 < control.drawn_rows < control.synthetic_rows:
        told.append(f"drew {control.drawn_rows:,} rows where there are {control.synthetic_rows:,} synthetic ones")
    return f"To bound its cost it {' and '.join(told)}." if told else ""
