"""What every metric is given."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from synthgen.canaries import Canaries
from synthgen.config import EvaluationSize
from synthgen.datasets import Data, ImageSet, class_counts, take_per_class
from synthgen.stats import FloatArray, named_rng


class NotMeasurable(Exception):
    """A metric says why it cannot be computed on this data; it becomes a `NotMeasured`, never a number."""


class NotApplicable(NotMeasurable):
    """There is nothing to measure, such as secrets where none is declared: no rule judges it."""


def canonical(data: Data) -> Data:
    """The same rows in an order that depends on their content alone: neither row nor column order moves a number."""
    if isinstance(data, ImageSet):
        return data.take(np.argsort(data.row_keys(), kind="stable").astype(np.int64))
    keys = pd.util.hash_pandas_object(data.frame[sorted(data.schema.modelled)], index=False)
    return data.take(np.argsort(keys.to_numpy(), kind="stable").astype(np.int64))


@dataclass(frozen=True)
class Matched:
    """Three sets with the same number of rows of each class."""

    train: Data
    holdout: Data
    synthetic: Data

    def __len__(self) -> int:
        return len(self.synthetic)


# Compared by identity, so that what is computed once per evaluation can be kept beside it.
@dataclass(frozen=True, eq=False)
class Evaluation:
    """Real and synthetic data to compare.

    Attributes:
        train: the real rows that the synthesizer has seen.
        holdout: real rows that nothing has seen; the control of every attack, the test set of every utility number.
        synthetic: the curated rows that are to be emitted.
        probe: rows of the same synthesizer with the class frequencies of train, for train-on-synthetic numbers.
        canaries: records of which half were trained on besides train; None when none were planted.
        realism: the trained discriminator: how real each image is for its class, float64 [n]; None where there is none.
    """

    train: Data
    holdout: Data
    synthetic: Data
    size: EvaluationSize
    seed: int = 0
    probe: Data | None = None
    canaries: Canaries | None = None
    realism: Callable[[Data], FloatArray] | None = None

    def rng(self, name: str) -> np.random.Generator:
        """The random stream of one metric."""
        return named_rng(self.seed, f"evaluate/{name}")

    @cached_property
    def matched(self) -> Matched:
        """Equal numbers per class, so that a difference in class balance is not mistaken for a difference in rows."""
        sets = (self.train, self.holdout, self.synthetic)
        counts = [class_counts(data) for data in sets]
        shared = {name: min(count.get(name, 0) for count in counts) for name in self.train.classes}
        total = sum(shared.values())
        if total == 0:
            raise NotMeasurable("train, holdout and synthetic rows share no class")
        scale = min(1.0, self.size.max_rows / total)
        quota = {name: int(np.ceil(count * scale)) for name, count in shared.items()}
        rng = self.rng("matched")
        return Matched(*(take_per_class(canonical(data), quota, rng) for data in sets))
