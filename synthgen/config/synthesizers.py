"""What makes the data, with its settings. To add one: a class here, and see `synthgen.synthesizers`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator

from synthgen.config.section import Section

LossName = Literal["relativistic", "hinge", "wasserstein", "nonsaturating", "least_squares"]
PenaltyName = Literal["gp", "r1", "r1r2"]
ArchitectureName = Literal["dcgan", "residual", "residual-attention", "progressive", "style"]
AugmentationName = Literal["brightness", "contrast", "translation", "mirror"]


class _Trained(Section):
    budget_minutes: Annotated[float, Field(gt=0, le=10_000)] = 4.0
    budget_steps: Annotated[int, Field(ge=1)] | None = None


class AutoConfig(_Trained):
    """`ctgan` for a table, `image-gan` for images."""

    kind: Literal["auto"] = "auto"


class _OverCodes(_Trained):
    """A table model over categorical codes. `inside` says how values get their place in a bin."""

    bins: Annotated[int, Field(ge=2, le=256)] | None = None
    inside: Literal["trees", "uniform"] = "trees"


class DpConfig(Section):
    """(epsilon, delta)-differential privacy of the fitted model against one training row more or less."""

    epsilon: Annotated[float, Field(gt=0, le=1_000)]
    delta: Annotated[float, Field(gt=0, le=1e-3)] = 1e-6


class CtganConfig(_OverCodes):
    """Conditional tabular GAN (Xu 2019) over binned codes. `head`: columns see the columns before them.

    `warm_start`: begin with the model of the last run of this name that passed, where it fits the data.
    """

    kind: Literal["ctgan"]
    batch_size: Annotated[int, Field(ge=20, le=20_000)] = 500
    latent: Annotated[int, Field(ge=2, le=1024)] = 32
    width: Annotated[int, Field(ge=8, le=2048)] = 128
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] = 6e-3
    critic_weight: Annotated[float, Field(ge=0, le=10)] = 0.2
    head: bool = True
    warm_start: bool = False
    dp: DpConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _dp_has_defaults_of_its_own(cls, raw: object) -> object:
        if isinstance(raw, Mapping) and raw.get("dp") is not None:
            return {"head": False, "critic_weight": 0.0, "inside": "uniform", **raw}
        return raw

    @model_validator(mode="after")
    def _dp_looks_at_no_raw_row(self) -> "CtganConfig":
        if self.dp is not None and (self.head or self.critic_weight > 0 or self.inside != "uniform"):
            raise ValueError("dp allows neither head, critic_weight nor inside: trees, which look at raw rows")
        if self.dp is not None and self.warm_start:
            raise ValueError("dp allows no warm_start: the earlier model has seen rows that epsilon does not count")
        return self


class AutoregressiveConfig(_OverCodes):
    """A small network per column over the codes of the columns before it, by maximum likelihood."""

    kind: Literal["autoregressive"]
    width: Annotated[int, Field(ge=8, le=2048)] = 64
    embedding: Annotated[int, Field(ge=2, le=256)] = 8
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    batch_size: Annotated[int, Field(ge=8, le=20_000)] | None = None
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] = 3e-3
    epochs: Annotated[float, Field(gt=0, le=10_000)] = 8


class CartConfig(_OverCodes):
    """Sequential classification trees with smoothed leaves, after R's synthpop (Nowok 2016): a classical control."""

    kind: Literal["cart"]
    leaf_rows: Annotated[int, Field(ge=5, le=10_000)] = 25


class TvaeConfig(_OverCodes):
    """The variational autoencoder of the ctgan package (Xu 2019) over the codes."""

    kind: Literal["tvae"]
    latent: Annotated[int, Field(ge=2, le=1024)] = 32
    width: Annotated[int, Field(ge=8, le=2048)] = 128
    batch_size: Annotated[int, Field(ge=20, le=20_000)] = 500
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] = 2e-3


CodeModelConfig = CtganConfig | AutoregressiveConfig | CartConfig | TvaeConfig


class CtganLibraryConfig(_Trained):
    """The ctgan package as it comes: a control arm, not a recommendation."""

    kind: Literal["ctgan-library"]
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 300


