"""Every table synthesizer that works on codes: encoder, code model, positions inside the bins; and back to rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from synthgen.config import CodeModelConfig, CtganConfig
from synthgen.datasets import Data, Index, Labels, Table
from synthgen.errors import DataError, ModelError
from synthgen.stats import FloatArray
from synthgen.synthesizers.codes import CodeModel, CodeRows
from synthgen.synthesizers.conditions import Condition, draw_conditioned
from synthgen.synthesizers.ctgan.private_budget import secret_rng
from synthgen.synthesizers.ctgan.private_encoder import PrivateEncoder
from synthgen.synthesizers.encoding.encoder import Encoder
from synthgen.synthesizers.encoding.inside import Inside
from synthgen.synthesizers.model_files import read_model, write_model

SAMPLE_ROWS = 16_384


@dataclass(frozen=True)
class _Fitted:
    """What sampling needs; frequency: float64 [k], share of each class in train."""

    encoder: Encoder
    inside: Inside
    frequency: FloatArray


class TableModel:
    """A synthesizer of tables around a code model. The label is the condition: a row is drawn for its label."""

    def __init__(self, config: CodeModelConfig, codes: CodeModel) -> None:
        self.config = config
        self.codes = codes
        self._fitted: _Fitted | None = None

    @property
    def history(self) -> Sequence[dict[str, float]]:
        return self.codes.history

    def fit(self, train: Data, valid: Data, rng: np.random.Generator, *, checkpoint: Path | None = None) -> Self:
        """Encodes, trains the code model, learns where in their bins values stand.

        Raises:
            DataError: there is nothing to learn, or more levels than the code model takes.
            TrainingError: a loss is no longer a number.
        """
        assert isinstance(train, Table)
        assert isinstance(valid, Table)
        encoder, frequency = self._encoder(train)
        if not encoder.feature_sizes:
            raise DataError(
                "the table has no column to learn beside the label", hint="see `drop` and `ids` of the source"
            )
        codes = encoder.encode(train)
        rows = CodeRows(encoder.features(codes), encoder.class_codes(codes))
        known = encoder.encode(encoder.known(valid))
        others = CodeRows(encoder.features(known), encoder.class_codes(known))
        inside = Inside.fit(encoder, train, codes, kind=self.config.inside, rng=rng)
        self.codes.fit(rows, others, encoder.layout, rng, checkpoint=checkpoint)
        self._fitted = _Fitted(encoder, inside, frequency)
        return self

    def _encoder(self, train: Table) -> tuple[Encoder, FloatArray]:
        """The encoder, and the share of each class; both from noised counts where the config asks for privacy."""
        if isinstance(self.config, CtganConfig) and self.config.dp is not None:
            private = PrivateEncoder.fit(train, self.config.dp, bins=self.config.bins, rng=secret_rng())
            return private.encoder, private.frequency
        encoder = Encoder.fit(train, bins=self.config.bins)
        counts = np.unique(encoder.label_codes(train.labels), return_counts=True)[1]
        return encoder, counts / len(train)

    def sample(self, n: int, labels: Labels | None, rng: np.random.Generator) -> Table:
        """Rows with these labels, or with classes by their frequency in train; raises ModelError before fit."""
        return self.sample_where(n, labels, {}, rng)

    def sample_where(
        self, n: int, labels: Labels | None, where: Mapping[str, object], rng: np.random.Generator
    ) -> Table:
        """Like `sample`, every row with these values by column; None asks for a missing one, text is parsed.

        Raises:
            ModelError: called before fit; a label, column or value that training did not have; or a combination of
                values that the model does not reach.
        """
        fitted = self._ready()
        encoder = fitted.encoder
        condition = Condition.of(encoder, where)
        frequency = fitted.frequency if condition.label is None else condition.label
        classes = encoder.draw_classes(n, labels, frequency, rng)
        parts = [
            self._decoded(classes[start : start + SAMPLE_ROWS], condition, rng) for start in range(0, n, SAMPLE_ROWS)
        ]
        if not parts:
            return encoder.decode(np.empty((0, len(encoder.sizes)), dtype=np.int64), np.empty((0, len(encoder.sizes))))
        return encoder.joined(parts)

    def _decoded(self, classes: Index, condition: Condition, rng: np.random.Generator) -> Table:
        fitted = self._ready()
        if condition.allowed:
            features = draw_conditioned(self.codes, classes, condition, rng)
        else:
            features = self.codes.draw(classes, {}, rng).codes
        codes = fitted.encoder.with_label(features, classes)
        return fitted.encoder.decode(codes, fitted.inside.draw(codes, rng), fixed=condition.values)

    def save(self, directory: Path) -> None:
        """Write synthesizer.json and model.safetensors."""
        fitted = self._ready()
        encoder, encoder_arrays = fitted.encoder.state()
        inside, inside_arrays = fitted.inside.state()
        model, model_arrays = self.codes.state()
        meta = {"encoder": encoder, "inside": inside, "model": model, "config": self.config.model_dump()}
        arrays = {**encoder_arrays, **inside_arrays, **model_arrays, "frequency": fitted.frequency}
        write_model(directory, {"kind": self.config.kind, **meta, "history": list(self.history)}, arrays)

    def load(self, directory: Path) -> Self:
        """The model that `save` wrote; raises ModelError when it is broken."""
        meta, arrays = read_model(directory)
        encoder = Encoder.restore(meta["encoder"], arrays)
        self._fitted = _Fitted(encoder, Inside.restore(encoder, meta["inside"], arrays), arrays["frequency"])
        self.codes.restore(encoder.layout, meta["model"], arrays)
        return self

    def _ready(self) -> _Fitted:
        if self._fitted is None:
            raise ModelError(f"{self.config.kind} has not been fitted: call fit or load first")
        return self._fitted
