"""What a person sees in the terminal: progress on stderr, the verdict table on stdout."""

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pipelines.commands.options import err
from pipelines.inert import inert
from synthgen.findings import Report, Verdict
from synthgen.progress import Tick
from synthgen.reports.gate_rows import gate_rows
from synthgen.reports.words import SYMBOLS, TONES, words_of

# Colours of the tones that the words of the report give a verdict.
STYLES: Mapping[str, str] = {"pass": "bold green", "open": "bold yellow", "none": "bold yellow", "fail": "bold red"}
# Without a terminal (CI, a log file) one line per so many seconds is enough.
_PLAIN_SECONDS = 10.0


class _StageHandler(logging.Handler):
    """Turns the log records of stages, steps and ticks into progress."""

    def emit(self, record: logging.LogRecord) -> None:
        tick = getattr(record, "tick", None)
        if isinstance(tick, Tick):
            self.show_tick(tick)
        elif (stage := getattr(record, "stage", None)) is not None:
            self.show_stage(str(stage), str(getattr(record, "state", "")), str(getattr(record, "step", "")))
        elif (note := getattr(record, "note", None)) is not None:
            self.show_note(str(note))

    def show_note(self, note: str) -> None:
        raise AssertionError("a progress handler shows notes")

    def show_tick(self, tick: Tick) -> None:
        raise AssertionError("a progress handler shows ticks")

    def show_stage(self, stage: str, state: str, step: str) -> None:
        raise AssertionError("a progress handler shows stages")


class BarHandler(_StageHandler):
    """One live line per stage."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show_tick(self, tick: Tick) -> None:
        numbers = " ".join(f"{name} {value:.3g}" for name, value in list(tick.numbers.items())[:3])
        text = " · ".join(filter(None, [tick.step, *_stand(tick), numbers]))
        self._progress.update(self._task(tick.stage), completed=tick.share, total=1.0, detail=text)

    def show_stage(self, stage: str, state: str, step: str) -> None:
        task = self._task(stage)
        if state == "running":
            # Ticks of the step before were of that step alone.
            self._progress.update(task, completed=0.0, detail=step)
        else:
            self._progress.update(task, completed=1.0, total=1.0, detail="reused" if state == "reused" else "")
            self._progress.stop_task(task)

    def show_note(self, note: str) -> None:
        self._progress.console.print(note, highlight=False, markup=False)

    def _task(self, stage: str) -> TaskID:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=None, detail="")
        return self._tasks[stage]


class LineHandler(_StageHandler):
    """Plain lines for a stream that is no terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._last = 0.0
        self._finished: set[str] = set()

    def show_tick(self, tick: Tick) -> None:
        if self._is_due():
            self._print(f"{tick.stage:>9} {tick.share:4.0%} {', '.join(filter(None, [tick.step, *_stand(tick)]))}")

    def show_stage(self, stage: str, state: str, step: str) -> None:
        if not step:
            if stage not in self._finished:
                self._print(f"{stage:>9} {state}")
            self._finished |= {stage} if state != "running" else set()
        elif self._is_due():
            self._print(f"{stage:>9} {step}")

    def show_note(self, note: str) -> None:
        self._print(note)

    def _is_due(self) -> bool:
        return time.monotonic() - self._last >= _PLAIN_SECONDS

    def _print(self, line: str) -> None:
        self._last = time.monotonic()
        print(inert(line), file=sys.stderr, flush=True)


def _stand(tick: Tick) -> list[str]:
    """How much is done, how fast, how long it takes."""
    done = f"{tick.done:,}" if tick.total is None else f"{tick.done:,} of {tick.total:,}"
    pace = f"{tick.rate:,.0f}/s" if tick.rate >= 1 else f"{60 * tick.rate:.1f}/min"
    return [f"{done} {tick.unit}s", pace, f"{tick.seconds_left:,.0f} s left"]


@contextmanager
def progress_shown(*, enabled: bool) -> Iterator[None]:
    """Show the progress of all stages inside the block, or else only its warnings."""
    logger = logging.getLogger("synthgen")
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        with _shown(logger) if enabled else _attached(logger, _warnings()):
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _shown(logger: logging.Logger) -> Iterator[None]:
    if not sys.stderr.isatty():
        with _attached(logger, LineHandler()):
            yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description:>9}"), BarColumn(24), TimeElapsedColumn())
    progress = Progress(*columns, TextColumn("{task.fields[detail]}", markup=False), console=err)
    with progress, _attached(logger, BarHandler(progress)):
        yield


def _warnings() -> logging.Handler:
    handler = LineHandler()
    handler.setLevel(logging.WARNING)
    return handler


@contextmanager
def _attached(logger: logging.Logger, handler: logging.Handler) -> Iterator[None]:
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def verdict_text(verdict: Verdict) -> Text:
    """The verdict with symbol and colour."""
    return Text(f"{SYMBOLS[verdict]} {verdict}", style=STYLES[TONES[verdict]])


def print_gates(console: Console, report: Report) -> None:
    """The verdict table, required rules first, and below it a sentence for each verdict that needs one."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title, justify in (("", "left"), ("Required", "left")):
        table.add_column(title, justify=justify)  # type: ignore[arg-type]  # rich types it as a Literal
    for title in ("Value", "95 % interval", "Real", "Limit"):
        table.add_column(title, justify="right", no_wrap=True)
    rows = gate_rows(report)
    for position, row in enumerate(rows):
        if not row.required and (position == 0 or rows[position - 1].required):
            table.add_row("", Text("Warns only", style="bold"))
        mark = Text(f"{row.symbol} {row.verdict}", style=STYLES[row.tone])
        table.add_row(mark, words_of(row.metric).subject, row.value, row.interval, row.reference, row.rule)
    console.print(table)
    remarks = [(item.metric, item.remark) for item in report.judgements if item.remark]
    if remarks:
        console.print()
    for metric, remark in remarks:
        console.print(Text(f"  {words_of(metric).subject}: {remark}", style="dim"))


def print_places(console: Console, places: Mapping[str, str]) -> None:
    """Where things are, one line each, never wrapped so that they can be copied."""
    width = max(map(len, places))
    for name, place in places.items():
        console.print(f"  [bold]{name:<{width}}[/bold]  {escape(place)}", soft_wrap=True, highlight=False, markup=True)
