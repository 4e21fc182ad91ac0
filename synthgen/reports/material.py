"""What the page needs beside the report's numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from synthgen.config import RunConfig
from synthgen.config_reading import parse_config
from synthgen.datasets import Data, Splits, load_data
from synthgen.errors import DataError
from synthgen.files import read_json
from synthgen.runs import Run


@dataclass(frozen=True)
class Material:
    """The data behind a report; the page shows aggregates of it and, of images, a few examples.

    Attributes:
        config: None for an audit of somebody's synthetic data.
        holdout: None when no real rows were held back.
        history: training numbers, one dict per tick.
        curation: counts of what curation dropped.
        dataset: where the dataset was emitted; None when it was not.
        seconds: of each stage.
        pictures: grids of images drawn while training, one file for each tick, in order.
        choice: the models that were compared on valid, and which was chosen.
    """

    config: RunConfig | None
    train: Data
    holdout: Data | None
    synthetic: Data
    history: Sequence[Mapping[str, float]] = ()
    curation: Mapping[str, object] = field(default_factory=dict)
    dataset: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    pictures: Sequence[Path] = ()
    choice: Mapping[str, Any] = field(default_factory=dict)

    @property
    def emitted(self) -> bool | None:
        """Whether a dataset was written; None when none was to be written."""
        return None if self.config is None else self.dataset is not None

    @property
    def real(self) -> Data:
        """Real rows to compare the synthetic ones with: the held-out ones if there are any."""
        return self.train if self.holdout is None else self.holdout


def material_from(config: RunConfig, run: Run, folders: Mapping[str, Path], seconds: Mapping[str, float]) -> Material:
    """What the page of a run needs, from the folders of its artifacts by stage."""
    splits = Splits.load(folders["split"])
    return Material(
        config=config,
        train=splits.train,
        holdout=splits.holdout,
        synthetic=load_data(folders["curate"] / "synthetic"),
        history=read_json(folders["fit"] / "history.json"),
        curation=read_json(folders["curate"] / "curation.json"),
        choice=read_json(folders["fit"] / "choice.json"),
        dataset=str(run.dataset) if run.dataset.exists() else None,
        seconds=seconds,
        pictures=sorted((folders["fit"] / "pictures").glob("*.png")),
    )


def material_of_run(run: Run) -> Material:
    """What the page of a finished run needs, from the artifacts in its workspace.

    Raises:
        DataError: an artifact is gone.
    """
    config = parse_config(yaml.safe_load((run.directory / "config.yaml").read_text(encoding="utf-8")))
    stages: Mapping[str, Mapping[str, Any]] = run.record().get("stages", {})
    artifacts = run.directory.absolute().parents[2] / "artifacts"
    folders = {name: artifacts / name / str(stage["key"]) for name, stage in stages.items()}
    for name in ("split", "fit", "curate"):
        if name not in folders or not folders[name].exists():
            message = f"the artifact of stage {name!r} of run {run.id!r} is not in its workspace"
            raise DataError(message, where=str(artifacts), hint="`synthgen run` with the same config makes it again")
    return material_from(config, run, folders, {name: float(stage["seconds"]) for name, stage in stages.items()})
