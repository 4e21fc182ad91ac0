"""An audit of files with a folder of its own: config, provenance, report; in a workspace it is tracked as well."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from synthgen import tracking
from synthgen.auditing.judging import audit_data, material_of, named_inputs, prepared
from synthgen.auditing.reading import read_inputs
from synthgen.config import AuditConfig
from synthgen.config_reading import parse_audit
from synthgen.errors import DataError, UsageError
from synthgen.findings import EXIT_CODES, Report
from synthgen.notes import run_note
from synthgen.reports import Material, write_report
from synthgen.runs import Run
from synthgen.workspace import Workspace, content_key


@dataclass(frozen=True)
class AuditOutcome:
    """What an audit came to; with the table of gates it is the content of `synthgen audit --json`."""

    run_id: str
    run_dir: str
    verdict: str
    exit_code: int
    report_html: str
    report_shareable_html: str
    report_json: str
    mlflow_run_id: str | None
    seconds: float


def run_audit(config: AuditConfig, directory: Path, *, downloads: Path | None = None) -> AuditOutcome:
    """Audit the files and write config.yaml, run.json and the report into this folder; nothing is tracked.

    Raises:
        UsageError: nothing can be written there; it is said before anything is read.
    """
    started = time.monotonic()
    _require_writable(directory)
    report, material = _audited(config, downloads)
    directory.mkdir(parents=True, exist_ok=True)
    run = Run.begin(directory, config, _config_hash(config))
    return _written(run, report, material, directory, _Origin(started, None))


def _require_writable(directory: Path) -> None:
    try:
        _try_folder(directory)
    except OSError as error:
        message = f"{str(directory)!r} is no folder that a report can be written to: {error.strerror or error}"
        raise UsageError(message, where="-o", hint="name a folder, there or not, in which you may write") from None


def _try_folder(directory: Path) -> None:
    """Make the folder and a file in it, and take away what was not there: what is refused later leaves nothing."""
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    finally:
        for folder in missing:
            if folder.is_dir():
                folder.rmdir()


def check_audit(config: AuditConfig, workspace: Workspace) -> None:
    """Answer every mistake in data, columns and gates; measures nothing, and writes nothing but `downloads/`."""
    prepared(named_inputs(config.train, config.synthetic, config.holdout), config.options, workspace.downloads)


def run_tracked_audit(config: AuditConfig, workspace: Workspace, links: Mapping[str, str]) -> AuditOutcome:
    """Audit the files as a run of the workspace, tracked in MLflow.

    Args:
        links: tags for the tracked run, such as the id of the orchestrator's run.
    """
    origin = time.monotonic()
    run = Run.create(workspace, config, _config_hash(config))
    mlflow_run_id = tracking.start(config, run, workspace, links)
    try:
        report, material = _audited(config, workspace.downloads)
        outcome = _written(run, report, material, run.directory / "report", _Origin(origin, mlflow_run_id))
    except BaseException as error:
        tracking.fail(run, workspace, mlflow_run_id, error)
        run.release()
        raise
    tracking.finish(run, workspace, mlflow_run_id, report, None, note=run_note(run, report))
    run.release()
    return outcome


def audit_material(run: Run, workspace: Workspace) -> Material:
    """What the page of a finished audit needs, read again from the files that it audited.

    An audit keeps no copy of anybody's rows.

    Raises:
        DataError: the files are gone, or hold other data than they did.
    """
    raw = yaml.safe_load((run.directory / "config.yaml").read_text(encoding="utf-8"))
    config = parse_audit(raw)
    items = named_inputs(config.train, config.synthetic, config.holdout)
    inputs = read_inputs(items, config.options, workspace.downloads)
    record = run.record()
    for name, found in inputs.hashes().items():
        if found != record.get(name):
            part = name.removesuffix("_sha256").replace("data", "train")
            message = f"the file of {part} holds other data than when run {run.id!r} audited it"
            raise DataError(message, where=part, hint="audit it again with `synthgen audit`")
    return material_of(inputs)


@dataclass(frozen=True)
class _Origin:
    started: float
    mlflow_run_id: str | None


def _audited(config: AuditConfig, downloads: Path | None) -> tuple[Report, Material]:
    return audit_data(config.train, config.synthetic, config.holdout, config.options, downloads=downloads)


def _written(run: Run, report: Report, material: Material, folder: Path, origin: _Origin) -> AuditOutcome:
    run.update(**{**report.provenance, **run.record()}, kind="audit", verdict=str(report.verdict))
    write_report(folder, replace(report, provenance=run.record()), material)
    seconds = round(time.monotonic() - origin.started, 1)
    run.update(state="finished", seconds=seconds)
    page = str((folder / "report.html").absolute())
    return AuditOutcome(
        run_id=run.id,
        run_dir=str(run.directory.absolute()),
        verdict=str(report.verdict),
        exit_code=EXIT_CODES[report.verdict],
        report_html=page,
        report_shareable_html=page.replace("report.html", "report-shareable.html"),
        report_json=page.replace("report.html", "report.json"),
        mlflow_run_id=origin.mlflow_run_id,
        seconds=seconds,
    )


def _config_hash(config: AuditConfig) -> str:
    return content_key("judge", config.model_dump(mode="json", exclude={"tracking", "name"}))
