"""The class-conditional image GAN as a synthesizer."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import torch

from synthgen.config import ImageGanConfig
from synthgen.datasets import Data, ImageSet, Index, Labels
from synthgen.errors import ModelError, unknown_name
from synthgen.gan.augment import Policy
from synthgen.gan.batches import Batches
from synthgen.gan.networks import Block, Generator, NetworkSpec
from synthgen.gan.state import TrainingState, load_checkpoint, save_checkpoint
from synthgen.gan.training import suitable_threads
from synthgen.gan.training import train as train_gan
from synthgen.scans import Scan
from synthgen.synthesizers.device import best_device
from synthgen.synthesizers.model_files import read_model, write_model

_SAMPLE_BATCH = 256


@dataclass(frozen=True)
class _Facts:
    """What the images of train are.

    Attributes:
        counts: training images of each class.
        pixel_range: lowest and highest value; the generator's -1 and 1.
    """

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    dtype: str
    pixel_range: tuple[int, int]
    mirror_keeps_label: bool
    scan: Scan | None = None

    @classmethod
    def of(cls, train: ImageSet) -> Self:
        counts = np.bincount(train.codes, minlength=len(train.classes))
        low, high = int(train.images.min()), int(train.images.max())
        dtype, mirror = str(train.images.dtype), train.mirror_keeps_label
        return cls(train.classes, tuple(counts.tolist()), dtype, (low, high), mirror, train.scan)


class ImageGan:
    """Class-conditional GAN on MONAI's blocks; keeps the moving average of its generator."""

    def __init__(self, config: ImageGanConfig) -> None:
        self.config = config
        self._generator: Generator | None = None
        self._facts: _Facts | None = None
        self._history: list[dict[str, float]] = []

    @property
    def history(self) -> Sequence[dict[str, float]]:
        """Step, images, seconds, losses and monitors of each tick."""
        return self._history

    def fit(self, train: Data, valid: Data, rng: np.random.Generator, *, checkpoint: Path | None = None) -> Self:
        """Trains until the budget is used up.

        Args:
            valid: only shown to the discriminator's overfitting monitor.

        Raises:
            TrainingError: the losses diverged.
        """
        assert isinstance(train, ImageSet)
        assert isinstance(valid, ImageSet)
        facts, seed, device = _Facts.of(train), int(rng.integers(2**63)), best_device()
        spec = network_spec(train, self.config, device)
        policy = Policy(mirror=train.mirror_keeps_label)
        state = TrainingState.initial(spec, self.config, policy=policy, seed=seed, device=device)
        key = _checkpoint_key(train, self.config, seed)
        keep = partial(save_checkpoint, directory=checkpoint, key=key) if checkpoint else None
        if checkpoint:
            load_checkpoint(state, checkpoint, key)
        held_out = Batches.of(valid, facts.pixel_range, device) if len(valid) else None
        batches = Batches.of(train, facts.pixel_range, device)
        with suitable_threads(spec.size, device):
            train_gan(state, batches, held_out, self.config, keep)
        self._generator, self._facts, self._history = state.average, facts, state.history
        return self

    @torch.no_grad()
    def sample(self, n: int, labels: Labels | None, rng: np.random.Generator) -> ImageSet:
        """Images of the labels asked for; without labels, of classes as frequent as in train."""
        generator, facts = self._fitted()
        codes = _draw_codes(n, facts, rng) if labels is None else _codes_of(labels, facts)
        device = next(generator.parameters()).device
        # Drawn on the CPU: the same latents whatever the device.
        source = torch.Generator().manual_seed(int(rng.integers(2**63)))
        images = np.empty((n, generator.spec.channels, *generator.spec.size), dtype=facts.dtype)
        low, high = facts.pixel_range
        for start in range(0, n, _SAMPLE_BATCH):
            batch = torch.from_numpy(codes[start : start + _SAMPLE_BATCH])
            latent = torch.randn(len(batch), generator.spec.latent, generator=source)
            values = generator(latent.to(device), batch.to(device)).double().cpu().numpy()
            images[start : start + _SAMPLE_BATCH] = np.rint((values + 1) / 2 * (high - low) + low)
        mirror = facts.mirror_keeps_label
        return ImageSet(images, codes, facts.classes, mirror_keeps_label=mirror, scan=facts.scan)

    def save(self, directory: Path) -> None:
        """Write synthesizer.json and model.safetensors."""
        generator, facts = self._fitted()
        meta = {
            "kind": self.config.kind,
            "config": self.config.model_dump(),
            "network": asdict(generator.spec),
            "data": asdict(facts),
            "history": self._history,
        }
        write_model(directory, meta, {name: value.cpu().numpy() for name, value in generator.state_dict().items()})

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The synthesizer that `save` wrote.

        Raises:
            ModelError: a file is missing, broken, or does not fit the other.
        """
        meta, arrays = read_model(directory)
        try:
            gan = cls(ImageGanConfig.model_validate(meta["config"]))
            spec = NetworkSpec(**{**meta["network"], "size": tuple(meta["network"]["size"])})
            data = meta["data"]
            tuples = {name: tuple(data[name]) for name in ("classes", "counts", "pixel_range")}
            gan._facts = _Facts(**{**data, **tuples, "scan": Scan.restore(data.get("scan"))})
            generator = _empty_generator(spec)
            generator.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"saved image GAN cannot be rebuilt: {error}", where=str(directory)) from None
        gan._generator = generator.to(best_device()).eval().requires_grad_(False)
        gan._history = meta["history"]
        return gan

    def _fitted(self) -> tuple[Generator, _Facts]:
        if self._generator is None or self._facts is None:
            raise ModelError("image-gan has not been fitted: call fit or load first")
        return self._generator, self._facts


def network_spec(train: ImageSet, config: ImageGanConfig, device: torch.device) -> NetworkSpec:
    """The networks for these images; block "auto" is deconv on a CPU, residual on a GPU."""
    automatic: Block = "deconv" if device.type == "cpu" else "residual"
    return NetworkSpec(
        size=tuple(train.images.shape[2:]),
        channels=train.images.shape[1],
        classes=len(train.classes),
        block=automatic if config.block == "auto" else config.block,
        width=config.width,
        latent=config.latent,
    )


def _empty_generator(spec: NetworkSpec) -> Generator:
    # Initial weights are overwritten, but drawing them would move the global random state.
    with torch.random.fork_rng(devices=[]):
        return Generator(spec)


def _checkpoint_key(train: ImageSet, config: ImageGanConfig, seed: int) -> str:
    # Without the budget: a longer training may continue a shorter one.
    settings = config.model_dump(exclude={"budget_minutes", "budget_steps", "budget_images"})
    return hashlib.sha256(json.dumps([settings, train.fingerprint(), seed], sort_keys=True).encode()).hexdigest()


def _draw_codes(n: int, facts: _Facts, rng: np.random.Generator) -> Index:
    counts = np.asarray(facts.counts, dtype=np.float64)
    return rng.choice(len(counts), n, p=counts / counts.sum()).astype(np.int64)


def _codes_of(labels: Labels, facts: _Facts) -> Index:
    known = {name: code for code, name in enumerate(facts.classes) if facts.counts[code]}
    for name in np.unique(labels).tolist():
        if name not in known:
            raise ModelError(unknown_name("class", name, known))
    return np.asarray([known[name] for name in labels.tolist()], dtype=np.int64)
