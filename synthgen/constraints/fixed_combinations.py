"""Columns that occur in the combinations of training rows only: modelled as one column."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.config import ColumnKind, FixedCombinationsConfig
from synthgen.constraints.cells import as_json, typed
from synthgen.constraints.rule import Cells, Facts, Kinds, Mask, dtypes_of
from synthgen.datasets import Index

# Places on the raster between its values, for each value, at most: a model that draws others is rejected.
_MOST_PLACES = 2


@dataclass(frozen=True)
class FixedCombinations:
    """A column that determines the others stands for all of them; else a new one numbers the combinations.

    A missing value is a value like others here. Facts: the combinations, as one list for each column, and the
    determining column.
    """

    config: FixedCombinationsConfig

    @property
    def columns(self) -> tuple[str, ...]:
        return self.config.columns

    @property
    def numbered(self) -> str:
        """Name of the new column; a unit separator is in no name that a person writes."""
        return "\x1f".join(self.columns)

    def misfit(self, kinds: Kinds) -> None:
        """Any column will do."""
        return

    def learn(self, train: pd.DataFrame) -> Facts:
        """The combinations in the order of their values, so that it does not depend on that of the rows."""
        known = train[list(self.columns)].drop_duplicates()
        known = known.sort_values(list(self.columns), key=lambda column: column.astype(str), kind="stable")
        key = next((name for name in self.columns if _tells_all(known[name])), None)
        content = {"values": {name: as_json(known[name]) for name in self.columns}, "key": key}
        return Facts(dtypes_of(train, self.columns), content)

    def violations(self, frame: pd.DataFrame, facts: Facts) -> Mask:
        """Rows with another combination."""
        return _positions(frame, facts, self.columns) < 0

    def derived(self, facts: Facts) -> tuple[str, ...]:
        """All but the determining column."""
        return tuple(name for name in self.columns if name != facts.content["key"])

    def inputs(self, facts: Facts) -> tuple[str, ...]:
        """The determining column, if there is one."""
        return () if facts.content["key"] is None else (facts.content["key"],)

    def reduced_kinds(self, kinds: Kinds, facts: Facts) -> dict[str, ColumnKind]:
        """The determining column alone, or one of categories where the first of them stood."""
        first, derived = min(self.columns, key=list(kinds).index), self.derived(facts)
        numbers = facts.content["key"] is None
        reduced: dict[str, ColumnKind] = {}
        for name, kind in kinds.items():
            if numbers and name == first:
                reduced[self.numbered] = "categorical"
            if name not in derived:
                reduced[name] = kind
        return reduced

    def reduce(self, frame: pd.DataFrame, facts: Facts, rng: np.random.Generator) -> pd.DataFrame:
        """The number of the combination as text, since numbers would have an order."""
        rest = frame.drop(columns=list(self.derived(facts)))
        if facts.content["key"] is not None:
            return rest
        numbers = pd.Series(_positions(frame, facts, self.columns), index=frame.index).astype(str).astype(object)
        return rest.assign(**{self.numbered: numbers})

    def restore(self, frame: pd.DataFrame, facts: Facts) -> pd.DataFrame:
        """The values of each combination; for a determining value that train had not those of another, a violation."""
        if facts.content["key"] is None:
            found = frame[self.numbered].astype(np.int64).to_numpy()
        else:
            found = np.maximum(_positions(frame, facts, self.inputs(facts)), 0)
        known, rest = _known(facts, self.columns), frame.drop(columns=self.numbered, errors="ignore")
        values = {name: known[name].array.take(found) for name in self.derived(facts)}
        return rest.assign(**values)


def _tells_all(column: Cells) -> bool:
    """Whether each combination has its own value here, of which a model hits one: a level, or any on the raster."""
    if column.duplicated().any():
        return False
    is_number = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    is_date = pd.api.types.is_datetime64_any_dtype(column.dtype)
    if not (is_number or is_date):
        return True
    # As float64, dates in nanoseconds: what is lost is far below the distance of two values.
    values = np.sort(column.dropna().astype("int64" if is_date else "float64").to_numpy(np.float64))
    steps = np.diff(values)
    return len(steps) > 0 and (values[-1] - values[0]) / steps.min() < _MOST_PLACES * len(values)


def _known(facts: Facts, columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame({name: typed(facts.content["values"][name], facts.dtypes[name]) for name in columns})


def _positions(frame: pd.DataFrame, facts: Facts, columns: tuple[str, ...]) -> Index:
    """int64 [n]: which combination has the values of these columns, -1 for none."""
    known, given = (_keys(part[list(columns)]) for part in (_known(facts, columns), frame))
    return np.asarray(pd.Index(known).get_indexer(pd.Index(given)), dtype=np.int64)


def _keys(frame: pd.DataFrame) -> npt.NDArray[np.uint64]:
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), dtype=np.uint64)
