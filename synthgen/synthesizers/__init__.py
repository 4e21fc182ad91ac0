"""The table of synthesizers. To add one: a config class in config.py, a module here with its class, then a line.

tests/contract/test_synthesizers.py runs over every line.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from synthgen.config import AutoConfig, CtganConfig, ImageGanConfig, SynthesizerConfig
from synthgen.datasets import Data, Table
from synthgen.errors import ConfigError, ModelError, name_list, unknown_name
from synthgen.runs import read_json
from synthgen.synthesizers.protocol import Synthesizer

__all__ = ["SYNTHESIZERS", "Entry", "Synthesizer", "create", "load_synthesizer"]

Modality = Literal["table", "images"]


@dataclass(frozen=True)
class Entry:
    """Where a synthesizer is, as names: a run on tables never pays for the import of the image networks."""

    module: str
    name: str
    modalities: tuple[Modality, ...]

    def resolve(self) -> type[Synthesizer]:
        """The class, imported now."""
        module = importlib.import_module(f"synthgen.synthesizers.{self.module}")
        return cast(type[Synthesizer], getattr(module, self.name))


SYNTHESIZERS: Mapping[str, Entry] = {
    "ctgan": Entry("ctgan", "Ctgan", ("table",)),
    "ctgan-library": Entry("ctgan_library", "CtganLibrary", ("table",)),
    "image-gan": Entry("image_gan", "ImageGan", ("images",)),
    "copies": Entry("copies", "Copies", ("table", "images")),
    "marginals": Entry("marginals", "Marginals", ("table", "images")),
}


def create(config: SynthesizerConfig, data: Data) -> Synthesizer:
    """The unfitted synthesizer that the config names, `auto` resolved by what the data are.

    Raises:
        ConfigError: the kind does not serve this modality.
    """
    modality: Modality = "table" if isinstance(data, Table) else "images"
    concrete = _automatic(config, modality) if isinstance(config, AutoConfig) else config
    entry = SYNTHESIZERS[concrete.kind]
    if modality not in entry.modalities:
        fitting = [kind for kind, other in SYNTHESIZERS.items() if modality in other.modalities]
        message = f"synthesizer {concrete.kind!r} does not make {modality} (for {modality}: {name_list(fitting)})"
        raise ConfigError(message, where="synthesizer.kind", hint="`auto` picks one that fits")
    return entry.resolve()(concrete)  # type: ignore[call-arg]  # a Protocol does not speak of the constructor


def _automatic(config: AutoConfig, modality: Modality) -> CtganConfig | ImageGanConfig:
    budget = config.model_dump(exclude={"kind"})
    return CtganConfig(kind="ctgan", **budget) if modality == "table" else ImageGanConfig(kind="image-gan", **budget)


def load_synthesizer(directory: Path) -> Synthesizer:
    """The synthesizer that was saved to this folder; raises ModelError when it holds none."""
    path = directory / "synthesizer.json"
    if not path.exists():
        raise ModelError(f"{str(directory)!r} holds no synthesizer.json", where=str(directory))
    try:
        kind = read_json(path)["kind"]
    except (ValueError, KeyError, TypeError):
        raise ModelError("synthesizer.json is not JSON with a kind", where=str(path)) from None
    if kind not in SYNTHESIZERS:
        raise ModelError(unknown_name("synthesizer", str(kind), SYNTHESIZERS), where=str(path))
    return SYNTHESIZERS[kind].resolve().load(directory)
