"""Guesses at the roles of the columns of an unknown table, each with its reason."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from synthgen.config import ColumnKind
from synthgen.errors import DataError
from synthgen.sources.columns import check_column, holds_comma_numbers, is_near_unique
from synthgen.sources.kinds import holds_text, infer_kind, looks_like_dates, plain_dtype
from synthgen.splitting import PART_NAMES

ID_NAME = re.compile(r"(?:.*[^a-z])?(?:id|uuid|guid|key|mrn|ssn|email|phone|name|index|row|number|no|nr|code)")
PERSON = r"patient|subject|customer|client|user|person|household|family|account|member|student|driver|employee"
GROUP_NAME = re.compile(rf"(?:.*[^a-z])?(?:{PERSON})|(?:.*[^a-z])?id")
SPLIT_NAMES = {"split", "partition", "subset", "part", "set", "phase", "fold", "usage"}
PROTECTED_WORDS = {
    "sex", "gender", "female", "male", "race", "ethnic", "ethnicity", "age", "senior", "religion", "nationality",
    "disability", "disabled", "orientation",
}  # fmt: skip
MIN_GROUPS = 30
FEW_CODES = 50


@dataclass
class Roles:
    """Proposed roles of the columns; `reasons` says why, by column."""

    group: str | None = None
    split_column: str | None = None
    ids: list[str] = field(default_factory=list)
    drop: list[str] = field(default_factory=list)
    protected: list[str] = field(default_factory=list)
    types: dict[str, ColumnKind] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def because(self, columns: Iterable[str]) -> list[str]:
        """One line for each of the columns, with its reason."""
        return [f"{column!r}: {self.reasons[column]}" for column in columns]

    def refuse(self, column: str, error: DataError) -> None:
        """Drop a column that cannot be read."""
        self.drop.append(column)
        self.reasons[column] = error.message.replace(" of 'the file'", "")

    def drop_leaks(self, columns: Iterable[str]) -> None:
        """Move these columns to `drop`, since each alone tells the class of every row."""
        for column in columns:
            self.drop.append(column)
            self.types.pop(column, None)
            self.protected = [name for name in self.protected if name != column]
            self.reasons[column] = "alone tells the class of every row, so it is probably known only after the label"


def guess_roles(frame: pd.DataFrame, label: str) -> Roles:
    """Roles for all columns but the label; a column without a role is learnt as it is."""
    roles = Roles()
    for name in map(str, frame.columns):
        if name != label:
            _guess_role(frame[name], name, roles)
    return roles


def _guess_role(column: pd.Series, name: str, roles: Roles) -> None:
    try:
        column = plain_dtype(column, "the file")
    except DataError as error:
        roles.refuse(name, error)
        return
    if _names_parts(column, name):
        _use_or_drop_split(column, name, roles)
        return
    if roles.group is None and _is_group(column, name):
        roles.group = name
        roles.reasons[name] = (
            f"{column.nunique():,} different values, several rows each, and the name of a person or case"
        )
        return
    if _is_date_text(column):
        roles.types[name] = "datetime"
        roles.reasons[name] = "every text reads as an ISO date"
    elif is_near_unique(column) or numbers_the_rows(column, name):
        _name_identifier(column, name, roles)
        return
    else:
        _find_refusal(column, name, roles)
    if set(re.split(r"[^a-z]+", name.lower())) & PROTECTED_WORDS and name not in roles.drop:
        roles.protected.append(name)
        roles.reasons.setdefault(name, "its name says so")


def _names_parts(column: pd.Series, name: str) -> bool:
    values = column.dropna().unique()
    if name.lower() not in SPLIT_NAMES or len(values) > len(PART_NAMES):
        return False
    return len(values) > 1 and all(str(value).strip().lower() in PART_NAMES for value in values)


def _use_or_drop_split(column: pd.Series, name: str, roles: Roles) -> None:
    found = {PART_NAMES[str(value).strip().lower()] for value in column.dropna().unique()}
    if {"train", "holdout"} <= found and column.notna().all():
        roles.split_column = name
        return
    roles.drop.append(name)
    roles.reasons[name] = "names parts of a split, but no complete one with a test part"


def _is_group(column: pd.Series, name: str) -> bool:
    different, present = column.nunique(), int(column.notna().sum())
    named = GROUP_NAME.fullmatch(name.lower()) is not None
    return named and MIN_GROUPS <= different <= 0.9 * present and not pd.api.types.is_float_dtype(column.dtype)


def _is_date_text(column: pd.Series) -> bool:
    values = pd.Series(column.dropna().unique())
    return column.dtype == object and len(values) > 0 and holds_text(values) and looks_like_dates(values)


def numbers_the_rows(column: pd.Series, name: str) -> bool:
    """Whether whole numbers, each once, only tell the rows apart: named like an id, or counting up."""
    if not pd.api.types.is_integer_dtype(column.dtype) or column.nunique() < len(column):
        return False
    return ID_NAME.fullmatch(name.lower()) is not None or bool(column.is_monotonic_increasing)


def _name_identifier(column: pd.Series, name: str, roles: Roles) -> None:
    share = column.nunique() / max(1, int(column.notna().sum()))
    is_text = pd.api.types.is_string_dtype(column.dtype)
    if is_text and column.dropna().str.count(r"\s").mean() > 3:
        roles.drop.append(name)
        roles.reasons[name] = "free text, which cannot be synthesised"
        return
    roles.ids.append(name)
    roles.reasons[name] = f"{share:.0%} of its values are different: it identifies rows"


def _find_refusal(column: pd.Series, name: str, roles: Roles) -> None:
    """Find by trying why reading would refuse the column."""
    try:
        check_column(column, infer_kind(column), declared=False, file="the file")
    except DataError as error:
        is_text = pd.api.types.is_string_dtype(column.dtype)
        if is_text and column.nunique() <= FEW_CODES and not holds_comma_numbers(column):
            roles.types[name] = "categorical"
            roles.reasons[name] = "numbers and texts, but few different ones: codes"
        else:
            roles.refuse(name, error)
