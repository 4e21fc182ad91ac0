"""Identifier replay: does a real name or number appear?"""

import numpy as np
import pandas as pd

from synthgen.datasets import Table
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.table_features import tables, texts

THREAT_MODEL = "Anyone who reads the synthetic rows and knows a real name or number."
# A category with more distinct values than this share of its rows names the row rather than describes it.
NAMING_SHARE = 0.5
NAMING_VALUES = 20


def identifier_replay(evaluation: Evaluation) -> Finding:
    """How many distinct real identifiers appear among the synthetic ones; a census, so the interval is the value.

    Identifiers: columns of kind id and text that were emitted, and text categories of which most values are unique.
    Compared exactly, character by character, with train. The reference counts identifiers of the holdout that are
    in train. Not counted: a column that only numbers the synthetic rows, 0 or 1 and up, each number once. It says
    nothing about a person, though the training rows may be numbered alike.
    """
    train, holdout, synthetic = tables(evaluation)
    candidates = [name for name in _identifiers(train) if name in synthetic.frame]
    numbered = [name for name in candidates if _only_numbers_the_rows(synthetic.frame[name])]
    emitted = [name for name in candidates if name not in numbered]
    replayed = {name: len(_values(train, name) & _values(synthetic, name)) for name in emitted}
    in_both = sum(len(_values(train, name) & _values(holdout, name)) for name in emitted if name in holdout.frame)
    value = float(sum(replayed.values()))
    detail: dict[str, object] = {"replayed": replayed} if emitted else {"note": "no identifier column was emitted"}
    if numbered:
        detail["row_numbers"] = numbered
    return Finding(
        metric="identifier_replay", family="privacy", value=value, low=value, high=value, reference=float(in_both),
        higher_is_better=False, n=len(synthetic), threat_model=THREAT_MODEL, detail=detail,
    )  # fmt: skip


def _only_numbers_the_rows(column: pd.Series) -> bool:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    start = numbers.min(initial=np.inf)
    return bool(start in (0, 1)) and np.array_equal(np.sort(numbers), start + np.arange(len(numbers)))


def _identifiers(train: Table) -> list[str]:
    return [name for name in sorted(train.frame.columns) if _is_identifier(train, name)]


def _is_identifier(train: Table, name: str) -> bool:
    kind = train.schema.kinds.get(name)
    if kind in ("id", "text"):
        return True
    if kind != "categorical" or name == train.schema.label:
        return False
    distinct = len(_values(train, name))
    return distinct > NAMING_VALUES and distinct > NAMING_SHARE * int(train.frame[name].notna().sum())


def _values(table: Table, name: str) -> set[str]:
    return set(texts(table.frame, name)) - {None}
