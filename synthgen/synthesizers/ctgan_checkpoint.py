"""A state of training in one safetensors file, from which training goes on bit by bit as if it had not stopped."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

logger = logging.getLogger(__name__)

_NAME = "training.safetensors"


class Resumable(Protocol):
    """What a checkpoint holds.

    Attributes:
        numbers: further counts and factors.
        history: of the ticks so far.
    """

    rng: torch.Generator
    step: int
    seconds: float
    numbers: dict[str, float]
    history: list[dict[str, float]]

    def networks(self) -> Mapping[str, nn.Module]:
        """By name, all that training changes."""
        ...

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """By name."""
        ...

    def averages(self) -> Mapping[str, Tensor]:
        """By name: further tensors that training changes in place."""
        ...


def save_checkpoint(state: Resumable, directory: Path, key: str) -> None:
    """Write the state under a temporary name, then rename; `key` says what it is a state of."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state_tensors(state).items()}
    numbers = {
        "step": state.step, "seconds": state.seconds, "history": state.history, "numbers": state.numbers, "key": key
    }  # fmt: skip
    temporary = directory / f".{_NAME}"
    save_file({**tensors, "rng": state.rng.get_state()}, temporary, metadata={"state": json.dumps(numbers)})
    temporary.replace(directory / _NAME)


def restore_checkpoint(state: Resumable, directory: Path, key: str) -> None:
    """Bring a fresh state to where the checkpoint stands; one that is damaged or of something else is ignored."""
    path = directory / _NAME
    if not path.exists():
        return
    try:
        with safe_open(path, framework="pt") as file:
            numbers = json.loads(file.metadata()["state"])
            saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, ValueError, KeyError, TypeError):
        logger.warning("ignore checkpoint path=%s reason=damaged", path)
        return
    if numbers["key"] != key:
        logger.warning("ignore checkpoint path=%s reason=other-data-config-or-seed", path)
        return
    state.rng.set_state(saved.pop("rng"))
    fill_state(state, saved)
    state.step, state.seconds = numbers["step"], numbers["seconds"]
    state.numbers, state.history = numbers["numbers"], numbers["history"]
    logger.info("resume training step=%d", state.step)


def state_tensors(state: Resumable) -> dict[str, Tensor]:
    """The tensors of networks, optimizers and averages, shared and not copied."""
    found = dict(state.averages())
    for name, network in state.networks().items():
        found |= {f"{name}.{key}": tensor for key, tensor in network.state_dict().items()}
    for name, optimizer in state.optimizers().items():
        for number, slots in optimizer.state_dict()["state"].items():
            found |= {f"{name}.{number}.{slot}": tensor for slot, tensor in slots.items()}
    return found


def fill_state(state: Resumable, saved: Mapping[str, Tensor]) -> None:
    """Put the values of `state_tensors` back."""
    for name, tensor in state.averages().items():
        tensor.copy_(saved[name])
    for name, network in state.networks().items():
        network.load_state_dict(_below(name, saved))
    for name, optimizer in state.optimizers().items():
        slots: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _below(name, saved).items():
            number, slot = key.split(".")
            slots.setdefault(int(number), {})[slot] = tensor.clone()
        optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})


def _below(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
