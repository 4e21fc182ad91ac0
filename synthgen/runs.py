"""The workspace on disk: artifacts keyed by content, and run directories."""

import hashlib
import json
import logging
import os
import platform
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from synthgen import __version__
from synthgen.config import RunConfig
from synthgen.errors import IntegrityError, UsageError

logger = logging.getLogger(__name__)

# Raised by hand when a stage computes something else than before from the same inputs.
STAGE_VERSIONS: Mapping[str, int] = {
    "ingest": 3, "split": 4, "fit": 3, "sample": 3, "curate": 2, "evaluate": 2, "judge": 2,
}  # fmt: skip
_DONE = "artifact.json"


def write_json(path: Path, content: Any) -> None:
    """Write through a temporary name: a reader sees the old file or the whole new one."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
    temporary.replace(path)


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

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def mlflow_uri(self) -> str:
        """Where runs are tracked: MLFLOW_TRACKING_URI, or a SQLite file in the workspace."""
        return os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{(self.root / 'mlflow.db').absolute()}")

    def build(self, stage: str, inputs: Mapping[str, Any], write: Callable[[Path], None]) -> Ref:
        """The artifact of a stage for these inputs, built at most once.

        `write` fills a folder that survives a kill, so long work can continue from its checkpoint there.
        The folder gets its final name only when `write` has returned and every file is hashed.
        """
        key = content_key(stage, inputs)
        final = self.root / "artifacts" / stage / key
        final.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{final}.lock"):
            done = _finished(final)
            if done is not None:
                logger.info("reuse stage=%s key=%s", stage, key, extra={"stage": stage, "state": "reused"})
                return Ref(stage, key, str(final), True, done)
            logger.info("build stage=%s key=%s", stage, key, extra={"stage": stage, "state": "running"})
            started = time.monotonic()
            partial = final.with_name(f"{key}.partial")
            partial.mkdir(exist_ok=True)
            write(partial)
            seconds = round(time.monotonic() - started, 3)
            write_json(partial / _DONE, {"seconds": seconds, "files": _hashes(partial)})
            partial.rename(final)
            logger.info("built stage=%s seconds=%.1f", stage, seconds, extra={"stage": stage, "state": "done"})
            return Ref(stage, key, str(final), False, seconds)


def content_key(stage: str, inputs: Mapping[str, Any]) -> str:
    """Cache key: stage and its version, package version, and the content of all inputs."""
    plain = {name: value.key if isinstance(value, Ref) else value for name, value in inputs.items()}
    text = json.dumps([stage, STAGE_VERSIONS[stage], __version__, plain], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _hashes(directory: Path) -> dict[str, str]:
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != _DONE)
    return {str(path.relative_to(directory)): sha256_file(path) for path in files}


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
    """One run's folder: config.yaml, run.json, model/, report/, dataset/."""

    directory: Path

    @property
    def id(self) -> str:
        return self.directory.name

    @property
    def record_path(self) -> Path:
        return self.directory / "run.json"

    @property
    def dataset(self) -> Path:
        return self.directory / "dataset"

    @classmethod
    def create(cls, workspace: Workspace, config: RunConfig, config_hash: str) -> "Run":
        """A new run folder with the resolved config and the provenance known at the start."""
        stamp = datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S")
        directory = workspace.runs / config.name / f"{stamp}-{secrets.token_hex(2)}"
        directory.mkdir(parents=True)
        run = cls(directory)
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        (directory / "config.yaml").write_text(text, encoding="utf-8")
        run.update(run_id=run.id, name=config.name, state="running", config_hash=config_hash, **provenance())
        return run

    def record(self) -> dict[str, Any]:
        """Content of run.json."""
        content: dict[str, Any] = read_json(self.record_path) if self.record_path.exists() else {}
        return content

    def update(self, **fields: Any) -> None:
        """Add fields to run.json."""
        write_json(self.record_path, {**self.record(), **fields})

    def adopt(self, source: Path, name: str) -> Path:
        """Bring files of an artifact into the run folder under `name`, by hard link where possible."""
        target = self.directory / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, copy_function=_link)
        return target


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def provenance() -> dict[str, Any]:
    """What a reader needs to know to make the run again: versions, code, machine kind, time."""
    packages = ("torch", "ctgan", "monai", "prefect", "pandas", "scikit-learn", "xgboost-cpu", "mlflow")
    versions = {"python": platform.python_version(), "synthgen": __version__}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": _git_commit(),
        "versions": versions,
        "cores": os.cpu_count(),
        "platform": platform.system(),
    }


def _git_commit() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    answer = subprocess.run([git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() or None


def find_run(workspace: Workspace, name_or_path: str) -> Run:
    """The run with this id (or unique beginning of it), or in this folder; raises UsageError when there is none."""
    direct = Path(name_or_path)
    if (direct / "run.json").exists():
        return Run(direct)
    found = sorted(workspace.runs.glob(f"*/{name_or_path}*/run.json"))
    if len(found) == 1:
        return Run(found[0].parent)
    count = f"{len(found)} runs begin with" if found else "no run has the id"
    raise UsageError(f"{count} {name_or_path!r} in {workspace.root}", hint="`synthgen runs` lists them")


def list_runs(workspace: Workspace) -> list[dict[str, Any]]:
    """run.json of every run, newest first."""
    records = [{**read_json(path), "run_dir": str(path.parent)} for path in workspace.runs.glob("*/*/run.json")]
    return sorted(records, key=lambda record: str(record.get("started")), reverse=True)


def write_manifest(directory: Path, content: Mapping[str, Any]) -> None:
    """manifest.json with path, bytes and SHA-256 of each file below `directory`. Its existence means: complete."""
    files = [
        {"path": str(path.relative_to(directory)), "bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    ]
    write_json(directory / "manifest.json", {**content, "files": files})


def verify_manifest(directory: Path) -> dict[str, Any]:
    """The manifest, after every file was compared with it.

    Raises:
        IntegrityError: a file is missing, added, or has another hash than the manifest states.
    """
    if not (directory / "manifest.json").exists():
        raise IntegrityError(f"{directory} has no manifest.json: it is not a finished dataset", where=str(directory))
    manifest: dict[str, Any] = read_json(directory / "manifest.json")
    stated = {item["path"]: item["sha256"] for item in manifest["files"]}
    present = {
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    for name in sorted(present ^ set(stated)):
        state = "is missing" if name in stated else "is not in the manifest"
        raise IntegrityError(f"file {name!r} {state}", where=str(directory))
    for name, digest in stated.items():
        if sha256_file(directory / name) != digest:
            raise IntegrityError(f"file {name!r} differs from its SHA-256 in the manifest", where=str(directory))
    return manifest
