"""What the page needs beside the report's numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from synthgen.config import RunConfig
from synthgen.datasets import Data


@dataclass(frozen=True)
class Material:
    """The data behind a report; the page shows aggregates of it and, of images, a few examples.

    Attributes:
        config: None for an audit of somebody's synthetic data.
        holdout: None when no real rows were held back.
        history: training numbers, one dict per tick.
        curation: counts of what curation dropped.
        dataset: where the dataset was emitted; None when it was not.
        seconds: of each stage.
        choice: the models that were compared on valid, and which was chosen.
    """

    config: RunConfig | None
    train: Data
    holdout: Data | None
    synthetic: Data
    history: Sequence[Mapping[str, float]] = ()
    curation: Mapping[str, object] = field(default_factory=dict)
    dataset: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    choice: Mapping[str, Any] = field(default_factory=dict)

    @property
    def emitted(self) -> bool | None:
        """Whether a dataset was written; None when none was to be written."""
        return None if self.config is None else self.dataset is not None

    @property
    def real(self) -> Data:
        """Real rows to compare the synthetic ones with: the held-out ones if there are any."""
        return self.train if self.holdout is None else self.holdout
