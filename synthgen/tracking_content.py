"""What of a run is written into an MLflow run, and in which form."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgen.config import AuditConfig, RunConfig
from synthgen.findings import Drift, Report
from synthgen.redaction import redacted_values

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow stores at most 36 characters of a dataset digest; the whole hash is a tag.
_DIGEST_CHARACTERS = 36
PARAM_CHARACTERS = 500
_KEY_CHARACTERS = 250
_PARAMS_AT_ONCE = 100  # the most that one request may carry
_UNSAFE = re.compile(r"[^\w .-]")


def log_parameters(
    client: "MlflowClient", mlflow_run_id: str, config: RunConfig | AuditConfig, tags: Mapping[str, str]
) -> None:
    """The config as parameters, keys with dots, and tags."""
    from mlflow.entities import Param, RunTag

    values = _flat(redacted_values(config.model_dump(mode="json")))
    parameters = [Param(key, str(value)[:PARAM_CHARACTERS]) for key, value in values.items()]
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


def log_history(client: "MlflowClient", run_id: str, history: Sequence[Mapping[str, float]]) -> None:
    """The course of the training: a metric for each number of a tick."""
    from mlflow.entities import Metric

    metrics = [
        Metric(f"train.{key}", float(value), 0, int(tick.get("step", position)))
        for position, tick in enumerate(history)
        for key, value in tick.items()
        if key != "step"
    ]
    for begin in range(0, len(metrics), 1000):  # the most that one request may carry
        client.log_batch(run_id, metrics=metrics[begin : begin + 1000])


def log_pictures(client: "MlflowClient", run_id: str, folder: Path) -> None:
    """The pictures of a training, over its steps, each with the text chunks of its file."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as picture:
            chunks = PngInfo()
            for keyword, words in picture.text.items():  # type: ignore[attr-defined]  # of a PNG
                chunks.add_text(keyword, words)
            # MLflow saves the picture itself, and a PNG is saved without text unless it is told so.
            picture.save = partial(picture.save, pnginfo=chunks)  # type: ignore[method-assign]
            # A key and a step: MLflow's page then shows them over time.
            client.log_image(run_id, picture, key="training", step=int(path.stem), synchronous=True)


def log_numbers(
    client: "MlflowClient", run_id: str, numbers: Mapping[str, float], tags: Mapping[str, str] | None = None
) -> None:
    """Log metrics that have no course over time, and tags; logged again, equal ones stay one."""
    from mlflow.entities import Metric, RunTag

    metrics = [Metric(key, value, 0, 0) for key, value in numbers.items()]
    client.log_batch(run_id, metrics=metrics, tags=[RunTag(key, value) for key, value in (tags or {}).items()])


def log_findings(client: "MlflowClient", run_id: str, report: Report) -> None:
    """Value, interval and reference of each finding as metrics, each verdict as a tag."""
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


def log_drift(client: "MlflowClient", run_id: str, drift: Drift | None) -> None:
    """What changed since the last run, where there is one."""
    if drift is None:
        return
    numbers = {"drift.columns_moved": float(len(drift.moved)), "drift.schema_changes": float(len(drift.schema))}
    if drift.separation is not None:
        found = asdict(drift.separation)
        numbers |= {f"drift.c2st_auc.{name}": found[name] for name in ("low", "high", "reference")}
        numbers["drift.c2st_auc"] = found["auc"]
    moved = ", ".join(drift.moved)[:PARAM_CHARACTERS]
    log_numbers(client, run_id, numbers, {"drift.since": drift.since, "drift.moved": moved})


def log_inputs(client: "MlflowClient", run_id: str, record: Mapping[str, Any]) -> None:
    """Real and synthetic data by hash and number of rows."""
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
