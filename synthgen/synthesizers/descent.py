"""The training of one network on images by one loss: its loop, what changes in it, and its checkpoint."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from synthgen import progress
from synthgen.errors import TrainingError
from synthgen.gan.batches import Batches
from synthgen.synthesizers.training_file import Parts, restore_training, save_training

_TICKS = 50
_NUMBERS = ("step", "seconds", "history", "is_finished")

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Course(Generic[Network]):
    """What a training goes by.

    Attributes:
        loss: of images float [n, c, *size] in [-1, 1] and their codes int64 [n].
        loss_name: what the history calls it.
        steps: until its end; None leaves it to the seconds.
        longest_gradient: what is longer is cut to this; None cuts nothing.
        unit, per_step: what progress is counted in, and how many of it are done by a step.
    """

    loss: Callable[[Network, Tensor, Tensor, torch.Generator], Tensor]
    loss_name: str
    batch_size: int
    steps: int | None
    seconds: float
    unit: str = "step"
    per_step: int = 1
    longest_gradient: float | None = None


@dataclass
class Descent(Generic[Network]):
    """Everything that changes.

    Attributes:
        seconds: wall time trained so far, over all resumes.
        history: step, images shown, seconds and mean loss of each tick.
        is_finished: whether the course was followed to its end.
    """

    network: Network
    optimizer: torch.optim.Adam
    rng: torch.Generator
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    is_finished: bool = False

    @classmethod
    def initial(
        cls, make: Callable[[], Network], learning_rate: float, seed: int, device: torch.device
    ) -> "Descent[Network]":
        """An untrained network on the device; the seed decides its weights and every later draw."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            network = make().to(device)
        optimizer = torch.optim.Adam(network.parameters(), learning_rate, fused=True)
        return cls(network, optimizer, torch.Generator(device).manual_seed(seed))

    @property
    def parts(self) -> Parts:
        """What the checkpoint holds."""
        return Parts({"network": self.network}, {"optimizer": self.optimizer}, {})

    def share(self, course: Course[Network]) -> float:
        """Of the course that is behind, in [0, 1]."""
        if course.steps:
            return min(1.0, self.step / course.steps)
        return min(1.0, self.seconds / course.seconds)

    def restore(self, directory: Path | None, key: str) -> None:
        """Go on from the checkpoint in this folder, if it is one of this key."""
        for name, number in (restore_training(self.parts, self.rng, directory, key=key) or {}).items():
            if name in _NUMBERS:
                setattr(self, name, number)

    def follow(self, course: Course[Network], batches: Batches, directory: Path | None, key: str) -> None:
        """Train to the end of the course, with a checkpoint in this folder at every tick.

        Raises:
            TrainingError: the loss is no longer a number.
        """
        started, share = time.monotonic() - self.seconds, self.share(course)
        losses, since = torch.zeros((), device=self.rng.device), self.step
        while share < 1:
            losses += self._stepped(course, batches)
            self.step, self.seconds = self.step + 1, time.monotonic() - started
            last, share = share, self.share(course)
            if int(last * _TICKS) == int(share * _TICKS):
                continue
            self._tick(course, float(losses / (self.step - since)), share)
            losses.zero_()
            since, self.is_finished = self.step, share == 1
            save_training(self.parts, self.rng, {name: getattr(self, name) for name in _NUMBERS}, directory, key=key)

    def _stepped(self, course: Course[Network], batches: Batches) -> Tensor:
        images, codes = batches.draw(course.batch_size, self.rng)
        loss = course.loss(self.network, images, codes, self.rng)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch ships it without types
        if course.longest_gradient is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), course.longest_gradient)
        self.optimizer.step()
        return loss.detach()

    def _tick(self, course: Course[Network], mean: float, share: float) -> None:
        if not math.isfinite(mean):
            message = f"training diverged at step {self.step}: the loss is no longer a number"
            raise TrainingError(message, where="synthesizer.learning_rate", hint="lower it")
        numbers = {course.loss_name: mean}
        images = self.step * course.batch_size
        self.history.append({"step": self.step, "images": images, "seconds": self.seconds, **numbers})
        left = self.seconds * (1 - share) / share
        done = self.step * course.per_step
        progress.report(
            progress.Tick(
                stage="fit",
                unit=course.unit,
                done=done,
                total=course.steps and course.steps * course.per_step,
                share=share,
                rate=done / max(self.seconds, 1e-9),
                seconds_left=left,
                numbers=numbers,
            )
        )