class ImageGanConfig(_Trained):
    """Class-conditional image GAN on MONAI's blocks. What is "auto" or null follows from the loss, size and device.

    `space`: what both networks work on, `latent` = maps of an autoencoder that 30 % of the budget trains first.
    `augmentation`: what the discriminator may see changed while it overfits. `class_ramp_images`: shown until the class
    signal is at full strength. `grow_images`: shown until a progressive architecture is whole; null = half the budget.
    `init_from`: a saved model or a run to go on from, with the lowest `freeze` layers of its discriminator kept as is.
    `warm_start`: begin with the model of the last run of this name that passed, where it fits the images.
    `compile`: train by compiled graphs; auto = on a GPU, from 15 minutes on.
    """

    kind: Literal["image-gan"]
    budget_images: Annotated[int, Field(ge=1)] | None = None
    loss: LossName = "relativistic"
    penalty: PenaltyName | Literal["auto", "none"] = "auto"
    penalty_gamma: Annotated[float, Field(ge=0, le=1000)] | None = None
    penalty_every: Annotated[int, Field(ge=1, le=64)] | None = None
    architecture: ArchitectureName | Literal["auto"] = "auto"
    space: Literal["auto", "pixels", "latent"] = "auto"
    conditioning: Literal["class", "none", "attributes"] = "class"
    width: Annotated[int, Field(ge=4, le=256)] = 16
    latent: Annotated[int, Field(ge=2, le=1024)] = 64
    batch_size: Annotated[int, Field(ge=2, le=1024)] = 32
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] = 1e-3
    discriminator_steps: Annotated[int, Field(ge=1, le=10)] = 1
    ema_halflife_images: Annotated[int, Field(ge=1)] = 2_000
    augmentation: tuple[AugmentationName, ...] | Literal["auto"] = "auto"
    class_ramp_images: Annotated[int, Field(ge=0)] = 0
    grow_images: Annotated[int, Field(ge=1)] | None = None
    init_from: str | None = None
    freeze: Annotated[int, Field(ge=0, le=16)] = 0
    warm_start: bool = False
    compile: bool | Literal["auto"] = "auto"

    @property
    def changes_while_training(self) -> bool:
        """Whether the networks are not the same from step to step, beside their weights."""
        return self.architecture == "progressive" or self.class_ramp_images > 0

    @model_validator(mode="after")
    def _parts_go_together(self) -> "ImageGanConfig":
        if self.penalty == "none" and self.loss == "wasserstein":
            raise ValueError("penalty none leaves the wasserstein loss without bound; it takes gp, r1 or r1r2")
        if self.penalty == "none" and (self.penalty_gamma is not None or self.penalty_every is not None):
            raise ValueError("penalty none has neither penalty_gamma nor penalty_every; gp, r1 and r1r2 have both")
        if self.freeze and self.init_from is None:
            raise ValueError("freeze keeps layers of a saved model as they are; it needs init_from")
        if self.warm_start and self.init_from is not None:
            raise ValueError("warm_start and init_from name two models to begin with; leave one out")
        if self.compile is True and self.changes_while_training:
            raise ValueError(
                "compile needs networks that stay as they are; progressive and class_ramp_images change them"
            )
        if self.grow_images is not None and self.architecture != "progressive":
            raise ValueError("grow_images is for architecture progressive alone")
        if self.class_ramp_images and self.conditioning == "none":
            raise ValueError("class_ramp_images needs conditioning class or attributes")
        return self


class ImageVaeConfig(_Trained):
    """Class-conditional variational autoencoder of images on MONAI's: a baseline, blurred but never collapsed."""

    kind: Literal["image-vae"]
    budget_images: Annotated[int, Field(ge=1)] | None = None
    width: Annotated[int, Field(ge=4, le=256)] = 16
    latent: Annotated[int, Field(ge=2, le=1024)] = 32
    batch_size: Annotated[int, Field(ge=2, le=1024)] = 64
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] = 1e-3


class CopiesConfig(Section):
    """Training rows drawn again: the baseline that every privacy gate must refuse."""

    kind: Literal["copies"]


class MarginalsConfig(Section):
    """Columns (or pixels) drawn alone within the class: the baseline that every fidelity gate must refuse."""

    kind: Literal["marginals"]


SynthesizerConfig = (
    AutoConfig
    | CtganConfig
    | AutoregressiveConfig
    | CartConfig
    | TvaeConfig
    | CtganLibraryConfig
    | ImageGanConfig
    | ImageVaeConfig
    | CopiesConfig
    | MarginalsConfig
)

_SYNTHESIZER: TypeAdapter[SynthesizerConfig] = TypeAdapter(Annotated[SynthesizerConfig, Field(discriminator="kind")])

# Measured as they come: curation would hide what a control is there to show.
CONTROL_KINDS = frozenset({"ctgan-library", "copies", "marginals"})


def parse_synthesizer(raw: Mapping[str, Any]) -> SynthesizerConfig:
    """The synthesizer section that a saved model holds."""
    return _SYNTHESIZER.validate_python(dict(raw))
