"""The names of a table's columns: which are refused, and which of them a config may mean."""

from collections import Counter
from collections.abc import Sequence

from synthgen.config import TableSource
from synthgen.errors import DataError, Refusals, name_list, nearest_name

MAX_COLUMNS = 10_000


def usable_names(names: Sequence[str], file: str, refusals: Refusals) -> list[str]:
    """The names, those that are refused (blank, repeated) made unique so that the columns can still be looked at.

    Raises:
        DataError: more than MAX_COLUMNS columns.
    """
    if len(names) > MAX_COLUMNS:
        message = f"{file!r} has {len(names):,} columns; at most {MAX_COLUMNS:,} are allowed"
        raise DataError(message, where=file, hint="write only the columns that are to be learnt")
    for position, name in enumerate(names, start=1):
        if not name.strip():
            message, hint = f"{file!r}: column {position} has a blank name", "name it, or remove it if it numbers rows"
            refusals.errors.append(DataError(message, where=file, hint=hint))
    for name, count in Counter(filter(str.strip, names)).items():
        if count > 1:
            message = f"{file!r} has more than one column named {name!r}"
            refusals.errors.append(DataError(message, where=file, hint="column names must be unique"))
    usable: dict[str, None] = {}
    for position, name in enumerate(names, start=1):
        usable[name if name.strip() and name not in usable else f"column {position}"] = None
    if len(usable) < len(names):
        refusals.raise_any()
    return list(usable)


def check_named_columns(
    source: TableSource, split_column: str | None, columns: Sequence[str], file: str, refusals: Refusals
) -> None:
    """Every column that the config names is there, and none has two roles that exclude each other."""
    named: dict[str, Sequence[str]] = {
        "label": [source.label],
        "group": [source.group] if source.group else [],
        "split.column": [split_column] if split_column else [],
        "ids": source.ids,
        "drop": source.drop,
        "protected": source.protected,
        "secrets": source.secrets,
        "types": list(source.types),
    }
    for role, names in named.items():
        for name in names:
            with refusals.kept():
                require_column(role, name, columns, file)
    with refusals.kept():
        _check_roles(named)


def require_column(role: str, name: str, columns: Sequence[str], file: str) -> None:
    """Raise DataError, with the candidates and the nearest of them, when the column is not in the file."""
    if name in columns:
        return
    guess = nearest_name(name, columns)
    suffix = f"; did you mean {guess!r}?" if guess else ""
    message = f"{role} column {name!r} is not in {file!r} (columns: {name_list(columns)}){suffix}"
    where = role if "." in role else f"source.{role}"
    raise DataError(message, where=where, hint=f"write {where} as the header writes it")


def _check_roles(named: dict[str, Sequence[str]]) -> None:
    for first in ("drop", "ids", "split.column"):
        for second in ("label", "group", "protected", "secrets", "drop", "ids"):
            # An id may be the group, and may be dropped twice over; the label can be neither.
            if first == second or {first, second} in ({"ids", "group"}, {"ids", "drop"}, {"split.column", "drop"}):
                continue
            both = [name for name in named[first] if name in named[second]]
            if both:
                message = f"column {both[0]!r} is named under {first} and under {second}"
                raise DataError(message, where=f"source.{second}", hint="name it under one of the two")
    if named["label"] == named["group"]:
        raise DataError(f"column {named['label'][0]!r} is both label and group", where="source.group")
