"""`autoregressive`: every column from a small network or a tree over the class and the columns before it.

Source: TabularARGN (Tiwald 2025, arXiv:2501.12012) in its simplest form, one fixed order of columns, mixed with CART.
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
from synthgen.device import best_device
from synthgen.synthesizers.autoregressive.experts import Experts
from synthgen.synthesizers.autoregressive.network import build_networks
from synthgen.synthesizers.autoregressive.training import Plan, State, train_networks
from synthgen.synthesizers.codes import Allowed, Arrays, CodeRows, Drawn, Layout
from synthgen.synthesizers.training_file import restore_training, save_training, training_key

# Shares of train that are held out for validation when no rows for it came: of 5,000 rows and more, and of fewer.
_HELD_OUT_SHARE, _HELD_OUT_SHARE_OF_FEW, _FEW_ROWS = 0.05, 0.15, 5_000
# So few rows are judged by themselves: two or three held out would be noise.
_FEWEST_TO_SPLIT = 20
_MAX_VALID_ROWS = 4_000


class Autoregressive:
    """Column networks and trees over codes. Trains for `epochs` or `budget_steps`, never beyond the minutes."""

    def __init__(self, config: AutoregressiveConfig) -> None:
        self.config = config
        self._experts: Experts | None = None
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
        learned, judged = _with_valid(train, valid, rng)
        seed = int(rng.integers(2**63))
        key = training_key(seed, (train, valid), self.config) if checkpoint else ""
        generator = torch.Generator(best_device()).manual_seed(seed)
        rows = _tensor(learned, generator.device)
        state = State.fresh(layout, self.config, rows, generator)
        _resume(state, checkpoint, key)
        plan = Plan.of(self.config, len(learned))
        train_networks(
            state,
            rows,
            _tensor(judged, generator.device),
            plan,
            lambda now: save_training(now.parts, now.rng, now.numbers, checkpoint, key=key),
        )
        self._experts = Experts.fit(state.best, learned, judged, layout, rng)
        self._history = state.history
        return self

    def draw(self, classes: Index, allowed: Allowed, rng: np.random.Generator) -> Drawn:
        """Column by column; a restricted one among its allowed codes, given the columns before it."""
        assert self._experts is not None
        return self._experts.draw(classes, allowed, rng)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """The weights of the averaged networks at their best validation likelihood, the trees and their shares."""
        assert self._experts is not None
        return {"history": self._history}, self._experts.state()

    def restore(self, layout: Layout, meta: Mapping[str, Any], arrays: Arrays) -> Self:
        """The model whose `state` this is."""
        networks = build_networks(layout, self.config, torch.Generator(best_device()))
        self._experts, self._history = Experts.restore(networks, layout, arrays), list(meta["history"])
        return self


def _resume(state: State, checkpoint: Path | None, key: str) -> None:
    numbers = restore_training(state.parts, state.rng, checkpoint, key=key) or {}
    for name in state.numbers.keys() & numbers.keys():
        setattr(state, name, numbers[name])


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
