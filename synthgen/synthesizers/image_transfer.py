"""Training that goes on from a saved image GAN, on images of other classes."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from synthgen.config import ImageGanConfig
from synthgen.errors import ConfigError
from synthgen.gan.spec import NetworkSpec
from synthgen.gan.state import TrainingState
from synthgen.synthesizers.image_files import FittedGan, read_gan

Levels = Mapping[str, tuple[str, ...]]

# What has to be equal, and how the configuration of this run can make it so.
_SAME: Mapping[str, str] = {
    "space": "set synthesizer.space to the same, and source.size where images are read at another size",
    "size": "source.size reads images at another size",
    "channels": "source.channels reads grey or RGB",
    "architecture": "leave synthesizer.architecture out, then it is taken over",
    "width": "set synthesizer.width to the same",
    "latent": "set synthesizer.latent to the same",
    "attributes": "set source.attributes to the same names and values, and synthesizer.conditioning to attributes",
    "is_conditional": "set synthesizer.conditioning to the same",
}
_EMBEDDING = "embedding.weight"
_FILE_ORDER = "holds images in the order of their NIfTI files"


def source_of(config: ImageGanConfig, device: torch.device) -> FittedGan | None:
    """The saved model to go on from; None without one."""
    return read_gan(Path(config.init_from), device) if config.init_from else None


def require_fit(source: FittedGan, spec: NetworkSpec, levels: Levels, freeze: int) -> None:
    """Raise ConfigError where the saved networks are not those that this run trains, or have no so many layers.

    Args:
        levels: of each attribute that this run tells its networks.
    """
    if source.facts.is_in_file_order:
        hint = "images are slice, row, column since: train it again"
        raise ConfigError(f"the model in init_from {_FILE_ORDER}", where="synthesizer.init_from", hint=hint)
    found = _differing(source, spec, levels)
    if found is not None:
        name, theirs, ours = found
        message = f"the model in init_from has {name} {theirs}, this run has {ours}, and both have to be equal"
        raise ConfigError(message, where="synthesizer.init_from", hint=_SAME[name])
    layers = len(source.discriminator.layers)
    if freeze > layers:
        message = f"freeze is {freeze}, but the discriminator in init_from has {layers} layers"
        raise ConfigError(message, where="synthesizer.freeze")


def difference(earlier: FittedGan, spec: NetworkSpec, levels: Levels) -> str:
    """Why a training of these networks cannot go on from an earlier model; empty where it can."""
    if earlier.facts.is_in_file_order:
        return f"the earlier model {_FILE_ORDER}"
    found = _differing(earlier, spec, levels)
    return "" if found is None else f"the earlier model has another {found[0]}"


def _differing(source: FittedGan, spec: NetworkSpec, levels: Levels) -> tuple[str, object, object] | None:
    """Name, theirs and ours of the first that is not equal."""
    theirs, ours = _compared(source.generator.spec, source.facts.levels), _compared(spec, levels)
    return next(((name, theirs[name], ours[name]) for name in _SAME if theirs[name] != ours[name]), None)


def _compared(spec: NetworkSpec, levels: Levels) -> dict[str, object]:
    # The networks know attributes by their places alone.
    return {name: getattr(spec, name) for name in _SAME} | {"attributes": tuple(levels.items())}


def start_from(state: TrainingState, source: FittedGan, classes: tuple[str, ...]) -> None:
    """Take over all weights; a class that both know by one name keeps its embedding, a new one begins untrained."""
    for network, saved in (
        (state.generator, source.generator),
        (state.average, source.generator),
        (state.discriminator, source.discriminator),
    ):
        weights = saved.state_dict()
        if _EMBEDDING in weights:
            fresh = network.state_dict()[_EMBEDDING]
            weights[_EMBEDDING] = _embedding(fresh, weights[_EMBEDDING], source.facts.learned, classes)
        network.load_state_dict(weights)
    state.is_whole = True


def _embedding(fresh: Tensor, saved: Tensor, known: Mapping[str, int], classes: tuple[str, ...]) -> Tensor:
    rows = [saved[known[name]] if name in known else fresh[code] for code, name in enumerate(classes)]
    return torch.stack(rows)
