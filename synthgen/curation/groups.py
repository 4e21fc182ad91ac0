"""Images of protected groups: what curation drops of one is drawn again for the same one."""

from collections import Counter
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.datasets import Data, ImageSet, concat
from synthgen.synthesizers.protocol import ConditionalSynthesizer, Synthesizer


@dataclass(frozen=True)
class Groups:
    """The protected attributes that a model of images can be asked for."""

    model: ConditionalSynthesizer
    protected: tuple[str, ...]

    @classmethod
    def of(cls, model: Synthesizer, train: Data, drawn: Data) -> Self | None:
        """None where train has no protected attribute, or the drawn images carry none."""
        if not isinstance(train, ImageSet) or not isinstance(drawn, ImageSet) or train.attributes is None:
            return None
        protected = train.attributes.protected
        if not protected or drawn.attributes is None or not isinstance(model, ConditionalSynthesizer):
            return None
        return cls(model, protected)

    def again(self, images: Data, rng: np.random.Generator) -> Data:
        """Two new images for each of these, of its class and group: one of them may be dropped as well."""
        twice = images.take(np.repeat(np.arange(len(images)), 2))
        levels = pd.DataFrame({name: _attribute(twice, name) for name in self.protected})
        parts = [
            self.model.sample_where(len(rows), twice.labels[rows], dict(levels.iloc[rows[0]]), rng)
            for rows in levels.groupby(list(self.protected)).indices.values()
        ]
        return concat(parts)

    def beyond(self, images: Data, others: Data) -> npt.NDArray[np.bool_]:
        """True for images when as many of their class and group come before them as there are among the others."""
        cells = pd.concat([self._cells(images), self._cells(others)], ignore_index=True)
        codes = cells.groupby(list(cells), sort=False).ngroup().to_numpy()
        mine, theirs = codes[: len(images)], codes[len(images) :]
        before = pd.Series(mine).groupby(mine).cumcount().to_numpy()
        return np.asarray(before >= np.bincount(theirs, minlength=len(codes))[mine])

    def _cells(self, images: Data) -> pd.DataFrame:
        return pd.DataFrame({"": images.labels, **{name: _attribute(images, name) for name in self.protected}})


def group_counts(images: Data, train: Data) -> dict[str, int]:
    """Images of each group of the attributes that train protects, as "sex: f"; empty where there are none."""
    if not isinstance(images, ImageSet) or not isinstance(train, ImageSet):
        return {}
    protected = train.attributes.protected if train.attributes is not None else ()
    texts = images.attributes.texts if images.attributes is not None else {}
    counts = {name: Counter(texts[name].tolist()) for name in protected if name in texts}
    return {f"{name}: {level or 'unknown'}": counts[name][level] for name in counts for level in sorted(counts[name])}


def _attribute(images: Data, name: str) -> npt.NDArray[np.str_]:
    assert isinstance(images, ImageSet)
    assert images.attributes is not None
    return images.attributes.texts[name]
