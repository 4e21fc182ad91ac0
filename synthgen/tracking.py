"""One MLflow run per flow run. Besides the other modules `tracking_*` and the registry nothing imports mlflow."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from synthgen.config import AuditConfig, RunConfig
from synthgen.files import read_json
from synthgen.findings import Report
from synthgen.redaction import redacted
from synthgen.runs import Run
from synthgen.tracking_content import (
    PARAM_CHARACTERS,
    log_drift,
    log_findings,
    log_history,
    log_inputs,
    log_parameters,
    log_pictures,
)
from synthgen.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)


def quiet_settings(workspace: Workspace) -> dict[str, str]:
    """Environment that MLflow reads when it is imported: embedded store, no telemetry, no pickle."""
    return {
        "MLFLOW_TRACKING_URI": workspace.mlflow_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        # On stdout it would stand among our own JSON.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "DO_NOT_TRACK": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # The default of 7 lets a server that is down hold up a finished run for minutes.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    }


def start(config: RunConfig | AuditConfig, run: Run, workspace: Workspace, links: Mapping[str, str]) -> str | None:
    """The id of the MLflow run, with its parameters; None, and a warning, when tracking is out of reach.

    A run that was stopped goes on under the id that it has.
    """
    with safely(run, "it will not be in MLflow"):
        client = client_of(workspace)
        name = redacted(config.tracking.experiment or config.name)
        experiment_id = experiment_of(client, workspace, name)
        tags = {"synthgen.run_id": run.id, "synthgen.state": "running", **links}
        known = client.search_runs([experiment_id], f"tags.`synthgen.run_id` = '{run.id}'", max_results=1)
        tracked = known[0] if known else client.create_run(experiment_id, run_name=run.id, tags=tags)
        client.update_run(tracked.info.run_id, status="RUNNING")
        run.update(mlflow_run_id=tracked.info.run_id)
        log_parameters(client, tracked.info.run_id, config, tags)
        return str(tracked.info.run_id)
    return None


def finish(
    run: Run, workspace: Workspace, mlflow_run_id: str | None, report: Report, history: Path | None, *, note: str
) -> None:
    """Log training, findings, inputs, verdict and report, and end the run; an audit has trained no model.

    Args:
        note: Markdown that the page of the run shows as its description.
    """
    if mlflow_run_id is None:
        return
    with safely(run, "metrics, verdict and report are not all in MLflow"):
        client = client_of(workspace)
        if history is not None:
            log_history(client, mlflow_run_id, read_json(history))
            log_pictures(client, mlflow_run_id, history.parent / "pictures")
        log_findings(client, mlflow_run_id, report)
        log_drift(client, mlflow_run_id, report.drift)
        log_inputs(client, mlflow_run_id, run.record())
        client.set_tag(mlflow_run_id, "synthgen.verdict", str(report.verdict))
        client.set_tag(mlflow_run_id, "mlflow.note.content", redacted(note))
        client.set_tag(mlflow_run_id, "synthgen.state", "finished")
        client.log_artifacts(mlflow_run_id, str(run.directory / "report"), "report")
        client.log_artifact(mlflow_run_id, str(run.directory / "config.yaml"))
        client.set_terminated(mlflow_run_id, "FINISHED")


def wait(run: Run, workspace: Workspace, mlflow_run_id: str | None) -> None:
    """Show that the run waits for a person, with the report to look at."""
    if mlflow_run_id is None:
        return
    with safely(run, "MLflow does not show that it waits for approval"):
        client = client_of(workspace)
        client.set_tag(mlflow_run_id, "synthgen.state", str(run.record()["state"]))
        client.log_artifacts(mlflow_run_id, str(run.directory / "report"), "report")
        client.set_terminated(mlflow_run_id, "SCHEDULED")


def log_times(run: Run, workspace: Workspace, mlflow_run_id: str | None, seconds: Mapping[str, float]) -> None:
    """Seconds of each stage in this run, and of what it processed how much per second."""
    if mlflow_run_id is None:
        return
    from mlflow.entities import Metric

    with safely(run, "the times of its stages are not in MLflow"):
        record, client = run.record(), client_of(workspace)
        numbers = {f"stage.{stage}.seconds": taken for stage, taken in seconds.items()}
        unit = record.get("unit", "rows")
        for stage, amount in _amounts(record).items():
            if seconds.get(stage):
                numbers[f"stage.{stage}.{unit}_per_second"] = amount / seconds[stage]
        now = int(time.time() * 1000)
        client.log_batch(mlflow_run_id, metrics=[Metric(key, value, now, 0) for key, value in numbers.items()])


def _amounts(record: Mapping[str, Any]) -> dict[str, float]:
    """How many rows or images each stage worked on; none where an earlier run has done it."""
    real, synthetic = record.get("real_rows", 0), record.get("synthetic_rows", 0)
    every = {"ingest": real, "split": real, "sample": synthetic, "curate": synthetic, "evaluate": synthetic}
    stages = record.get("stages", {})
    done = {stage: amount for stage, amount in every.items() if not stages.get(stage, {}).get("reused", True)}
    return {**done, "emit": synthetic}


def fail(run: Run, workspace: Workspace, mlflow_run_id: str | None, error: BaseException) -> None:
    """End the run as failed, or as interrupted by what is no error, and say why."""
    interrupted, reason = not isinstance(error, Exception), str(error) or type(error).__name__
    # On a full disk there is nothing to write it to; a run that stays "running" is gone on with.
    with suppress(OSError):
        run.update(state="interrupted" if interrupted else "failed", error=reason)
    if mlflow_run_id is None:
        return
    with safely(run, "MLflow shows it as still running"):
        client = client_of(workspace)
        client.set_tag(mlflow_run_id, "synthgen.state", "interrupted" if interrupted else "failed")
        client.set_tag(mlflow_run_id, "synthgen.error", redacted(reason)[:PARAM_CHARACTERS])
        client.set_terminated(mlflow_run_id, "KILLED" if interrupted else "FAILED")


def is_served(workspace: Workspace) -> bool:
    """Whether runs are tracked by a server, which has pages, and not in an embedded store."""
    return workspace.mlflow_uri.startswith(("http://", "https://"))


def run_url(workspace: Workspace, mlflow_run_id: str | None, *, local_pages: str) -> str | None:
    """The page of a run; None for one that is not tracked, or a store that fails.

    Args:
        local_pages: address where a person has the pages of an embedded store served.
    """
    if mlflow_run_id is None:
        return None
    uri = redacted(workspace.mlflow_uri) if is_served(workspace) else local_pages
    with suppress(Exception):  # a link is not worth a run
        run = client_of(workspace).get_run(mlflow_run_id)
        return f"{uri.rstrip('/')}/#/experiments/{run.info.experiment_id}/runs/{mlflow_run_id}"
    return None


def check(workspace: Workspace) -> str:
    """The tracking store's address, after it answered."""
    client_of(workspace).search_experiments(max_results=1)
    return redacted(workspace.mlflow_uri)


