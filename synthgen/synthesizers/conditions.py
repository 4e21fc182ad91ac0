"""Rows with given values in any columns: forced one by one, and weighted by how likely the model finds them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthgen.datasets import Index
from synthgen.errors import ModelError
from synthgen.stats import FloatArray
from synthgen.synthesizers.codes import Allowed, CodeModel
from synthgen.synthesizers.encoding.encoder import Encoder

# Rounds of proposals before the best of the last ones are taken, and proposals per wanted row in each.
_ROUNDS, _PROPOSALS, _MIN_PROPOSALS = 12, 4, 512
# A combination less likely than this was not learned: it is in no one's interest to make it up.
_UNREACHABLE = np.log(1e-8)


@dataclass(frozen=True)
class Condition:
    """Values that every drawn row has.

    Attributes:
        allowed: for the features among the columns, which codes can stand for the value.
        values: the values themselves, by column.
        label: float64 [k], all weight on one class when the label is among the columns.
    """

    allowed: Allowed
    values: Mapping[str, object]
    label: FloatArray | None

    @classmethod
    def of(cls, encoder: Encoder, where: Mapping[str, object]) -> "Condition":
        """The condition in codes; raises ModelError for a column or value that training did not have."""
        codes = encoder.value_codes(where)
        label = encoder.schema.label
        features = [column.name for column in encoder.columns if column.name != label]
        allowed: dict[int, npt.NDArray[np.bool_]] = {}
        for name, code in codes.items():
            if name != label:
                position = features.index(name)
                allowed[position] = np.arange(encoder.feature_sizes[position]) == code
        weight = None if label not in codes else (np.arange(len(encoder.classes)) == codes[label]).astype(np.float64)
        return cls(allowed, dict(where), weight)

    def describe(self) -> str:
        """The combination in words; these values are the caller's own."""
        return ", ".join(f"{name} = {value!r}" for name, value in self.values.items())


def draw_conditioned(model: CodeModel, classes: Index, condition: Condition, rng: np.random.Generator) -> Index:
    """Codes int64 [n, columns] of rows that meet the condition, distributed as the model's rows that do.

    Proposals with the condition forced are accepted by their weight relative to the largest one seen (rejection
    sampling); after `_ROUNDS` rounds the missing rows are picked from the last proposals by weight, so that the time
    is bounded.

    Raises:
        ModelError: the model gives the combination a probability below 1e-8 in a class that was asked for.
    """
    codes = np.zeros((len(classes), 0), dtype=np.int64)
    for k in np.unique(classes).tolist():
        rows = np.flatnonzero(classes == k)
        found = _of_class(model, k, len(rows), condition, rng)
        codes = np.zeros((len(classes), found.shape[1]), dtype=np.int64) if codes.shape[1] == 0 else codes
        codes[rows] = found
    return codes


def _of_class(model: CodeModel, k: int, count: int, condition: Condition, rng: np.random.Generator) -> Index:
    accepted: list[Index] = []
    missing, largest = count, -np.inf
    for _ in range(_ROUNDS):
        proposals = model.draw(
            np.full(max(_PROPOSALS * missing, _MIN_PROPOSALS), k, dtype=np.int64), condition.allowed, rng
        )
        weights = proposals.log_weight
        _require_reachable(weights, condition)
        largest = max(largest, float(weights.max()))
        taken = np.flatnonzero(np.log(rng.random(len(weights))) < weights - largest)[:missing]
        accepted.append(proposals.codes[taken])
        missing -= len(taken)
        if missing == 0:
            return np.concatenate(accepted)
    chance = np.exp(weights - weights.max())
    picked = rng.choice(len(chance), missing, replace=int((chance > 0).sum()) < missing, p=chance / chance.sum())
    return np.concatenate([*accepted, proposals.codes[picked]])


def _require_reachable(weights: FloatArray, condition: Condition) -> None:
    mean = float(np.logaddexp.reduce(weights)) - np.log(len(weights))
    if mean < _UNREACHABLE:
        raise ModelError(
            f"the combination {condition.describe()} cannot be drawn: the model gives it less than 1 in 100 million",
            where="where",
            hint="leave out one of the columns, or train on data that has such rows",
        )
