"""Columns, or pixels, drawn alone within the class: the baseline that every fidelity gate must refuse."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from synthgen.config import MarginalsConfig
from synthgen.datasets import Data, ImageSet, Index, Labels, Table, class_counts
from synthgen.errors import ModelError, unknown_name
from synthgen.scans import Scan
from synthgen.synthesizers.encoding.encoder import Encoder
from synthgen.synthesizers.model_files import read_model, write_model

# A class with fewer rows is drawn from all classes together: the marginals of one row are that row.
_MIN_ROWS = 20
_PIXEL_KNOTS = 17


class Marginals:
    """Independent columns of a table, or independent pixels of an image, given the class."""

    def __init__(self, config: MarginalsConfig) -> None:
        self.config = config
        self._fitted: _TableMarginals | _PixelMarginals | None = None

    @property
    def history(self) -> Sequence[dict[str, float]]:
        return ()

    def fit(self, train: Data, valid: Data, rng: np.random.Generator, *, checkpoint: Path | None = None) -> Self:
        """Counts codes, or takes quantiles of pixels, in each class."""
        self._fitted = _TableMarginals.fit(train) if isinstance(train, Table) else _PixelMarginals.fit(train)
        return self

    def sample(self, n: int, labels: Labels | None, rng: np.random.Generator) -> Data:
        """Rows with these labels, or with classes as frequent as in train."""
        return self._ready().sample(n, labels, rng)

    def save(self, directory: Path) -> None:
        """Write synthesizer.json and model.safetensors."""
        meta, arrays = self._ready().state()
        write_model(directory, {"kind": "marginals", **meta}, arrays)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The marginals that `save` wrote."""
        meta, arrays = read_model(directory)
        marginals = cls(MarginalsConfig(kind="marginals"))
        model = _TableMarginals if meta["modality"] == "table" else _PixelMarginals
        marginals._fitted = model.restore(meta, arrays)
        return marginals

    def _ready(self) -> "_TableMarginals | _PixelMarginals":
        if self._fitted is None:
            raise ModelError("marginals has not been fitted: call fit or load first")
        return self._fitted


class _TableMarginals:
    """Cumulative shares of the codes of each column in each class."""

    def __init__(self, encoder: Encoder, frequency: npt.NDArray[np.float64], shares: Sequence[npt.NDArray[np.float64]]):
        self.encoder, self.frequency, self.shares = encoder, frequency, shares

    @classmethod
    def fit(cls, train: Table) -> Self:
        # A tie would make two columns dependent.
        encoder = Encoder.fit(train, ties=False)
        codes = encoder.encode(train)
        classes = encoder.class_codes(codes)
        k = len(encoder.classes)
        counts = [_joint_counts(classes, codes[:, j], k, size) for j, size in enumerate(encoder.sizes)]
        rows = np.bincount(classes, minlength=k)
        return cls(encoder, rows / rows.sum(), [_shares(count, rows) for count in counts])

    def sample(self, n: int, labels: Labels | None, rng: np.random.Generator) -> Table:
        classes = self.encoder.draw_classes(n, labels, self.frequency, rng)
        codes = np.empty((n, len(self.shares)), dtype=np.int64)
        for j, share in enumerate(self.shares):
            # A uniform number on the cumulated shares of the row's class; classes lie one after another, 1 apart.
            cumulated = np.cumsum(share, axis=1) / share.sum(axis=1, keepdims=True)
            flat = (cumulated + np.arange(len(share))[:, None]).ravel()
            place = np.searchsorted(flat, classes + rng.random(n), side="right") - classes * share.shape[1]
            codes[:, j] = np.minimum(place, share.shape[1] - 1)
        if self.encoder.label_position is not None:
            codes[:, self.encoder.label_position] = classes
        return self.encoder.decode(codes, rng.random(codes.shape))

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        text, arrays = self.encoder.state()
        shares = {f"shares.{j}": share for j, share in enumerate(self.shares)}
        return {"modality": "table", "encoder": text}, {**arrays, **shares, "frequency": self.frequency}

    @classmethod
    def restore(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        encoder = Encoder.restore(meta["encoder"], arrays)
        return cls(encoder, arrays["frequency"], [arrays[f"shares.{j}"] for j in range(len(encoder.sizes))])


class _PixelMarginals:
    """Quantiles of each pixel position in each class."""

    def __init__(self, meta: Mapping[str, Any], knots: npt.NDArray[Any], counts: Index):
        self.meta, self.knots, self.counts = meta, knots, counts

    @classmethod
    def fit(cls, train: ImageSet) -> Self:
        counts = np.asarray([class_counts(train)[name] for name in train.classes], dtype=np.int64)
        steps = np.linspace(0, 1, _PIXEL_KNOTS)
        members = [train.codes == k if count >= _MIN_ROWS else slice(None) for k, count in enumerate(counts)]
        knots = [np.quantile(train.images[rows], steps, axis=0, method="nearest") for rows in members]
        scan = None if train.scan is None else train.scan.state()
        meta = {"classes": list(train.classes), "mirror_keeps_label": train.mirror_keeps_label, "scan": scan}
        return cls(meta, np.stack(knots).astype(train.images.dtype), counts)

    def sample(self, n: int, labels: Labels | None, rng: np.random.Generator) -> ImageSet:
        names, shape = self.meta["classes"], self.knots.shape[2:]
        codes = self._codes(n, labels, rng)
        images = np.empty((n, *shape), dtype=self.knots.dtype)
        for k in np.unique(codes).tolist():
            rows = np.flatnonzero(codes == k)
            place = rng.random((len(rows), *shape)) * (_PIXEL_KNOTS - 1)
            knot = place.astype(np.int64)
            low, high = (np.take_along_axis(self.knots[k], index, axis=0) for index in (knot, knot + 1))
            images[rows] = np.rint(low + (place - knot) * (high.astype(np.float64) - low))
        mirror, scan = self.meta["mirror_keeps_label"], Scan.restore(self.meta["scan"])
        return ImageSet(images, codes, tuple(names), mirror_keeps_label=mirror, scan=scan)

    def _codes(self, n: int, labels: Labels | None, rng: np.random.Generator) -> Index:
        if labels is None:
            return rng.choice(len(self.counts), n, p=self.counts / self.counts.sum()).astype(np.int64)
        names = self.meta["classes"]
        for name in np.unique(labels).tolist():
            if name not in names or self.counts[names.index(name)] == 0:
                raise ModelError(unknown_name("class", name, names))
        return np.asarray([names.index(name) for name in labels.tolist()], dtype=np.int64)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        return {"modality": "images", **self.meta}, {"knots": self.knots, "counts": self.counts}

    @classmethod
    def restore(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        kept = {
            "scan": None,
            **{name: meta[name] for name in ("classes", "mirror_keeps_label", "scan") if name in meta},
        }
        return cls(kept, arrays["knots"], arrays["counts"])


def _joint_counts(classes: Index, codes: Index, k: int, size: int) -> npt.NDArray[np.int64]:
    return np.bincount(classes * size + codes, minlength=k * size).reshape(k, size)


def _shares(counts: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    pooled = np.broadcast_to(counts.sum(axis=0), counts.shape)
    return np.where((rows < _MIN_ROWS)[:, None], pooled, counts).astype(np.float64)
