"""What a notebook needs: `augment` and `audit`."""

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from synthgen.auditing import Input, audit_data
from synthgen.augmentation import run_augmentation
from synthgen.config import Profile
from synthgen.config_reading import parse_audit_options, parse_config
from synthgen.errors import DataError, unknown_name
from synthgen.exporters import load_dataset
from synthgen.files import read_json
from synthgen.findings import Report
from synthgen.workspace import Workspace


def augment(
    frame: pd.DataFrame, *, label: str, workspace: Path | str | None = None, **settings: Any
) -> tuple[pd.DataFrame | None, Report]:
    """The training rows with synthetic rows added (column `synthetic`), and the report that judges them.

    None in place of the rows when the gates refuse them; the report says why. Valid and holdout rows are held
    back: with a `workspace` they are beside the training rows, see `load_dataset`.

    Args:
        frame: labelled rows.
        label: the column to predict.
        workspace: where run, model and report are kept; None keeps nothing.
        settings: sections of the configuration, for example `synthesizer={"kind": "ctgan", "budget_minutes": 1}`;
            `source` may name ids, group, protected columns and types.

    Raises:
        DataError: the frame cannot be used.
        ConfigError: a setting is not known or not allowed.
    """
    if label not in frame.columns:
        raise DataError(unknown_name("label column", label, map(str, frame.columns)), where="label")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "frame.parquet"
        frame.to_parquet(path, index=False)
        source = {"kind": "table", "path": str(path), "label": label, **settings.pop("source", {})}
        config = parse_config({"name": "augment", **settings, "source": source})
        outcome = run_augmentation(config, Workspace.at(workspace or scratch))
        report = Report.from_json(read_json(Path(outcome.report_json)))
        rows = load_dataset(outcome.dataset_dir) if outcome.dataset_dir else None
    return rows, report


def audit(
    train: Input,
    synthetic: Input,
    holdout: Input | None = None,
    *,
    label: str | None = None,
    profile: Profile = "quick",
    **options: Any,
) -> Report:
    """The report on anybody's synthetic data: frames, table files, or image folders, npz, zip files and manifests.

    A file may lie behind an address such as `s3://`: it is copied to the workspace that SYNTHGEN_WORKSPACE names.

    Without `holdout` nothing has a control: the verdict is NOT AUDITED.

    Args:
        label: the column to predict; None leaves utility out.
        options: group, ids, drop, protected, secrets (column names), types (kind by column), purpose, gates, max_rows,
            seed, series (slices or volume, of DICOM).
    """
    return audit_data(train, synthetic, holdout, parse_audit_options({"label": label, "profile": profile, **options}))[
        0
    ]
