"""`autoregressive`: every column from a small network over the class and the columns before it, by maximum likelihood.

Source: TabularARGN (Tiwald 2025, arXiv:2501.12012) in its simplest form: one fixed order of columns.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthgen.config import AutoregressiveConfig
from synthgen.datasets import Index
from synthgen.synthesizers.autoregressive_network import ColumnNetworks, build_networks
from synthgen.synthesizers.autoregressive_training import Plan, State, train_networks
from synthgen.synthesizers.codes import Allowed, Arrays, CodeRows, Drawn, Layout
from synthgen.synthesizers.training_file import restore_training, save_training

# Shares of train that are held out for validation when no rows for it came: of 5,000 rows and more, and of fewer.
_HELD_OUT_SHARE, _HELD_OUT_SHARE_OF_FEW, _FEW_ROWS = 0.05, 0.15, 5_000
# So few rows are judged by themselves: two or three held out would be noise.
_FEWEST_TO_SPLIT = 20
_MAX_VALID_ROWS = 4_000
_CHUNK_ROWS = 2_048


class Autoregressive:
    """Column networks over codes. Trains for `epochs` or `budget_steps`, never beyond the minutes."""

    def __init__(self, config: AutoregressiveConfig) -> None:
        self.config = config
        self._networks: ColumnNetworks | None = None
        self._history: list[dict[str, float]] = []

    @property
    def history(self) -> Sequence[dict[str, float]]:
        return self._history

    def fit(
        self, train: CodeRows, valid: CodeRows, layout: Layout, rng: np.random.Generator, *, checkpoint: Path | None
    ) -> Self:
        """Trains, going on from the checkpoint when it is one of the same data, config and seed.

        Raises:
            TrainingError: the loss is no longer a number, also at a lower learning rate.
        """
        key = f"{train.fingerprint()} {valid.fingerprint()} {self.config.model_dump_json()}" if checkpoint else ""
        learned, judged = _with_valid(train, valid, rng)
        seed = int(rng.integers(2**63))
        key = f"{seed} {key}"
        generator = torch.Generator(_device()).manual_seed(seed)
        rows = _tensor(learned, generator.device)
        state = State.fresh(layout, self.config, rows, generator)
        if checkpoint:
            _resume(state, checkpoint, key)
        plan = Plan.of(self.config, len(learned))
        train_networks(
            state, rows, _tensor(judged, generator.device), plan, lambda now: _save_state(now, checkpoint, key)
        )
        self._networks, self._history = state.best, state.history
        return self

    def draw(self, classes: Index, allowed: Allowed, rng: np.random.Generator) -> Drawn:
        """Column by column; a restricted one among its allowed codes, given the columns before it."""
        assert self._networks is not None
        device = next(self._networks.parameters()).device
        generator = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
        parts = [
            self._networks.draw(part.to(device), allowed, generator)
            for part in torch.split(torch.from_numpy(classes), _CHUNK_ROWS)
        ]
        codes, log_weight = (torch.cat(each).cpu().numpy() for each in zip(*parts, strict=True))
        return Drawn(codes, log_weight)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """The weights of the averaged networks at their best validation likelihood."""
        assert self._networks is not None
        return {"history": self._history}, {
            f"networks.{name}": tensor.cpu().numpy() for name, tensor in self._networks.state_dict().items()
        }

    def restore(self, layout: Layout, meta: Mapping[str, Any], arrays: Arrays) -> Self:
        """The model whose `state` this is."""
        networks = build_networks(layout, self.config, torch.Generator(_device()))
        networks.load_state_dict(_tensors(arrays))
        self._networks, self._history = networks.requires_grad_(False), list(meta["history"])
        return self


def _resume(state: State, checkpoint: Path, key: str) -> None:
    numbers = restore_training(state.parts, state.rng, checkpoint, key=key) or {}
    for name in state.numbers.keys() & numbers.keys():
        setattr(state, name, numbers[name])


def _save_state(state: State, checkpoint: Path | None, key: str) -> None:
    if checkpoint is not None:
        save_training(state.parts, state.rng, state.numbers, checkpoint, key=key)


def _with_valid(train: CodeRows, valid: CodeRows, rng: np.random.Generator) -> tuple[CodeRows, CodeRows]:
    if len(valid):
        return train, valid.take(rng.permutation(len(valid))[:_MAX_VALID_ROWS])
    if len(train) < _FEWEST_TO_SPLIT:
        return train, train
    share = _HELD_OUT_SHARE if len(train) >= _FEW_ROWS else _HELD_OUT_SHARE_OF_FEW
    order = rng.permutation(len(train))
    held_out = min(round(share * len(train)), _MAX_VALID_ROWS)
    return train.take(order[held_out:]), train.take(order[:held_out])


def _tensor(rows: CodeRows, device: torch.device) -> Tensor:
    """int32 [n, 1 + columns], the class first."""
    return torch.from_numpy(np.column_stack([rows.classes, rows.codes]).astype(np.int32)).to(device)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _tensors(arrays: Arrays) -> dict[str, Tensor]:
    prefix = "networks."
    found = {name: array for name, array in arrays.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): torch.from_numpy(array) for name, array in found.items()}
