"""A finished run's model in the registry, as the newest version under the name of the config."""

from pathlib import Path
from typing import TYPE_CHECKING

from synthgen import __version__
from synthgen.findings import Report
from synthgen.registry.versions import CANDIDATE, PREFIX, Version, existing, known_versions, shown_time
from synthgen.runs import Run
from synthgen.tracking import client_of, safely
from synthgen.tracking_models import ModelFolder, add_version, ensure_registered_name, upload_model
from synthgen.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MODEL = ModelFolder(
    name="model",
    kind="synthesizer",
    code=Path(__file__).with_name("model_code.py"),
    signature={
        "inputs": '[{"name": "label", "type": "string", "required": false}, {"name": "n", "type": "long"}]',
        "outputs": None,
        "params": '[{"name": "seed", "type": "long", "default": 0, "shape": null}]',
    },
)


def register(name: str, run: Run, workspace: Workspace, mlflow_run_id: str | None, report: Report) -> Version | None:
    """The version of this run's model, alias `candidate`; None when tracking is out of reach.

    A run that was stopped and goes on has one version.
    """
    if mlflow_run_id is None:
        return None
    with safely(run, "its model is not in the registry"):
        client = client_of(workspace)
        upload_model(client, mlflow_run_id, run.directory / "model", _MODEL)
        ensure_registered_name(client, name, _MODEL.kind)
        number = _number(client, name, mlflow_run_id)
        for key, value in _tags(run, report).items():
            client.set_model_version_tag(name, number, f"{PREFIX}{key}", value)
        # A run that was stopped may be older than the newest.
        if all(int(version.version) <= int(number) for version in known_versions(client, name)):
            client.set_registered_model_alias(name, CANDIDATE, number)
        run.update(registered=f"{name}@{number}")
        return existing(client, name, number)
    return None


def _number(client: "MlflowClient", name: str, mlflow_run_id: str) -> str:
    known = [version for version in known_versions(client, name) if version.run_id == mlflow_run_id]
    if known:
        return str(known[0].version)
    return add_version(client, name, mlflow_run_id, _MODEL)


def _tags(run: Run, report: Report) -> dict[str, str]:
    record = run.record()
    tags = {
        "verdict": str(report.verdict),
        "data_sha256": record.get("data_sha256"),
        "run_id": run.id,
        "registered": shown_time(),
        "synthesizer": record.get("model"),
        "version": __version__,
        "approval": (record.get("approval") or {}).get("decision"),
    }
    return {key: str(value) for key, value in tags.items() if value is not None}
