"""Processes that train one model together: each draws its share of every batch, and gradients are averaged.

Rank 0 leads: it alone has the data, judges, decides, reads and writes; the others do what it tells them. A team of one
is the ordinary case, in which everything here does nothing.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

# The leader may be reading data or measuring for long before the next training; who dies is noticed at once.
_PATIENCE = timedelta(days=7)
_END = {"job": "end"}


@dataclass(frozen=True)
class Team:
    """This process's place among those that train together."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> "Team":
        """The team that `joined` made of this process; one alone outside of it."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this process judges, decides and writes."""
        return self.rank == 0

    def average(self, values: Tensor) -> Tensor:
        """The mean of every process's values."""
        if self.size == 1:
            return values
        total = values.clone()
        distributed.all_reduce(total)
        return total / self.size

    def average_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        """Mean gradients of all processes, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        flat = self.average(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def agreed(self, value: float) -> float:
        """The leader's value: what clocks say must not part the processes."""
        if self.size == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64)
        distributed.broadcast(told, 0)
        return float(told.item())

    def tell(self, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What the leader says, JSON; the others pass nothing."""
        if self.size == 1:
            return dict(content or {})
        text = json.dumps(content).encode() if self.leads else b""
        length = torch.tensor([len(text)])
        distributed.broadcast(length, 0)
        letters = torch.tensor(list(text), dtype=torch.uint8)
        if not self.leads:
            letters = torch.empty(int(length.item()), dtype=torch.uint8)
        distributed.broadcast(letters, 0)
        said: dict[str, Any] = json.loads(bytes(letters.tolist()))
        return said

    def share(self, tensors: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The leader's tensors by name; the others pass nothing."""
        known = tensors or {}
        kinds = {
            name: [list(one.shape), str(one.dtype).removeprefix("torch."), one.device.type]
            for name, one in known.items()
        }
        found = {}
        for name, (shape, dtype, device) in self.tell(kinds).items():
            empty = torch.empty(shape, dtype=getattr(torch, dtype), device=device)
            found[name] = known[name].detach().contiguous() if self.leads else empty
            if self.size > 1:
                distributed.broadcast(found[name], 0)
        return found

    def reseed(self, rng: torch.Generator, seed: int, step: int) -> None:
        """Give a process that follows a stream of its own, of seed and step alone; the leader keeps what it has."""
        if not self.leads:
            own = np.random.SeedSequence([seed, self.rank, step]).generate_state(1, np.uint64)[0]
            rng.manual_seed(int(own) % 2**63)


ALONE = Team()


def place_in_environment() -> Team:
    """The place that `torchrun` (or `together`) gave this process in its environment."""
    return Team(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


@contextmanager
def joined() -> Iterator[Team]:
    """Be one of the team inside the block; at its end the leader sends the others home."""
    team = place_in_environment()
    if team.size == 1:
        yield team
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield team
        if team.leads:
            team.tell(_END)
    finally:
        distributed.destroy_process_group()


def help_out() -> None:
    """Follow the leader from training to training until it has no more."""
    from synthgen.synthesizers.ctgan.assisting import assist

    with joined() as team:
        while (job := team.tell()) != _END:
            assist(job, team)
