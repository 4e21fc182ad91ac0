"""What is known of each image beside its class: site, sex, laterality, age group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]
UNKNOWN = -1


@dataclass(frozen=True)
class Attributes:
    """A level of each attribute for each image.

    Attributes:
        levels: names of the levels by attribute; a level may have no image.
        codes: int64 [n, attributes], position of the level; UNKNOWN where nobody knows.
        protected: names of those whose groups fairness is measured for.
    """

    levels: Mapping[str, tuple[str, ...]]
    codes: Codes
    protected: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, columns: Mapping[str, Sequence[str]], levels: Mapping[str, Sequence[str]] | None = None
    ) -> "Attributes":
        """Of text by attribute; levels are those that occur, unless they are given, and other text is unknown."""
        known = levels or {name: sorted(set(texts)) for name, texts in columns.items()}
        codes = [
            [places.get(text, UNKNOWN) for text in columns[name]]
            for name, names in known.items()
            for places in [{level: place for place, level in enumerate(names)}]
        ]
        return cls({name: tuple(names) for name, names in known.items()}, np.asarray(codes, dtype=np.int64).T)

    def take(self, index: npt.NDArray[Any]) -> "Attributes":
        """Those of the images at these positions."""
        return replace(self, codes=self.codes[index])

    @property
    def texts(self) -> dict[str, npt.NDArray[np.str_]]:
        """str [n] by attribute, empty where nobody knows."""
        # The last one is where UNKNOWN points to.
        names = {name: np.asarray([*levels, ""], dtype=np.str_) for name, levels in self.levels.items()}
        return {name: names[name][column] for name, column in zip(self.levels, self.codes.T, strict=True)}

    def state(self) -> dict[str, Any]:
        """JSON-ready content; `protected` only where there is any, as in files that were written before it."""
        roles = {"protected": self.protected} if self.protected else {}
        return {"levels": dict(self.levels), "codes": self.codes.tolist(), **roles}

    @classmethod
    def restore(cls, state: Mapping[str, Any] | None) -> "Attributes | None":
        """Those whose `state` this is; None for None."""
        if state is None:
            return None
        levels = {name: tuple(names) for name, names in state["levels"].items()}
        codes = np.asarray(state["codes"], dtype=np.int64).reshape(-1, len(levels))
        return cls(levels, codes, tuple(state.get("protected", ())))


def joined(parts: Sequence[tuple[Attributes | None, int]]) -> Attributes | None:
    """Those of several sets in a row, each with its number of images; unknown for a set that has none."""
    first = next((attributes for attributes, _ in parts if attributes is not None), None)
    if first is None:
        return None
    codes = [
        attributes.codes if attributes is not None and attributes.levels == first.levels
        else np.full((n, len(first.levels)), UNKNOWN, dtype=np.int64)
        for attributes, n in parts
    ]  # fmt: skip
    return replace(first, codes=np.concatenate(codes))
