"""Train, synthetic and holdout of an audit, read alike: what a column is, is guessed from train unless it is said."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from synthgen.auditing.columns import guessed_table, left_out, require_known_columns, same_columns
from synthgen.config import AuditOptions, ImageSource
from synthgen.datasets import Data, ImageSet, Table
from synthgen.errors import DataError, UsageError, name_list
from synthgen.findings import Problem
from synthgen.remote import address_of, is_elsewhere, local_copy, read_text, shown
from synthgen.sources import coerce_like, read
from synthgen.sources.frames import read_frame_with_problems
from synthgen.splitting import shared_groups
from synthgen.stats import named_rng
from synthgen.workspace import Workspace

Input = pd.DataFrame | Path | str

_TABLE_SUFFIXES = (".csv", ".gz", ".parquet", ".tsv", ".txt")


@dataclass(frozen=True)
class Inputs:
    """The data of an audit, brought to train's columns or classes, and what a person should know about the reading."""

    train: Data
    synthetic: Data
    holdout: Data | None
    problems: list[Problem]


def read_inputs(items: Mapping[str, Input], options: AuditOptions, downloads: Path | None = None) -> Inputs:
    """Read `train`, `synthetic` and, if it is there, `holdout`.

    Args:
        downloads: folder for copies of what lies behind an address; None: that of the workspace in the environment.

    Raises:
        DataError: a file cannot be read, or the sets do not have the same columns or classes.
        UsageError: tables and images are mixed, or an option names a column that is not there.
    """
    items = {name: _local(item, name, downloads) for name, item in items.items()}
    tables = {name: _is_table(item) for name, item in items.items()}
    odd = [name for name, is_table in tables.items() if is_table != tables["train"]]
    if odd:
        kinds = ("a table", "a set of images") if tables["train"] else ("a set of images", "a table")
        raise UsageError(f"train is {kinds[0]}, but {odd[0]} is {kinds[1]}", where=odd[0])
    return _tables(items, options) if tables["train"] else _images(items, options)


def _local(item: Input, name: str, downloads: Path | None) -> Input:
    if isinstance(item, pd.DataFrame):
        return item
    path = local_copy(item, downloads or Workspace.at().downloads)
    made_up = 0 if name == "synthetic" else _made_up(path, item)
    if made_up:
        message = f"{name} {shown(item)!r} holds {made_up:,} synthetic images beside the real ones"
        raise DataError(message, where=name, hint="copy its real-*.png, by class, and name that folder")
    return path


def _is_table(item: Input) -> bool:
    return isinstance(item, pd.DataFrame) or Path(item).suffix.lower() in _TABLE_SUFFIXES


def _tables(items: Mapping[str, Input], options: AuditOptions) -> Inputs:
    frames: dict[str, pd.DataFrame] = {}
    problems: list[Problem] = []
    for name, item in items.items():
        frame, found = _frame(item, name, options)
        frame = frame.set_axis([str(column) for column in frame.columns], axis=1).reset_index(drop=True)
        frames[name], notices = left_out(frame, name, options)
        problems += [*found, *notices]
    require_known_columns(frames, options)
    frames = {name: frame.drop(columns=list(options.drop), errors="ignore") for name, frame in frames.items()}
    train, guesses = guessed_table(frames.pop("train"), _file_name(items["train"], "train"), options)
    others = {name: _like_train(frame, train, name) for name, frame in frames.items()}
    if "holdout" in others:
        _require_other_groups(others["holdout"], train)
    return Inputs(train, others["synthetic"], others.get("holdout"), [*problems, *guesses])


def _require_other_groups(holdout: Table, train: Table) -> None:
    if train.schema.group is not None and train.schema.group not in holdout.frame:
        raise DataError(f"holdout lacks the group column {train.schema.group!r}, which train has", where="holdout")
    shared = shared_groups(train, holdout)
    if shared:
        message = f"{shared:,} groups of column {train.schema.group!r} stand in train and in holdout"
        hint = "a control of rows that belong to training rows proves nothing: cut whole groups"
        raise DataError(message, where="holdout", hint=hint)


def _like_train(frame: pd.DataFrame, train: Table, name: str) -> Table:
    same_columns(frame, train, name)
    return coerce_like(frame, train, name=name)


def _frame(item: Input, name: str, options: AuditOptions) -> tuple[pd.DataFrame, list[Problem]]:
    if isinstance(item, pd.DataFrame):
        return item, []
    rng = named_rng(options.seed, f"audit/{name}")
    frame, problems = read_frame_with_problems(
        Path(item), delimiter=None, encoding=None, max_rows=options.max_rows, rng=rng
    )
    hint = "raise --max-rows; a copy of a row that was not drawn is not found"
    return frame, [
        replace(problem, severity="warning", hint=hint) if problem.kind == "sampled_rows" else problem
        for problem in problems
    ]


def _file_name(item: Input, name: str) -> str:
    return name if isinstance(item, pd.DataFrame) else Path(item).name


def _images(items: Mapping[str, Input], options: AuditOptions) -> Inputs:
    given = [name for name in ("label", "ids", "drop", "protected", "secrets", "types") if getattr(options, name)]
    if given:
        raise UsageError(f"images have no columns, but {name_list(given)} was given", where=given[0])
    sets = _on_one_scale({name: _image_set(Path(str(item))) for name, item in items.items()})
    train = sets["train"]
    others = {name: _same_classes(other, train, name) for name, other in sets.items() if name != "train"}
    return Inputs(train, others["synthetic"], others.get("holdout"), [])


def _image_set(path: Path) -> ImageSet:
    data = read(ImageSource(kind="images", path=str(path)), seed=0).data
    assert isinstance(data, ImageSet)
    return data


def _on_one_scale(sets: Mapping[str, ImageSet]) -> dict[str, ImageSet]:
    """Pixels that mean the same number in every set: each has its own offset where scans have negative numbers."""
    scans = [data.scan for data in sets.values() if data.scan is not None]
    lowest = min((scan.offset for scan in scans), default=0)
    return {name: _shifted(data, lowest) for name, data in sets.items()}


def _shifted(data: ImageSet, offset: int) -> ImageSet:
    own = 0 if data.scan is None else data.scan.offset
    if own == offset or data.images.dtype == np.uint8:
        return data
    # An offset is -32,768 at the least, and then no number is above 32,767.
    images = np.clip(data.images.astype(np.int32) + (own - offset), 0, 65_535).astype(np.uint16)
    return replace(data, images=images, scan=None if data.scan is None else replace(data.scan, offset=offset))


def _made_up(folder: Path, given: Path | str) -> int:
    """Synthetic images in a folder of an emitted dataset, as its manifest counts them; 0 without one."""
    if not folder.is_dir():
        return 0
    try:
        # Beside the folder where it lies: a copy from an address stands alone.
        text = (
            read_text(f"{address_of(given).rstrip('/').rpartition('/')[0]}/manifest.json")
            if is_elsewhere(given)
            else (folder.parent / "manifest.json").read_text(encoding="utf-8")
        )
        return int(json.loads(text)["parts"][folder.name]["synthetic"])
    except (DataError, OSError, ValueError, LookupError, TypeError, RecursionError):
        return 0  # none, or somebody else's file of that name


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
