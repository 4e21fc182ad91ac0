"""One small network per column, which sees the class and the columns before it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from synthgen.config import AutoregressiveConfig
from synthgen.datasets import Index
from synthgen.stats import FloatArray
from synthgen.synthesizers.codes import CodeRows, Layout, Mask

# Half-waves over the ranks, beside rank and normal score: what lies close in rank looks alike at every scale.
_HALF_WAVES = (2, 4, 8, 16)
# Of the starting output weights: the first step is then close to the marginals, which the biases give.
_OUTPUT_SCALE = 0.3
_HALF_WORD = 1 << 15
_CHUNK_ROWS = 2_048


@dataclass(frozen=True)
class Keep:
    """Dropout of one batch, drawn in advance: factors of 0 or 1 / (1 - rate).

    Attributes:
        inputs: float32 [b, inputs of the last column].
        hidden: float32 [columns that learn, 2, b, width].
    """

    inputs: Tensor
    hidden: Tensor


class ColumnNetworks(nn.Module):
    """Logits of every column given the class and the columns before it.

    A column enters the later ones as a learned embedding and, where its codes have an order, as smooth functions of
    their rank. The loop over columns costs little: joining its products into one masked product was no faster
    (54 against 64 ms a step on 46 columns, 13 against 15 on 14).
    """

    def __init__(self, layout: Layout, features: Sequence[Tensor | None], config: AutoregressiveConfig) -> None:
        super().__init__()
        self.sizes, self.width, self.dropout = layout.sizes, config.width, config.dropout
        # The class is the first of what is looked up.
        tables = (layout.class_count, *layout.sizes)
        self._features = (None, *features)
        self.embeddings = nn.ModuleList(nn.Embedding(size, min(config.embedding, size)) for size in tables)
        smooth = [0 if table is None else table.shape[1] for table in self._features]
        widths = [min(config.embedding, size) + extra for size, extra in zip(tables, smooth, strict=True)]
        # ends[j]: how many inputs column j sees.
        self.ends: list[int] = np.cumsum(widths).tolist()
        self.columns = nn.ModuleList(
            nn.ModuleList([nn.Linear(inputs, self.width), nn.Linear(self.width, self.width), nn.Linear(self.width, n)])
            for inputs, n in zip(self.ends, layout.sizes, strict=False)
        )

    def forward(self, rows: Tensor, columns: Sequence[int], keep: Keep | None = None) -> list[Tensor]:
        """Logits [b, size] of each of the columns; rows int64 [b, 1 + columns], the class first."""
        inputs = torch.cat([self._inputs(j, rows[:, j]) for j in range(len(self.sizes))], dim=1)
        if keep is None:
            return [self._logits(j, inputs[:, : self.ends[j]]) for j in columns]
        inputs = inputs * keep.inputs
        return [self._logits(j, inputs[:, : self.ends[j]], part) for j, part in zip(columns, keep.hidden, strict=True)]

    def losses(self, rows: Tensor, columns: Sequence[int], keep: Keep | None = None) -> Tensor:
        """Mean negative log-likelihood of each of the columns, in nats."""
        logits = zip(columns, self(rows, columns, keep), strict=True)
        return torch.stack([functional.cross_entropy(part, rows[:, j + 1]) for j, part in logits])

    def draw_keep(self, rows: int, columns: int, rng: torch.Generator) -> Keep:
        """Dropout for a batch of so many rows; inputs are dropped half as often as hidden units."""
        inputs = _keep((rows, self.ends[len(self.sizes) - 1]), self.dropout / 2, rng)
        return Keep(inputs, _keep((columns, 2, rows, self.width), self.dropout, rng))

    @torch.no_grad()
    def likelihood(self, rows: CodeRows) -> FloatArray:
        """float64 [n, columns]: the probability of each code given the class and the codes before it."""
        device = next(self.parameters()).device
        found = []
        for part in torch.split(torch.from_numpy(np.column_stack([rows.classes, rows.codes])), _CHUNK_ROWS):
            codes = part.to(device)
            logits = self(codes, range(len(self.sizes)))
            columns = [of.double().softmax(dim=1).gather(1, codes[:, [j + 1]]) for j, of in enumerate(logits)]
            found.append(torch.cat(columns, dim=1).cpu().numpy())
        return np.concatenate(found)

    @torch.no_grad()
    def first_inputs(self, classes: Tensor) -> Tensor:
        """Inputs float32 [n, inputs] of rows of which only the class int64 [n] is there; `put` adds the columns."""
        inputs = torch.empty(len(classes), self.ends[-1], device=classes.device)
        inputs[:, : self.ends[0]] = self._inputs(0, classes)
        return inputs

    @torch.no_grad()
    def put(self, column: int, codes: Tensor, inputs: Tensor) -> None:
        """Lets the later columns see these codes int64 [n] of the column."""
        inputs[:, self.ends[column] : self.ends[column + 1]] = self._inputs(column + 1, codes)

    @torch.no_grad()
    def draw_column(
        self, column: int, inputs: Tensor, allowed: Mask | None, rng: torch.Generator
    ) -> tuple[Index, FloatArray]:
        """Codes int64 [n] among the allowed ones, and the log of the probability that they have together."""
        logits = self._logits(column, inputs[:, : self.ends[column]])
        log_weight = np.zeros(len(inputs))
        if allowed is not None:
            logits = torch.log_softmax(logits.double(), dim=1)
            logits[:, torch.from_numpy(~allowed).to(logits.device)] = -torch.inf
            log_weight = logits.logsumexp(dim=1).cpu().numpy()
        return _draw_codes(logits, rng).cpu().numpy(), log_weight

    def _inputs(self, position: int, codes: Tensor) -> Tensor:
        embedded: Tensor = self.embeddings[position](codes)
        features = self._features[position]
        return embedded if features is None else torch.cat([embedded, features[codes]], dim=1)

    def _logits(self, position: int, inputs: Tensor, keep: Tensor | None = None) -> Tensor:
        layers = self.columns[position]
        assert isinstance(layers, nn.ModuleList)
        first, second, last = layers
        hidden = functional.relu(first(inputs))
        hidden = functional.relu(second(hidden if keep is None else hidden * keep[0]))
        logits: Tensor = last(hidden if keep is None else hidden * keep[1])
        return logits


def build_networks(layout: Layout, config: AutoregressiveConfig, rng: torch.Generator) -> ColumnNetworks:
    """Untrained networks on the device of `rng`."""
    features = [None if ranks is None else rank_features(ranks).to(rng.device) for ranks in layout.ranks]
    # Built on `meta` and filled from our generator, because the constructors draw from the global random state.
    with torch.device("meta"):
        networks = ColumnNetworks(layout, features, config)
    networks.to_empty(device=rng.device)
    with torch.no_grad():
        for layer in networks.modules():
            if isinstance(layer, nn.Embedding):
                layer.weight.normal_(generator=rng)
            elif isinstance(layer, nn.Linear):
                bound = layer.in_features**-0.5
                layer.weight.uniform_(-bound, bound, generator=rng)
                layer.bias.uniform_(-bound, bound, generator=rng)
    return networks


@torch.no_grad()
def start_at_marginals(networks: ColumnNetworks, codes: Tensor) -> None:
    """Lets the outputs start near the frequencies of codes int [n, columns]."""
    for j, (size, layers) in enumerate(zip(networks.sizes, networks.columns, strict=True)):
        assert isinstance(layers, nn.ModuleList)
        counts = torch.bincount(codes[:, j].long(), minlength=size) + 0.5
        last = layers[-1]
        assert isinstance(last, nn.Linear)
        last.bias.copy_(torch.log(counts / counts.sum()))
        last.weight.mul_(_OUTPUT_SCALE)


def rank_features(ranks: FloatArray) -> Tensor:
    """float32 [size, 11]: rank in [-1, 1], normal score, waves, and a flag, alone set for a code without a rank."""
    missing = torch.from_numpy(np.isnan(ranks))
    rank = torch.from_numpy(np.nan_to_num(ranks, nan=0.5))
    score = torch.special.ndtri(rank.clamp(1e-3, 1 - 1e-3))
    angles = torch.pi * rank[:, None] * torch.tensor(_HALF_WAVES)
    features = torch.cat([torch.stack([2 * rank - 1, score], dim=1), angles.sin(), angles.cos()], dim=1)
    features[missing] = 0
    return torch.cat([features, missing[:, None]], dim=1).float()


def _keep(shape: tuple[int, ...], rate: float, rng: torch.Generator) -> Tensor:
    # 16 random bits each: bernoulli_ takes 14 times as long, a fifth of a training step.
    count = int(np.prod(shape))
    words = torch.empty(-(-count // 4), dtype=torch.int64, device=rng.device).random_(-(2**63), None, generator=rng)
    level = round(rate * 2 * _HALF_WORD) - _HALF_WORD
    return (words.view(torch.int16)[:count] >= level).view(shape).float().mul_(1 / (1 - rate))


def _draw_codes(logits: Tensor, rng: torch.Generator) -> Tensor:
    """int64 [n]: one code per row by its probability; never one of probability 0."""
    cumulative = torch.softmax(logits, dim=1).cumsum(dim=1)
    # The smallest code whose cumulative probability is beyond a share in [0, 1 - 2**-24] of the total.
    point = torch.rand(len(logits), 1, generator=rng, device=logits.device) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, point, right=True).squeeze(1)
