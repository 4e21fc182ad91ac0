"""The one file of knobs: what a run may be told, with units, bounds and defaults."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

ColumnKind = Literal["numeric", "integer", "categorical", "boolean", "datetime", "id", "text"]
Purpose = Literal["augment", "share"]
Profile = Literal["quick", "full", "release"]
# From the least to the most thorough.
PROFILES: Sequence[Profile] = ("quick", "full", "release")
TableFormat = Literal["parquet", "csv"]
ImageFormat = Literal["folder", "npz", "dicom", "nifti"]
BuiltinName = Literal["breast-cancer", "wine", "digits", "mnist-5k"]
LossName = Literal["relativistic", "hinge", "wasserstein", "nonsaturating", "least_squares"]
PenaltyName = Literal["gp", "r1", "r1r2"]
ArchitectureName = Literal["dcgan", "residual", "residual-attention", "progressive", "style"]
AugmentationName = Literal["brightness", "contrast", "translation", "mirror"]


class Section(BaseModel):
    """A frozen part of the configuration that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# Truth values before numbers: True must not become 1. None stands for a missing value.
Scalar = bool | int | float | str | None


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("a column is named twice; different columns are needed")
    return names


class FixedCombinationsConfig(Section):
    """No combination of values that the training rows do not have."""

    kind: Literal["fixed_combinations"]
    columns: Annotated[tuple[str, ...], Field(min_length=2), AfterValidator(_different)]


class InequalityConfig(Section):
    """`low` is at most `high` (below it if strict) wherever both are known."""

    kind: Literal["inequality"]
    low: str
    high: str
    strict: bool = False

    @model_validator(mode="after")
    def _columns_differ(self) -> "InequalityConfig":
        _different((self.low, self.high))
        return self


class FormulaConfig(Section):
    """A column that follows from others by + - * /, numbers and round(); names with spaces stand in backticks."""

    kind: Literal["formula"]
    column: str
    formula: Annotated[str, Field(min_length=1, max_length=1_000)]


class ImpliedConfig(Section):
    """Rows with all values of `when` have all values of `then`."""

    kind: Literal["implied"]
    when: Annotated[dict[str, Scalar], Field(min_length=1)]
    then: Annotated[dict[str, Scalar], Field(min_length=1)]

    @model_validator(mode="after")
    def _condition_is_not_its_own_result(self) -> "ImpliedConfig":
        both = sorted(self.when.keys() & self.then.keys())
        if both:
            raise ValueError(f"column {both[0]!r} is named under when and under then, one of the two is allowed")
        return self


class UniqueConfig(Section):
    """No two synthetic rows of one draw are equal in these columns."""

    kind: Literal["unique"]
    columns: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_different)]


Constraint = FixedCombinationsConfig | InequalityConfig | FormulaConfig | ImpliedConfig | UniqueConfig
_TaggedConstraint = Annotated[Constraint, Field(discriminator="kind")]
_CONSTRAINTS: TypeAdapter[tuple[Constraint, ...]] = TypeAdapter(tuple[_TaggedConstraint, ...])


class TableSource(Section):
    """A CSV (also gzipped) or parquet file."""

    kind: Literal["table"]
    path: str
    label: str
    group: str | None = None
    ids: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    types: dict[str, ColumnKind] = {}
    constraints: tuple[_TaggedConstraint, ...] = ()
    max_rows: Annotated[int, Field(ge=10)] | None = 1_000_000
    delimiter: str | None = None
    encoding: str | None = None

    @model_validator(mode="after")
    def _label_is_drawn_not_derived(self) -> "TableSource":
        if any(self.label in _derived_columns(constraint) for constraint in self.constraints):
            raise ValueError(
                f"constraints: the label {self.label!r} is asked for, never derived;"
                " it may stand under `when` of implied and under `columns` of unique"
            )
        return self


def _derived_columns(constraint: Constraint) -> Sequence[str]:
    match constraint:
        case FixedCombinationsConfig():
            return constraint.columns
        case InequalityConfig():
            return (constraint.low, constraint.high)
        case FormulaConfig():
            return (constraint.column,)
        case ImpliedConfig():
            return tuple(constraint.then)
        case UniqueConfig():
            return ()


_INDEX_COLUMNS = ("path", "label", "split", "synthetic", "group", "position")


