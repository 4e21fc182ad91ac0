"""What a constraint is to the rest of the library: rows that break it, and how it is kept by construction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.config import ColumnKind

Mask = npt.NDArray[np.bool_]
Cells: TypeAlias = "pd.Series[Any]"
DType = np.dtype[np.generic] | pd.api.extensions.ExtensionDtype
Kinds = Mapping[str, ColumnKind]


@dataclass(frozen=True)
class Facts:
    """What a rule has to know of the training rows.

    Attributes:
        dtypes: of the columns that the rule names.
        content: the rest, as JSON can hold it; no row, unless its combination of values is what is allowed.
    """

    dtypes: Mapping[str, DType]
    content: Mapping[str, Any] = field(default_factory=dict)


class Rule(Protocol):
    """A constraint of the config, with its columns in the order in which it names them."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    def misfit(self, kinds: Kinds) -> str | None:
        """Why these kinds of columns do not suit the rule; None when they do."""
        ...

    def learn(self, train: pd.DataFrame) -> Facts:
        """What `violations` and `restore` need of the training rows."""
        ...

    def violations(self, frame: pd.DataFrame, facts: Facts) -> Mask:
        """bool [n]: rows that break the rule."""
        ...


@runtime_checkable
class Derivation(Rule, Protocol):
    """A rule that can be kept by construction: columns are taken from the rows that a model learns, and made anew."""

    def derived(self, facts: Facts) -> tuple[str, ...]:
        """Columns that `restore` makes, or partly overwrites; none where it cannot for these training rows."""
        ...

    def inputs(self, facts: Facts) -> tuple[str, ...]:
        """Columns that `restore` reads in their final form."""
        ...

    def reduced_kinds(self, kinds: Kinds, facts: Facts) -> dict[str, ColumnKind]:
        """Columns after `reduce`, in order, with their kinds."""
        ...

    def reduce(self, frame: pd.DataFrame, facts: Facts, rng: np.random.Generator) -> pd.DataFrame:
        """The rows without what the rule determines."""
        ...

    def restore(self, frame: pd.DataFrame, facts: Facts) -> pd.DataFrame:
        """The rows with it."""
        ...


def dtypes_of(frame: pd.DataFrame, columns: tuple[str, ...]) -> dict[str, DType]:
    """The dtypes of these columns."""
    return {name: frame[name].dtype for name in columns}
