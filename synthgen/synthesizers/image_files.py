"""A fitted image GAN on disk: the generator in model.safetensors, its discriminator beside it."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from synthgen.attributes import Attributes
from synthgen.config import ImageGanConfig
from synthgen.datasets import ImageSet
from synthgen.errors import ModelError
from synthgen.files import sha256_file
from synthgen.gan.autoencoder import Autoencoder, MapGenerator
from synthgen.gan.networks import Discriminator, Generator
from synthgen.gan.spec import MapSpec, NetworkSpec
from synthgen.gan.state import memory_format
from synthgen.scans import Scan
from synthgen.synthesizers.model_files import read_model, write_model

# What a description that its networks cannot be built from makes torch, numpy and pydantic raise.
BROKEN = (OSError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, SafetensorError)
_DISCRIMINATOR, _AUTOENCODER = "discriminator.safetensors", "autoencoder.safetensors"
# Of networks and maps, beside their sizes.
_COUNTS = ("channels", "classes", "width", "latent", "factor", "depth")
_DTYPES = ("uint8", "uint16")

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Facts:
    """What the images of train are.

    Attributes:
        counts: training images of each class.
        pixel_range: lowest and highest value; the generator's -1 and 1.
        levels: of each attribute that the model was told; empty without any.
        combinations: codes of class and levels, and training images of them.
        is_in_file_order: whether axes are those of NIfTI files, as in models of before they were slice, row, column.
    """

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    dtype: str
    pixel_range: tuple[int, int]
    mirror_keeps_label: bool
    scan: Scan | None = None
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    combinations: tuple[tuple[int, ...], ...] = ()
    is_in_file_order: bool = False

    @classmethod
    def of(cls, train: ImageSet, attributes: Attributes | None = None) -> Self:
        """Of these images, and of what the model was told of them beside the class."""
        counts = np.bincount(train.codes, minlength=len(train.classes))
        low, high = int(train.images.min()), int(train.images.max())
        dtype, mirror = str(train.images.dtype), train.mirror_keeps_label
        facts = cls(train.classes, tuple(counts.tolist()), dtype, (low, high), mirror, train.scan)
        if attributes is None:
            return facts
        found, times = np.unique(np.column_stack([train.codes, attributes.codes]), axis=0, return_counts=True)
        combinations = tuple(map(tuple, np.column_stack([found, times]).tolist()))
        return replace(facts, levels=attributes.levels, combinations=combinations)

    @classmethod
    def restore(cls, data: Mapping[str, Any], spec: NetworkSpec) -> Self:
        """From the JSON that `asdict` makes of it; raises ValueError where these networks cannot have learned that."""
        tuples = {name: tuple(data[name]) for name in ("classes", "counts", "pixel_range")}
        levels = {name: tuple(names) for name, names in data.get("levels", {}).items()}
        combinations = tuple(map(tuple, data.get("combinations", ())))
        state = data.get("scan")
        is_old = state is not None and state["format"] == "nifti" and "axes" not in state
        kept = {"scan": Scan.restore(state), "levels": levels, "combinations": combinations}
        facts = cls(**{"is_in_file_order": is_old, **data, **tuples, **kept})
        _require_possible(facts, spec)
        return facts

    @property
    def learned(self) -> dict[str, int]:
        """Code of each class that had images."""
        return {name: code for code, name in enumerate(self.classes) if self.counts[code]}

    @property
    def examples(self) -> Sequence[Sequence[int]] | Sequence[int]:
        """Codes of each class that had images; with attributes, those of its most frequent combination."""
        if not self.levels:
            return list(self.learned.values())
        most = {item[0]: item[:-1] for item in sorted(self.combinations, key=lambda item: item[-1])}
        return [most[code] for code in self.learned.values()]


@dataclass(frozen=True)
class FittedGan:
    """What a training leaves behind.

    Attributes:
        generator: the moving average, in evaluation mode.
        discriminator: as training left it; it judges, and a training on other images may go on from it.
        autoencoder: what makes images of what the generator makes; None when that is images.
        start: what came of the earlier model that a warm start was to begin with; empty without one.
    """

    config: ImageGanConfig
    facts: Facts
    generator: Generator
    discriminator: Discriminator
    history: Sequence[dict[str, float]]
    autoencoder: Autoencoder | None = None
    start: str = ""

    @property
    def decoder(self) -> Generator | MapGenerator:
        """What makes images."""
        return MapGenerator(self.generator, self.autoencoder) if self.autoencoder else self.generator

    def fingerprint(self) -> str:
        """SHA-256 of all weights."""
        digest = hashlib.sha256()
        for network in filter(None, (self.generator, self.discriminator, self.autoencoder)):
            for name, value in network.state_dict().items():
                digest.update(name.encode())
                digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def write_gan(gan: FittedGan, directory: Path) -> None:
    """Write synthesizer.json, model.safetensors, discriminator.safetensors and, for maps, autoencoder.safetensors."""
    directory.mkdir(parents=True, exist_ok=True)
    beside = {"discriminator_sha256": _write_weights(gan.discriminator, directory / _DISCRIMINATOR)}
    if gan.autoencoder is not None:
        beside["autoencoder_sha256"] = _write_weights(gan.autoencoder, directory / _AUTOENCODER)
    meta = {
        "kind": gan.config.kind,
        "config": gan.config.model_dump(),
        "network": asdict(gan.generator.spec),
        "data": asdict(gan.facts),
        "history": gan.history,
        **({"start": gan.start} if gan.start else {}),
        **beside,
    }
    write_model(directory, meta, {name: value.cpu().numpy() for name, value in gan.generator.state_dict().items()})


def read_gan(directory: Path, device: torch.device) -> FittedGan:
    """What `write_gan` wrote.

    Raises:
        ModelError: a file is missing, broken, or does not fit the others.
    """
    meta, arrays = read_model(directory)
    if meta.get("kind") != "image-gan":
        message = f"saved model is of kind {meta.get('kind')!r}, and only 'image-gan' is allowed"
        raise ModelError(message, where=str(directory), hint="synthesizer.init_from takes an image GAN")
    try:
        spec = spec_of(meta["network"])
        weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
        generator = with_weights(lambda: Generator(spec), weights)
        weights = _read_weights(directory / _DISCRIMINATOR, meta["discriminator_sha256"])
        discriminator, autoencoder = with_weights(lambda: Discriminator(spec), weights), None
        if (maps := spec.maps) is not None:
            weights = _read_weights(directory / _AUTOENCODER, meta["autoencoder_sha256"])
            autoencoder = with_weights(lambda: Autoencoder(maps), weights)
        layout = memory_format(len(spec.size))
        for network in filter(None, (generator, discriminator, autoencoder)):
            # In memory as when they were trained: sums in another order round to another pixel now and then.
            network.to(device=device, memory_format=layout)  # type: ignore[call-overload]  # stub knows 2-D layouts only
            network.eval().requires_grad_(False)
        config = ImageGanConfig.model_validate(meta["config"])
        facts = Facts.restore(meta["data"], spec)
        return FittedGan(config, facts, generator, discriminator, meta["history"], autoencoder)
    except BROKEN as error:
        raise ModelError(f"saved image GAN cannot be rebuilt: {error}", where=str(directory)) from None


def spec_of(saved: Mapping[str, Any]) -> NetworkSpec:
    """From the JSON that `asdict` makes of it; raises ValueError where the networks are not those of its maps."""
    maps = saved.get("maps")
    counts = [part[name] for part in (saved, maps or {}) for name in _COUNTS if name in part]
    if not all(type(number) is int for number in (*counts, *saved["size"], *(maps["size"] if maps else ()))):
        raise ValueError("a size of its networks is no whole number")
    maps = maps and MapSpec(**{**maps, "size": tuple(maps["size"])})
    attributes = tuple(map(tuple, saved.get("attributes", ())))
    spec = NetworkSpec(**{**saved, "size": tuple(saved["size"]), "maps": maps, "attributes": attributes})
    if spec.maps is not None and (spec.size, spec.channels) != (spec.maps.map_size, spec.maps.depth):
        raise ValueError(f"networks are of size {spec.size}, and maps of {spec.maps.map_size}")
    return spec


def with_weights(build: Callable[[], Network], weights: Mapping[str, Tensor]) -> Network:
    """The network, in memory only once every shape is that of the file; raises ValueError for another."""
    # On the meta device the layers' own initialisation draws nothing from the global random state.
    with torch.device("meta"):
        network = build()
    ours, theirs = _shapes(network.state_dict()), _shapes(weights)
    if ours != theirs:
        name, _ = min(ours.items() ^ theirs.items())
        message = f"{name} has shape {theirs.get(name)} in the file, and {ours.get(name)} in the networks described"
        raise ValueError(message)
    network.to_empty(device="cpu").load_state_dict(weights)
    return network


def _write_weights(network: nn.Module, path: Path) -> str:
    """The hash of the file."""
    save_file({name: value.cpu().contiguous() for name, value in network.state_dict().items()}, path)
    return sha256_file(path)


def _read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    if sha256 != sha256_file(path):
        raise ValueError(f"{path.name} differs from its SHA-256")
    return load_file(path)


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    # A scalar is a row of one in the file, and torch takes one for the other.
    return {name: tuple(value.shape) or (1,) for name, value in weights.items()}


def _require_possible(facts: Facts, spec: NetworkSpec) -> None:
    """Raise ValueError where these networks cannot have learned from such images."""
    if len(facts.classes) != spec.classes:
        raise ValueError(f"data.classes names {len(facts.classes)}, and the networks know {spec.classes}")
    if tuple(facts.levels.values()) != spec.attributes:
        raise ValueError("data.levels and network.attributes differ")
    if not all(isinstance(name, str) for names in (facts.classes, *facts.levels.values()) for name in names):
        raise ValueError("data.classes and data.levels hold text alone")
    if facts.dtype not in _DTYPES:
        raise ValueError(f"data.dtype is {facts.dtype!r}, and {' and '.join(_DTYPES)} are allowed")
    low, high = facts.pixel_range
    highest = np.iinfo(facts.dtype).max
    if not 0 <= low <= high <= highest:
        raise ValueError(f"data.pixel_range is [{low}, {high}], and {facts.dtype} has 0 to {highest}")
    counts = np.asarray(facts.counts)
    if counts.dtype.kind != "i" or counts.shape != (spec.classes,) or (counts < 0).any() or not counts.any():
        raise ValueError(f"data.counts is not {spec.classes} numbers of images, at least one above 0")
    if (facts.levels or facts.combinations) and not _are_of(counts, np.asarray(facts.combinations), facts):
        raise ValueError("data.combinations are not those of data.levels and data.counts")


def _are_of(counts: npt.NDArray[Any], combinations: npt.NDArray[Any], facts: Facts) -> bool:
    """Whether codes are of known classes and levels, and each class has as many images as counted."""
    sizes = [len(facts.classes), *map(len, facts.levels.values())]
    if combinations.dtype.kind != "i" or combinations.shape != (len(combinations), len(sizes) + 1):
        return False
    codes, times = combinations[:, :-1], combinations[:, -1]
    if (codes < 0).any() or (codes >= sizes).any() or (times < 1).any():
        return False
    return np.array_equal(np.bincount(codes[:, 0], times, sizes[0]), counts)
