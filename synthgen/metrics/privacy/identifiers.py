"""Identifier replay: does a real name or number appear?"""

import numpy as np
import pandas as pd

from synthgen.datasets import Table
from synthgen.errors import name_list
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotApplicable
from synthgen.metrics.privacy.copies import LOW_CONFIDENCE
from synthgen.metrics.table_features import tables, texts
from synthgen.stats import rate_difference_low

THREAT_MODEL = "Anyone who reads the synthetic rows and knows a real name or number."
# A category with more distinct values than this share of its rows names the row rather than describes it.
NAMING_SHARE = 0.5
NAMING_VALUES = 20


def identifier_replay(evaluation: Evaluation) -> Finding:
    """How many distinct real identifiers appear among the synthetic ones; a census, so the interval is the value.

    Identifiers: columns of kind id and text that were emitted, and text categories of which most values are unique.
    Compared exactly with train: numbers by value, texts character by character. The reference counts identifiers of
    the holdout that are in train. Not counted: a column that only numbers the synthetic rows, 0 or 1 and up, each
    number once. It says nothing about a person, though the training rows may be numbered alike. Nor one of which
    nobody said that it identifies, and whose values recur among real rows by chance, see `_is_coincidence`.
    """
    train, holdout, synthetic = tables(evaluation)
    known = _identifiers(train)
    emitted = [name for name in known if name in synthetic.frame]
    numbered = [name for name in emitted if _only_numbers_the_rows(synthetic.frame[name])]
    others = [name for name in emitted if name not in numbered]
    recurring = [name for name in others if _is_coincidence(train, holdout, synthetic, name)]
    counted = [name for name in others if name not in recurring]
    if not counted:
        raise NotApplicable(_why_nothing(known, numbered, recurring))
    replayed = {name: len(_values(train, name) & _values(synthetic, name)) for name in counted}
    in_both = sum(len(_values(train, name) & _values(holdout, name)) for name in counted if name in holdout.frame)
    value = float(sum(replayed.values()))
    notes = {"row_numbers": numbered, "recurring": recurring}
    return Finding(
        metric="identifier_replay", family="privacy", value=value, low=value, high=value, reference=float(in_both),
        higher_is_better=False, n=len(synthetic), threat_model=THREAT_MODEL,
        detail={"replayed": replayed, **{name: columns for name, columns in notes.items() if columns}},
    )  # fmt: skip


def _why_nothing(known: list[str], numbered: list[str], recurring: list[str]) -> str:
    if not known:
        return "no column identifies a row"
    reasons = [
        f"column {name_list(names)} {what}"
        for names, what in (
            (numbered, "only numbers the synthetic rows"),
            (recurring, "was taken for an id, but its values recur by chance, held-out ones as often as training ones"),
        )
        if names
    ]
    return "; ".join(reasons) or "no identifier was emitted"


def _is_coincidence(train: Table, holdout: Table, synthetic: Table, name: str) -> bool:
    """Whether a column that is an identifier by guess alone repeats values of train no more than held-out ones.

    Names and numbers of people do not recur: where none of the holdout is in train, nor among the synthetic ones,
    every replay counts. Confidence as for `excess_copies`.
    """
    is_guess = train.schema.kinds[name] == "categorical" or name in train.schema.guessed_ids
    if not is_guess or name not in holdout.frame:
        return False
    real, control, made = (_values(part, name) for part in (train, holdout, synthetic))
    if not real & made or not control & (real | made):
        return False
    rates = (len(real & made), len(real)), (len(control & made), len(control))
    return rate_difference_low(*rates, confidence=LOW_CONFIDENCE) <= 0


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
