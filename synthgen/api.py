"""What a notebook needs: `augment` and `audit`."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from synthgen.auditing import audit_data
from synthgen.augmentation import run_augmentation
from synthgen.config import Profile, parse_config
from synthgen.errors import DataError, unknown_name
from synthgen.exporters import load_dataset
from synthgen.findings import Report
from synthgen.runs import Workspace, read_json


def augment(
    frame: pd.DataFrame, *, label: str, workspace: Path | str | None = None, **settings: Any
) -> tuple[pd.DataFrame, Report]:
    """The training rows with synthetic rows added (column `synthetic`), and the report that judges them.

    The frame comes back without synthetic rows when the gates refuse them; the report says why.
    Valid and holdout rows are held back; `load_dataset(report.provenance["dataset_dir"])` reads them
    when a `workspace` was given.

    Args:
        frame: labelled rows.
        label: the column to predict.
        workspace: where run, model and report are kept; a temporary folder when None.
        settings: sections of the configuration, for example `synthesizer={"kind": "ctgan", "budget_minutes": 1}`.

    Raises:
        DataError, ConfigError: see the message.
    """
    if label not in frame.columns:
        raise DataError(unknown_name("label column", label, map(str, frame.columns)))
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "frame.parquet"
        frame.to_parquet(source, index=False)
        raw = {"name": "augment", "source": {"kind": "table", "path": str(source), "label": label}, **settings}
        outcome = run_augmentation(parse_config(_with_source(raw, settings)), Workspace(Path(workspace or scratch)))
        report = Report.from_json(read_json(Path(outcome.report_json)))
        if outcome.dataset_dir is None:
            return frame.assign(synthetic=False), report
        return load_dataset(outcome.dataset_dir, "pandas"), report


def _with_source(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    extra = settings.get("source", {})
    base = {"kind": "table", **{k: raw["source"][k] for k in ("path", "label") if k in raw["source"]}}
    return {**raw, "source": {**base, **extra}}


def audit(
    train: pd.DataFrame | Path | str,
    synthetic: pd.DataFrame | Path | str,
    holdout: pd.DataFrame | Path | str | None = None,
    *,
    label: str | None = None,
    profile: Profile = "quick",
) -> Report:
    """The report on anybody's synthetic data: frames, or files and folders that a source can read.

    Without `holdout` nothing has a control: the verdict is NOT AUDITED.
    """
    return audit_data(train, synthetic, holdout, label=label, profile=profile)