def client_of(workspace: Workspace) -> "MlflowClient":
    """MLflow's client on the store of the workspace, whose tables it makes where there are none."""
    for key, value in quiet_settings(workspace).items():
        os.environ.setdefault(key, value)
    from mlflow import MlflowClient

    workspace.root.mkdir(parents=True, exist_ok=True)
    store = (workspace.root / "mlflow.db").absolute()
    with FileLock(workspace.root / ".mlflow.lock"):
        if workspace.mlflow_uri == f"sqlite:///{store}" and not store.exists():
            # Under another name until its tables are made: half made by a process that is killed, they would stay so.
            draft = store.with_name(".mlflow.db.partial")
            draft.unlink(missing_ok=True)
            MlflowClient(tracking_uri=f"sqlite:///{draft}").search_experiments(max_results=1)
            draft.rename(store)
        return MlflowClient(tracking_uri=workspace.mlflow_uri)


def experiment_of(client: "MlflowClient", workspace: Workspace, name: str) -> str:
    """The id of the experiment with this name, made where there is none."""
    # A fresh SQLite file opened by several processes at once crashes in its migrations.
    with FileLock(workspace.root / ".mlflow.lock"):
        experiment = client.get_experiment_by_name(name)
        return experiment.experiment_id if experiment else _create_experiment(client, workspace, name)


def _create_experiment(client: "MlflowClient", workspace: Workspace, name: str) -> str:
    embedded = workspace.mlflow_uri.startswith("sqlite:")
    location = workspace.mlflow_artifacts if embedded else None
    return str(client.create_experiment(name, artifact_location=location))


@contextmanager
def safely(run: Run, lost: str) -> Iterator[None]:
    """Tell what MLflow cannot keep, in a note and in run.json, and go on."""
    # Data and report lie in the run folder: a tracking store that fails must not cost them.
    try:
        yield
    except Exception as error:
        reason = redacted(str(error) or type(error).__name__).splitlines()[0][:PARAM_CHARACTERS]
        note = f"warning: MLflow failed, so {lost} (the run itself goes on in {run.directory}): {reason}"
        logger.warning("%s", note, extra={"note": note})
        with suppress(OSError):
            run.update(tracking_error=reason)
