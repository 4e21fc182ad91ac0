"""Train, synthetic and holdout of an audit, read alike: what a column is, is guessed from train unless it is said."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from synthgen.auditing.classes import missing_classes
from synthgen.auditing.columns import guessed_table, left_out, require_known_columns, same_columns
from synthgen.auditing.images import Given, image_sets
from synthgen.auditing.overlap import SEEN, overlap
from synthgen.config import AuditOptions
from synthgen.datasets import Data, ImageSet, Table
from synthgen.errors import DataError, UsageError
from synthgen.findings import Problem
from synthgen.remote import address_of, is_elsewhere, read_text, shown
from synthgen.sources import coerce_like
from synthgen.sources.frames import read_frame_with_problems
from synthgen.sources.layouts import local_source, path_column_of
from synthgen.sources.tables import MIN_ROWS
from synthgen.splitting import shared_groups
from synthgen.stats import named_rng
from synthgen.workspace import Workspace

Input = pd.DataFrame | Path | str

_TABLE_SUFFIXES = (".csv", ".gz", ".parquet", ".tsv", ".txt")


@dataclass(frozen=True)
class Inputs:
    """The data of an audit, brought to train's columns or classes, and what a person should know about the reading.

    Attributes:
        no_control: why there is no holdout, where there is none.
    """

    train: Data
    synthetic: Data
    holdout: Data | None
    problems: list[Problem]
    no_control: str = "no held-out real rows were given, so there is no control"

    def hashes(self) -> dict[str, str]:
        """What `report.json` and `run.json` know each set by, whatever options the audit has."""
        sets = {"data": self.train, "synthetic": self.synthetic, "holdout": self.holdout}
        return {f"{name}_sha256": _bare(data).data_sha256() for name, data in sets.items() if data is not None}


def read_inputs(items: Mapping[str, Input], options: AuditOptions, downloads: Path | None = None) -> Inputs:
    """Read `train`, `synthetic` and, if it is there, `holdout`.

    Args:
        downloads: folder for copies of what lies behind an address; None: that of the workspace in the environment.

    Raises:
        DataError: a file cannot be read, or the sets do not have the same columns or classes.
        UsageError: tables and images are mixed, or an option names a column that is not there.
    """
    items = {name: _local(item, name, downloads) for name, item in items.items()}
    frames = {name: _frame(item, name, options) for name, item in items.items() if _is_tabular(item)}
    paths = {name: _path_column(items[name], frame, options) for name, (frame, _) in frames.items()}
    manifests = {
        name: Given(Path(str(items[name])), frames[name][0], column) for name, column in paths.items() if column
    }
    tables = {name: name in frames and name not in manifests for name in items}
    odd = [name for name, is_table in tables.items() if is_table != tables["train"]]
    if odd:
        kinds = ("a table", "a set of images") if tables["train"] else ("a set of images", "a table")
        raise UsageError(f"train is {kinds[0]}, but {odd[0]} is {kinds[1]}", where=odd[0])
    if tables["train"]:
        if options.series is not None:
            raise UsageError(f"'series' is for images, but {', '.join(tables)} are tables", where="series")
        return _checked(_tables(items, frames, options))
    given = {name: manifests.get(name) or Given(Path(str(item))) for name, item in items.items()}
    sets, problems = image_sets(given, options)
    notices = [problem for name in manifests for problem in frames[name][1]]
    return _checked(Inputs(sets["train"], sets["synthetic"], sets.get("holdout"), [*notices, *problems]))


def _bare(data: Data) -> Data:
    """Images without attributes, of which an audit reads no others than the protected ones."""
    return replace(data, attributes=None) if isinstance(data, ImageSet) else data


def _checked(inputs: Inputs) -> Inputs:
    """With a notice of classes that are missing, and of held-out rows that were trained on; without most of them."""
    problems = [*inputs.problems, *missing_classes(inputs.train, inputs.synthetic)]
    if inputs.holdout is None:
        return replace(inputs, problems=problems)
    shared = overlap(inputs.train, inputs.holdout)
    inputs = replace(inputs, problems=[*problems, *shared.problems])
    return replace(inputs, holdout=None, no_control=SEEN) if shared.is_no_control else inputs


def _local(item: Input, name: str, downloads: Path | None) -> Input:
    if isinstance(item, pd.DataFrame):
        return item
    path = local_source(item, downloads or Workspace.at().downloads)
    own, other = ("synthetic", "real") if name == "synthetic" else ("real", "synthetic")
    if strays := _counted(path, item, other):
        message = f"{name} {shown(item)!r} holds {strays:,} {other} images beside the {own} ones"
        raise DataError(message, where=name, hint=f"give the index.parquet beside it: only the {own} images are read")
    return path


def _is_tabular(item: Input) -> bool:
    return isinstance(item, pd.DataFrame) or Path(item).suffix.lower() in _TABLE_SUFFIXES


def _path_column(item: Input, frame: pd.DataFrame, options: AuditOptions) -> str | None:
    """Of a manifest of images; None of a table."""
    if isinstance(item, pd.DataFrame):
        return None
    column = path_column_of(frame, Path(item))
    # Who says what this column of a table is, or wants it left out, wants no images.
    return None if column in {*options.ids, *options.drop, *options.types} else column


def _tables(
    items: Mapping[str, Input], given: Mapping[str, tuple[pd.DataFrame, list[Problem]]], options: AuditOptions
) -> Inputs:
    frames: dict[str, pd.DataFrame] = {}
    problems: list[Problem] = []
    for name, (frame, found) in given.items():
        frame = frame.set_axis([str(column) for column in frame.columns], axis=1).reset_index(drop=True)
        frames[name], notices = left_out(frame, name, options)
        problems += [*found, *notices]
    require_known_columns(frames, options)
    frames = {name: frame.drop(columns=list(options.drop), errors="ignore") for name, frame in frames.items()}
    for name, frame in frames.items():
        if 0 < len(frame) < MIN_ROWS:
            message = f"{name} has {len(frame)} rows, at least {MIN_ROWS} are needed"
            raise DataError(message, where=name)
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


def _counted(folder: Path, given: Path | str, kind: str) -> int:
    """Real or synthetic images in a folder of an emitted dataset, as its manifest counts them; 0 without one."""
    if not folder.is_dir():
        return 0
    try:
        # Beside the folder where it lies: a copy from an address stands alone.
        text = (
            read_text(f"{address_of(given).rstrip('/').rpartition('/')[0]}/manifest.json")
            if is_elsewhere(given)
            else (folder.parent / "manifest.json").read_text(encoding="utf-8")
        )
        return int(json.loads(text)["parts"][folder.name][kind])
    except (DataError, OSError, ValueError, LookupError, TypeError, RecursionError):
        return 0  # none, or somebody else's file of that name
