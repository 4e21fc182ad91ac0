"""A finished run's model in the registry, as the newest version under the name of the config."""

import platform
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from synthgen import __version__
from synthgen.findings import Report
from synthgen.registry.versions import CANDIDATE, PREFIX, Version, existing, known_versions, shown_time
from synthgen.runs import Run, Workspace
from synthgen.tracking import client_of, safely

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Where the files of the synthesizer lie in the model's folder, which is an artifact of the MLflow run.
SYNTHESIZER = "artifacts/synthesizer"
_FOLDER = "model"
_CODE = Path(__file__).with_name("model_code.py")


def register(name: str, run: Run, workspace: Workspace, mlflow_run_id: str | None, report: Report) -> Version | None:
    """The version of this run's model, alias `candidate`; None when tracking is out of reach.

    A run that was stopped and goes on has one version.
    """
    if mlflow_run_id is None:
        return None
    with safely(run, "its model is not in the registry"):
        client = client_of(workspace)
        _upload(client, mlflow_run_id, run.directory / "model")
        _name_known(client, name)
        number = _number(client, name, mlflow_run_id)
        for key, value in _tags(run, report).items():
            client.set_model_version_tag(name, number, f"{PREFIX}{key}", value)
        # A run that was stopped may be older than the newest.
        if all(int(version.version) <= int(number) for version in known_versions(client, name)):
            client.set_registered_model_alias(name, CANDIDATE, number)
        run.update(registered=f"{name}@{number}")
        return existing(client, name, number)
    return None


def _name_known(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    # There since an earlier run, or since a moment ago by another process.
    with suppress(MlflowException):
        client.create_registered_model(name, tags={f"{PREFIX}kind": "synthesizer"})


def _number(client: "MlflowClient", name: str, mlflow_run_id: str) -> str:
    known = [version for version in known_versions(client, name) if version.run_id == mlflow_run_id]
    if known:
        return str(known[0].version)
    source = f"{client.get_run(mlflow_run_id).info.artifact_uri}/{_FOLDER}"
    return str(client.create_model_version(name, source, run_id=mlflow_run_id).version)


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


def _upload(client: "MlflowClient", mlflow_run_id: str, model: Path) -> None:
    client.log_artifacts(mlflow_run_id, str(model), f"{_FOLDER}/{SYNTHESIZER}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / _CODE.name).write_text(_CODE.read_text(encoding="utf-8"), encoding="utf-8")
        (folder / "requirements.txt").write_text(f"synthgen=={__version__}\n", encoding="utf-8")
        environment = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
        (folder / "python_env.yaml").write_text(yaml.safe_dump(environment), encoding="utf-8")
        (folder / "MLmodel").write_text(yaml.safe_dump(_description()), encoding="utf-8")
        client.log_artifacts(mlflow_run_id, scratch, _FOLDER)


def _description() -> Mapping[str, Any]:
    """The content of MLmodel, as `mlflow.pyfunc.save_model` writes it.

    Written here because that would copy the model, note this machine's paths, and import what a run does not need.
    """
    return {
        "flavors": {
            "python_function": {
                "artifacts": {"synthesizer": {"path": SYNTHESIZER, "uri": SYNTHESIZER}},
                "code": None,
                "env": {"virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.pyfunc.loaders.code_model",
                "model_code_path": _CODE.name,
                "python_version": platform.python_version(),
                "streamable": False,
            }
        },
        "mlflow_version": metadata.version("mlflow"),
        "signature": {
            "inputs": '[{"name": "label", "type": "string", "required": false}, {"name": "n", "type": "long"}]',
            "outputs": None,
            "params": '[{"name": "seed", "type": "long", "default": 0, "shape": null}]',
        },
    }
