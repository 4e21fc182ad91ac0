"""`ctgan`: conditional tabular GAN (Xu 2019) over categorical codes, with the moments of all pairs of columns matched.

The label is the condition of the generator and not among its outputs: a row asked for with a label is a row generated
for that label. Every other column is a categorical code (encoder.py), decoded to legal values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from synthgen.config import CtganConfig
from synthgen.datasets import Data, Index, Labels, Table
from synthgen.errors import DataError, ModelError
from synthgen.stats import FloatArray
from synthgen.synthesizers.ctgan_checkpoint import restore_checkpoint, save_checkpoint
from synthgen.synthesizers.ctgan_groups import Groups
from synthgen.synthesizers.ctgan_material import Material
from synthgen.synthesizers.ctgan_package import build_generator
from synthgen.synthesizers.ctgan_training import Budget, State, settle_batch_norm, train_networks
from synthgen.synthesizers.encoder import Encoder
from synthgen.synthesizers.model_files import read_model, write_model

_SAMPLE_ROWS = 4_096
# The moments of 8,192 levels take 270 MB, and training holds four of their kind.
_MAX_LEVELS = 8_192


@dataclass(frozen=True)
class _Fitted:
    """What sampling needs; frequency: float64 [k], share of each class in train."""

    encoder: Encoder
    groups: Groups
    generator: nn.Module
    frequency: FloatArray


class Ctgan:
    """The table GAN. Trains `budget_steps`, or 40 x sqrt(rows) steps from 600 to 3,000; never beyond the minutes."""

    def __init__(self, config: CtganConfig) -> None:
        self.config = config
        self._fitted: _Fitted | None = None
        self._history: list[dict[str, float]] = []

    @property
    def history(self) -> Sequence[dict[str, float]]:
        return self._history

    def fit(self, train: Data, valid: Data, rng: np.random.Generator, *, checkpoint: Path | None = None) -> Self:
        """Trains, going on from the checkpoint when it is one of the same data, config and seed.

        Raises:
            DataError: there is nothing to learn, or more levels than pairs of them fit into memory.
            TrainingError: a loss is no longer a number.
        """
        assert isinstance(train, Table)
        encoder = Encoder.fit(train, bins=self.config.bins)
        _refuse_shape(encoder)
        codes = encoder.encode(train)
        classes = encoder.class_codes(codes)
        material = Material.of(
            encoder.features(codes), classes, encoder.feature_sizes, batch_size=self.config.batch_size
        )
        seed = int(rng.integers(2**63))
        state = State.fresh(self.config, material, torch.Generator(material.device).manual_seed(seed))
        key = f"{seed} {train.fingerprint()} {self.config.model_dump_json()}" if checkpoint else ""
        if checkpoint:
            restore_checkpoint(state, checkpoint, key)
        budget = Budget.of(self.config, len(train))
        train_networks(state, material, self.config, budget, lambda now: _save_state(now, checkpoint, key))
        settle_batch_norm(state.average, material, self.config.latent, state.rng)
        self._fitted = _Fitted(encoder, material.groups, state.average, np.bincount(classes) / len(classes))
        self._history = state.history
        return self

    def sample(self, n: int, labels: Labels | None, rng: np.random.Generator) -> Table:
        """Rows with these labels, or with classes drawn by their frequency in train; raises ModelError before fit."""
        fitted = self._ready()
        classes = fitted.encoder.draw_classes(n, labels, fitted.frequency, rng)
        device = fitted.groups.offsets.device
        generator = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
        parts = [
            _draw(fitted, torch.from_numpy(classes[start : start + _SAMPLE_ROWS]).to(device), self.config, generator)
            for start in range(0, n, _SAMPLE_ROWS)
        ]
        features = np.concatenate(parts) if parts else np.empty((0, len(fitted.groups.sizes)), dtype=np.int64)
        codes = fitted.encoder.with_label(features, classes)
        return fitted.encoder.decode(codes, rng.random(codes.shape))

    def save(self, directory: Path) -> None:
        """Write synthesizer.json and model.safetensors."""
        fitted = self._ready()
        encoder, arrays = fitted.encoder.state()
        weights = {f"generator.{name}": t.cpu().numpy() for name, t in fitted.generator.state_dict().items()}
        meta = {"kind": "ctgan", "config": self.config.model_dump(), "encoder": encoder, "history": self._history}
        write_model(directory, meta, {**arrays, **weights, "frequency": fitted.frequency})

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The model that `save` wrote; raises ModelError when it is broken."""
        meta, arrays = read_model(directory)
        model = cls(CtganConfig.model_validate(meta["config"]))
        encoder = Encoder.restore(meta["encoder"], arrays)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        groups = Groups.of(encoder.feature_sizes, device)
        inputs = model.config.latent + len(encoder.classes)
        generator = build_generator(inputs, model.config.width, groups.width, torch.Generator(device))
        generator.load_state_dict(_tensors(arrays))
        model._fitted = _Fitted(encoder, groups, generator.eval().requires_grad_(False), arrays["frequency"])
        model._history = meta["history"]
        return model

    def _ready(self) -> _Fitted:
        if self._fitted is None:
            raise ModelError("ctgan has not been fitted: call fit or load first")
        return self._fitted


def _refuse_shape(encoder: Encoder) -> None:
    names = [column.name for column in encoder.columns if column.name != encoder.schema.label]
    if not names:
        raise DataError("the table has no column to learn beside the label", hint="see `drop` and `ids` of the source")
    if sum(encoder.feature_sizes) > _MAX_LEVELS:
        widest = names[int(np.argmax(encoder.feature_sizes))]
        raise DataError(
            f"the columns have {sum(encoder.feature_sizes)} levels together, ctgan takes {_MAX_LEVELS}",
            where=widest,
            hint=f"{widest!r} has {max(encoder.feature_sizes)}: declare it as id, or group its rare values",
        )


@torch.no_grad()
def _draw(fitted: _Fitted, classes: Tensor, config: CtganConfig, rng: torch.Generator) -> Index:
    noise = torch.randn(len(classes), config.latent, generator=rng, device=classes.device)
    condition = functional.one_hot(classes, len(fitted.frequency)).float()
    logits = fitted.generator(torch.cat([noise, condition], dim=1))
    return np.asarray(fitted.groups.draw(logits, rng).cpu().numpy(), dtype=np.int64)


def _save_state(state: State, checkpoint: Path | None, key: str) -> None:
    if checkpoint is not None:
        save_checkpoint(state, checkpoint, key)


def _tensors(arrays: dict[str, Any]) -> dict[str, Tensor]:
    prefix = "generator."
    found = {name: array for name, array in arrays.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): torch.from_numpy(array) for name, array in found.items()}
