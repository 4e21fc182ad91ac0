"""Logits of many categorical columns side by side, without a loop over the columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from synthgen.synthesizers.codes import Allowed, Mask


@dataclass(frozen=True)
class Groups:
    """Where the levels of each column stand in a row of d = sum of sizes logits.

    Attributes:
        offsets: int64 [columns], first position of each column.
        column_of: int64 [d].
        membership: float32 [d, columns], one-hot of column_of.
        padded: int64 [columns, largest size], positions of the levels of each column; d where it has fewer.
    """

    sizes: tuple[int, ...]
    offsets: Tensor
    column_of: Tensor
    membership: Tensor
    padded: Tensor

    @classmethod
    def of(cls, sizes: Sequence[int], device: torch.device) -> "Groups":
        """The groups of columns with these numbers of levels."""
        counts = torch.tensor(sizes, dtype=torch.int64)
        offsets = counts.cumsum(0) - counts
        column_of = torch.repeat_interleave(torch.arange(len(sizes)), counts)
        membership = functional.one_hot(column_of, len(sizes)).float()
        levels = torch.arange(max(sizes))
        padded = torch.where(levels < counts[:, None], offsets[:, None] + levels, int(counts.sum()))
        tensors = (offsets, column_of, membership, padded)
        return cls(tuple(sizes), *(tensor.to(device) for tensor in tensors))

    @property
    def width(self) -> int:
        return len(self.column_of)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """`offsets` where Python can read them without asking the device."""
        return tuple(self.offsets.tolist())

    def one_hot(self, codes: Tensor) -> Tensor:
        """float32 [n, d] of codes int [n, columns]."""
        rows = torch.zeros(len(codes), self.width, device=codes.device)
        return rows.scatter_(1, codes.long() + self.offsets, 1.0)

    def softmax(self, logits: Tensor) -> Tensor:
        """Probabilities [n, d] that sum to 1 in each column."""
        with torch.no_grad():
            columns = logits.new_full((len(logits), len(self.sizes)), -torch.inf)
            columns.scatter_reduce_(1, self.column_of.expand(len(logits), -1), logits, "amax")
            largest = columns[:, self.column_of]
        weights = torch.exp(logits - largest)
        return weights / ((weights @ self.membership) @ self.membership.T)

    def gumbel_softmax(self, logits: Tensor, temperature: float, rng: torch.Generator) -> Tensor:
        """Nearly one-hot draws [n, d] through which gradients flow. Source: Jang 2017."""
        return self.softmax((logits + gumbel(logits, rng)) / temperature)

    def restricted(self, logits: Tensor, allowed: Allowed) -> tuple[Tensor, Tensor]:
        """Logits with only the allowed codes left, and the log of the probability [n] that they had together."""
        log_weight = logits.new_zeros(len(logits))
        if not allowed:
            return logits, log_weight
        logits = logits.clone()
        for position, mask in allowed.items():
            span = slice(self.starts[position], self.starts[position] + self.sizes[position])
            logits[:, span], weight = restricted(logits[:, span], mask)
            log_weight += weight
        return logits, log_weight

    def draw(self, logits: Tensor, rng: torch.Generator) -> Tensor:
        """Codes int64 [n, columns] drawn from the softmax of each column (Gumbel-max)."""
        return self.largest(logits + gumbel(logits, rng))

    def largest(self, values: Tensor) -> Tensor:
        """int64 [n, columns]: the code with the largest of the values [n, d] in each column."""
        padding = values.new_full((len(values), 1), -torch.inf)
        return torch.cat([values, padding], dim=1)[:, self.padded].argmax(dim=2)


def restricted(column: Tensor, mask: Mask) -> tuple[Tensor, Tensor]:
    """Log probabilities [n, size] of one column with only the allowed codes left, and the log of their sum [n]."""
    barred = torch.from_numpy(~mask).to(column.device)
    left = torch.log_softmax(column, dim=1).masked_fill(barred, -torch.inf)
    return left, left.logsumexp(dim=1)


def gumbel(like: Tensor, rng: torch.Generator) -> Tensor:
    """Standard Gumbel noise of the same shape."""
    exponential = torch.empty_like(like, requires_grad=False).exponential_(generator=rng)
    return -exponential.clamp_(min=float(np.finfo(np.float32).tiny)).log()
