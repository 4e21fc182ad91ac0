"""Everything that changes while an image GAN trains, and its checkpoint: one file, replaced as a whole."""

import json
import logging
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from synthgen.config import ImageGanConfig
from synthgen.gan.augment import Policy
from synthgen.gan.graphs import Graphs
from synthgen.gan.networks import Discriminator, Generator, Phase
from synthgen.gan.spec import NetworkSpec
from synthgen.team import ALONE, Team

logger = logging.getLogger(__name__)

_FILE = "checkpoint.safetensors"
_COUNTERS = ("step", "images", "seconds", "rollbacks", "grown", "history")
# No momentum: at beta1 = 0.5 the Fréchet distance doubled (138 against 80 after 30 CPU s of Fashion-MNIST).
_BETAS = (0.0, 0.99)


@dataclass
class TrainingState:
    """Networks, their moving average, optimisers, random stream and counters.

    Attributes:
        average: moving average of the generator; what is kept in the end.
        images: training images shown so far.
        seconds: wall time trained so far, over all resumes.
        frozen: lowest layers of the discriminator that are never changed.
        is_whole: a growing architecture has grown already, in the training of the model that this one goes on from.
        rollbacks: how often training went back to an earlier state; each halves the learning rate.
        grown: doublings that a growing architecture has behind it, in part too.
        history: numbers of each tick.
        team: the processes that train together; weights, counters and policy are the same in all of them.
        graphs: the networks as compiled; None where they are called as they are.
    """

    generator: Generator
    discriminator: Discriminator
    average: Generator
    generator_optimiser: torch.optim.Adam
    discriminator_optimiser: torch.optim.Adam
    rng: torch.Generator
    policy: Policy
    frozen: int = 0
    is_whole: bool = False
    step: int = 0
    images: int = 0
    seconds: float = 0.0
    rollbacks: int = 0
    grown: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    team: Team = ALONE
    graphs: Graphs | None = None

    @classmethod
    def initial(
        cls, spec: NetworkSpec, config: ImageGanConfig, *, policy: Policy, seed: int, device: torch.device
    ) -> Self:
        """Untrained networks on the device; the seed decides their weights and every later draw."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            generator, discriminator = Generator(spec), Discriminator(spec)
        layout = memory_format(len(spec.size))
        generator.to(device=device, memory_format=layout)  # type: ignore[call-overload]  # stub knows 2-D layouts only
        discriminator.to(device=device, memory_format=layout)  # type: ignore[call-overload]  # as above
        return cls(
            generator,
            discriminator,
            average=deepcopy(generator).eval().requires_grad_(False),
            generator_optimiser=_adam(generator, config),
            discriminator_optimiser=_adam(discriminator, config),
            rng=torch.Generator(device).manual_seed(seed),
            policy=policy,
            frozen=config.freeze,
        )

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.generator.parameters()).device

    def let_discriminator_learn(self) -> None:
        """Turn its gradients on, but for the frozen layers. Source: Mo 2020 (FreezeD), arXiv:2002.10964."""
        self.discriminator.requires_grad_(True)
        for layer in self.discriminator.layers[: self.frozen]:
            layer.requires_grad_(False)

    def enter(self, phase: Phase) -> None:
        """Let all networks go on with this phase."""
        for network in (self.generator, self.discriminator, self.average):
            network.enter(phase)

    @torch.no_grad()
    def is_sound(self) -> bool:
        """Whether every weight and moment is a number: a loss shows only a step later that one is not."""
        learned = (value for name, value in self.tensors().items() if not name.endswith(("rng", "_extra_state")))
        values = [value for value in learned if value.is_floating_point()]
        return bool(torch.stack(torch._foreach_norm(values)).isfinite().all())

    def tensors(self) -> dict[str, Tensor]:
        """Every weight, moment and statistic by name, not copied where they are contiguous, and the stream."""
        found = {"rng": self.rng.get_state()}
        for name, network in _networks(self).items():
            found.update({f"{name}/{key}": value.contiguous() for key, value in network.state_dict().items()})
        for name, optimiser in _moments(self).items():
            for position, moments in optimiser.state_dict()["state"].items():
                found.update({f"adam/{name}/{position}/{key}": value.contiguous() for key, value in moments.items()})
        return found

    def numbers(self) -> dict[str, Any]:
        """Counters, history and policy, JSON."""
        return {"policy": asdict(self.policy), **{name: getattr(self, name) for name in _COUNTERS}}

    def restore(self, tensors: dict[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Go to where the state stands of which these are."""
        _restore(self, tensors)
        self.policy = Policy.restore(numbers["policy"])
        for name in _COUNTERS:
            setattr(self, name, numbers[name])
        _set_rates(self)

    def copied(self) -> "Saved":
        """A copy to go back to."""
        tensors = {name: tensor.detach().clone() for name, tensor in self.tensors().items()}
        return Saved(tensors, self.policy, self.step, self.images)

    def take_back(self, saved: "Saved") -> None:
        """Be as the copy is; the time that was spent stays spent."""
        _restore(self, saved.tensors)
        self.policy, self.step, self.images = saved.policy, saved.step, saved.images

    def roll_back(self, saved: "Saved") -> None:
        """Go back to the copy, with half of the learning rate; the time that was spent stays spent."""
        self.take_back(saved)
        self.rollbacks += 1
        _set_rates(self)


