"""What a code model is: the joint distribution of categorical codes, given the class. `TableModel` makes rows of it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from synthgen.datasets import Index
from synthgen.stats import FloatArray

Mask = npt.NDArray[np.bool_]
Arrays = Mapping[str, npt.NDArray[Any]]
# Columns (by position) whose codes are restricted, and which codes of each are allowed: bool [size of the column].
Allowed = Mapping[int, Mask]


@dataclass(frozen=True)
class Layout:
    """The columns of the codes; the label is not among them.

    Attributes:
        names: of the columns, in the order of the table.
        sizes: number of codes of each.
        ranks: float64 [size] for a column with an order: middle of the share of training values at or below each code,
            in [0, 1], NaN for a code without a place in that order (missing); None for a column without an order.
        class_count: number of classes; 1 without a label.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    ranks: tuple[FloatArray | None, ...]
    class_count: int


@dataclass(frozen=True)
class CodeRows:
    """Rows as codes.

    Attributes:
        codes: int64 [n, columns], each below the size of its column.
        classes: int64 [n].
    """

    codes: Index
    classes: Index

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, index: Index) -> "CodeRows":
        """The rows at these positions."""
        return CodeRows(self.codes[index], self.classes[index])

    def fingerprint(self) -> str:
        """SHA-256 of all codes and classes."""
        digest = hashlib.sha256(repr(self.codes.shape).encode())
        digest.update(np.ascontiguousarray(self.codes).tobytes())
        digest.update(np.ascontiguousarray(self.classes).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Drawn:
    """Codes int64 [n, columns] and, for each row, the log of the probability of the codes that were restricted."""

    codes: Index
    log_weight: FloatArray


class CodeModel(Protocol):
    """Learns codes given the class. To add one: a module with such a class, a config, a line in the registry."""

    def fit(
        self, train: CodeRows, valid: CodeRows, layout: Layout, rng: np.random.Generator, *, checkpoint: Path | None
    ) -> Self:
        """The fitted model. With a `checkpoint` folder, training saves itself there and continues from it.

        `valid` may be empty (rows with codes that train does not have are left out).
        """
        ...

    def draw(self, classes: Index, allowed: Allowed, rng: np.random.Generator) -> Drawn:
        """One row for each class code int64 [n], restricted columns drawn among their allowed codes.

        A row is drawn from the model with the restricted columns forced, and `log_weight` is the log of the
        probability with which it would have come by itself; 0 where nothing is restricted.
        """
        ...

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """JSON-ready content and arrays; neither holds a training row."""
        ...

    def restore(self, layout: Layout, meta: Mapping[str, Any], arrays: Arrays) -> Self:
        """The fitted model whose `state` this is."""
        ...

    @property
    def history(self) -> Sequence[dict[str, float]]:
        """Training numbers, one dict per tick with at least "step" and "seconds"."""
        ...


@runtime_checkable
class WarmCodeModel(CodeModel, Protocol):
    """A code model whose training can begin with the weights of an earlier one of the same layout and config."""

    def begin_from(self, earlier: CodeModel, codes: Sequence[Index]) -> None:
        """Take the weights of the fitted model for the start of `fit`.

        Args:
            codes: of each column, int64 [size]: the code in the earlier layout that each code was, -1 for a new one.
        """
        ...
