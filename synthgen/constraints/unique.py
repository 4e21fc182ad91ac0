"""Rows that differ from each other in some columns."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthgen.config import UniqueConfig
from synthgen.constraints.rule import Facts, Kinds, Mask, dtypes_of


@dataclass(frozen=True)
class Unique:
    """Kept by drawing again: which values are left depends on the other rows."""

    config: UniqueConfig

    @property
    def columns(self) -> tuple[str, ...]:
        return self.config.columns

    def misfit(self, kinds: Kinds) -> None:
        """Any column will do."""
        return

    def learn(self, train: pd.DataFrame) -> Facts:
        """Nothing but the dtypes."""
        return Facts(dtypes_of(train, self.columns))

    def violations(self, frame: pd.DataFrame, facts: Facts) -> Mask:
        """Rows that repeat an earlier one; missing values equal each other."""
        return np.asarray(frame.duplicated(list(self.columns)).to_numpy(dtype=bool))