@dataclass(frozen=True)
class Saved:
    """A copy of what a training can go back to."""

    tensors: dict[str, Tensor]
    policy: Policy
    step: int
    images: int


def memory_format(dim: int) -> torch.memory_format:
    """Channels last: 1.15x on a CPU in 2-D, 1.3x in 3-D, and what tensor cores want."""
    return torch.channels_last if dim == 2 else torch.channels_last_3d


def _adam(network: nn.Module, config: ImageGanConfig) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), config.learning_rate, _BETAS, fused=True)


def _set_rates(state: TrainingState) -> None:
    for optimiser in _moments(state).values():
        for group in optimiser.param_groups:
            group["lr"] = optimiser.defaults["lr"] / 2**state.rollbacks


def save_checkpoint(state: TrainingState, directory: Path, key: str) -> None:
    """Write the state through a temporary name: a kill leaves the old checkpoint or the new one.

    Args:
        key: identity of configuration, data and seed; a checkpoint of another key is never continued.
    """
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f".{_FILE}"
    save_file(state.tensors(), temporary, {"state": json.dumps({"key": key, **state.numbers()})})
    temporary.replace(directory / _FILE)


def load_checkpoint(state: TrainingState, directory: Path, key: str) -> bool:
    """Whether the folder held a checkpoint of this key; if so the state continues from it."""
    path = directory / _FILE
    if not path.exists():
        return False
    try:
        with safe_open(path, framework="pt", device=str(state.device)) as file:
            meta: dict[str, Any] = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, KeyError, ValueError) as error:
        logger.warning("skip checkpoint reason=unreadable path=%s error=%s", path, error)
        return False
    if meta["key"] != key:
        logger.warning("skip checkpoint reason=other configuration or data path=%s", path)
        return False
    state.restore(tensors, meta)
    logger.info("continue checkpoint images=%d", state.images)
    return True


def _networks(state: TrainingState) -> dict[str, nn.Module]:
    return {"generator": state.generator, "discriminator": state.discriminator, "average": state.average}


def _moments(state: TrainingState) -> dict[str, torch.optim.Adam]:
    return {"generator": state.generator_optimiser, "discriminator": state.discriminator_optimiser}


def _restore(state: TrainingState, tensors: dict[str, Tensor]) -> None:
    state.rng.set_state(tensors["rng"].cpu())
    for name, network in _networks(state).items():
        prefix = f"{name}/"
        network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    for name, optimiser in _moments(state).items():
        for position, parameter in enumerate(optimiser.param_groups[0]["params"]):
            prefix = f"adam/{name}/{position}/"
            moments = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            if not moments:
                optimiser.state.pop(parameter, None)  # a copy from before the first step
                continue
            # Fused Adam walks over memory: moments must lie there as the parameter does.
            optimiser.state[parameter] = {
                k: v.clone() if v.dim() == 0 else torch.empty_like(parameter).copy_(v) for k, v in moments.items()
            }
