"""The evaluation of a run for anybody's synthetic data: no config, no training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from synthgen.config import EVALUATION_SIZES, ColumnKind, ImageSource, Profile
from synthgen.datasets import Data, ImageSet, Schema, Table
from synthgen.errors import DataError, UsageError, name_list, unknown_name
from synthgen.findings import Finding, NotMeasured, Problem, Report
from synthgen.gates import judge, rules_for, verdict_of
from synthgen.metrics import Evaluation, Modality, measure, metrics_of
from synthgen.reports import Material
from synthgen.runs import provenance
from synthgen.sources import read
from synthgen.sources.coercion import coerce_like
from synthgen.sources.columns import is_near_unique
from synthgen.sources.frames import read_frame
from synthgen.sources.kinds import infer_kind, plain_dtype

_TABLE_SUFFIXES = (".csv", ".gz", ".parquet", ".tsv", ".txt")
Input = pd.DataFrame | Path | str


def audit_data(
    train: Input, synthetic: Input, holdout: Input | None, *, label: str | None, profile: Profile
) -> tuple[Report, Material]:
    """The report on `synthetic`, and what its page needs.

    Args:
        train: the real rows that the generator has seen; a frame, a table file, or an image folder, npz or zip.
        holdout: real rows that it has not seen; None makes every verdict NOT AUDITED, for want of a control.
        label: column to predict, for a table; None leaves utility out.

    Raises:
        DataError: a file cannot be read, or the three do not have the same columns or classes.
        UsageError: tables and images are mixed.
    """
    real = _load(train, "train", label)
    others = [_load_like(item, real, name) for item, name in ((synthetic, "synthetic"), (holdout, "holdout"))]
    made_up, held_out = others
    assert made_up is not None
    modality: Modality = "table" if isinstance(real, Table) else "images"
    findings, missing = _measured(real, made_up, held_out, modality, profile)
    rules = rules_for(modality, "share", profile=profile)
    judgements = judge(rules, findings, missing, holdout_given=held_out is not None)
    facts = {
        **provenance(),
        "name": "audit",
        "profile": profile,
        "data_sha256": real.fingerprint(),
        "real_rows": len(real),
        "synthetic_sha256": made_up.fingerprint(),
        "synthetic_rows": len(made_up),
    }
    report = Report(verdict_of(judgements), findings, judgements, missing, _problems(real), facts)
    return report, Material(config=None, train=real, holdout=held_out, synthetic=made_up)


def _measured(
    train: Data, synthetic: Data, holdout: Data | None, modality: Modality, profile: Profile
) -> tuple[list[Finding], list[NotMeasured]]:
    if holdout is None:
        reason = "no held-out real rows were given, so there is no control"
        return [], [NotMeasured(name, metric.family, reason) for name, metric in metrics_of(modality, profile).items()]
    probe = synthetic if isinstance(synthetic, Table) else None
    evaluation = Evaluation(train, holdout, synthetic, EVALUATION_SIZES[profile], probe=probe)
    return measure(evaluation, modality)


def _load(item: Input, name: str, label: str | None) -> Data:
    if isinstance(item, pd.DataFrame):
        return _guessed_table(item, name, label)
    path = Path(item)
    if path.suffix.lower() in _TABLE_SUFFIXES:
        return _guessed_table(read_frame(path), path.name, label)
    return read(ImageSource(kind="images", path=str(path)), seed=0).data


def _load_like(item: Input | None, real: Data, name: str) -> Data | None:
    if item is None:
        return None
    if isinstance(real, Table):
        if not isinstance(item, pd.DataFrame) and Path(item).suffix.lower() not in _TABLE_SUFFIXES:
            raise UsageError(f"{name} {str(item)!r} is no table, but train is", where=name)
        frame = item if isinstance(item, pd.DataFrame) else read_frame(Path(item))
        return coerce_like(frame, real, name=name)
    other = _load(item, name, None)
    if not isinstance(other, ImageSet):
        raise UsageError(f"{name} is a table, but train is a set of images", where=name)
    return _same_classes(other, real, name)


def _guessed_table(frame: pd.DataFrame, name: str, label: str | None) -> Table:
    """The frame as a table; a text column with almost only different values is taken for an id."""
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1).reset_index(drop=True)
    if label is not None and label not in frame.columns:
        raise DataError(unknown_name(f"label column of {name!r}", label, frame.columns), where="--label")
    columns = {column: plain_dtype(frame[column], name) for column in frame.columns}
    kinds: dict[str, ColumnKind] = {column: infer_kind(values) for column, values in columns.items()}
    for column, values in columns.items():
        if kinds[column] == "categorical" and is_near_unique(values):
            kinds[column] = "id"
    if label is not None:
        kinds[label] = "boolean" if kinds[label] == "boolean" else "categorical"
        if missing := int(columns[label].isna().sum()):
            raise DataError(f"label column {label!r} of {name!r} is missing in {missing:,} rows", where="--label")
    return Table(pd.DataFrame(columns), Schema(kinds, label))


def _same_classes(other: ImageSet, real: ImageSet, name: str) -> ImageSet:
    if other.images.shape[1:] != real.images.shape[1:] or other.images.dtype != real.images.dtype:
        shapes = f"{other.images.dtype} {other.images.shape[1:]}, train {real.images.dtype} {real.images.shape[1:]}"
        raise DataError(f"{name} has images of {shapes} [channels, height, width]; they must be equal", where=name)
    unknown = [item for item in other.classes if item not in real.classes]
    if unknown:
        known = name_list(real.classes)
        raise DataError(f"{name} has class {name_list(unknown)}, which train does not have ({known})", where=name)
    codes = np.array([real.classes.index(item) for item in other.classes], dtype=np.int64)[other.codes]
    return replace(other, codes=codes, classes=real.classes)


def _problems(real: Data) -> list[Problem]:
    if not isinstance(real, Table):
        return []
    ids = [column for column, kind in real.schema.kinds.items() if kind == "id"]
    return [Problem("guess", f"columns {name_list(ids)} were taken for ids: almost every value differs")] if ids else []
