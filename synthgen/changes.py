"""What changed in the data since the last finished run of the same name."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from synthgen.config import RunConfig
from synthgen.datasets import load_data
from synthgen.errors import name_list
from synthgen.files import read_json, write_json
from synthgen.findings import Drift, Verdict
from synthgen.metrics.drift import compare
from synthgen.runs import Run, list_runs
from synthgen.workspace import Ref, Workspace, artifact_folder

logger = logging.getLogger(__name__)

_FILE = "drift.json"


def last_finished(workspace: Workspace, run: Run, name: str) -> Mapping[str, Any] | None:
    """run.json of the newest finished run of the name that began before this one; None when there is none."""
    return next(_earlier_runs(workspace, run, name), None)


def earlier_model(config: RunConfig, workspace: Workspace, run: Run) -> Path | None:
    """The folder of the model that a warm start begins with: of the newest run of the name that passed.

    A run that was stopped and goes on finds the same one, since only runs that began before it count.
    """
    if not getattr(config.synthesizer, "warm_start", False):
        return None
    for record in _earlier_runs(workspace, run, config.name):
        folder = Path(record["run_dir"]) / "model"
        if record.get("verdict") == Verdict.PASS and (folder / "synthesizer.json").exists():
            run.update(started_from=record["run_id"])
            return folder
    run.update(start="cold: no earlier run of this name passed")
    return None


def _earlier_runs(workspace: Workspace, run: Run, name: str) -> Iterator[Mapping[str, Any]]:
    """run.json of the finished runs of the name that began before this one, newest first; audits are none."""
    started = str(run.record().get("started"))
    for record in list_runs(workspace):
        is_earlier = record["run_id"] != run.id and str(record.get("started")) <= started
        if record.get("name") == name and record.get("state") == "finished" and record.get("stages") and is_earlier:
            yield record


def data_drift(config: RunConfig, workspace: Workspace, data: Ref, run: Run) -> Ref | None:
    """How the data differ from those of the last finished run. Artifact: drift.json; None where nothing differs."""
    last = last_finished(workspace, run, config.name)
    if last is None or last["data_sha256"] == read_json(data.directory / "fingerprint.json")["sha256"]:
        return None
    key, since = str(last["stages"]["ingest"]["key"]), str(last["run_id"])
    before = artifact_folder(workspace, "ingest", key) / "data"
    if not before.exists():
        note = f"the data differ from those of run {since}, whose rows are gone: what changed cannot be said"
        logger.info("drift since=%s state=gone", since, extra={"note": note})
        return None

    def write(out: Path) -> None:
        found = compare(load_data(before), load_data(data.directory / "data"), since=since, seed=config.seed)
        write_json(out / _FILE, asdict(found))

    built = workspace.build("drift", {"data": data, "before": key, "since": since, "seed": config.seed}, write)
    note = drift_sentence(read_drift(built))
    logger.info("drift %s", note, extra={"note": note})
    return built


def read_drift(drift: Ref) -> Drift:
    """What `data_drift` found."""
    return Drift.from_json(read_json(drift.directory / _FILE))


def drift_sentence(drift: Drift) -> str:
    """What changed, in one sentence."""
    said = [f"since run {drift.since}: {drift.rows_before:,} rows became {drift.rows_now:,}"]
    said += [*drift.schema[:3]] + ([f"{len(drift.schema) - 3} more changes of columns"] if drift.schema[3:] else [])
    if drift.movements:
        moved = drift.moved
        said.append(f"moved: {name_list(moved, at_most=6)}" if moved else "no column moved")
    if drift.separation is not None:
        found = drift.separation
        said.append(
            f"a classifier tells new rows from old ones with AUC {found.auc:.2f} (old from old: {found.reference:.2f})"
        )
    return "; ".join([*said, *([drift.note] if drift.note and not drift.movements else [])])
