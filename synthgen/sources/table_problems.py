"""What a person should know about a table that is fit for use: duplicates, constants, rare classes, ids, leaks."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from synthgen.datasets import Table, class_counts
from synthgen.findings import Problem

TINY_CLASS = 10


def table_problems(table: Table) -> list[Problem]:
    """Remarks on rows, columns and classes, with counts and names only."""
    checks: Sequence[Callable[[Table], Iterator[Problem]]] = (_duplicates, _tiny_classes, _columns, _leaks)
    return [problem for check in checks for problem in check(table)]


def tiny_classes(counts: dict[str, int]) -> Iterator[Problem]:
    """One remark for each class with fewer than TINY_CLASS rows."""
    for name, count in counts.items():
        if 0 < count < TINY_CLASS:
            message = f"class {name!r} has {count} of {sum(counts.values()):,} rows"
            hint = "too few to learn from, and to judge on; collect more, or merge it with another class"
            yield Problem("tiny_class", message, "warning", hint=hint)


def _tiny_classes(table: Table) -> Iterator[Problem]:
    return tiny_classes(class_counts(table))


def _duplicates(table: Table) -> Iterator[Problem]:
    repeated = len(table) - len(np.unique(table.row_keys()))
    if repeated:
        message = f"{repeated:,} of {len(table):,} rows repeat an earlier row"
        yield Problem("duplicate_rows", message, hint="equal rows stay in one part of the split")


def _columns(table: Table) -> Iterator[Problem]:
    for name in table.schema.modelled:
        column, kind = table.frame[name], table.schema.kinds[name]
        different, present = column.nunique(), int(column.notna().sum())
        if present == 0:
            yield Problem("all_missing", f"column {name!r} has no value at all", "warning", name, "drop it")
        elif different == 1 and present == len(column):
            yield Problem("constant_column", f"column {name!r} has one value in all rows", "info", name, "drop it")
        if kind == "integer" and different == len(column) > 50:
            message = f"every row has its own whole number in column {name!r}"
            yield Problem("id_like", message, "warning", name, "name it under ids if it identifies a row")
        if kind == "categorical" and _has_unicode_twins(column):
            message = f"column {name!r} has categories that look equal but differ in Unicode form (NFC and NFD)"
            yield Problem("unicode_twins", message, "warning", name, "normalise the text")


def _has_unicode_twins(column: pd.Series) -> bool:
    categories = [value for value in column.dropna().unique() if isinstance(value, str) and not value.isascii()]
    return len({unicodedata.normalize("NFC", value) for value in categories}) < len(categories)


def _leaks(table: Table) -> Iterator[Problem]:
    for name in leaking_columns(table):
        message = f"column {name!r} alone tells the class of every row"
        hint = "if it is only known after the label, name it under drop"
        yield Problem("leak", message, "warning", name, hint)


def leaking_columns(table: Table) -> list[str]:
    """Columns whose value, one of few, determines the class in every row."""
    found = []
    for name in table.schema.features:
        codes, values = pd.factorize(table.frame[name], use_na_sentinel=False)
        # With few rows for each value the class is determined by accident.
        if 1 < len(values) <= len(table) / 20 and _classes_per_value(codes, table) == 1:
            found.append(name)
    return found


def _classes_per_value(codes: np.ndarray, table: Table) -> int:
    return int(pd.Series(table.labels).groupby(codes).nunique().max())
