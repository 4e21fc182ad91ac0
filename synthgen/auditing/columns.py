"""The columns of an audited table: which are used, and what each of them is."""

from collections.abc import Mapping, Sequence

import pandas as pd

from synthgen.config import AuditOptions, ColumnKind
from synthgen.datasets import Schema, Table
from synthgen.errors import DataError, UsageError, name_list, unknown_name
from synthgen.findings import Problem
from synthgen.sources.columns import check_category_count, check_column, check_numbers_as_text, is_near_unique
from synthgen.sources.kinds import convert, infer_kind, plain_dtype
from synthgen.sources.roles import numbers_the_rows
from synthgen.sources.tables import typed_label

# The mark of made-up rows in a dataset that synthgen emitted.
MARK = "synthetic"


def left_out(frame: pd.DataFrame, name: str, options: AuditOptions) -> tuple[pd.DataFrame, list[Problem]]:
    """The rows that belong to this set, without the mark of an emitted dataset, and a notice of what went.

    A boolean column `synthetic` marks the made-up rows: train and holdout keep the others, synthetic keeps these.
    A table whose own column has that name says so by its type.
    """
    if MARK not in frame or not pd.api.types.is_bool_dtype(frame[MARK].dtype) or MARK in _named(options):
        return frame, []
    marked = frame[MARK].fillna(False).to_numpy(dtype=bool)
    kept = marked if name == "synthetic" else ~marked
    rows = frame.loc[kept].drop(columns=MARK).reset_index(drop=True)
    if rows.empty:
        wanted = "made up" if name == "synthetic" else "real"
        raise DataError(f"column {MARK!r} of {name} marks no row as {wanted}", where=name, hint=_own_column())
    if kept.all():
        return rows, []
    kind = "real" if name == "synthetic" else "synthetic"
    message = f"column {MARK!r} of {name} marks {int((~kept).sum()):,} rows as {kind}: they were left out"
    return rows, [Problem("marked_rows", message, "warning", MARK, _own_column())]


def _own_column() -> str:
    return f"if {MARK!r} is a column of your own, say --type {MARK}=boolean"


def _named(options: AuditOptions) -> set[str]:
    listed = {*options.ids, *options.drop, *options.protected, *options.secrets, *options.types}
    roles = {name for name in (options.label, options.group) if name is not None}
    return listed | roles


def require_known_columns(frames: Mapping[str, pd.DataFrame], options: AuditOptions) -> None:
    """Raise UsageError for an option that names no column of train, or gives a column two roles that exclude."""
    every = list(dict.fromkeys(str(name) for frame in frames.values() for name in frame.columns))
    columns = [str(name) for name in frames["train"].columns]
    label, group = ([name] if name is not None else [] for name in (options.label, options.group))
    roles: Mapping[str, Sequence[str]] = {
        "label": label, "group": group, "id": options.ids, "protected": options.protected, "secret": options.secrets,
        "type": list(options.types),
    }  # fmt: skip
    for role, names in roles.items():
        for name in names:
            if name not in columns:
                raise UsageError(unknown_name(f"{role} column", name, columns), where=f"--{role}")
    for name in options.drop:
        if name not in every:
            raise UsageError(unknown_name("column to drop", name, every), where="--drop")
    if label and label == group:
        raise UsageError(f"column {options.label!r} is both label and group", where="--group")
    unused = {**dict.fromkeys(_ids(options), "an id"), **dict.fromkeys(options.drop, "dropped")}
    for role in ("label", "group", "protected", "secret"):
        for name in set(roles[role]) & set(unused):
            raise UsageError(f"column {name!r} is {unused[name]}, so it cannot be {role}", where=f"--{role}")


def _ids(options: AuditOptions) -> list[str]:
    return [*options.ids, *(name for name, kind in options.types.items() if kind in ("id", "text"))]


