"""An image GAN trained by several processes: what the leader tells the others at the start, and what they do."""

from dataclasses import asdict
from typing import Any

from torch import Tensor

from synthgen.config import ImageGanConfig
from synthgen.device import best_device
from synthgen.errors import ConfigError
from synthgen.gan.augment import Policy
from synthgen.gan.batches import Batches
from synthgen.gan.state import TrainingState
from synthgen.gan.training import suitable_threads, train
from synthgen.synthesizers.image_files import spec_of
from synthgen.team import Team

# Batch norm learns nothing from an image alone.
_FEWEST_IMAGES = 2


def require_shares(config: ImageGanConfig, team: Team) -> None:
    """Raise ConfigError where a batch cannot be cut into equal shares, one for each process."""
    fewest = _FEWEST_IMAGES * team.size
    if config.batch_size % team.size or config.batch_size < fewest:
        raise ConfigError(
            f"batch_size is {config.batch_size}, {team.size} processes take multiples of {team.size} from {fewest} on",
            where="synthesizer.batch_size",
            hint=f"set it to {max(fewest, config.batch_size // team.size * team.size)}",
        )


def call_for_help(state: TrainingState, batches: Batches, config: ImageGanConfig) -> None:
    """Give the others everything that the leader starts from."""
    if state.team.size == 1:
        return
    tensors, numbers = _parted(batches)
    start = {
        "config": config.model_dump(mode="json"),
        "network": asdict(state.generator.spec),
        "is_whole": state.is_whole,
        "seed": state.rng.initial_seed(),
        "numbers": state.numbers(),
        "batches": numbers,
    }
    state.team.tell({"job": "image-gan", **start})
    state.team.share(tensors)
    state.team.share(state.tensors())


def assist(job: dict[str, Any], team: Team) -> TrainingState:
    """Train beside the leader; the state, equal to the leader's but for its stream and history."""
    config, spec, device = ImageGanConfig.model_validate(job["config"]), spec_of(job["network"]), best_device()
    batches = Batches(**{**job["batches"], **team.share()})
    state = TrainingState.initial(spec, config, policy=Policy(), seed=job["seed"], device=device)
    state.team, state.is_whole = team, job["is_whole"]
    state.restore(team.share(), job["numbers"])
    with suitable_threads(spec.size, device, team):
        train(state, batches, None, config)
    return state


def _parted(batches: Batches) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors = {name: value for name, value in vars(batches).items() if isinstance(value, Tensor)}
    return tensors, {name: value for name, value in vars(batches).items() if name not in tensors}
