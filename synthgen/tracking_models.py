"""A saved model as a folder that MLflow loads ("models from code"), without pickle and without a copy of the model."""

import platform
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from synthgen import __version__

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class ModelFolder:
    """What MLflow is to load.

    Attributes:
        name: of the folder among the artifacts of an MLflow run.
        kind: `synthesizer` or `classifier`: the name under which `code` finds the saved files.
        code: the file that MLflow runs.
        signature: inputs, outputs and params, as MLflow writes them.
    """

    name: str
    kind: str
    code: Path
    signature: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> str:
        """Where the saved files lie in the folder."""
        return f"artifacts/{self.kind}"


def upload_model(client: "MlflowClient", run_id: str, saved: Path, model: ModelFolder) -> None:
    """Put the saved files into the MLflow run, with what MLflow needs to load them."""
    client.log_artifacts(run_id, str(saved), f"{model.name}/{model.files}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / model.code.name).write_text(model.code.read_text(encoding="utf-8"), encoding="utf-8")
        (folder / "requirements.txt").write_text(f"synthgen=={__version__}\n", encoding="utf-8")
        environment = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
        (folder / "python_env.yaml").write_text(yaml.safe_dump(environment), encoding="utf-8")
        (folder / "MLmodel").write_text(yaml.safe_dump(_description(model)), encoding="utf-8")
        client.log_artifacts(run_id, scratch, model.name)


def ensure_registered_name(client: "MlflowClient", name: str, kind: str) -> None:
    """A registered model of this name; one that is there stays as it is."""
    from mlflow.exceptions import MlflowException

    # There since an earlier run, or since a moment ago by another process.
    with suppress(MlflowException):
        client.create_registered_model(name, tags={"synthgen.kind": kind})


def add_version(
    client: "MlflowClient", name: str, run_id: str, model: ModelFolder, tags: Mapping[str, str] | None = None
) -> str:
    """The number of a new version: the folder in this MLflow run."""
    source = f"{client.get_run(run_id).info.artifact_uri}/{model.name}"
    return str(client.create_model_version(name, source, run_id=run_id, tags=dict(tags or {})).version)


def _description(model: ModelFolder) -> dict[str, Any]:
    """The content of MLmodel, as `mlflow.pyfunc.save_model` writes it.

    Written here because that would copy the model, note this machine's paths, and import what a run does not need.
    """
    function = {
        "artifacts": {model.kind: {"path": model.files, "uri": model.files}},
        "code": None,
        "env": {"virtualenv": "python_env.yaml"},
        "loader_module": "mlflow.pyfunc.loaders.code_model",
        "model_code_path": model.code.name,
        "python_version": platform.python_version(),
        "streamable": False,
    }
    described = {"flavors": {"python_function": function}, "mlflow_version": metadata.version("mlflow")}
    return {**described, "signature": dict(model.signature)} if model.signature else described
