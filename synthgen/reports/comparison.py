"""Runs side by side: what was measured and judged in each, and which settings differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from synthgen.errors import UsageError
from synthgen.files import read_json
from synthgen.findings import Finding, Report, Verdict
from synthgen.redaction import redacted
from synthgen.remote import local_copy
from synthgen.reports.gate_rows import finding_row
from synthgen.reports.words import SYMBOLS, TONES, question_of, words_of
from synthgen.runs import Run, find_run
from synthgen.workspace import Workspace

Change = Literal["", "better", "worse"]
# Facts that differ between any two runs say nothing.
_FACTS = ("data_sha256", "holdout_sha256", "synthetic_sha256", "git_commit", "versions", "model")


@dataclass(frozen=True)
class Side:
    """One run: its name, its report, and the configuration as nested mappings."""

    name: str
    report: Report
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """A metric in one run as text, and whether it is better or worse than in the first run.

    Attributes:
        change: empty unless the two 95 % intervals do not overlap.
    """

    value: str
    interval: str
    reference: str
    rule: str
    verdict: str
    symbol: str
    tone: str
    change: Change
    numbers: Mapping[str, float] | None


@dataclass(frozen=True)
class MetricRow:
    """One metric in every run, in the order of the runs."""

    metric: str
    subject: str
    question: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Comparison:
    """Runs side by side; the first is what the others are compared with.

    Attributes:
        settings: key, and its value in each run, where they differ.
        warnings: why numbers may not be comparable.
    """

    names: Sequence[str]
    verdicts: Sequence[Verdict]
    rows: Sequence[MetricRow]
    settings: Sequence[tuple[str, Sequence[str]]]
    warnings: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """The content of `synthgen compare --json`."""
        runs = [{"run": name, "verdict": str(item)} for name, item in zip(self.names, self.verdicts, strict=True)]
        metrics = [
            {"metric": row.metric, "runs": [_cell_json(cell) for cell in row.cells]} for row in self.rows
        ]  # fmt: skip
        settings = [{"key": key, "values": list(values)} for key, values in self.settings]
        return {"runs": runs, "metrics": metrics, "settings": settings, "warnings": list(self.warnings)}


def _cell_json(cell: Cell) -> dict[str, Any] | None:
    if cell.numbers is None:
        return None
    return {**cell.numbers, "rule": cell.rule, "verdict": cell.verdict, "change": cell.change or None}


def load_side(workspace: Workspace, name: str) -> Side:
    """The run of that id, folder or address; the folder of a report, or the one around it, will do.

    Raises:
        UsageError: there is no such run, or it has no report.
    """
    folder = local_copy(name, workspace.downloads)
    for place in (folder, folder / "report"):
        if (place / "report.json").exists() and not (folder / "run.json").exists():
            return Side(folder.absolute().name, Report.from_json(read_json(place / "report.json")), {})
    run = find_run(workspace, name)
    config = yaml.safe_load((run.directory / "config.yaml").read_text(encoding="utf-8"))
    return Side(f"{run.record()['name']} {run.id}", finished_report(run), config)


def finished_report(run: Run) -> Report:
    """The report of the run; raises UsageError when it has none."""
    if not (run.report / "report.json").exists():
        state = run.record().get("state", "unknown")
        raise UsageError(f"run {run.id!r} has no report: its state is {state!r}", hint="`synthgen runs` lists them")
    return Report.from_json(read_json(run.report / "report.json"))


def compared(sides: Sequence[Side]) -> Comparison:
    """The runs side by side, metrics in the order in which the runs have them."""
    judged = [judgement.metric for side in sides for judgement in side.report.judgements]
    found = [finding.metric for side in sides for finding in side.report.findings]
    rows = [_row(metric, sides) for metric in dict.fromkeys([*judged, *found])]
    return Comparison(
        names=[side.name for side in sides],
        verdicts=[side.report.verdict for side in sides],
        rows=rows,
        settings=_settings(sides),
        warnings=_warnings(sides),
    )


def write_comparison(page: Path, comparison: Comparison) -> None:
    """Write compare.html: the style and the content policy of a report."""
    from synthgen.reports import write_text
    from synthgen.reports.page import environment

    template = environment().get_template("compare.html.jinja")
    tones = [(SYMBOLS[verdict], TONES[verdict], str(verdict)) for verdict in comparison.verdicts]
    page.parent.mkdir(parents=True, exist_ok=True)
    write_text(page, template.render(comparison=comparison, tones=tones))


def _row(metric: str, sides: Sequence[Side]) -> MetricRow:
    first = sides[0].report.finding(metric)
    cells = [_cell(metric, side.report, None if side is sides[0] else first) for side in sides]
    return MetricRow(metric, words_of(metric).subject, question_of(metric), cells)


def _cell(metric: str, report: Report, first: Finding | None) -> Cell:
    finding = report.finding(metric)
    judgement = next((item for item in report.judgements if item.metric == metric), None)
    if finding is None:
        verdict = "–" if judgement is None else str(judgement.verdict).lower()
        return Cell("–", "–", "–", judgement.rule if judgement else "–", verdict, "", "none", "", None)
    row = finding_row(finding, judgement)
    numbers = {"value": finding.value, "low": finding.low, "high": finding.high}
    change = _change(first, finding)
    return Cell(
        row.value, row.interval, row.reference, row.rule, row.verdict, row.symbol, row.tone, change, numbers
    )  # fmt: skip


def _change(first: Finding | None, other: Finding) -> Change:
    if first is None or (other.low <= first.high and first.low <= other.high):
        return ""
    return "better" if (other.low > first.high) == other.higher_is_better else "worse"


def _settings(sides: Sequence[Side]) -> list[tuple[str, list[str]]]:
    flats = [
        _flat({**side.config, **{name: side.report.provenance.get(name) for name in _FACTS}}) for side in sides
    ]  # fmt: skip
    keys = dict.fromkeys(key for flat in flats for key in flat)
    rows = [(key, [redacted(str(flat.get(key, "–"))) for flat in flats]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _warnings(sides: Sequence[Side]) -> list[str]:
    real = ("data_sha256", "holdout_sha256")
    if len({tuple(side.report.provenance.get(name) for name in real) for side in sides}) == 1:
        return []
    return ["The runs rest on different real data: their numbers have different controls."]
