"""What `synthgen report` and `synthgen compare` do with a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text
from yaml import YAMLError

from pipelines.terminal import STYLES, verdict_text
from synthgen.auditing import audit_material
from synthgen.errors import DataError, UsageError
from synthgen.remote import is_elsewhere
from synthgen.reports import material_of_run, write_page
from synthgen.reports.comparison import Cell, Comparison, finished_report
from synthgen.runs import find_run
from synthgen.workspace import Workspace


def render_again(workspace: Workspace, name: str, target: Path | None, *, shareable: bool) -> list[Path]:
    """The pages written: the shareable one alone, or both.

    Raises:
        UsageError: there is no such run, or it has no report.
        DataError: the data of the run are gone, or are not what they were.
    """
    run = find_run(workspace, name)
    if target is None and is_elsewhere(name):
        message = f"{name!r} is an address, and a report that is drawn again is not copied there unasked"
        raise UsageError(message, where="-o", hint="say with -o where it goes, a folder or an address")
    with files_trusted_to_be_whole(run.id):
        report = finished_report(run)
        material = audit_material(run, workspace) if run.record().get("kind") == "audit" else material_of_run(run)
        folder = target or run.report
        folder.mkdir(parents=True, exist_ok=True)
        pages = {folder / "report-shareable.html": True, **({} if shareable else {folder / "report.html": False})}
        for page, shared in pages.items():
            write_page(page, report, material, shared=shared)
    return list(pages)


@contextmanager
def files_trusted_to_be_whole(name: str) -> Iterator[None]:
    """Say so when the files of a run do not hold what a run writes: they may come from anywhere."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, YAMLError) as error:
        kind = type(error).__name__
        message = f"{name!r} cannot be shown: a file of it is damaged, or of another version ({kind})"
        raise DataError(message, where=name, hint="run or audit it again") from error


def print_comparison(console: Console, comparison: Comparison) -> None:
    """The metrics and the settings that differ, one column for each run."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("", *comparison.names):
        table.add_column(title, overflow="fold")
    table.add_row("verdict", *(verdict_text(verdict) for verdict in comparison.verdicts))
    for row in comparison.rows:
        table.add_row(row.subject, *map(_cell, row.cells))
    console.print(table)
    console.print("\n▲ better, ▼ worse than the first run: the 95 % intervals do not overlap", style="dim")
    for warning in comparison.warnings:
        console.print(warning, style="yellow", markup=False)
    if comparison.settings:
        console.print("\n[bold]What differs[/bold]", markup=True)
        for name, values in comparison.settings:
            console.print(f"  {name}: {' | '.join(values)}", highlight=False, markup=False)


def _cell(cell: Cell) -> Text:
    if cell.numbers is None:
        return Text("  –")
    mark = {"better": " ▲", "worse": " ▼"}.get(cell.change, "")
    text = Text(f"{cell.symbol} " if cell.symbol else "  ", style=STYLES.get(cell.tone, ""))
    return text.append(f"{cell.value} [{cell.interval}]{mark}", style="bold" if mark else "default")