def same_columns(frame: pd.DataFrame, train: Table, name: str) -> None:
    """Raise DataError when the frame lacks a column that is compared, or has one that train lacks."""
    missing = [column for column in train.schema.modelled if column not in frame]
    extra = [column for column in map(str, frame.columns) if column not in train.schema.kinds]
    if missing or extra:
        lacks = f"lacks column {name_list(missing)}, which train has" if missing else ""
        has = f"has column {name_list(extra)}, which train lacks" if extra else ""
        first = [*missing, *extra][0]
        hint = f"--drop {first!r} leaves a column out of all files; nothing is then measured about it"
        raise DataError(f"{name} {' and '.join(filter(None, (lacks, has)))}", where=name, hint=hint)
    for column, kind in train.schema.kinds.items():
        if column in frame and kind in ("numeric", "integer") and pd.api.types.is_numeric_dtype(frame[column].dtype):
            check_column(frame[column], kind, declared=True, file=name)
    if (label := train.schema.label) is not None and (unlabelled := int(frame[label].isna().sum())):
        message = f"label column {label!r} of {name!r} is missing in {unlabelled:,} of {len(frame):,} rows"
        raise DataError(message, where=name, hint="remove these rows, or give them a class")


def guessed_table(frame: pd.DataFrame, file: str, options: AuditOptions) -> tuple[Table, list[Problem]]:
    """Train with a kind for each column, and what was guessed: a column of one value per row is taken for an id."""
    kinds: dict[str, ColumnKind] = {}
    columns: dict[str, pd.Series] = {}
    guessed: list[str] = []
    for name in frame.columns:
        column, declared = plain_dtype(frame[name], file), options.types.get(name)
        column = column if declared is None else convert(column, declared, file)
        kind = "id" if name in options.ids else declared or infer_kind(column)
        _check_texts(column, file, options)
        if name not in _named(options) and _tells_rows_apart(column, name):
            kind = "id"
            guessed.append(name)
        _check_values(column, kind, file, options)
        columns[name], kinds[name] = column, kind
    if (label := options.label) is not None:
        columns[label], kinds[label] = typed_label(columns[label], kinds[label], file)
    roles = (label, options.group, options.protected, options.secrets)
    schema = Schema(kinds, *roles, guessed_ids=tuple(guessed))
    if not schema.features:
        raise DataError(f"{file!r} has no column to compare", where="train")
    return Table(pd.DataFrame(columns), schema), _guesses(guessed)


def _check_texts(column: pd.Series, file: str, options: AuditOptions) -> None:
    name = str(column.name)
    is_said = name in {*options.types, *options.ids, options.label, options.group}
    if is_said or not pd.api.types.is_string_dtype(column.dtype):
        return
    try:
        check_numbers_as_text(column, file)
    except DataError as error:
        hint = f"write plain numbers (1.5), or say --type {name}=categorical, --id {name} or --drop {name}"
        raise DataError(error.message, where=file, hint=hint) from error


def _check_values(column: pd.Series, kind: ColumnKind, file: str, options: AuditOptions) -> None:
    name = str(column.name)
    if kind in ("numeric", "integer") and name != options.group:
        check_column(column, kind, declared=True, file=file)
    if kind == "categorical" and name not in (options.label, options.group):
        try:
            check_category_count(column, file)
        except DataError as error:
            hint = f"group rare categories, or say --id {name} if it identifies a row, --drop {name} if not"
            raise DataError(error.message, where=file, hint=hint) from error


def _tells_rows_apart(column: pd.Series, name: str) -> bool:
    return is_near_unique(column) or (len(column) > 1 and numbers_the_rows(column, name))


def _guesses(ids: Sequence[str]) -> list[Problem]:
    if not ids:
        return []
    message = f"column {name_list(ids)} was taken for an id: almost every row has a value of its own"
    hint = f"--type {ids[0]}=KIND says otherwise; --id says which columns are"
    return [Problem("guess", message, column=ids[0] if len(ids) == 1 else None, hint=hint)]