class ImageSource(Section):
    """A folder of class folders, an npz in MedMNIST's layout, a zip of either, or a manifest of path and label.

    Files are PNG, JPEG, TIFF and BMP, or DICOM, or NIfTI. `series`: what the slices of a DICOM series become.
    `intensity`: whether the numbers of DICOM and NIfTI stay, or those of each file are stretched over 16 bits.
    `attributes`: columns of a manifest beside the label, such as site or sex, that images keep and may be drawn for.
    """

    kind: Literal["images"]
    path: str
    label: str = "label"
    path_column: str = "path"
    group: str | None = None
    attributes: tuple[str, ...] = ()
    size: Annotated[int, Field(ge=8, le=128)] | None = None
    fit: Literal["error", "resize", "crop", "pad"] = "error"
    channels: Literal["keep", "grey", "rgb"] = "keep"
    series: Literal["slices", "volume"] = "slices"
    intensity: Literal["keep", "stretch"] = "keep"
    mirror_keeps_label: bool = False

    @field_validator("attributes")
    @classmethod
    def _attributes_have_names_of_their_own(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"attributes name {name!r} more than once")
            if name in _INDEX_COLUMNS:
                raise ValueError(f"the index of an emitted dataset has a column {name!r} already: rename the attribute")
        return names


class BuiltinSource(Section):
    """A real dataset that comes with the dependencies. `thin` leaves at most n training examples of a class."""

    kind: Literal["builtin"]
    name: BuiltinName
    thin: dict[str, Annotated[int, Field(ge=5)]] = {}


Source = Annotated[TableSource | ImageSource | BuiltinSource, Field(discriminator="kind")]


class SplitConfig(Section):
    """Shares of the three parts, or the column that names the part of each row."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.6
    valid: Annotated[float, Field(gt=0, lt=1)] = 0.2
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    column: str | None = None

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> "SplitConfig":
        total = self.train + self.valid + self.holdout
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + valid + holdout must be 1, they are {total:g}")
        return self


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


class BalancePlan(Section):
    """Every class up to `share` of the largest class."""

    kind: Literal["balance"] = "balance"
    share: Annotated[float, Field(gt=0, le=1)] = 1.0


class RowsPlan(Section):
    """`rows` synthetic rows in all, classes as frequent as in train."""

    kind: Literal["rows"]
    rows: Annotated[int, Field(ge=1)]


class PerClassPlan(Section):
    """So many synthetic rows of each named class."""

    kind: Literal["per_class"]
    per_class: dict[str, Annotated[int, Field(ge=0)]]


class RatioPlan(Section):
    """`ratio` synthetic rows for each real one, classes as frequent as in train."""

    kind: Literal["ratio"]
    ratio: Annotated[float, Field(gt=0, le=100)]


class AutoPlan(Section):
    """Of `balance` (of balanced classes: as many rows again) the share that helps a classifier most on valid, 0 too."""

    kind: Literal["auto"]


PlanConfig = BalancePlan | RowsPlan | PerClassPlan | RatioPlan | AutoPlan


class CurationConfig(Section):
    """What happens to candidates before anybody looks at them.

    Of images, `labels` drops those that a classifier takes for another class, `outliers` those unlike any real one.
    """

    calibrate: bool = True
    near_copies: Literal["drop", "keep"] = "drop"
    labels: Literal["drop", "keep"] = "drop"
    outliers: Literal["drop", "keep"] = "drop"


class EvaluationConfig(Section):
    """How much is measured; see EVALUATION_SIZES.

    `canaries`: records made up to measure what training gives away, in profile release; about half of them are
    trained on, at most 1 in 40 training rows is one, and 0 makes up none.
    """

    profile: Profile = "quick"
    canaries: Annotated[int, Field(ge=0, le=10_000)] = 400


class EvaluationSize(Section):
    """Sizes that a profile stands for."""

    profile: Profile = "quick"
    max_rows: int
    utility_seeds: int
    bootstrap_rounds: int


EVALUATION_SIZES: Mapping[Profile, EvaluationSize] = {
    "quick": EvaluationSize(max_rows=5_000, utility_seeds=5, bootstrap_rounds=200),
    "full": EvaluationSize(profile="full", max_rows=20_000, utility_seeds=10, bootstrap_rounds=1_000),
    "release": EvaluationSize(profile="release", max_rows=100_000, utility_seeds=20, bootstrap_rounds=2_000),
}


class GateConfig(Section):
    """A rule that replaces the default rule of its metric."""

    metric: str
    at_most: float | None = None
    at_least: float | None = None
    required: bool | None = None

    @model_validator(mode="after")
    def _has_one_side(self) -> "GateConfig":
        if self.at_most is not None and self.at_least is not None:
            raise ValueError("a gate takes at_most or at_least, not both")
        if self.at_most is None and self.at_least is None and self.required is None:
            raise ValueError("a gate needs at_most, at_least or required")
        return self


class ExportConfig(Section):
    """Formats of the emitted dataset; empty = parquet for tables, folder for images, for DICOM and NIfTI the same.

    `ids`: synthetic rows have none, or new ones in the format of the real ones. `to`: an address such as
    s3://bucket/folder, where dataset and report are copied to when they are whole.
    """

    to: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9+.-]+://")] | None = None
    formats: tuple[TableFormat | ImageFormat, ...] = ()
    ids: Literal["omit", "regenerate"] = "omit"


class TrackingConfig(Section):
    """Where the run is recorded; experiment null = the run's name."""

    experiment: str | None = None


