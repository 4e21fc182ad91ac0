"""A comparison of classifiers in MLflow: a run with a child for each arm, and the chosen classifier in the registry."""

import logging
import platform
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from synthgen import __version__
from synthgen.redaction import redacted
from synthgen.runs import Workspace
from synthgen.tracking import client_of, experiment_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

_FOLDER, _FILES = "classifier", "artifacts/classifier"
_CODE = Path(__file__).with_name("tracking_classifier_code.py")
_KEY, _REGISTERED = "synthgen.downstream", "synthgen.registered"


@dataclass(frozen=True)
class Comparison:
    """What is written down.

    Attributes:
        key: of the content; a comparison that is in MLflow already is not logged again.
        name: of the dataset: the experiment, and the registered model with `-classifier` behind it.
        arms: metrics of each.
        settings: of each arm, what was chosen on valid.
        metrics: of the comparison.
        tags: lineage, on the run and on the registered version.
        chosen: the arm whose classifier is in the folder `model`.
    """

    key: str
    name: str
    arms: Mapping[str, Mapping[str, float]]
    settings: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    chosen: str
    model: Path


@dataclass(frozen=True)
class Tracked:
    """Where it is: the registered model's name and version, the id of the run; or why it is not there."""

    registered: Mapping[str, str] | None = None
    mlflow_run_id: str | None = None
    not_tracked: str | None = None


def track_comparison(comparison: Comparison, workspace: Workspace) -> Tracked:
    """Log and register the comparison; one that MLflow has already is found again."""
    try:
        client = client_of(workspace)
        experiment = experiment_of(client, workspace, redacted(comparison.name))
        known = client.search_runs([experiment], f"tags.`{_KEY}` = '{comparison.key}'", max_results=1)
        if known and known[0].info.status == "FINISHED":
            name, version = known[0].data.tags[_REGISTERED].rsplit("/", 1)
            return Tracked({"name": name, "version": version}, known[0].info.run_id)
        return _logged(client, experiment, comparison)
    except Exception as error:
        # Numbers and classifier lie in the workspace: a tracking store that fails must not cost them.
        reason = redacted(str(error) or type(error).__name__).splitlines()[0][:500]
        note = f"warning: MLflow failed, so the comparison is not, or not whole, in it: {reason}"
        logger.warning("%s", note, extra={"note": note})
        return Tracked(not_tracked=reason)


def _logged(client: "MlflowClient", experiment: str, comparison: Comparison) -> Tracked:
    parent = client.create_run(experiment, run_name="downstream", tags=dict(comparison.tags)).info.run_id
    for arm, numbers in comparison.arms.items():
        _log_arm(client, experiment, parent, arm, numbers, comparison.settings[arm])
    _log_metrics(client, parent, comparison.metrics)
    _upload(client, parent, comparison.model)
    name = f"{comparison.name}-classifier"
    version = _registered(client, name, parent, comparison)
    client.set_tag(parent, _REGISTERED, f"{name}/{version}")
    # Last: what is under this key is whole.
    client.set_tag(parent, _KEY, comparison.key)
    client.set_terminated(parent, "FINISHED")
    return Tracked({"name": name, "version": version}, parent)


def _log_arm(
    client: "MlflowClient",
    experiment: str,
    parent: str,
    arm: str,
    numbers: Mapping[str, float],
    settings: Mapping[str, Any],
) -> None:
    tags = {"mlflow.parentRunId": parent, "synthgen.arm": arm}
    child = client.create_run(experiment, run_name=arm, tags=tags).info.run_id
    for key, value in settings.items():
        client.log_param(child, key, value)
    _log_metrics(client, child, numbers)
    client.set_terminated(child, "FINISHED")


def _log_metrics(client: "MlflowClient", run_id: str, numbers: Mapping[str, float]) -> None:
    from mlflow.entities import Metric

    client.log_batch(run_id, metrics=[Metric(key, value, 0, 0) for key, value in numbers.items()])


def _registered(client: "MlflowClient", name: str, run_id: str, comparison: Comparison) -> str:
    from mlflow.exceptions import MlflowException

    # There since an earlier comparison, or since a moment ago by another process.
    with suppress(MlflowException):
        client.create_registered_model(name, tags={"synthgen.kind": "classifier"})
    source = f"{client.get_run(run_id).info.artifact_uri}/{_FOLDER}"
    tags = {**comparison.tags, "synthgen.arm": comparison.chosen}
    return str(client.create_model_version(name, source, run_id=run_id, tags=tags).version)


def _upload(client: "MlflowClient", run_id: str, model: Path) -> None:
    client.log_artifacts(run_id, str(model), f"{_FOLDER}/{_FILES}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / _CODE.name).write_text(_CODE.read_text(encoding="utf-8"), encoding="utf-8")
        (folder / "requirements.txt").write_text(f"synthgen=={__version__}\n", encoding="utf-8")
        environment = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
        (folder / "python_env.yaml").write_text(yaml.safe_dump(environment), encoding="utf-8")
        (folder / "MLmodel").write_text(yaml.safe_dump(_description()), encoding="utf-8")
        client.log_artifacts(run_id, scratch, _FOLDER)


def _description() -> dict[str, Any]:
    """The content of MLmodel, as `mlflow.pyfunc.save_model` writes it, without this machine's paths."""
    function = {
        "artifacts": {"classifier": {"path": _FILES, "uri": _FILES}},
        "code": None,
        "env": {"virtualenv": "python_env.yaml"},
        "loader_module": "mlflow.pyfunc.loaders.code_model",
        "model_code_path": _CODE.name,
        "python_version": platform.python_version(),
        "streamable": False,
    }
    return {"flavors": {"python_function": function}, "mlflow_version": metadata.version("mlflow")}
