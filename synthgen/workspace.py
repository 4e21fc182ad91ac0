"""The workspace on disk: artifacts keyed by content."""

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from synthgen import __version__
from synthgen.errors import DiskFullError, UsageError, resource_error
from synthgen.files import read_json, remove, sha256_file, write_json
from synthgen.remote import address_of, is_address, is_elsewhere
from synthgen.retrying import is_busy, retried

logger = logging.getLogger(__name__)

# Raised by hand when a stage computes something else than before from the same inputs.
STAGE_VERSIONS: Mapping[str, int] = {
    "ingest": 5, "split": 4, "plant": 1, "fit": 6, "sample": 4, "curate": 6, "evaluate": 5, "judge": 4,
    "downstream": 1, "drift": 1, "control": 1,
}  # fmt: skip
_DONE = "artifact.json"
# What a stage keeps in this folder survives a kill, and goes when the stage is done.
_CHECKPOINT = "checkpoint"
# A wait this long for another process is told.
_PATIENCE_S = 2.0
# Ends the name of what is not yet, or no longer, to be read.
PARTIAL = ".partial"


@dataclass(frozen=True)
class Ref:
    """Reference to a finished artifact: what tasks pass to each other instead of data."""

    stage: str
    key: str
    path: str
    reused: bool
    seconds: float

    @property
    def directory(self) -> Path:
        return Path(self.path)


@dataclass(frozen=True)
class Workspace:
    """One folder that holds everything: artifacts, runs, embedded stores."""

    root: Path

    @classmethod
    def at(cls, place: str | Path | None = None) -> "Workspace":
        """The one in this folder, else in SYNTHGEN_WORKSPACE, else in ./synthgen-workspace.

        Raises:
            UsageError: the place is the address of something that is no folder of this machine.
        """
        chosen = place or os.environ.get("SYNTHGEN_WORKSPACE", "synthgen-workspace")
        if is_elsewhere(chosen):
            message = f"workspace {address_of(chosen)!r} is an address; its locks and SQLite files need a folder"
            hint = "choose a folder; `export: {to: ...}` in a config copies reports and datasets to an address"
            raise UsageError(message, where="workspace", hint=hint)
        # The folder of a file:// address need not be there yet.
        folder = address_of(chosen).partition("://")[2] if is_address(chosen) else chosen
        return cls(Path(folder).absolute())

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def downloads(self) -> Path:
        """Copies of data that lie behind an address."""
        return self.root / "downloads"

    @property
    def mlflow_uri(self) -> str:
        """Where runs are tracked: MLFLOW_TRACKING_URI, or a SQLite file in the workspace."""
        return os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{(self.root / 'mlflow.db').absolute()}")

    @property
    def mlflow_artifacts(self) -> str:
        """Where MLflow keeps reports and models: MLFLOW_DEFAULT_ARTIFACT_ROOT, or a folder of the workspace."""
        own = (self.root / "mlflow-artifacts").absolute().as_uri()
        return os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT", own)

    def build(self, stage: str, inputs: Mapping[str, Any], write: Callable[[Path], None]) -> Ref:
        """The artifact of a stage for these inputs, built at most once, also by processes that start together.

        `write` fills a folder whose checkpoint/ survives a kill, so long work can continue from there.
        The folder gets its final name only when `write` has returned and every file is hashed.

        Raises:
            ResourceError: disk, memory or device gave out; a full disk costs the stage its folder.
        """
        key = content_key(stage, inputs)
        final = artifact_folder(self, stage, key)
        final.parent.mkdir(parents=True, exist_ok=True)
        with _locked(final, stage):
            done = _finished(final)
            if done is not None:
                logger.info("reuse stage=%s key=%s", stage, key, extra={"stage": stage, "state": "reused"})
                return Ref(stage, key, str(final), True, done)
            logger.info("build stage=%s key=%s", stage, key, extra={"stage": stage, "state": "running"})
            partial = final.with_name(f"{key}{PARTIAL}")
            with _resources_told(stage, partial):
                seconds = retried(lambda: _built(partial, write), passes=is_busy)
                partial.rename(final)
            logger.info("built stage=%s seconds=%.1f", stage, seconds, extra={"stage": stage, "state": "done"})
            return Ref(stage, key, str(final), False, seconds)


def artifact_folder(workspace: Workspace, stage: str, key: str) -> Path:
    """Where the artifact of a stage is, once it is built."""
    return workspace.root / "artifacts" / stage / key


@contextmanager
def _locked(final: Path, stage: str) -> Iterator[None]:
    # The kernel frees the lock of a process that dies: it is never stale.
    lock = FileLock(f"{final}.lock")
    try:
        lock.acquire(timeout=_PATIENCE_S)
    except Timeout:
        note = f"waiting for another process, which builds stage {stage!r} of the same data and settings"
        logger.info("wait stage=%s", stage, extra={"note": note})
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _resources_told(stage: str, partial: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        told = resource_error(error, f"stage {stage!r}", str(partial.parent))
        if told is None:
            raise
        if isinstance(told, DiskFullError):
            shutil.rmtree(partial, ignore_errors=True)
        raise told from error


def _built(partial: Path, write: Callable[[Path], None]) -> float:
    """Seconds that it took to fill the folder; a kill after the last file was hashed costs nothing."""
    if (seconds := _finished(partial)) is None:
        partial.mkdir(exist_ok=True)
        for entry in partial.iterdir():
            # A half written file must not end up among those that are hashed.
            if entry.name != _CHECKPOINT:
                remove(entry)
        started = time.monotonic()
        write(partial)
        seconds = round(time.monotonic() - started, 3)
        write_json(partial / _DONE, {"seconds": seconds, "files": _hashes(partial)})
    # After the hashes are written: a kill on the way would else leave neither model nor checkpoint.
    remove(partial / _CHECKPOINT)
    return seconds


def content_key(stage: str, inputs: Mapping[str, Any]) -> str:
    """Cache key: stage and its version, package version, and the content of all inputs."""
    plain = {name: value.key if isinstance(value, Ref) else value for name, value in inputs.items()}
    text = json.dumps([stage, STAGE_VERSIONS[stage], __version__, plain], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _hashes(directory: Path) -> dict[str, str]:
    files = {path: path.relative_to(directory) for path in directory.rglob("*") if path.is_file()}
    kept = sorted((str(name), path) for path, name in files.items() if name.parts[0] not in (_DONE, _CHECKPOINT))
    return {name: sha256_file(path) for name, path in kept}


def _finished(directory: Path) -> float | None:
    """Seconds that the artifact took, None when it is absent. A damaged one is removed and built again."""
    if not (directory / _DONE).exists():
        return None
    record = read_json(directory / _DONE)
    if record["files"] != _hashes(directory):
        shutil.rmtree(directory)
        return None
    return float(record["seconds"])
