"""Networks and trees as one model: each column is drawn from either, as often as its validation rows speak for it."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from synthgen.config import CartConfig
from synthgen.datasets import Index
from synthgen.stats import FloatArray
from synthgen.synthesizers.autoregressive.network import ColumnNetworks
from synthgen.synthesizers.cart import Cart
from synthgen.synthesizers.codes import Allowed, Arrays, CodeRows, Drawn, Layout
from synthgen.synthesizers.model_files import below

# Trees find tight relations in few rows, networks the rest: support2 (5,463 rows x 46 columns, 16 bins), loss on the
# valid rows 85.1 nats without trees, 84.5 with them; what C2ST gains by that is within its noise.
_TREES = CartConfig(kind="cart", leaf_rows=15)
_ROUNDS = 30
# The networks find no code impossible: with a part of the draws theirs, nor does the model.
_LEAST_SHARE = 0.02
_CHUNK_ROWS = 2_048


@dataclass(frozen=True)
class Experts:
    """Every column from its network or its tree, given the class and the columns before it.

    Attributes:
        shares: float64 [columns], of the draws that come from the network.
    """

    networks: ColumnNetworks
    trees: Cart
    shares: FloatArray

    @classmethod
    def fit(
        cls, networks: ColumnNetworks, train: CodeRows, valid: CodeRows, layout: Layout, rng: np.random.Generator
    ) -> Self:
        """Trees of the training rows, and the shares by the likelihood of the validation rows."""
        trees = Cart(_TREES).fit(train, valid, layout, rng, checkpoint=None)
        columns = range(len(layout.sizes))
        own, others = networks.likelihood(valid), trees.likelihood(valid)
        return cls(networks, trees, np.asarray([_share(own[:, j], others[:, j]) for j in columns]))

    def draw(self, classes: Index, allowed: Allowed, rng: np.random.Generator) -> Drawn:
        """Column by column; a restricted one among its allowed codes, given the columns before it."""
        device = next(self.networks.parameters()).device
        generator = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
        starts = range(0, max(len(classes), 1), _CHUNK_ROWS)
        parts = [self._draw_part(classes[start : start + _CHUNK_ROWS], allowed, rng, generator) for start in starts]
        return Drawn(
            np.concatenate([part.codes for part in parts]), np.concatenate([part.log_weight for part in parts])
        )

    def _draw_part(
        self, classes: Index, allowed: Allowed, rng: np.random.Generator, generator: torch.Generator
    ) -> Drawn:
        rows = np.empty((len(classes), len(self.shares) + 1), dtype=np.int64)
        rows[:, 0] = classes
        inputs = self.networks.first_inputs(torch.from_numpy(classes).to(generator.device))
        log_weight = np.zeros(len(classes))
        for j, share in enumerate(self.shares.tolist()):
            own, own_weight = self.networks.draw_column(j, inputs, allowed.get(j), generator)
            others, others_weight = self.trees.draw_column(j, rows, allowed.get(j), rng)
            # An expert is the likelier, the more it has to do with the allowed codes.
            from_trees = np.log1p(-share) + others_weight if share < 1 else np.full(len(rows), -np.inf)
            total = np.logaddexp(np.log(share) + own_weight, from_trees)
            rows[:, j + 1] = np.where(rng.random(len(rows)) < np.exp(from_trees - total), others, own)
            log_weight += total if j in allowed else 0.0
            self.networks.put(j, torch.from_numpy(rows[:, j + 1]).to(generator.device), inputs)
        return Drawn(rows[:, 1:], log_weight)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Weights, trees and shares by name."""
        weights = {f"networks.{name}": tensor.cpu().numpy() for name, tensor in self.networks.state_dict().items()}
        return {**weights, **self.trees.state()[1], "shares": self.shares}

    @classmethod
    def restore(cls, networks: ColumnNetworks, layout: Layout, arrays: Arrays) -> Self:
        """The model whose `state` this is; the networks come untrained."""
        networks.load_state_dict({name: torch.from_numpy(array) for name, array in below("networks.", arrays).items()})
        return cls(networks.requires_grad_(False), Cart(_TREES).restore(layout, {}, arrays), arrays["shares"])


def _share(own: FloatArray, others: FloatArray) -> float:
    """The weight in [0, 1] of the first of two experts under which the rows are likeliest; likelihoods [n]."""
    share = 0.5
    for _ in range(_ROUNDS):
        mixed = share * own + (1 - share) * others
        share = float((share * own / np.maximum(mixed, np.finfo(float).tiny)).mean())
    return max(share, _LEAST_SHARE)
