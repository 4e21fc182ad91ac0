"""What MLflow shows as the description of a run: the verdict in words, and where report and dataset are."""

from synthgen.exporters.card import escape_markdown
from synthgen.findings import Report
from synthgen.reports.headline import headline
from synthgen.runs import Run


def run_note(run: Run, report: Report) -> str:
    """Markdown for a run or an audit that has come to a verdict."""
    record = run.record()
    is_audit = record.get("kind") == "audit"
    dataset = record.get("dataset_dir")
    emitted = None if is_audit else dataset is not None
    places = {"report": f"Artifacts, report/report.html; on disk {run.report / 'report.html'}"}
    if not is_audit:
        places["dataset"] = str(dataset or "none was emitted")
    lines = [f"- {name}: {escape_markdown(place)}" for name, place in places.items()]
    # The places before the sentence: MLflow folds what is long.
    return "\n".join([f"**{report.verdict}**", "", *lines, "", escape_markdown(headline(report, emitted=emitted))])
