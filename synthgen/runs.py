"""The workspace on disk: artifacts keyed by content, and run directories."""

import glob
import hashlib
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from synthgen import __version__
from synthgen.config import AuditConfig, RunConfig
from synthgen.errors import DiskFullError, IntegrityError, UsageError, nearest_name, resource_error
from synthgen.provenance import provenance
from synthgen.redaction import redacted_values
from synthgen.remote import address_of, is_address, is_elsewhere, local_copy
from synthgen.retrying import is_busy, retried

logger = logging.getLogger(__name__)

# Raised by hand when a stage computes something else than before from the same inputs.
STAGE_VERSIONS: Mapping[str, int] = {
    "ingest": 3, "split": 4, "plant": 1, "fit": 4, "sample": 4, "curate": 2, "evaluate": 2, "judge": 2,
    "downstream": 1, "drift": 1,
}  # fmt: skip
_DONE = "artifact.json"
# What a stage keeps in this folder survives a kill, and goes when the stage is done.
_CHECKPOINT = "checkpoint"
# A wait this long for another process is told.
_PATIENCE_S = 2.0
_PARTIAL = ".partial"
# The state of a run that a person has to say yes or no to.
WAITING = "waiting for approval"
# That of one which has got the no.
REJECTED = "rejected"
# States of a run that the same command goes on with, once no process works on it.
_STOPPED = ("running", "interrupted", WAITING)


def write_json(path: Path, content: Any) -> None:
    """Write through a temporary name: a reader sees the old file or the whole new one."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        text = json.dumps(content, indent=1, default=str)
        retried(lambda: temporary.write_text(text, encoding="utf-8"), passes=is_busy)
        retried(lambda: temporary.replace(path), passes=is_busy)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256_file(path: Path) -> str:
    """SHA-256 of the bytes of one file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_path(path: Path) -> str:
    """SHA-256 of a file, or of all names and bytes below a folder."""
    if path.is_file():
        return sha256_file(path)
    digest = hashlib.sha256()
    for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
        digest.update(f"{file.relative_to(path)}\x1f{sha256_file(file)}\n".encode())
    return digest.hexdigest()


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
            partial = final.with_name(f"{key}{_PARTIAL}")
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
                _remove(entry)
        started = time.monotonic()
        write(partial)
        seconds = round(time.monotonic() - started, 3)
        write_json(partial / _DONE, {"seconds": seconds, "files": _hashes(partial)})
    # After the hashes are written: a kill on the way would else leave neither model nor checkpoint.
    _remove(partial / _CHECKPOINT)
    return seconds


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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


@dataclass(frozen=True)
class Run:
    """One run's folder: config.yaml, run.json, model/, report/, dataset/.

    Attributes:
        lock: held by the process that works on the run; the kernel frees it when that process dies.
    """

    directory: Path
    lock: FileLock | None = field(default=None, compare=False, repr=False)

    @property
    def id(self) -> str:
        return self.directory.name

    @property
    def record_path(self) -> Path:
        return self.directory / "run.json"

    @property
    def dataset(self) -> Path:
        return self.directory / "dataset"

    @property
    def report(self) -> Path:
        """Folder of report.html and report.json; an audit outside a workspace has them in its own folder."""
        inside = self.directory / "report"
        return self.directory if (self.directory / "report.json").exists() else inside

    @classmethod
    def create(cls, workspace: Workspace, config: RunConfig | AuditConfig, config_hash: str) -> "Run":
        """The run that was stopped on its way with the same config, to go on with it; else one in a new folder."""
        for path in sorted(workspace.runs.glob(f"{glob.escape(config.name)}/*/run.json"), reverse=True):
            if _is_stopped(path, config_hash) and (lock := free_lock(path.parent)) is not None:
                # Between both looks the process that held the lock may have finished the run.
                if _is_stopped(path, config_hash):
                    return cls.begin(path.parent, config, config_hash, lock=lock)
                lock.release()
        stamp = datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S")
        directory = workspace.runs / config.name / f"{stamp}-{secrets.token_hex(2)}"
        directory.mkdir(parents=True)
        return cls.begin(directory, config, config_hash, lock=free_lock(directory))

    @classmethod
    def begin(
        cls, directory: Path, config: RunConfig | AuditConfig, config_hash: str, *, lock: FileLock | None = None
    ) -> "Run":
        """The run in this folder, with the resolved config and the provenance known at the start."""
        run = cls(directory, lock)
        before = run.record()
        text = yaml.safe_dump(redacted_values(config.model_dump(mode="json")), sort_keys=False)
        (directory / "config.yaml").write_text(text, encoding="utf-8")
        facts = {"run_id": run.id, "name": config.name, "state": "running", "config_hash": config_hash, **provenance()}
        if before.get("state") in _STOPPED:
            # Nobody has been told of what a stopped run had emitted; it is written again, as a whole.
            put_aside(run.dataset)
            facts |= {"started": before.get("started"), "resumed": int(before.get("resumed", 0)) + 1}
        for leftover in unfinished_files(directory):
            _remove(leftover)
        write_json(run.record_path, facts)
        return run

    def release(self) -> None:
        """Let other processes go on with the run."""
        if self.lock is not None:
            self.lock.release()

    def record(self) -> dict[str, Any]:
        """Content of run.json."""
        return _read_record(self.record_path) if self.record_path.exists() else {}

    def update(self, **fields: Any) -> None:
        """Add fields to run.json."""
        write_json(self.record_path, {**self.record(), **redacted_values(fields)})

    def adopt(self, source: Path, name: str) -> Path:
        """Bring files of an artifact into the run folder under `name`, by hard link where possible."""
        target = self.directory / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, copy_function=_link)
        return target


