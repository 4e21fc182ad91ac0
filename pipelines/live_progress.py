"""How far a flow is, as a progress artifact on Prefect's page of its run."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

from synthgen.progress import Tick

# Where each stage begins, in percent of the time that a table of some thousand rows takes.
_BEGINS: Mapping[str, float] = {
    "ingest": 0, "split": 3, "fit": 5, "sample": 65, "curate": 70, "evaluate": 75, "control": 95,
}  # fmt: skip
_FIT_SPAN = 60.0
# A request takes some 30 ms; a person looks less often than that.
_EVERY_S = 5.0
# After a request that failed; each takes up to a minute to do so.
_PAUSE_S = 600.0


class _Progress(logging.Handler):
    def __init__(self, artifact_id: UUID) -> None:
        super().__init__(logging.INFO)
        self._artifact_id = artifact_id
        self._percent, self._last = 0.0, time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        tick, stage = getattr(record, "tick", None), getattr(record, "stage", None)
        if isinstance(tick, Tick) and tick.stage == "fit":
            self._percent = _BEGINS["fit"] + _FIT_SPAN * min(1.0, tick.share)
        elif stage is not None:
            self._percent = max(self._percent, _BEGINS.get(str(stage), 0.0))
        if time.monotonic() - self._last >= _EVERY_S:
            self.show(self._percent)

    def show(self, percent: float) -> None:
        # A page that does not move is no reason to lose a training, nor to let it wait again and again.
        self._last = time.monotonic() + _PAUSE_S
        with suppress(httpx.HTTPError, PrefectException, RuntimeError):
            update_progress_artifact(self._artifact_id, percent)
            self._last = time.monotonic()


@contextmanager
def progress_artifact() -> Iterator[None]:
    """Show on Prefect's page how far the stages inside the block are."""
    artifact_id = create_progress_artifact(0.0, key="progress", description="the stages, by the time they usually take")
    assert isinstance(artifact_id, UUID)  # outside of an event loop it is no coroutine
    handler, logger = _Progress(artifact_id), logging.getLogger("synthgen")
    logger.addHandler(handler)
    try:
        yield
        handler.show(100.0)
    finally:
        logger.removeHandler(handler)
