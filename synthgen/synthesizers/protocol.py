"""The interface of every synthesizer. tests/contract/test_synthesizers.py is its definition."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

import numpy as np

from synthgen.datasets import Data, Labels
from synthgen.stats import FloatArray


class Synthesizer(Protocol):
    """Learns from labelled data and draws more of it.

    Contract: schema and dtypes kept (modelled columns), n and label quotas exact, same seed same bytes,
    save -> load -> same sample, global random state untouched, saved files hold no training row and execute nothing.
    """

    def fit(self, train: Data, valid: Data, rng: np.random.Generator, *, checkpoint: Path | None = None) -> Self:
        """The fitted synthesizer. With a `checkpoint` folder, training saves itself there and continues from it."""
        ...

    def sample(self, n: int, labels: Labels | None, rng: np.random.Generator) -> Data:
        """Exactly n rows; row i has class labels[i] (str [n]). labels None: classes as frequent as in train."""
        ...

    def save(self, directory: Path) -> None:
        """Write safetensors and JSON; `load_synthesizer` reads them."""
        ...

    @property
    def history(self) -> Sequence[dict[str, float]]:
        """Training numbers, one dict per tick with at least "step" and "seconds"; empty when nothing is trained."""
        ...


@runtime_checkable
class ConditionalSynthesizer(Synthesizer, Protocol):
    """A synthesizer that draws rows with any combination of values, or images with levels of attributes."""

    def sample_where(
        self, n: int, labels: Labels | None, where: Mapping[str, object], rng: np.random.Generator
    ) -> Data:
        """Like `sample`, every row with these values by column; None asks for a missing one, text is parsed.

        Raises:
            ModelError: a column or value that training did not have, or a combination that the model does not reach.
        """
        ...


@runtime_checkable
class CheckedSynthesizer(Synthesizer, Protocol):
    """A synthesizer whose configuration has to fit the data beyond their modality."""

    def check(self, train: Data) -> None:
        """Raise ConfigError or ModelError where these data cannot be trained on as configured."""
        ...


@runtime_checkable
class JudgingSynthesizer(Synthesizer, Protocol):
    """A synthesizer that keeps the discriminator it was trained against."""

    def realism(self, data: Data) -> FloatArray:
        """How real the discriminator finds each row for its class, float64 [n]."""
        ...


@runtime_checkable
class WarmSynthesizer(Synthesizer, Protocol):
    """A synthesizer whose training can begin with the weights of an earlier model."""

    def begin_from(self, earlier: Synthesizer) -> None:
        """Let `fit` go on from this fitted model where it fits the data; what came of it is saved as `start`."""
        ...


@runtime_checkable
class Wrapper(Protocol):
    """A synthesizer around another one, such as the one that keeps constraints."""

    inner: Synthesizer
