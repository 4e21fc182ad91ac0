"""The names of a table's columns: which are refused, and which of them a config may mean."""

from collections import Counter
from collections.abc import Sequence

from synthgen.config import TableSource
from synthgen.errors import DataError, name_list, nearest_name

MAX_COLUMNS = 10_000


def check_names(names: Sequence[str], file: str) -> None:
    """Refuse blank and repeated column names, and more than MAX_COLUMNS of them."""
    if len(names) > MAX_COLUMNS:
        raise DataError(f"{file!r} has {len(names):,} columns; at most {MAX_COLUMNS:,} are allowed", where=file)
    for position, name in enumerate(names, start=1):
        if not name.strip():
            message = f"{file!r}: column {position} has a blank name"
            raise DataError(message, where=file, hint="name it; if it only numbers the rows, remove it")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        message = f"{file!r} has more than one column named {repeated[0]!r}"
        raise DataError(message, where=file, hint="column names must be unique")


def check_named_columns(source: TableSource, split_column: str | None, columns: Sequence[str], file: str) -> None:
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
            require_column(role, name, columns, file)
    _check_roles(named)


def require_column(role: str, name: str, columns: Sequence[str], file: str) -> None:
    """Raise DataError, with the candidates and the nearest of them, when the column is not in the file."""
    if name in columns:
        return
    guess = nearest_name(name, columns)
    suffix = f"; did you mean {guess!r}?" if guess else ""
    message = f"{role} column {name!r} is not in {file!r} (columns: {name_list(columns)}){suffix}"
    raise DataError(message, where=role if "." in role else f"source.{role}")


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
