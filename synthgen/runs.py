"""Run directories."""

import glob
import os
import secrets
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from synthgen.config import AuditConfig, RunConfig
from synthgen.errors import IntegrityError, UsageError, nearest_name
from synthgen.files import read_json, remove, write_json
from synthgen.provenance import provenance
from synthgen.redaction import redacted_values
from synthgen.remote import address_of, is_address, local_copy
from synthgen.workspace import PARTIAL, Workspace

# The state of a run that a person has to say yes or no to.
WAITING = "waiting for approval"
# That of one which has got the no.
REJECTED = "rejected"
# States of a run that the same command goes on with, once no process works on it.
_STOPPED = ("running", "interrupted", WAITING)


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
            remove(leftover)
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
        dataset.rename(dataset.with_name(f".{dataset.name}.{secrets.token_hex(4)}{PARTIAL}"))


def unfinished_files(directory: Path) -> list[Path]:
    """What a process that was killed has left half written in a run folder."""
    return [*directory.glob(f".dataset.*{PARTIAL}"), *directory.glob(".run.json.*")]


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
    if not found and (direct.exists() or direct.name != name_or_path):
        problem = "holds neither a run nor a model" if direct.exists() else "does not exist"
        raise UsageError(
            f"path {name_or_path!r} {problem}", where=name_or_path, hint="`synthgen runs` lists ids of runs"
        )
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
