"""A state of training in one safetensors file, from which training goes on bit by bit as if it had not stopped."""

import json
import logging
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from synthgen.synthesizers.ctgan_training import State

logger = logging.getLogger(__name__)

_NAME = "training.safetensors"


def save_checkpoint(state: State, directory: Path, key: str) -> None:
    """Write the state under a temporary name, then rename; `key` says what it is a state of."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(state).items()}
    numbers = {"step": state.step, "seconds": state.seconds, "history": state.history, "key": key}
    temporary = directory / f".{_NAME}"
    save_file(tensors, temporary, metadata={"state": json.dumps(numbers)})
    temporary.replace(directory / _NAME)


def restore_checkpoint(state: State, directory: Path, key: str) -> None:
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
    _fill(state, saved)
    state.step, state.seconds, state.history = numbers["step"], numbers["seconds"], numbers["history"]
    logger.info("resume training step=%d", state.step)


def _networks(state: State) -> dict[str, torch.nn.Module]:
    return {"generator": state.generator, "average": state.average, "critic": state.critic}


def _optimizers(state: State) -> dict[str, torch.optim.Optimizer]:
    return {"generator_optimizer": state.generator_optimizer, "critic_optimizer": state.critic_optimizer}


def _tensors(state: State) -> dict[str, Tensor]:
    found = {"running": state.running, "rng": state.rng.get_state()}
    for name, network in _networks(state).items():
        found |= {f"{name}.{key}": tensor for key, tensor in network.state_dict().items()}
    for name, optimizer in _optimizers(state).items():
        for number, slots in optimizer.state_dict()["state"].items():
            found |= {f"{name}.{number}.{slot}": tensor for slot, tensor in slots.items()}
    return found


def _fill(state: State, saved: dict[str, Tensor]) -> None:
    state.running.copy_(saved["running"])
    state.rng.set_state(saved["rng"])
    for name, network in _networks(state).items():
        prefix = f"{name}."
        network.load_state_dict({key.removeprefix(prefix): t for key, t in saved.items() if key.startswith(prefix)})
    for name, optimizer in _optimizers(state).items():
        slots: dict[int, dict[str, Tensor]] = {}
        for key, tensor in saved.items():
            if key.startswith(f"{name}."):
                number, slot = key.removeprefix(f"{name}.").split(".")
                slots.setdefault(int(number), {})[slot] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
