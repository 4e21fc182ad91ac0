"""Reports for people: one HTML page without scripts, and the same numbers as JSON."""

from pathlib import Path

from synthgen.files import write_json
from synthgen.findings import Report
from synthgen.reports.headline import headline
from synthgen.reports.material import Material, material_from, material_of_run

__all__ = ["Material", "headline", "material_from", "material_of_run", "write_page", "write_report", "write_text"]


def write_report(directory: Path, report: Report, material: Material) -> None:
    """Write report.html, report-shareable.html and report.json."""
    directory.mkdir(parents=True, exist_ok=True)
    write_page(directory / "report.html", report, material)
    write_page(directory / "report-shareable.html", report, material, shared=True)
    write_json(directory / "report.json", report.to_json())


def write_page(page: Path, report: Report, material: Material, *, shared: bool = False) -> None:
    """Write the page; a shared one shows aggregates alone, see `reports.disclosure`."""
    from synthgen.reports.page import render  # matplotlib and jinja2 take a second: only who draws a page pays

    write_text(page, render(report, material, shared=shared))


def write_text(page: Path, html: str) -> None:
    """Write through a temporary name: a reader sees the old page or the whole new one."""
    temporary = page.with_name(f".{page.name}.partial")
    temporary.write_text(html, encoding="utf-8", errors="replace")
    temporary.replace(page)
