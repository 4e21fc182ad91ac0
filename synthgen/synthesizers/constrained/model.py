"""Any table synthesizer, kept to the constraints of the table: by construction where possible, else by rejection."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from synthgen.constraints import Mask
from synthgen.constraints.cells import as_json
from synthgen.datasets import Data, Labels, Table
from synthgen.errors import ModelError, unknown_name
from synthgen.files import read_json, write_json
from synthgen.synthesizers.constrained.derived_columns import DerivedColumns
from synthgen.synthesizers.constrained.rejection import Pool
from synthgen.synthesizers.protocol import ConditionalSynthesizer, Synthesizer

# Kind in synthesizer.json; no config names it.
KIND = "constrained"


class Constrained:
    """Learns the free columns with another synthesizer; rows that break a constraint are drawn again."""

    def __init__(self, inner: Synthesizer) -> None:
        self.inner = inner
        self._derived: DerivedColumns | None = None

    @property
    def history(self) -> Sequence[dict[str, float]]:
        return self.inner.history

    @property
    def has_unique(self) -> bool:
        """Whether a row may not repeat values of another row of the same draw."""
        return any(constraint.kind == "unique" for constraint in self._ready().schema.constraints)

    def fit(self, train: Data, valid: Data, rng: np.random.Generator, *, checkpoint: Path | None = None) -> Self:
        """Learns the rows without what the constraints determine; valid without rows that break one."""
        assert isinstance(train, Table)
        assert isinstance(valid, Table)
        derived = DerivedColumns.of(train)
        others = valid.take(np.flatnonzero(~derived.broken(valid.frame).any(axis=1)))
        self.inner.fit(derived.reduced(train, rng), derived.reduced(others, rng), rng, checkpoint=checkpoint)
        self._derived = derived
        return self

    def sample(self, n: int, labels: Labels | None, rng: np.random.Generator) -> Table:
        """Rows with these labels (None: as frequent as in train), none of which breaks a constraint."""
        return self.sample_where(n, labels, {}, rng)

    def sample_where(
        self, n: int, labels: Labels | None, where: Mapping[str, object], rng: np.random.Generator
    ) -> Table:
        """Like `sample`, every row with these values by column.

        The inner synthesizer is asked for values of free columns; those of columns that a constraint makes are waited
        for.

        Raises:
            ModelError: called before fit, a label or column that training did not have, or rows that are still missing
                after the last round.
        """
        derived = self._ready()
        for name in where:
            if name not in derived.dtypes:
                raise ModelError(unknown_name("column", name, derived.dtypes), where="where")
        free = {name: value for name, value in where.items() if name not in derived.names}
        made = [name for name in where if name in derived.names]
        awaited = dict(zip(made, as_json(pd.Series([where[name] for name in made], dtype=object)), strict=True))
        first, legal = self._drawn(n, labels, free, rng)
        pool = Pool.of(derived, awaited, first.labels if labels is None else labels, first)
        pool.add(first, legal)
        return pool.fill(lambda again: self._drawn(len(again), again, free, rng))

    def _drawn(
        self, n: int, labels: Labels | None, where: Mapping[str, object], rng: np.random.Generator
    ) -> tuple[Table, Mask]:
        if not where:
            drawn = self.inner.sample(n, labels, rng)
        elif isinstance(self.inner, ConditionalSynthesizer):
            drawn = self.inner.sample_where(n, labels, where, rng)
        else:
            raise ModelError("this synthesizer draws rows by label only, not by values of other columns", where="where")
        assert isinstance(drawn, Table)
        return self._ready().restored(drawn)

    def save(self, directory: Path) -> None:
        """Write inner/ and synthesizer.json."""
        derived = self._ready()
        self.inner.save(directory / "inner")
        write_json(directory / "synthesizer.json", {"kind": KIND, **derived.state()})

    @classmethod
    def load(cls, directory: Path, inner: Synthesizer) -> Self:
        """The synthesizer that `save` wrote around `inner`; raises ModelError when the file is broken."""
        model = cls(inner)
        try:
            model._derived = DerivedColumns.restore(read_json(directory / "synthesizer.json"))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ModelError("saved constraints cannot be read", where=str(directory)) from None
        return model

    def _ready(self) -> DerivedColumns:
        if self._derived is None:
            raise ModelError("the constrained synthesizer has not been fitted: call fit or load first")
        return self._derived
