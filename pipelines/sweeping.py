"""What a sweep needs with Prefect and without: its pace, its fallback in this process, its table."""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table
from rich.text import Text

from pipelines.terminal import STYLES, verdict_text
from synthgen.exporters.card import escape_markdown
from synthgen.findings import SEVERITY, Verdict
from synthgen.progress import Tick, report
from synthgen.reports.sweep import write_sweep
from synthgen.sweeping import Attempt, Result, attempted
from synthgen.workspace import Workspace

# Below the logger that the terminal listens to.
logger = logging.getLogger("synthgen.sweep")

# From good to bad: the exit code of a sweep is that of its worst run.
_CODES = (0, 4, 3, 2, 1)


class Pace:
    """How far a sweep is; runs that an earlier command had finished take no time and say nothing of the rest."""

    def __init__(self, total: int) -> None:
        self.total, self._done, self._again, self._started = total, 0, 0, time.monotonic()

    def done(self, result: Result) -> Result:
        """The result, after a line and a tick of progress."""
        self._done += 1
        self._again += result.again
        said = result.verdict or f"error: {result.error}"
        note = f"{self._done}/{self.total} {result.name}: {said}{' (finished before)' if result.again else ''}"
        logger.info("swept run=%s state=%s", result.run_id, result.state, extra={"note": note})
        rate = (self._done - self._again) / max(time.monotonic() - self._started, 1e-9)
        left = (self.total - self._done) / rate if rate else 0.0
        report(Tick("sweep", "run", self._done, self.total, self._done / self.total, rate, left))
        return result


def sweep_plainly(attempts: Sequence[Attempt], workspace: Workspace, sweep: str) -> list[Result]:
    """The results, one run after the other in this process."""
    pace = Pace(len(attempts))
    return [pace.done(attempted(attempt, workspace, sweep=sweep)) for attempt in attempts]


def exit_code(results: Iterable[Result]) -> int:
    """That of the worst run."""
    return max((result.exit_code for result in results), key=_CODES.index)


def written(workspace: Workspace, sweep: str, results: Sequence[Result]) -> Path:
    """The page of the comparison table, beside which lie CSV and JSON."""
    return write_sweep(workspace.root / "sweeps" / sweep, sweep, [asdict(result) for result in results])


def results_table(results: Sequence[Result]) -> Table:
    """One line for each run: verdict, seconds, and why."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("Run", "Verdict", "Seconds", "Why"):
        table.add_column(column, justify="right" if column == "Seconds" else "left", overflow="fold")
    for result in results:
        seconds = "–" if result.seconds is None else f"{result.seconds:,.0f}"
        table.add_row(result.name, _mark(result), seconds, _why(result))
    return table


def results_markdown(results: Iterable[Result]) -> str:
    """The table for the Prefect UI."""
    rows = [(result.name, result.verdict or "ERROR", _why(result), result.report_html or "–") for result in results]
    lines = [f"| {' | '.join(map(escape_markdown, row))} |" for row in rows]
    return "\n".join(["| run | verdict | why | report |", "|---|---|---|---|", *lines])


def _mark(result: Result) -> Text:
    return verdict_text(Verdict(result.verdict)) if result.verdict in SEVERITY else Text("✗ ERROR", STYLES["fail"])


def _why(result: Result) -> str:
    if result.error is not None:
        return result.error
    short = [name for name, item in result.metrics.items() if item["is_required"] and item["verdict"] != Verdict.PASS]
    return ", ".join(short)
