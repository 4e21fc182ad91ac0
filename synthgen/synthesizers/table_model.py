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
from synthgen.synthesizers.awaited import Awaited
from synthgen.synthesizers.codes import CodeModel, CodeRows, WarmCodeModel
from synthgen.synthesizers.conditions import Condition, draw_conditioned
from synthgen.synthesizers.ctgan.private_budget import secret_rng
from synthgen.synthesizers.ctgan.private_encoder import PrivateEncoder
from synthgen.synthesizers.encoding.encoder import Encoder, default_bins
from synthgen.synthesizers.encoding.inside import Inside
from synthgen.synthesizers.encoding.relations import Relations
from synthgen.synthesizers.model_files import read_model, write_model
from synthgen.synthesizers.protocol import Synthesizer, Wrapper
from synthgen.synthesizers.warm_start import continued, earlier_codes, misfit

SAMPLE_ROWS = 16_384


@dataclass(frozen=True)
class _Fitted:
    """What sampling needs; frequency: float64 [k], share of each class in train."""

    relations: Relations
    encoder: Encoder
    inside: Inside
    frequency: FloatArray


class TableModel:
    """A synthesizer of tables around a code model. The label is the condition: a row is drawn for its label."""

    def __init__(self, config: CodeModelConfig, codes: CodeModel) -> None:
        self.config = config
        self.codes = codes
        self._fitted: _Fitted | None = None
        self._earlier: TableModel | None = None
        self._start = ""

    def begin_from(self, earlier: Synthesizer) -> None:
        """Let `fit` go on from this fitted model where its codes fit the rows; what came of it is in `start`."""
        inner = earlier.inner if isinstance(earlier, Wrapper) else earlier
        self._start = "cold: the earlier model is of another kind"
        if (
            isinstance(inner, TableModel)
            and isinstance(self.codes, WarmCodeModel)
            and inner.config.kind == self.config.kind
        ):
            self._earlier = inner

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
        relations, encoder, frequency = self._basis(train)
        train, valid = relations.reduced(train), relations.reduced(valid)
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
        self._fitted = _Fitted(relations, encoder, inside, frequency)
        return self

    def _basis(self, train: Table) -> tuple[Relations, Encoder, FloatArray]:
        """Relations, encoder and class shares; with an earlier model that fits, its relations and its bins."""
        if self._earlier is not None and isinstance(self.codes, WarmCodeModel):
            known = self._earlier._ready()
            reduced = known.relations.reduced(train) if set(known.relations.names) <= set(train.frame) else train
            reason = misfit(self._earlier.config, self.config, known.encoder, reduced)
            self._start = f"cold: {reason}" if reason else "warm"
            if not reason:
                encoder = continued(known.encoder, Encoder.fit(reduced, bins=self.config.bins), reduced)
                self.codes.begin_from(self._earlier.codes, earlier_codes(known.encoder, encoder))
                return known.relations, encoder, _class_shares(encoder, reduced)
        relations = self._relations(train)
        return relations, *self._encoder(relations.reduced(train))

    def _relations(self, train: Table) -> Relations:
        """Columns that are nearly formulas of others; none under differential privacy, which must not look at them."""
        if isinstance(self.config, CtganConfig) and self.config.dp is not None:
            return Relations()
        return Relations.fit(train, self.config.bins or default_bins(len(train)))

    def _encoder(self, train: Table) -> tuple[Encoder, FloatArray]:
        """The encoder, and the share of each class; both from noised counts where the config asks for privacy."""
        if isinstance(self.config, CtganConfig) and self.config.dp is not None:
            private = PrivateEncoder.fit(train, self.config.dp, bins=self.config.bins, rng=secret_rng())
            return private.encoder, private.frequency
        encoder = Encoder.fit(train, bins=self.config.bins)
        return encoder, _class_shares(encoder, train)

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
        awaited = Awaited.of(fitted.relations, where)
        condition = Condition.of(encoder, {name: value for name, value in where.items() if name not in awaited.values})
        frequency = fitted.frequency if condition.label is None else condition.label
        classes = encoder.draw_classes(n, labels, frequency, rng)
        if awaited.values:
            return awaited.rows(classes, lambda asked: self._drawn(asked, condition, rng), rng)
        return fitted.relations.restored(self._drawn(classes, condition, rng))

    def _drawn(self, classes: Index, condition: Condition, rng: np.random.Generator) -> Table:
        """The rows with what is left of the columns in relations."""
        encoder, starts = self._ready().encoder, range(0, len(classes), SAMPLE_ROWS)
        parts = [self._decoded(classes[start : start + SAMPLE_ROWS], condition, rng) for start in starts]
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
        relations, relations_arrays = fitted.relations.state()
        model, model_arrays = self.codes.state()
        own: dict[str, object] = {
            "kind": self.config.kind,
            "config": self.config.model_dump(),
            "history": list(self.history),
        }
        own |= {"start": self._start} if self._start else {}
        parts = {"relations": relations, "encoder": encoder, "inside": inside, "model": model}
        arrays = {**relations_arrays, **encoder_arrays, **inside_arrays, **model_arrays}
        write_model(directory, {**own, **parts}, {**arrays, "frequency": fitted.frequency})

    def load(self, directory: Path) -> Self:
        """The model that `save` wrote; raises ModelError when it is broken."""
        meta, arrays = read_model(directory)
        encoder = Encoder.restore(meta["encoder"], arrays)
        relations, inside = (
            Relations.restore(meta["relations"], arrays),
            Inside.restore(encoder, meta["inside"], arrays),
        )
        self._fitted = _Fitted(relations, encoder, inside, arrays["frequency"])
        self.codes.restore(encoder.layout, meta["model"], arrays)
        return self

    def _ready(self) -> _Fitted:
        if self._fitted is None:
            raise ModelError(f"{self.config.kind} has not been fitted: call fit or load first")
        return self._fitted


def _class_shares(encoder: Encoder, train: Table) -> FloatArray:
    """float64 [k], share of each class of the encoder among the rows."""
    counts = np.bincount(encoder.label_codes(train.labels), minlength=len(encoder.classes))
    return np.asarray(counts / len(train), dtype=np.float64)
