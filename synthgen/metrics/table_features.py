"""Rows of a table as numbers: what all table metrics measure on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.datasets import Data, Index, Keys, Schema, Table, cell_texts
from synthgen.metrics.evaluation import Evaluation, NotMeasurable, canonical
from synthgen.stats import FloatArray

# In the words of xgboost: quantity or category.
FeatureKind = Literal["q", "c"]
NUMERIC_KINDS = ("numeric", "integer", "datetime")
# Numbers without a fixed number of decimals are compared to this many significant digits.
SIGNIFICANT_DIGITS = 10
MAX_DECIMALS = 8


@dataclass(frozen=True)
class Encoded:
    """Rows as numbers, columns in order of their names, so that column order changes no result.

    Attributes:
        numeric: float64 [n, p]; NaN is missing; datetimes are seconds since 1970.
        codes: int64 [n, q], position of the category among `levels`; -1 is missing.
        levels: number of categories of each column of `codes`.
    """

    numeric: FloatArray
    codes: Index
    numeric_names: tuple[str, ...]
    category_names: tuple[str, ...]
    levels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.numeric)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of `matrix`."""
        return self.numeric_names + self.category_names

    @property
    def kinds(self) -> list[FeatureKind]:
        """Type of each column of `matrix`."""
        quantities: list[FeatureKind] = ["q"] * len(self.numeric_names)
        return quantities + ["c"] * len(self.category_names)

    def matrix(self) -> FloatArray:
        """float64 [n, p + q]; missing is NaN."""
        return np.column_stack([self.numeric, np.where(self.codes < 0, np.nan, self.codes)])

    def take(self, index: Index) -> "Encoded":
        """The rows at these positions."""
        return replace(self, numeric=self.numeric[index], codes=self.codes[index])

    def keys(self, decimals: Sequence[int]) -> Keys:
        """uint64 [n]: equal for rows that are equal when numbers are rounded to so many decimals."""
        # + 0.0 turns -0.0 into 0.0, which hashes differently.
        rounded = [np.round(column, digits) + 0.0 for column, digits in zip(self.numeric.T, decimals, strict=True)]
        frame = pd.DataFrame(dict(enumerate([*rounded, *self.codes.T])))
        return np.asarray(pd.util.hash_pandas_object(frame, index=False), dtype=np.uint64)


def tables(evaluation: Evaluation) -> tuple[Table, Table, Table]:
    """Train, holdout and synthetic rows, all of them, in canonical order."""
    return _as_tables(*(canonical(part) for part in (evaluation.train, evaluation.holdout, evaluation.synthetic)))


def matched_tables(evaluation: Evaluation, *, at_least: int) -> tuple[Table, Table, Table]:
    """Train, holdout and synthetic rows, equally many of each class; raises NotMeasurable under `at_least` rows."""
    matched = evaluation.matched
    if len(matched) < at_least:
        raise NotMeasurable(f"{len(matched)} rows of the same classes on every side, at least {at_least} are needed")
    return _as_tables(matched.train, matched.holdout, matched.synthetic)


def _as_tables(train: Data, holdout: Data, synthetic: Data) -> tuple[Table, Table, Table]:
    assert isinstance(train, Table)
    assert isinstance(holdout, Table)
    assert isinstance(synthetic, Table)
    return train, holdout, synthetic


def is_numeric(schema: Schema, name: str) -> bool:
    """Whether the column is measured as a quantity; the label never is, whatever its type."""
    return schema.kinds[name] in NUMERIC_KINDS and name != schema.label


def numbers(frame: pd.DataFrame, name: str) -> FloatArray:
    """float64 [n] of a numeric, integer or datetime column; NaN is missing; datetimes are seconds since 1970."""
    column = frame[name]
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        column = (column - pd.Timestamp(0, tz=column.dt.tz)) / pd.Timedelta(seconds=1)
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def texts(frame: pd.DataFrame, name: str) -> npt.NDArray[np.object_]:
    """object [n] of str; None is missing."""
    return cell_texts(frame[name])


