"""log.jsonl in the run's folder: one JSON object per stage and per tick of training."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar

from synthgen.progress import Tick
from synthgen.redaction import redacted, redacted_values
from synthgen.runs import Run
from synthgen.workspace import Ref

T = TypeVar("T")

_FILE = "log.jsonl"


class _JsonLines(logging.Handler):
    def __init__(self, run: Run) -> None:
        super().__init__(logging.INFO)
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        if (content := _content(record)) is not None:
            append(self._run, content)


def append(run: Run, content: dict[str, Any]) -> None:
    """One more line, with the time and the run's id."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "run_id": run.id, **content}
    try:
        with (run.directory / _FILE).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(redacted_values(line), default=str) + "\n")
    except OSError:
        # On a full disk the stage says so itself; a lost line must not be what ends the run.
        return


def _content(record: logging.LogRecord) -> dict[str, Any] | None:
    tick = getattr(record, "tick", None)
    if isinstance(tick, Tick):
        return {"event": "tick", **asdict(tick)}
    if (note := getattr(record, "note", None)) is not None:
        return {"event": "note", "message": str(note)}
    if record.levelno >= logging.WARNING:
        return {"event": "warning", "message": redacted(record.getMessage())}
    return None


@contextmanager
def run_log(run: Run) -> Iterator[None]:
    """Write what is logged inside the block to the run's log."""
    logger, handler = logging.getLogger("synthgen"), _JsonLines(run)
    level = logger.level
    logger.addHandler(handler)
    if logger.getEffectiveLevel() > logging.INFO:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class StageTimes:
    """Seconds of each stage of a run, each with a line of the log."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.seconds: dict[str, float] = {}

    def timed(self, stage: str, call: Callable[[], T]) -> T:
        """What the call returns."""
        started, state = time.monotonic(), "failed"
        try:
            result = call()
            if isinstance(result, Ref):
                stage = result.stage
            state = "reused" if isinstance(result, Ref) and result.reused else "done"
            return result
        finally:
            self.seconds[stage] = round(time.monotonic() - started, 3)
            append(self._run, {"event": "stage", "stage": stage, "state": state, "seconds": self.seconds[stage]})
