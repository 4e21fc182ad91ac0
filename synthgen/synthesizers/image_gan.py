"""The class-conditional image GAN as a synthesizer."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import torch

from synthgen.config import ArchitectureName, AugmentationName, ImageGanConfig
from synthgen.datasets import Data, ImageSet, Labels
from synthgen.device import best_device
from synthgen.errors import ConfigError, ModelError
from synthgen.gan.augment import ALWAYS_SAFE, Policy
from synthgen.gan.autoencoder import Autoencoder, MapGenerator, encoded
from synthgen.gan.batches import Batches
from synthgen.gan.pictures import Album
from synthgen.gan.spec import NetworkSpec
from synthgen.gan.state import TrainingState, load_checkpoint, save_checkpoint
from synthgen.gan.training import suitable_threads
from synthgen.gan.training import train as train_gan
from synthgen.stats import FloatArray
from synthgen.synthesizers.image_assisting import call_for_help, require_shares
from synthgen.synthesizers.image_drawing import asked_codes, asked_conditions, at_once, drawn
from synthgen.synthesizers.image_files import Facts, FittedGan, read_gan, write_gan
from synthgen.synthesizers.image_maps import Material, map_spec, safe_on_maps, with_maps
from synthgen.synthesizers.image_transfer import difference, require_fit, source_of, start_from
from synthgen.synthesizers.protocol import Synthesizer
from synthgen.team import Team


class ImageGan:
    """Class-conditional GAN on MONAI's blocks; keeps the moving average of its generator."""

    def __init__(self, config: ImageGanConfig) -> None:
        self.config = config
        self._gan: FittedGan | None = None
        self._earlier: FittedGan | None = None
        self._start = ""

    def begin_from(self, earlier: Synthesizer) -> None:
        """Let `fit` go on from this fitted model where its networks are those of these images."""
        self._start = "cold: the earlier model is of another kind"
        if isinstance(earlier, ImageGan):
            self._earlier, self._start = earlier._fitted(), ""

    @property
    def history(self) -> Sequence[dict[str, float]]:
        """Step, images, seconds, losses and monitors of each tick."""
        return [] if self._gan is None else self._gan.history

    def check(self, train: Data) -> None:
        """Raise ConfigError or ModelError where these images cannot be trained on as configured."""
        assert isinstance(train, ImageSet)
        require_shares(self.config, Team.current())
        safe_augmentation(self.config, train)
        device = best_device()
        source = source_of(self.config, device)
        spec = network_spec(train, self.config, device, source)
        if source is not None:
            require_fit(source, spec, _levels(train, self.config), self.config.freeze)

    def fit(self, train: Data, valid: Data, rng: np.random.Generator, *, checkpoint: Path | None = None) -> Self:
        """Trains until the budget is used up.

        Args:
            valid: only shown to the discriminator's overfitting monitor.

        Raises:
            TrainingError: the losses diverged.
            ConfigError: the model to go on from is of other images.
        """
        assert isinstance(train, ImageSet)
        assert isinstance(valid, ImageSet)
        self.check(train)
        team, told = Team.current(), self.config.conditioning == "attributes"
        facts = Facts.of(train, train.attributes if told else None)
        seed, device = int(rng.integers(2**63)), best_device()
        source = self._source(train, device)
        of = partial(Batches.of, pixel_range=facts.pixel_range, device=device, attributes=told)
        batches, held_out = of(train), of(valid) if len(valid) else None
        key = _checkpoint_key(train, self.config, seed, source)
        state = self._initial_state(train, source, seed, device)
        state.team = team
        material = Material(batches, held_out, self.config, key)
        if state.generator.spec.maps is not None:
            material = with_maps(material, state.generator.spec.maps, source, seed=seed, checkpoint=checkpoint)
        keep = None
        if checkpoint:
            load_checkpoint(state, checkpoint, material.key)
            album = Album.of(checkpoint / "pictures", state.average, facts.examples)
            keep = partial(_keep, directory=checkpoint, key=material.key, album=album, autoencoder=material.autoencoder)
        call_for_help(state, material.batches, material.config)
        with suitable_threads(state.generator.spec.size, device, team):
            train_gan(state, material.batches, material.held_out, material.config, keep)
        discriminator, history = state.discriminator.eval().requires_grad_(False), [*material.history, *state.history]
        self._gan = FittedGan(
            self.config, facts, state.average, discriminator, history, material.autoencoder, self._start
        )
        return self

    def _source(self, train: ImageSet, device: torch.device) -> FittedGan | None:
        """The saved model to go on from: that of the configuration, or an earlier one that fits."""
        earlier = self._earlier
        if earlier is None:
            return source_of(self.config, device)
        spec = network_spec(train, self.config, device, earlier)
        differs = difference(earlier, spec, _levels(train, self.config))
        self._start = f"cold: {differs}" if differs else "warm"
        return None if differs else earlier

    def _initial_state(
        self, train: ImageSet, source: FittedGan | None, seed: int, device: torch.device
    ) -> TrainingState:
        spec = network_spec(train, self.config, device, source)
        policy = Policy(kinds=safe_augmentation(self.config, train) if spec.maps is None else safe_on_maps(self.config))
        state = TrainingState.initial(spec, self.config, policy=policy, seed=seed, device=device)
        if source is not None:
            start_from(state, source, train.classes)
        return state

    @torch.no_grad()
    def sample(self, n: int, labels: Labels | None, rng: np.random.Generator) -> ImageSet:
        """Images of the labels asked for; without labels, of classes as frequent as in train; attributes alike."""
        return self.sample_where(n, labels, {}, rng)

    def sample_where(
        self, n: int, labels: Labels | None, where: Mapping[str, object], rng: np.random.Generator
    ) -> ImageSet:
        """Like `sample`, every image with these levels of attributes; raises ModelError for levels not learned."""
        fitted = self._fitted()
        if where and not fitted.facts.levels:
            hint = "synthesizer.conditioning: attributes, with source.attributes, trains one that does"
            raise ModelError("this image model was told no attributes, so it draws for none", hint=hint)
        if fitted.facts.levels:
            codes = asked_conditions(n, labels, where, fitted.facts, rng)
        else:
            codes = asked_codes(n, labels, fitted.facts, rng)
        return drawn(fitted.decoder, codes, fitted.facts, rng)

    @torch.no_grad()
    def realism(self, data: Data) -> FloatArray:
        """The discriminator's logit of each image being real for its class, float64 [n].

        Args:
            data: of the size, channels and classes that were trained on.
        """
        fitted = self._fitted()
        assert isinstance(data, ImageSet)
        told = bool(fitted.facts.levels)
        batches = Batches.of(data, fitted.facts.pixel_range, best_device(), attributes=told)
        if fitted.autoencoder is not None:
            batches = encoded(batches, fitted.autoencoder)
        logits = [
            fitted.discriminator(batches.scaled(index), batches.codes[index])
            for index in torch.split(torch.arange(len(data)), at_once(data.images.shape[2:]))
        ]
        return np.asarray(torch.cat(logits).double().cpu())

    def save(self, directory: Path) -> None:
        """Write synthesizer.json and the weights of each network; see `write_gan`."""
        write_gan(self._fitted(), directory)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The synthesizer that `save` wrote.

        Raises:
            ModelError: a file is missing, broken, or does not fit the others.
        """
        fitted = read_gan(directory, best_device())
        gan = cls(fitted.config)
        gan._gan = fitted
        return gan

    def _fitted(self) -> FittedGan:
        if self._gan is None:
            raise ModelError("image-gan has not been fitted: call fit or load first")
        return self._gan


def safe_augmentation(config: ImageGanConfig, train: ImageSet) -> Sequence[AugmentationName]:
    """What may be done to an image without another label; raises ConfigError where the configuration asks for more."""
    if config.augmentation == "auto":
        return (*ALWAYS_SAFE, "mirror") if train.mirror_keeps_label else ALWAYS_SAFE
    if "mirror" in config.augmentation and not train.mirror_keeps_label:
        message = "augmentation names 'mirror', but the source does not say that a mirrored image keeps its label"
        raise ConfigError(message, where="synthesizer.augmentation", hint="source.mirror_keeps_label: true says so")
    return config.augmentation


def network_spec(
    train: ImageSet, config: ImageGanConfig, device: torch.device, source: FittedGan | None = None
) -> NetworkSpec:
    """The networks for these images; "auto" is that of the source, or dcgan on a CPU, residual on a GPU."""
    automatic: ArchitectureName = "dcgan" if device.type == "cpu" else "residual"
    if source is not None:
        automatic = source.generator.spec.architecture
    maps = map_spec(train, config, source)
    return NetworkSpec(
        size=maps.map_size if maps else tuple(train.images.shape[2:]),
        channels=maps.depth if maps else train.images.shape[1],
        classes=len(train.classes),
        architecture=automatic if config.architecture == "auto" else config.architecture,
        width=config.width,
        latent=config.latent,
        is_conditional=config.conditioning != "none",
        maps=maps,
        attributes=tuple(_levels(train, config).values()),
    )


def _levels(train: ImageSet, config: ImageGanConfig) -> Mapping[str, tuple[str, ...]]:
    if config.conditioning != "attributes":
        return {}
    if train.attributes is None:
        message = "conditioning is attributes, but of these images nothing is known beside the class"
        hint = "source.attributes names columns of a manifest"
        raise ConfigError(message, where="synthesizer.conditioning", hint=hint)
    return train.attributes.levels


def _keep(state: TrainingState, *, directory: Path, key: str, album: Album, autoencoder: Autoencoder | None) -> None:
    album.keep(MapGenerator(state.average, autoencoder) if autoencoder else state.average, state.images)
    save_checkpoint(state, directory, key)


def _checkpoint_key(train: ImageSet, config: ImageGanConfig, seed: int, source: FittedGan | None) -> str:
    # Without the budget: a longer training may continue a shorter one.
    settings = config.model_dump(exclude={"budget_minutes", "budget_steps", "budget_images", "init_from"})
    identity = [settings, train.fingerprint(), seed, None if source is None else source.fingerprint()]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
