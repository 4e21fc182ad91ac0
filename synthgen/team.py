"""Processes that train one model together: each draws its share of every batch, and gradients are averaged.

Rank 0 leads: it alone has the data, judges, decides, reads and writes; the others do what it tells them. A team of one
is the ordinary case, in which everything here does nothing.
"""

import importlib
import json
import logging
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

from synthgen.errors import ResourceError

logger = logging.getLogger(__name__)

# The leader may be reading data or measuring for long before the next training; who dies is noticed at once.
_PATIENCE = timedelta(days=7)
END: Mapping[str, Any] = {"job": "end"}


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

    @property
    def threads(self) -> int:
        """Threads for this process: as many as its environment says, else its share of those of the machine."""
        every = torch.get_num_threads()
        return (
            every if "OMP_NUM_THREADS" in os.environ else max(1, every // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        )

    def average(self, values: Tensor) -> Tensor:
        """The mean of every process's values."""
        if self.size == 1:
            return values
        total = values.clone()
        self._add_up(total)
        return total / self.size

    def average_all(self, tensors: Sequence[Tensor]) -> None:
        """Put the mean of every process's values into each of the tensors, in one message."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        self._add_up(flat)
        parts = torch.split(flat.div_(self.size), [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def average_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        """Mean gradients of all processes, in one message."""
        if self.size > 1:
            self.average_all(
                [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            )

    def agreed(self, value: float) -> float:
        """The leader's value: what clocks say must not part the processes. No device is waited for."""
        if self.size == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64)
        self._spread(told)
        return float(told.item())

    def tell(self, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What the leader says, JSON; the others pass nothing."""
        if self.size == 1:
            return dict(content or {})
        text = json.dumps(content).encode() if self.leads else b""
        length = torch.tensor([len(text)])
        self._spread(length)
        letters = torch.tensor(list(text), dtype=torch.uint8)
        if not self.leads:
            letters = torch.empty(int(length.item()), dtype=torch.uint8)
        self._spread(letters)
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
                # As bytes: neither backend knows 16-bit pixels.
                self._spread(found[name].view(-1).view(torch.uint8))
        return found

    def _add_up(self, tensor: Tensor) -> None:
        with _in_touch(self):
            distributed.all_reduce(tensor)

    def _spread(self, tensor: Tensor) -> None:
        with _in_touch(self):
            distributed.broadcast(tensor, 0)

    def reseed(self, rng: torch.Generator, seed: int, step: int) -> None:
        """Give a process that follows a stream of its own, of seed and step alone; the leader keeps what it has."""
        if not self.leads:
            own = np.random.SeedSequence([seed, self.rank, step]).generate_state(1, np.uint64)[0]
            rng.manual_seed(int(own) % 2**63)


ALONE = Team()


@contextmanager
def _in_touch(team: Team) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        # While the error is held, its frames would hold the group beyond its end (see `joined`).
        traceback.clear_frames(error.__traceback__)
        # gloo raises no other error for a connection that is lost.
        if not isinstance(error, RuntimeError):
            raise
        logger.debug("lose process error=%s", error)
        message = f"one of the {team.size} processes that train together is gone"
        raise ResourceError(message, hint="the same command goes on from the last checkpoint") from error


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
    # Imported within a group, it holds that group beyond its end: threads die with the interpreter, which may abort it.
    importlib.import_module("torch.distributed.nn.functional")
    distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield team
        if team.leads:
            # Who is gone by now is missed by nobody.
            with suppress(ResourceError):
                team.tell(END)
    finally:
        distributed.destroy_process_group()
