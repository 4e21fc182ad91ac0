"""One MLflow run per flow run. The only importer of mlflow."""

import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from synthgen.config import AuditConfig, RunConfig
from synthgen.findings import Drift, Report
from synthgen.redaction import redacted, redacted_values
from synthgen.runs import Run, Workspace, read_json

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

# MLflow stores at most 36 characters of a dataset digest; the whole hash is a tag.
_DIGEST_CHARACTERS = 36
_PARAM_CHARACTERS = 500
_KEY_CHARACTERS = 250
_PARAMS_AT_ONCE = 100  # the most that one request may carry
_UNSAFE = re.compile(r"[^\w .-]")


def quiet_settings(workspace: Workspace) -> dict[str, str]:
    """Environment that MLflow reads when it is imported: embedded store, no telemetry, no pickle."""
    return {
        "MLFLOW_TRACKING_URI": workspace.mlflow_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        # On stdout it would stand among our own JSON.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
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
        _log_parameters(client, tracked.info.run_id, config, tags)
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
            _log_history(client, mlflow_run_id, read_json(history))
            _log_pictures(client, mlflow_run_id, history.parent / "pictures")
        _log_findings(client, mlflow_run_id, report)
        _log_drift(client, mlflow_run_id, report.drift)
        _log_inputs(client, mlflow_run_id, run.record())
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
        client.set_tag(mlflow_run_id, "synthgen.error", redacted(reason)[:_PARAM_CHARACTERS])
        client.set_terminated(mlflow_run_id, "KILLED" if interrupted else "FAILED")


def run_url(workspace: Workspace, mlflow_run_id: str | None) -> str | None:
    """The page of a run on a tracking server.

    None for a run that is not tracked, a server that fails, and the embedded store, whose pages `synthgen ui` serves.
    """
    uri = redacted(workspace.mlflow_uri)
    if mlflow_run_id is None or not uri.startswith(("http://", "https://")):
        return None
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
    location = (workspace.root / "mlflow-artifacts").absolute().as_uri() if embedded else None
    return str(client.create_experiment(name, artifact_location=location))


@contextmanager
def safely(run: Run, lost: str) -> Iterator[None]:
    """Tell what MLflow cannot keep, in a note and in run.json, and go on."""
    # Data and report lie in the run folder: a tracking store that fails must not cost them.
    try:
        yield
    except Exception as error:
        reason = redacted(str(error) or type(error).__name__).splitlines()[0][:_PARAM_CHARACTERS]
        note = f"warning: MLflow failed, so {lost} (the run itself goes on in {run.directory}): {reason}"
        logger.warning("%s", note, extra={"note": note})
        with suppress(OSError):
            run.update(tracking_error=reason)


def _log_parameters(
    client: "MlflowClient", mlflow_run_id: str, config: RunConfig | AuditConfig, tags: Mapping[str, str]
) -> None:
    from mlflow.entities import Param, RunTag

    values = _flat(redacted_values(config.model_dump(mode="json")))
    parameters = [Param(key, str(value)[:_PARAM_CHARACTERS]) for key, value in values.items()]
    for begin in range(0, len(parameters), _PARAMS_AT_ONCE):
        some = parameters[begin : begin + _PARAMS_AT_ONCE]
        client.log_batch(mlflow_run_id, params=some, tags=[RunTag(key, value) for key, value in tags.items()])


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in section.items():
        # A column or class may be named anything, a parameter may not.
        name = f"{prefix}{_UNSAFE.sub('_', key)}"[:_KEY_CHARACTERS]
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def _log_history(client: "MlflowClient", run_id: str, history: Sequence[Mapping[str, float]]) -> None:
    from mlflow.entities import Metric

    metrics = [
        Metric(f"train.{key}", float(value), 0, int(tick.get("step", position)))
        for position, tick in enumerate(history)
        for key, value in tick.items()
        if key != "step"
    ]
    for begin in range(0, len(metrics), 1000):  # the most that one request may carry
        client.log_batch(run_id, metrics=metrics[begin : begin + 1000])


def _log_pictures(client: "MlflowClient", run_id: str, folder: Path) -> None:
    from PIL import Image

    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as picture:
            # A key and a step: MLflow's page then shows them over time.
            client.log_image(run_id, picture, key="training", step=int(path.stem), synchronous=True)


def log_numbers(
    client: "MlflowClient", run_id: str, numbers: Mapping[str, float], tags: Mapping[str, str] | None = None
) -> None:
    """Log metrics that have no course over time, and tags; logged again, equal ones stay one."""
    from mlflow.entities import Metric, RunTag

    metrics = [Metric(key, value, 0, 0) for key, value in numbers.items()]
    client.log_batch(run_id, metrics=metrics, tags=[RunTag(key, value) for key, value in (tags or {}).items()])


def _log_findings(client: "MlflowClient", run_id: str, report: Report) -> None:
    numbers: dict[str, float] = {}
    for finding in report.findings:
        numbers |= {
            finding.metric: finding.value,
            f"{finding.metric}.low": finding.low,
            f"{finding.metric}.high": finding.high,
        }
        if finding.reference is not None:
            numbers[f"{finding.metric}.reference"] = finding.reference
    log_numbers(client, run_id, numbers, {f"gate.{item.metric}": str(item.verdict) for item in report.judgements})


def _log_drift(client: "MlflowClient", run_id: str, drift: Drift | None) -> None:
    if drift is None:
        return
    numbers = {"drift.columns_moved": float(len(drift.moved)), "drift.schema_changes": float(len(drift.schema))}
    if drift.separation is not None:
        found = asdict(drift.separation)
        numbers |= {f"drift.c2st_auc.{name}": found[name] for name in ("low", "high", "reference")}
        numbers["drift.c2st_auc"] = found["auc"]
    moved = ", ".join(drift.moved)[:_PARAM_CHARACTERS]
    log_numbers(client, run_id, numbers, {"drift.since": drift.since, "drift.moved": moved})


def _log_inputs(client: "MlflowClient", run_id: str, record: Mapping[str, Any]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for context in ("real", "synthetic"):
        digest = str(record[f"{'data' if context == 'real' else 'synthetic'}_sha256"])
        profile = json.dumps({"rows": record[f"{context}_rows"]})
        dataset = Dataset(
            name=f"{record['name']}-{context}",
            digest=digest[:_DIGEST_CHARACTERS],
            source_type="local",
            source=json.dumps({"uri": str(record["run_id"])}),
            profile=profile,
        )
        tags = [InputTag("mlflow.data.context", context), InputTag("sha256", digest)]
        inputs.append(DatasetInput(dataset, tags=tags))
    client.log_inputs(run_id, datasets=inputs)