@dataclass(frozen=True)
class Coding:
    """Which columns are quantities, and the categories of each other one, sorted."""

    numeric: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, parts: Sequence[Table], columns: Sequence[str]) -> "Coding":
        """The coding of all parts.

        Categories are coded by sorted value: codes in order of appearance tell which part a row came from (real
        against real then scored .77).
        """
        schema = parts[0].schema
        numeric = tuple(sorted(name for name in columns if is_numeric(schema, name)))
        category = sorted(name for name in columns if not is_numeric(schema, name))
        return cls(numeric, {name: _categories(parts, name) for name in category})

    def encode(self, frame: pd.DataFrame) -> Encoded:
        """The rows as numbers; an unknown category is coded as missing."""
        coded = [
            pd.Index(known, dtype=object).get_indexer(pd.Index(texts(frame, name)))
            for name, known in self.categories.items()
        ]
        codes = np.column_stack([np.empty((len(frame), 0), np.int64), *coded]).astype(np.int64)
        columns = [np.empty((len(frame), 0)), *(numbers(frame, name) for name in self.numeric)]
        levels = tuple(map(len, self.categories.values()))
        return Encoded(np.column_stack(columns), codes, self.numeric, tuple(self.categories), levels)


def encode(parts: Sequence[Table], columns: Sequence[str]) -> list[Encoded]:
    """Each part as numbers, in one common code."""
    coding = Coding.of(parts, columns)
    return [coding.encode(part.frame) for part in parts]


def _categories(parts: Sequence[Table], name: str) -> tuple[str, ...]:
    known = [pd.unique(texts(part.frame, name)) for part in parts]
    return tuple(sorted({value for values in known for value in values if value is not None}))


def column_decimals(numeric: FloatArray) -> list[int]:
    """How many decimals the values of each column have (float64 [n, p]); full-precision columns: significant digits."""
    return [_decimals(column[np.isfinite(column)]) for column in numeric.T]


def _decimals(values: FloatArray) -> int:
    tolerance = 1e-9 * np.abs(values)
    for digits in range(MAX_DECIMALS + 1):
        if (np.abs(values - np.round(values, digits)) <= tolerance).all():
            return digits
    # Full precision: relative to the size of the values, so that a change of unit changes nothing.
    return SIGNIFICANT_DIGITS - int(np.ceil(np.log10(np.abs(values).max())))


@dataclass(frozen=True)
class Distinct:
    """The different rows of a table, and the key of each, uint64 [n]."""

    rows: Table
    keys: Keys


def distinct_tables(evaluation: Evaluation) -> list[Distinct]:
    """The different rows of train, holdout and synthetic, of the classes that were synthesised.

    Attacks count over these: a split puts all copies of a popular row on one side, and honest synthetic rows, which
    are like it, would seem to know the side. Numbers are equal when they are equal in the decimals of train.
    """
    parts = tables(evaluation)
    encoded = encode(parts, parts[0].schema.modelled)
    decimals = column_decimals(encoded[0].numeric)
    return [_distinct(part, rows.keys(decimals), parts[2].classes) for part, rows in zip(parts, encoded, strict=True)]


def _distinct(table: Table, keys: Keys, classes: Sequence[str]) -> Distinct:
    _, first = np.unique(keys, return_index=True)
    kept = np.sort(first[np.isin(table.labels[first], classes)])
    return Distinct(table.take(kept), keys[kept])


def joined(first: Encoded, second: Encoded) -> Encoded:
    """The rows of both."""
    numeric, codes = np.vstack([first.numeric, second.numeric]), np.vstack([first.codes, second.codes])
    return replace(first, numeric=numeric, codes=codes)


def independent_columns(rows: Encoded, n: int, rng: np.random.Generator) -> Encoded:
    """n rows of which each column is drawn alone: the true zero of every attack."""
    drawn = [rng.integers(0, len(rows), (n, table.shape[1])) for table in (rows.numeric, rows.codes)]
    numeric = np.take_along_axis(rows.numeric, drawn[0], axis=0)
    return replace(rows, numeric=numeric, codes=np.take_along_axis(rows.codes, drawn[1], axis=0))
