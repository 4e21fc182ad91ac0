"""What `synthgen init` proposes for a dataset: a config that can be run as it is, with the reason for every choice."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from synthgen.config import ImageSource, TableSource
from synthgen.datasets import ImageSet, Ingested, Schema, Table, class_counts
from synthgen.errors import DataError, name_list
from synthgen.estimates import Size
from synthgen.sources.constraint_proposals import propose_constraints
from synthgen.sources.frames import first_bytes, read_frame_with_problems
from synthgen.sources.header import require_column
from synthgen.sources.image_problems import MAX_SIDE, IntensityError, SizeError
from synthgen.sources.images import read_images
from synthgen.sources.layouts import path_column_of
from synthgen.sources.proposal_text import Proposal, class_line, comment, entry, render, scalar
from synthgen.sources.roles import Roles, guess_roles
from synthgen.sources.table_problems import leaking_columns
from synthgen.sources.tables import ingest_frame
from synthgen.stats import named_rng

TRAIN_SHARE = 0.6
# Above the key; what each value of it needs said.
_INTENSITY: Mapping[str, str] = {
    "keep": "keep the numbers, or stretch those of each file over 16 bits.",
    "stretch": "The numbers are no whole ones of 8 or 16 bits: those of each file are stretched over 16 bits.",
}
MAX_ROWS: int = TableSource.model_fields["max_rows"].default


def propose(path: Path, *, label: str) -> str:
    """The text of a commented YAML config for a table, image folder, npz, zip or manifest.

    Args:
        label: the label column of a table or manifest; images in class folders or an npz have none.

    Raises:
        DataError: there is no such file, or the data cannot be used whatever the config says.
    """
    if path.is_dir() or first_bytes(path).startswith(b"PK"):
        return _propose_images(path, ImageSource(kind="images", path=str(path)), Roles())
    frame, problems = read_frame_with_problems(
        path, delimiter=None, encoding=None, max_rows=MAX_ROWS, rng=named_rng(0, "source/rows")
    )
    columns = [str(name) for name in frame.columns]
    require_column("label", label, columns, path.name)
    path_column = path_column_of(frame, path)
    if path_column is not None:
        roles = guess_roles(frame.drop(columns=path_column), label)
        group, part = roles.group, roles.split_column
        if group and part and frame.groupby(group)[part].nunique().max() > 1:
            # It would be refused: the same patients stand on two sides.
            roles.split_column = None
        source = ImageSource(kind="images", path=str(path), label=label, path_column=path_column, group=roles.group)
        return _propose_images(path, source, roles)
    return _propose_table(path, frame, label, [problem.message for problem in problems])


def _propose_table(path: Path, frame: pd.DataFrame, label: str, found: Sequence[str]) -> str:
    roles = guess_roles(frame, label)
    table, parts = _read_as(path, frame, label, roles)
    leaks = leaking_columns(table)
    if leaks:
        roles.drop_leaks(leaks)
        table, parts = _read_as(path, frame, label, roles)
    remarks = ["Rows to learn from, to choose by, and to judge on; stratified by label, equal rows on one side."]
    if roles.split_column:
        remarks = _given_split(roles.split_column)
    return render(
        Proposal(
            path=path,
            content=f"{len(frame):,} rows of {len(frame.columns)} columns",
            source=_table_section(path, roles, table, found),
            split_remarks=remarks,
            split_column=roles.split_column,
            train=_train_counts(table, parts),
            size=Size.of(table, len(table)),
        )
    )


def _given_split(column: str) -> list[str]:
    return [
        f"Column {column!r} names the split, so that numbers compare with published ones.",
        "Where it names no valid part, that is cut from train. null: our own split by the shares below.",
    ]


def _read_as(path: Path, frame: pd.DataFrame, label: str, roles: Roles) -> tuple[Table, Ingested]:
    source = TableSource(
        kind="table", path=str(path), label=label, group=roles.group, ids=tuple(roles.ids), drop=tuple(roles.drop),
        protected=tuple(roles.protected), types=dict(roles.types),
    )  # fmt: skip
    ingested = ingest_frame(frame, source, split_column=roles.split_column)
    assert isinstance(ingested.data, Table)
    return ingested.data, ingested


def _table_section(path: Path, roles: Roles, table: Table, remarks: Sequence[str]) -> list[str]:
    group = (
        roles.because([roles.group]) if roles.group else ["No column looks like a person or case with several rows."]
    )
    return [
        *entry("kind", "table"),
        *entry("path", str(path)),
        *entry("label", table.schema.label, class_line(class_counts(table))),
        *entry("group", roles.group, "Rows of one group stay in one part of the split.", *group),
        *entry("ids", roles.ids, *(roles.because(roles.ids) or ["No column identifies rows; none is synthesised."])),
        *entry("drop", roles.drop, *(roles.because(roles.drop) or ["Columns that nobody should learn."])),
        *entry("protected", roles.protected, "Is anybody treated worse afterwards?", *roles.because(roles.protected)),
        *entry("secrets", [], "What must not be inferred about a person, for example a diagnosis or a salary."),
        *entry("types", roles.types, *_kind_lines(table.schema), *roles.because(roles.types)),
        *_constraint_lines(table),
        *entry("max_rows", MAX_ROWS, "Of a longer file so many random rows are used; null: all of them.", *remarks),
        *entry("delimiter", None, "null: found by itself, as is the encoding; both matter for CSV only."),
        *entry("encoding", None),
    ]


def _constraint_lines(table: Table) -> list[str]:
    remark = "What every real row keeps: fixed_combinations, implied, inequality, formula; or every draw: unique."
    proposals = propose_constraints(table)
    if not proposals:
        return entry("constraints", [], remark, "No rule between columns holds in all rows beyond doubt.")
    lines = [*comment(f"{remark} Leave out what holds by accident."), "  constraints:"]
    for proposal in proposals:
        rule = proposal.constraint.model_dump(exclude_defaults=True)
        lines += [*(f"  {line}" for line in comment(proposal.reason)), f"    - {scalar(rule)}"]
    return lines


def _kind_lines(schema: Schema) -> list[str]:
    columns = sorted((schema.kinds[name], name) for name in schema.features)
    lines = [
        "Kinds that were found; name a column here to overrule (numeric, integer, categorical, boolean, datetime):"
    ]
    for kind, members in groupby(columns, key=lambda item: item[0]):
        names = [name for _, name in members]
        lines.append(f"  {kind} ({len(names)}): {name_list(names, at_most=60)}")
    return lines


def _train_counts(data: Table | ImageSet, ingested: Ingested) -> Mapping[str, int]:
    if ingested.parts is None:
        return {name: round(TRAIN_SHARE * count) for name, count in class_counts(data).items()}
    train = class_counts(data.take(np.flatnonzero(ingested.parts == "train")))
    # Valid is cut out of train when the given split has none.
    kept = 1.0 if np.any(ingested.parts == "valid") else TRAIN_SHARE / (TRAIN_SHARE + 0.2)
    return {name: round(kept * train.get(name, 0)) for name in data.classes}


def _propose_images(path: Path, source: ImageSource, roles: Roles) -> str:
    source, ingested, remarks = _readable(source, roles.split_column)
    data = ingested.data
    assert isinstance(data, ImageSet)
    sides, noun = data.images.shape[:1:-1], "volumes" if data.is_volumes else "images"
    split = ["Shares of each class to learn from, to choose by, and to judge on; equal images on one side."]
    if roles.split_column:
        split = _given_split(roles.split_column)
    elif ingested.parts is not None:
        names = ", ".join(f"{name} {int(np.sum(ingested.parts == name)):,}" for name in np.unique(ingested.parts))
        split = [f"The data bring their own split, which is kept ({names}); valid is cut from train if it has none."]
    return render(
        Proposal(
            path=path,
            content=f"{len(data):,} {noun} of {' x '.join(map(str, sides))} pixels",
            source=_image_section(source, data, remarks, roles),
            split_remarks=split,
            split_column=roles.split_column,
            train=_train_counts(data, ingested),
            megabytes=data.images.nbytes / 2**20,
            side=max(sides),
            export_format=data.file_format,
        )
    )


def _image_section(source: ImageSource, data: ImageSet, size_remarks: list[str], roles: Roles) -> list[str]:
    grouped = roles.because([source.group]) if source.group else ["Name that of patients, if there is one."]
    colour = "RGB" if data.images.shape[1] == 3 else "grey"
    return [
        *entry("kind", "images"),
        *entry("path", source.path),
        *entry("label", source.label, class_line(class_counts(data)), "The label column, if this is a manifest."),
        *entry("path_column", source.path_column, "The column of file paths, if this is a manifest."),
        *entry("group", source.group, "The column of a manifest whose images stay in one part of the split.", *grouped),
        *entry("size", source.size, *size_remarks),
        *entry("fit", source.fit, "error: all files must have one size; else resize (stretch), crop or pad."),
        *entry("channels", source.channels, f"The images are {colour}; keep, grey or rgb."),
        *(_scan_entries(source) if data.scan is not None else []),
        *entry("mirror_keeps_label", False, "true if a mirrored image is still one of its class: not for digits."),
    ]


def _scan_entries(source: ImageSource) -> list[str]:
    return [
        *entry("series", source.series, "What the slices of a DICOM series become: slices (images), or one volume."),
        *entry("intensity", source.intensity, _INTENSITY[source.intensity]),
    ]


def _readable(source: ImageSource, split_column: str | None) -> tuple[ImageSource, Ingested, list[str]]:
    """The source with the fit and the intensity that it needs, what it reads, and what to say about the size."""
    remark = "null: the size that the images have."
    while True:
        try:
            return source, read_images(source, split_column=split_column), [remark]
        except SizeError as error:
            if source.fit == error.fit:
                raise
            source = source.model_copy(update={"fit": error.fit, "size": error.size})
            done = "scaled and padded" if error.fit == "pad" else "resized"
            remark = f"{error.message}: they are {done} to {error.size} x {error.size}; {MAX_SIDE} at most."
        except DataError as error:
            if source.intensity == "stretch" or not all(isinstance(one, IntensityError) for one in error.problems):
                raise
            source = source.model_copy(update={"intensity": "stretch"})
