"""Reports for people: one HTML page without scripts, and the same numbers as JSON."""

from pathlib import Path

from synthgen.findings import Report
from synthgen.reports.headline import headline
from synthgen.reports.material import Material
from synthgen.runs import write_json

__all__ = ["Material", "headline", "write_report"]


def write_report(directory: Path, report: Report, material: Material) -> None:
    """Write report.html and report.json."""
    from synthgen.reports.page import render  # matplotlib and jinja2 take a second: only who draws a page pays

    directory.mkdir(parents=True, exist_ok=True)
    page = directory / "report.html"
    temporary = page.with_name(".report.html.partial")
    temporary.write_text(render(report, material), encoding="utf-8", errors="replace")
    temporary.replace(page)
    write_json(directory / "report.json", report.to_json())
