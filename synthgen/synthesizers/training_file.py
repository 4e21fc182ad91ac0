"""Everything that changes in a training, in one safetensors file, from which it goes on bit by bit."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from synthgen.config import CodeModelConfig
from synthgen.synthesizers.codes import CodeRows
from synthgen.synthesizers.model_files import below

logger = logging.getLogger(__name__)

_NAME = "training.safetensors"


@dataclass(frozen=True)
class Parts:
    """What a training consists of, by name; `fill` brings all of it to a state that `copied` described."""

    networks: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer]
    buffers: Mapping[str, Tensor]

    def tensors(self) -> dict[str, Tensor]:
        """All tensors, not copied."""
        found = {f"buffer.{name}": buffer for name, buffer in self.buffers.items()}
        for name, network in self.networks.items():
            found |= {f"{name}.{key}": tensor for key, tensor in network.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for number, slots in optimizer.state_dict()["state"].items():
                found |= {f"{name}.{number}.{slot}": tensor for slot, tensor in slots.items()}
        return found

    def copied(self) -> dict[str, Tensor]:
        """Copies of all tensors."""
        return {name: tensor.detach().clone() for name, tensor in self.tensors().items()}

    def fill(self, saved: Mapping[str, Tensor]) -> None:
        """Brings every part to the saved state."""
        for name, buffer in self.buffers.items():
            buffer.copy_(saved[f"buffer.{name}"])
        for name, network in self.networks.items():
            network.load_state_dict(below(f"{name}.", saved))
        for name, optimizer in self.optimizers.items():
            slots: dict[int, dict[str, Tensor]] = {}
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            for key, tensor in below(f"{name}.", saved).items():
                number, slot = key.split(".")
                like = parameters[int(number)]
                # Fused Adam walks over memory: moments must lie there as the parameter does.
                same = torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape else tensor.clone()
                slots.setdefault(int(number), {})[slot] = same
            optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})


def training_key(
    seed: int, rows: Sequence[CodeRows], config: CodeModelConfig, start: Mapping[str, Tensor] | None = None
) -> str:
    """What a training is one of: a state goes on only with the same data, config, seed and weights to start with."""
    digest = hashlib.sha256()
    for name, tensor in (start or {}).items():
        digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
    began = [] if start is None else [digest.hexdigest()]
    return " ".join([str(seed), *(part.fingerprint() for part in rows), config.model_dump_json(), *began])


def save_training(
    parts: Parts, rng: torch.Generator, numbers: Mapping[str, Any], directory: Path | None, *, key: str
) -> None:
    """Write under a temporary name, then rename; `key` says what it is a state of, `numbers` is JSON-ready."""
    if directory is None:
        return
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in parts.tensors().items()}
    temporary = directory / f".{_NAME}"
    metadata = {"state": json.dumps({**numbers, "key": key})}
    save_file({**tensors, "rng": rng.get_state()}, temporary, metadata=metadata)
    temporary.replace(directory / _NAME)


def restore_training(parts: Parts, rng: torch.Generator, directory: Path | None, *, key: str) -> dict[str, Any] | None:
    """The saved numbers, with all parts filled; None for a file that is missing, damaged or of something else."""
    if directory is None or not (path := directory / _NAME).exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            numbers: dict[str, Any] = json.loads(file.metadata()["state"])
            saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, ValueError, KeyError, TypeError):
        logger.warning("ignore checkpoint path=%s reason=damaged", path)
        return None
    if numbers["key"] != key:
        logger.warning("ignore checkpoint path=%s reason=other-data-config-or-seed", path)
        return None
    rng.set_state(saved.pop("rng"))
    parts.fill(saved)
    logger.info("resume training step=%d", numbers["step"])
    return numbers
