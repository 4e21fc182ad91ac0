"""The generator with its head: ctgan's generator gives logits from noise, the head adds what earlier columns say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from synthgen.datasets import Index
from synthgen.stats import FloatArray
from synthgen.synthesizers.codes import Allowed, Layout
from synthgen.synthesizers.ctgan.groups import Groups, gumbel, restricted
from synthgen.synthesizers.ctgan.package import build_generator

# Numbers per code, hidden units per column, and the share of these that is left out in training.
_EMBEDDING, _HIDDEN, _DROPPED = 8, 32, 0.1


@dataclass(frozen=True)
class Drafts:
    """Codes int64 [n, columns], the log of the probability [n] of restricted columns, and the noise [n, d] drawn with.

    Attributes:
        noise: standard Gumbel; a code is the largest of logits + noise in its column.
    """

    codes: Tensor
    log_weight: Tensor
    noise: Tensor


class Head(nn.Module):
    """A small network for each column over the codes of the columns before it, all in one pass.

    Weights are masked (MADE, Germain 2015, arXiv:1502.03509): block i of the input reaches block j of the hidden
    units only for i < j. The output starts at 0, so training starts from the generator alone.
    """

    earlier: Tensor
    position: Tensor

    def __init__(self, layout: Layout, groups: Groups, rng: torch.Generator) -> None:
        super().__init__()
        device, columns, largest = rng.device, len(layout.sizes), max(layout.sizes)
        inputs, hidden = columns * _EMBEDDING, columns * _HIDDEN
        self.groups = groups
        self.embedding = nn.Parameter(_embedding(layout, rng))
        self.inner = nn.Parameter(_normal((inputs, hidden), (2 / inputs) ** 0.5, rng))
        self.of_class = nn.Parameter(_normal((layout.class_count, hidden), 0.5, rng))
        self.outer = nn.Parameter(torch.zeros(columns, _HIDDEN, largest, device=device))
        column = torch.arange(columns, device=device)
        earlier = column.repeat_interleave(_EMBEDDING)[:, None] < column.repeat_interleave(_HIDDEN)
        self.register_buffer("earlier", earlier.float(), persistent=False)
        level = torch.arange(groups.width, device=device) - groups.offsets[groups.column_of]
        self.register_buffer("position", groups.column_of * largest + level, persistent=False)

    def forward(self, codes: Tensor, condition: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        """What to add to the logits [n, d] of each column, given the codes int [n, columns] before it.

        Args:
            condition: float32 [n, k], the class one-hot.
            dropout: draws the units to leave out; None leaves out none.
        """
        known = self.embedding[codes.long() + self.groups.offsets].flatten(1)
        hidden = torch.relu(known @ (self.inner * self.earlier) + condition @ self.of_class)
        if dropout is not None:
            hidden = hidden * torch.empty_like(hidden).bernoulli_(1 - _DROPPED, generator=dropout) / (1 - _DROPPED)
        blocks = hidden.reshape(len(codes), -1, _HIDDEN).transpose(0, 1)  # [columns, n, hidden]
        return torch.bmm(blocks, self.outer).transpose(0, 1).flatten(1)[:, self.position]

    @torch.no_grad()
    def draw(self, logits: Tensor, condition: Tensor, allowed: Allowed, rng: torch.Generator) -> Drafts:
        """Columns drawn one after another, each given those before it."""
        groups = self.groups
        codes = torch.zeros(len(logits), len(groups.sizes), dtype=torch.int64, device=logits.device)
        log_weight, noise = logits.new_zeros(len(logits)), gumbel(logits, rng)
        hidden, inner = condition @ self.of_class, self.inner * self.earlier
        for j, (start, size) in enumerate(zip(groups.starts, groups.sizes, strict=True)):
            span, later = slice(start, start + size), slice((j + 1) * _HIDDEN, None)
            mine = torch.relu(hidden[:, j * _HIDDEN : (j + 1) * _HIDDEN]) @ self.outer[j, :, :size]
            column = logits[:, span] + mine
            if j in allowed:
                column, weight = restricted(column, allowed[j])
                log_weight += weight
            codes[:, j] = (column + noise[:, span]).argmax(dim=1)
            hidden[:, later] += (
                self.embedding[start + codes[:, j]] @ inner[j * _EMBEDDING : (j + 1) * _EMBEDDING, later]
            )
        return Drafts(codes, log_weight, noise)


class CodeGenerator(nn.Module):
    """Noise and class to codes; without a head the columns are independent given the noise."""

    def __init__(self, generator: nn.Module, head: Head | None, groups: Groups, class_count: int) -> None:
        super().__init__()
        self.generator, self.head, self.groups, self.class_count = generator, head, groups, class_count

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Logits [n, d] that the noise gives; the head's come on top."""
        logits: Tensor = self.generator(torch.cat([noise, condition], dim=1))
        return logits

    def given(self, logits: Tensor, codes: Tensor, condition: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        """Logits [n, d] of each column, given the codes of those before it."""
        return logits if self.head is None else logits + self.head(codes, condition, dropout)

    @torch.no_grad()
    def draw(self, logits: Tensor, condition: Tensor, allowed: Allowed, rng: torch.Generator) -> Drafts:
        """Codes of rows with these logits from noise, restricted columns among their allowed codes."""
        if self.head is not None:
            return self.head.draw(logits, condition, allowed, rng)
        logits, log_weight = self.groups.restricted(logits, allowed)
        noise = gumbel(logits, rng)
        return Drafts(self.groups.largest(logits + noise), log_weight, noise)

    @torch.no_grad()
    def sample(self, noise: Tensor, classes: Index, allowed: Allowed, rng: torch.Generator) -> Drafts:
        """One row for each class code int64 [n] from the noise [n, latent]."""
        condition = functional.one_hot(torch.from_numpy(classes).to(noise.device), self.class_count).float()
        return self.draw(self(noise, condition), condition, allowed, rng)


def build_network(
    layout: Layout, groups: Groups, size: tuple[int, int], rng: torch.Generator, *, has_head: bool
) -> CodeGenerator:
    """The untrained network on the device of `rng`; size: latent and width of the generator."""
    latent, width = size
    generator = build_generator(latent + layout.class_count, width, groups.width, rng)
    return CodeGenerator(generator, Head(layout, groups, rng) if has_head else None, groups, layout.class_count)


def _embedding(layout: Layout, rng: torch.Generator) -> Tensor:
    """float32 [d, embedding]: cosines of the rank where a column has an order, else random.

    Neighbouring bins then start as neighbours, which rows of few columns could not teach.
    """
    waves = np.arange(1, _EMBEDDING + 1) * np.pi
    ranks = [np.full(size, np.nan) if r is None else r for size, r in zip(layout.sizes, layout.ranks, strict=True)]
    start: FloatArray = np.cos(np.concatenate(ranks)[:, None] * waves)
    ordered = torch.from_numpy(start).float().to(rng.device)
    return torch.where(ordered.isnan(), _normal(ordered.shape, 0.3, rng), ordered)


def _normal(shape: Sequence[int], deviation: float, rng: torch.Generator) -> Tensor:
    return torch.empty(tuple(shape), device=rng.device).normal_(0, deviation, generator=rng)