class PromotionConfig(Section):
    """How much balanced accuracy a new champion may lose at most, at the low end of the interval."""

    margin: Annotated[float, Field(ge=0, le=0.5)] = 0.01


NotifyEvent = Literal["pass", "inconclusive", "fail", "error", "waiting"]


class NotifyConfig(Section):
    """A webhook that is told how a run ended: an address, or $NAME of the environment variable that holds it."""

    webhook: Annotated[str, Field(pattern=r"^(https?://\S+|\$\w+|\$\{\w+\})$")] | None = None
    # Not `on`, which YAML reads as a truth value.
    events: tuple[NotifyEvent, ...] = ("fail", "error", "waiting")


class RunConfig(Section):
    """One run, as the YAML says it. Every key but `source` has a default."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "run"
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    purpose: Purpose = "augment"
    source: Source
    split: SplitConfig = SplitConfig()
    synthesizer: Annotated[SynthesizerConfig, Field(discriminator="kind")] = AutoConfig()
    plan: Annotated[PlanConfig, Field(discriminator="kind")] = BalancePlan()
    curation: CurationConfig = CurationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    gates: tuple[GateConfig, ...] = ()
    export: ExportConfig = ExportConfig()
    tracking: TrackingConfig = TrackingConfig()
    promotion: PromotionConfig = PromotionConfig()
    approval: Literal["none", "required"] = "none"
    notify: NotifyConfig = NotifyConfig()

    @property
    def privacy(self) -> DpConfig | None:
        """What differential privacy is promised, if any."""
        return self.synthesizer.dp if isinstance(self.synthesizer, CtganConfig) else None

    @model_validator(mode="after")
    def _dp_covers_the_whole_run(self) -> "RunConfig":
        if self.privacy is None:
            return self
        if self.plan.kind != "per_class":
            raise ValueError("dp takes plan.kind per_class: other plans count the training rows of each class")
        if isinstance(self.source, TableSource) and self.source.constraints:
            raise ValueError("dp takes no constraints: what they determine is learned from raw rows")
        return self

    @property
    def modality(self) -> Literal["table", "images"]:
        """What the source holds."""
        images = self.source.kind == "images" or getattr(self.source, "name", None) in ("digits", "mnist-5k")
        return "images" if images else "table"

    @property
    def canaries(self) -> int:
        """How many records are made up at most; none for images, nor for a profile that measures nothing of them."""
        return self.evaluation.canaries if self.evaluation.profile == "release" and self.modality == "table" else 0

    @property
    def is_curated(self) -> bool:
        """Whether candidates are screened and calibrated against real rows.

        Controls are not, and under differential privacy no raw row may be looked at again.
        """
        return self.synthesizer.kind not in CONTROL_KINDS and self.privacy is None

    @property
    def evaluation_size(self) -> EvaluationSize:
        return EVALUATION_SIZES[self.evaluation.profile]


class AuditOptions(Section):
    """What an audit is told about the columns, which are otherwise guessed, and how it judges."""

    label: str | None = None
    group: str | None = None
    ids: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    types: dict[str, ColumnKind] = {}
    purpose: Purpose = "share"
    profile: Profile = "quick"
    gates: tuple[GateConfig, ...] = ()
    max_rows: Annotated[int, Field(ge=10)] | None = 1_000_000
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0


class AuditConfig(AuditOptions):
    """One audit of files: plain JSON, so that it can be the parameters of a schedule."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "audit"
    train: str
    synthetic: str
    holdout: str | None = None
    tracking: TrackingConfig = TrackingConfig()

    @property
    def options(self) -> AuditOptions:
        """The part that does not name files."""
        return AuditOptions(**{name: getattr(self, name) for name in AuditOptions.model_fields})


def parse_synthesizer(raw: Mapping[str, Any]) -> SynthesizerConfig:
    """The synthesizer section that a saved model holds."""
    return _SYNTHESIZER.validate_python(dict(raw))


def parse_constraints(raw: Sequence[Mapping[str, Any]]) -> tuple[Constraint, ...]:
    """The constraints that a saved schema holds."""
    return _CONSTRAINTS.validate_python(list(raw))
