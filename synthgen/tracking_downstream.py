"""A comparison of classifiers in MLflow: a run with a child for each arm, and the chosen classifier in the registry."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgen.redaction import redacted
from synthgen.tracking import client_of, experiment_of
from synthgen.tracking_content import log_numbers
from synthgen.tracking_models import ModelFolder, add_version, ensure_registered_name, upload_model
from synthgen.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

_MODEL = ModelFolder("classifier", "classifier", Path(__file__).with_name("tracking_classifier_code.py"))
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
    log_numbers(client, parent, comparison.metrics)
    upload_model(client, parent, comparison.model, _MODEL)
    name = f"{comparison.name}-classifier"
    ensure_registered_name(client, name, _MODEL.kind)
    version = add_version(client, name, parent, _MODEL, {**comparison.tags, "synthgen.arm": comparison.chosen})
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
    log_numbers(client, child, numbers)
    client.set_terminated(child, "FINISHED")
