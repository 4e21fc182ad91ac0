"""The table of synthesizers. To add one: a class in config/synthesizers.py, a module here with its own, then a line.

A model of tables is best written as a code model (codes.py): encoding, conditions and files are then done.

tests/contract/test_synthesizers.py runs over every line.
"""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from synthgen.config import (
    AutoConfig,
    CodeModelConfig,
    CtganConfig,
    ImageGanConfig,
    SynthesizerConfig,
    parse_synthesizer,
)
from synthgen.datasets import Data, Table
from synthgen.errors import ConfigError, ModelError, name_list, unknown_name
from synthgen.files import read_json
from synthgen.synthesizers.constrained.model import KIND as CONSTRAINED
from synthgen.synthesizers.constrained.model import Constrained
from synthgen.synthesizers.protocol import (
    CheckedSynthesizer,
    ConditionalSynthesizer,
    JudgingSynthesizer,
    Synthesizer,
    WarmSynthesizer,
)

__all__ = [
    "PICTURES",
    "SYNTHESIZERS",
    "ConditionalSynthesizer",
    "Entry",
    "JudgingSynthesizer",
    "Synthesizer",
    "create",
    "draws_as_a_whole",
    "load_synthesizer",
    "whole_model",
]

# Folder below a checkpoint's, with a grid of images for each tick.
PICTURES = "pictures"
Modality = Literal["table", "images"]


@dataclass(frozen=True)
class Entry:
    """Where a synthesizer is, as names: a run on tables never pays for the import of the image networks.

    Attributes:
        over_codes: the class is a code model (codes.py), and a `TableModel` makes rows of it.
    """

    module: str
    name: str
    modalities: tuple[Modality, ...] = ("table",)
    over_codes: bool = False

    def build(self, config: SynthesizerConfig) -> Synthesizer:
        """The unfitted synthesizer."""
        if not self.over_codes:
            return cast(Synthesizer, self._resolve()(config))
        from synthgen.synthesizers.table_model import TableModel

        assert isinstance(config, CodeModelConfig)
        return TableModel(config, self._resolve()(config))

    def load(self, directory: Path, config: Mapping[str, Any]) -> Synthesizer:
        """The synthesizer that was saved to this folder, with this config where it is a code model."""
        if not self.over_codes:
            return cast(Synthesizer, self._resolve().load(directory))
        from synthgen.synthesizers.table_model import TableModel

        model = self.build(parse_synthesizer(config))
        assert isinstance(model, TableModel)
        return model.load(directory)

    def _resolve(self) -> Any:
        return getattr(importlib.import_module(f"synthgen.synthesizers.{self.module}"), self.name)


SYNTHESIZERS: Mapping[str, Entry] = {
    "ctgan": Entry("ctgan.model", "Ctgan", over_codes=True),
    "autoregressive": Entry("autoregressive.model", "Autoregressive", over_codes=True),
    "cart": Entry("cart", "Cart", over_codes=True),
    "tvae": Entry("tvae.model", "Tvae", over_codes=True),
    "ctgan-library": Entry("library.model", "CtganLibrary", ("table",)),
    "image-gan": Entry("image_gan", "ImageGan", ("images",)),
    "image-vae": Entry("image_vae", "ImageVae", ("images",)),
    "copies": Entry("copies", "Copies", ("table", "images")),
    "marginals": Entry("marginals", "Marginals", ("table", "images")),
}


def create(config: SynthesizerConfig, data: Data, *, start: Path | None = None) -> Synthesizer:
    """The unfitted synthesizer that the config names, `auto` resolved by what the data are.

    Args:
        start: folder of an earlier model, with whose weights training begins where they fit; kinds that cannot take
            them do not look at it.

    Raises:
        ConfigError: the kind does not serve this modality.
        DataError: values of a column lie too far apart to be learned.
    """
    modality: Modality = "table" if isinstance(data, Table) else "images"
    concrete = _automatic(config, modality) if isinstance(config, AutoConfig) else config
    entry = SYNTHESIZERS[concrete.kind]
    if modality not in entry.modalities:
        fitting = [kind for kind, other in SYNTHESIZERS.items() if modality in other.modalities]
        message = f"synthesizer {concrete.kind!r} does not make {modality} (for {modality}: {name_list(fitting)})"
        raise ConfigError(message, where="synthesizer.kind", hint="`auto` picks one that fits")
    if isinstance(data, Table) and concrete.kind != "copies":
        from synthgen.synthesizers.encoding.encoder import require_rasters

        require_rasters(data)
    built = entry.build(concrete)
    if isinstance(built, CheckedSynthesizer):
        built.check(data)
    if start is not None and isinstance(built, WarmSynthesizer):
        built.begin_from(load_synthesizer(start))
    return Constrained(built) if isinstance(data, Table) and data.schema.constraints else built


def _automatic(config: AutoConfig, modality: Modality) -> CtganConfig | ImageGanConfig:
    budget = config.model_dump(exclude={"kind"})
    return CtganConfig(kind="ctgan", **budget) if modality == "table" else ImageGanConfig(kind="image-gan", **budget)


def load_synthesizer(directory: Path) -> Synthesizer:
    """The synthesizer that was saved to this folder; raises ModelError when it holds none."""
    path = directory / "synthesizer.json"
    if not path.exists():
        raise ModelError(f"{str(directory)!r} holds no synthesizer.json", where=str(directory))
    try:
        meta = read_json(path)
        kind = str(meta["kind"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ModelError("synthesizer.json is not JSON with a kind", where=str(path)) from None
    if kind == CONSTRAINED:
        return Constrained.load(directory, load_synthesizer(directory / "inner"))
    if kind not in SYNTHESIZERS:
        raise ModelError(unknown_name("synthesizer", kind, SYNTHESIZERS), where=str(path))
    with whole_model(directory):
        return SYNTHESIZERS[kind].load(directory, meta.get("config", {}))


def draws_as_a_whole(synthesizer: Synthesizer) -> bool:
    """Whether rows of one draw depend on each other, so that two small draws are not one large one."""
    return isinstance(synthesizer, Constrained) and synthesizer.has_unique


@contextmanager
def whole_model(directory: Path) -> Iterator[None]:
    """Raise ModelError where a model fails that was not written with `save`: its state may hold anything."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError, AssertionError) as error:
        message = f"the model in {directory.name!r} is not whole: a part is missing or of another type"
        raise ModelError(message, where=str(directory), hint="train it again") from error
