"""Training rows drawn again: the baseline that every privacy gate must refuse."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np

from synthgen.config import CopiesConfig
from synthgen.datasets import Data, Index, Labels, Table, class_rows, load_data
from synthgen.errors import ModelError, unknown_name
from synthgen.files import write_json


class Copies:
    """Rows of train, with replacement. Its saved files hold those rows: it is a control, not a model to share."""

    def __init__(self, config: CopiesConfig) -> None:
        self.config = config
        self._train: Data | None = None

    @property
    def history(self) -> Sequence[dict[str, float]]:
        return ()

    def fit(self, train: Data, valid: Data, rng: np.random.Generator, *, checkpoint: Path | None = None) -> Self:
        """Keeps the modelled columns of the rows."""
        self._train = replace(train, frame=train.modelled) if isinstance(train, Table) else train
        return self

    def sample(self, n: int, labels: Labels | None, rng: np.random.Generator) -> Data:
        """Any row for `labels` None, else for each label a row of its class."""
        if self._train is None:
            raise ModelError("copies has not been fitted: call fit or load first")
        if labels is None:
            return self._train.take(rng.integers(0, len(self._train), n))
        index = np.empty(n, dtype=np.int64)
        for name in np.unique(labels).tolist():
            wanted = labels == name
            index[wanted] = rng.choice(self._rows(self._train, name), int(wanted.sum()))
        return self._train.take(index)

    def _rows(self, train: Data, name: str) -> Index:
        rows = class_rows(train, name)
        if len(rows) == 0:
            raise ModelError(unknown_name("class", name, train.classes))
        return rows

    def save(self, directory: Path) -> None:
        """Write synthesizer.json and the rows themselves."""
        if self._train is None:
            raise ModelError("copies has not been fitted: there is nothing to save")
        self._train.save(directory / "rows")
        write_json(directory / "synthesizer.json", self.config.model_dump())

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The rows that `save` wrote."""
        copies = cls(CopiesConfig(kind="copies"))
        copies._train = load_data(directory / "rows")
        return copies