def free_lock(directory: Path) -> FileLock | None:
    """The lock of a run folder, taken; None while another process works on the run."""
    lock = FileLock(directory.with_name(f".{directory.name}.lock"), thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def _is_stopped(path: Path, config_hash: str) -> bool:
    record = _listed(path)
    return record.get("state") in _STOPPED and record.get("config_hash") == config_hash


def put_aside(dataset: Path) -> None:
    """Take the dataset away in one step, so that there is never half of it."""
    if dataset.exists():
        dataset.rename(dataset.with_name(f".{dataset.name}.{secrets.token_hex(4)}{_PARTIAL}"))


def unfinished_files(directory: Path) -> list[Path]:
    """What a process that was killed has left half written in a run folder."""
    return [*directory.glob(f".dataset.*{_PARTIAL}"), *directory.glob(".run.json.*")]


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def find_run(workspace: Workspace, name_or_path: str) -> Run:
    """The run with this id (or unique beginning of it), or in this folder; that behind an address is a copy.

    Raises:
        UsageError: there is no such run.
        DataError: nothing can be read at the address.
    """
    direct = local_copy(name_or_path, workspace.downloads)
    if (direct / "run.json").exists():
        return Run(direct)
    if is_address(name_or_path):
        address = address_of(name_or_path)
        hint = "`export: {to: ...}` copies report and dataset of a run, and neither its model nor its record"
        raise UsageError(f"{address!r} holds no run: run.json is not there", where=address, hint=hint)
    known = {path.parent.name: path.parent for path in workspace.runs.glob("*/*/run.json")}
    found = [name for name in known if name.startswith(name_or_path)]
    if len(found) == 1:
        return Run(known[found[0]])
    count = f"{len(found)} runs begin with" if found else "no run has the id"
    guess = None if found else nearest_name(name_or_path, known)
    suffix = f"; did you mean {guess!r}?" if guess else ""
    raise UsageError(f"{count} {name_or_path!r} in {workspace.root}{suffix}", hint="`synthgen runs` lists them")


def find_model(workspace: Workspace, name_or_path: str) -> Path:
    """The folder of a saved model: itself, or that of the run with this id or folder; raises as `find_run`."""
    direct = local_copy(name_or_path, workspace.downloads)
    return direct if (direct / "synthesizer.json").exists() else find_run(workspace, name_or_path).directory / "model"


def list_runs(workspace: Workspace) -> list[dict[str, Any]]:
    """run.json of every run, newest first."""
    records = [{**_listed(path), "run_dir": str(path.parent)} for path in workspace.runs.glob("*/*/run.json")]
    return sorted(records, key=lambda record: str(record.get("started")), reverse=True)


def _listed(path: Path) -> dict[str, Any]:
    try:
        return _read_record(path)
    except IntegrityError:
        return {"run_id": path.parent.name, "name": path.parent.parent.name, "state": "damaged"}


def _read_record(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise IntegrityError(
            f"{path.name} of run {path.parent.name!r} is damaged: it is no JSON object", where=str(path)
        )
    return content
