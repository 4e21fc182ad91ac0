"""The groups of protected columns, alone and two together; of images the columns are attributes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pandas as pd

from synthgen.datasets import Data, ImageSet, Index, Labels, Table
from synthgen.metrics.evaluation import NotApplicable, NotMeasurable
from synthgen.metrics.table_features import is_numeric, numbers, texts
from synthgen.stats import FloatArray

# A group with fewer rows says nothing about itself.
MIN_ROWS = 50
# A level with fewer rows is not even named.
NAMED_ROWS = 5
# Numbers with more values than this are cut at their quartiles.
MOST_LEVELS = 10
BAND_EDGES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Grouping:
    """The groups of one protected column, or of two together.

    Attributes:
        columns: the column or the two columns.
        names: of the groups with at least `MIN_ROWS` rows in the first table.
        codes: for each table, int64 [n], position of the group of each row in `names`; -1 is another group.
        too_small: names of the other groups of at least `NAMED_ROWS` rows, and how many rows they have.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    codes: tuple[Index, ...]
    too_small: tuple[tuple[str, int], ...]

    def labelled(self, group: int) -> dict[str, str]:
        """Column and name of a group, for a report."""
        return {"columns": " × ".join(self.columns), "group": self.names[group]}


def groupings(first: Data, /, **others: Data) -> list[Grouping]:
    """The groups of every protected column and of every two, by the rows or images of the first part.

    Args:
        first: the training data, whose groups they are.
        others: further parts by side ("holdout", "synthetic"), in the order of `Grouping.codes`.

    Raises:
        NotApplicable: no protected column is declared, none is synthesised, or the synthetic images carry none.
        NotMeasurable: no group has `MIN_ROWS` rows, or the held-out images carry no such attribute.
    """
    single = [_levels(first, others, name) for name in _protected(first)]
    pairs = [_crossed(first, second) for first, second in combinations(single, 2)]
    found = [_kept(grouping) for grouping in (*single, *pairs)]
    kept = [grouping for grouping in found if grouping.names]
    if not kept:
        raise NotMeasurable(f"no group of a protected column has {MIN_ROWS} training rows")
    return kept


def too_small(found: Sequence[Grouping]) -> list[dict[str, str | int]]:
    """Groups of single columns that are too small to measure; of two columns they are too many to list."""
    return [
        {"columns": grouping.columns[0], "group": name, "real": rows}
        for grouping in found
        if len(grouping.columns) == 1
        for name, rows in grouping.too_small
    ]


def _protected(first: Data) -> list[str]:
    if isinstance(first, Table):
        columns = [name for name in sorted(first.schema.protected) if name in first.schema.features]
        if not columns:
            raise NotApplicable("no protected column was declared among the columns that are synthesised")
        return columns
    if first.attributes is None or not first.attributes.protected:
        raise NotApplicable("no protected attribute was declared (source.protected, --protected of an audit)")
    return sorted(set(first.attributes.protected))


def _levels(first: Data, others: Mapping[str, Data], name: str) -> Grouping:
    if isinstance(first, Table) and is_numeric(first.schema, name):
        columns = [numbers(part.frame, name) for part in (first, *others.values()) if isinstance(part, Table)]
        if len(np.unique(columns[0][np.isfinite(columns[0])])) > MOST_LEVELS:
            return _bands(name, columns, is_date=first.schema.kinds[name] == "datetime")
    values = [_texts(first, "train", name), *(_texts(part, side, name) for side, part in others.items())]
    names = sorted(set(values[0].tolist()))
    return Grouping((name,), tuple(names), tuple(pd.Index(names).get_indexer(column) for column in values), ())


def _texts(part: Data, side: str, name: str) -> Labels:
    if isinstance(part, ImageSet):
        known = {} if part.attributes is None else part.attributes.texts
        if name not in known:
            if side != "synthetic":
                raise NotMeasurable(f"the {side} images carry no {name!r}, so groups cannot be compared")
            raise NotApplicable(
                f"the synthetic images carry no {name!r}; image-gan gives them one with conditioning: attributes"
            )
        return known[name]
    return np.where(pd.isna(found := texts(part.frame, name)), "missing", found).astype(str)


def _bands(name: str, columns: Sequence[FloatArray], *, is_date: bool) -> Grouping:
    """Four bands between the quartiles of the first table, fewer where quartiles are equal, and the missing ones."""
    known = columns[0][np.isfinite(columns[0])]
    # Edges are values that occur, so that another unit moves no row across an edge.
    edges = np.unique(np.quantile(known, BAND_EDGES, method="lower"))
    edges = edges[edges < known.max()]
    shown = [_edge(edge, is_date=is_date) for edge in edges]
    names = [f"{low} < … ≤ {high}" for low, high in pairwise(shown)]
    names = [f"≤ {shown[0]}", *names, f"> {shown[-1]}", "missing"] if shown else ["present", "missing"]
    missing = len(names) - 1
    codes = (np.where(np.isnan(values), missing, np.searchsorted(edges, values)) for values in columns)
    return Grouping((name,), tuple(names), tuple(codes), ())


def _edge(value: float, *, is_date: bool) -> str:
    return str(pd.Timestamp(value, unit="s").date()) if is_date else f"{value:.6g}"


def _crossed(first: Grouping, second: Grouping) -> Grouping:
    names = tuple(f"{one} × {other}" for one in first.names for other in second.names)
    codes = tuple(
        np.where((one < 0) | (other < 0), -1, one * len(second.names) + other)
        for one, other in zip(first.codes, second.codes, strict=True)
    )
    return Grouping(first.columns + second.columns, names, codes, ())


def _kept(grouping: Grouping) -> Grouping:
    """The same with its large groups only."""
    rows = np.bincount(grouping.codes[0][grouping.codes[0] >= 0], minlength=len(grouping.names))
    kept = np.flatnonzero(rows >= MIN_ROWS)
    position = np.full(len(rows) + 1, -1)  # the last one is for code -1
    position[kept] = np.arange(len(kept))
    small = np.flatnonzero((rows < MIN_ROWS) & (rows >= NAMED_ROWS))
    return Grouping(
        grouping.columns,
        tuple(grouping.names[group] for group in kept),
        tuple(position[codes].astype(np.int64) for codes in grouping.codes),
        tuple((grouping.names[group], int(rows[group])) for group in small),
    )
