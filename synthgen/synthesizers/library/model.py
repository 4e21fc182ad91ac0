"""`ctgan-library`: the ctgan package as it comes, the control arm.

Its model is not touched. Around it stands what it needs to be comparable: missing values become a column of their own,
booleans text, datetimes ticks; and labels are reached by its own conditional sampling and rejection. Its known
defects stay: values beyond the training range, marginals biased by log frequency (TABULAR.md, defects of ctgan).
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
import pandas as pd

from synthgen import progress
from synthgen.config import CtganLibraryConfig
from synthgen.datasets import Data, Labels, Table
from synthgen.errors import ModelError, TrainingError, unknown_name
from synthgen.synthesizers.ctgan.package import CTGAN, restored_ctgan, stored_ctgan
from synthgen.synthesizers.library.plain_frame import PlainFrame
from synthgen.synthesizers.model_files import read_model, write_model

_MAX_ROUNDS = 40
_ROUND_ROWS = 2_000


class _BudgetSpentError(Exception):
    """Ends the package's training loop from inside."""


class _TimedCTGAN(CTGAN):  # type: ignore[misc]  # the package has no types
    """The package's CTGAN, stopped after the epoch that uses up the budget.

    Its `fit` is one closed loop; the assignment of `loss_values` at the end of each epoch is the only place in it
    that a subclass can see.
    """

    def __init__(self, config: CtganLibraryConfig, rows: int) -> None:
        self.history: list[dict[str, float]] = []
        self._config = config
        self._losses: pd.DataFrame | None = None
        self._steps_per_epoch = max(rows // 500, 1)
        self._started = time.monotonic()
        super().__init__(epochs=config.epochs, batch_size=500)

    @property
    def loss_values(self) -> pd.DataFrame | None:
        return self._losses

    @loss_values.setter
    def loss_values(self, losses: pd.DataFrame | None) -> None:
        self._losses = losses
        if losses is not None and len(losses):
            self._end_epoch(losses)

    def _end_epoch(self, losses: pd.DataFrame) -> None:
        epoch, seconds, limit = len(losses), time.monotonic() - self._started, self._config.budget_minutes * 60
        last = losses.iloc[-1]
        numbers = {"generator_loss": float(last["Generator Loss"]), "critic_loss": float(last["Discriminator Loss"])}
        if not np.isfinite(list(numbers.values())).all():
            raise TrainingError(f"ctgan-library diverged in epoch {epoch}", hint="try `synthesizer.kind: ctgan`")
        step, steps = epoch * self._steps_per_epoch, self._config.budget_steps
        share = max(epoch / self._config.epochs, seconds / limit, step / steps if steps else 0.0)
        rate = step / max(seconds, 1e-9)
        left = max(min(limit - seconds, seconds * (1 / max(share, 1e-9) - 1)), 0.0)
        total = self._config.epochs * self._steps_per_epoch
        progress.report(progress.Tick("fit", "step", step, total, min(share, 1.0), rate, left, numbers))
        self.history.append({"step": float(step), "seconds": seconds, **numbers})
        if share >= 1:
            raise _BudgetSpentError


class CtganLibrary:
    """The package's CTGAN with its defaults; it cannot resume, so a checkpoint folder stays empty."""

    def __init__(self, config: CtganLibraryConfig) -> None:
        self.config = config
        self._model: Any = None
        self._plain: PlainFrame | None = None
        self._history: list[dict[str, float]] = []

    @property
    def history(self) -> Sequence[dict[str, float]]:
        return self._history

    def fit(self, train: Data, valid: Data, rng: np.random.Generator, *, checkpoint: Path | None = None) -> Self:
        """Trains for the epochs, the steps or the minutes, whichever ends first."""
        assert isinstance(train, Table)
        self._plain = PlainFrame.fit(train)
        model = _TimedCTGAN(self.config, len(train))
        with _isolated(model, rng), contextlib.suppress(_BudgetSpentError):
            model.fit(self._plain.plain(train), self._plain.discrete)
        self._model, self._history = model, model.history
        return self

    def sample(self, n: int, labels: Labels | None, rng: np.random.Generator) -> Table:
        """Rows with these labels, or as the package draws them.

        Raises:
            TrainingError: the package does not draw enough rows of a class in a bounded number of rounds.
        """
        plain = self._ready()
        with _isolated(self._model, rng):
            if labels is None or n == 0:
                return plain.table(self._model.sample(n))
            return plain.table(self._conditioned(plain, labels))

    def _conditioned(self, plain: PlainFrame, labels: Labels) -> pd.DataFrame:
        names, counts = np.unique(labels, return_counts=True)
        parts = [self._rows_of(plain, name, count) for name, count in zip(names.tolist(), counts.tolist(), strict=True)]
        # The rows stand sorted by class; the place of each among them is found by sorting the labels alike.
        place = np.argsort(np.argsort(labels, kind="stable"), kind="stable")
        return pd.concat(parts, ignore_index=True).iloc[place].reset_index(drop=True)

    def _rows_of(self, plain: PlainFrame, name: str, count: int) -> pd.DataFrame:
        texts, label = plain.class_texts(), plain.columns[0].name
        if name not in texts:
            raise ModelError(unknown_name("class", name, texts))
        found, parts = 0, list[pd.DataFrame]()
        for _ in range(_MAX_ROUNDS):
            drawn = self._model.sample(max(_ROUND_ROWS, count), label, texts[name])
            parts.append(drawn[drawn[label] == texts[name]])
            found += len(parts[-1])
            if found >= count:
                return pd.concat(parts, ignore_index=True).head(count)
        raise TrainingError(
            f"ctgan-library drew {found} of {count} rows of class {name!r} in {_MAX_ROUNDS} rounds",
            hint="raise synthesizer.budget_minutes, or use `synthesizer.kind: ctgan`, whose quotas are exact",
        )

    def save(self, directory: Path) -> None:
        """Write the generator's weights and the parameters of the transformers; not the package's pickle of row ids."""
        plain = self._ready()
        meta, arrays = stored_ctgan(self._model)
        own = {"plain": plain.state(), "history": self._history}
        write_model(directory, {"kind": "ctgan-library", "config": self.config.model_dump(), **own, **meta}, arrays)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The model that `save` wrote."""
        meta, arrays = read_model(directory)
        library = cls(CtganLibraryConfig.model_validate(meta["config"]))
        library._model = restored_ctgan(meta, arrays)
        library._plain = PlainFrame.restore(meta["plain"])
        library._history = meta["history"]
        return library

    def _ready(self) -> PlainFrame:
        if self._plain is None:
            raise ModelError("ctgan-library has not been fitted: call fit or load first")
        return self._plain


@contextlib.contextmanager
def _isolated(model: Any, rng: np.random.Generator) -> Iterator[None]:
    """The package draws from the global random states: it gets them seeded by us, and they are put back."""
    seed = int(rng.integers(2**31))
    model.set_random_state(seed)
    # Its worker processes cost more than they bring on these tables, and would draw from states of their own.
    with joblib.parallel_config(backend="sequential"):
        yield
