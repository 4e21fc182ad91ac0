"""The one place of knobs: what a run may be told, with units, bounds and defaults."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from synthgen.config.constraints import (
    Constraint,
    FixedCombinationsConfig,
    FormulaConfig,
    ImpliedConfig,
    InequalityConfig,
    UniqueConfig,
    parse_constraints,
)
from synthgen.config.evaluation import (
    EVALUATION_SIZES,
    PROFILES,
    EvaluationConfig,
    EvaluationSize,
    GateConfig,
    Profile,
)
from synthgen.config.plans import AutoPlan, BalancePlan, PerClassPlan, PlanConfig, RatioPlan, RowsPlan
from synthgen.config.section import Scalar, Section
from synthgen.config.sources import (
    INDEX_COLUMNS,
    BuiltinName,
    BuiltinSource,
    ColumnKind,
    ImageSource,
    Source,
    TableSource,
)
from synthgen.config.synthesizers import (
    CONTROL_KINDS,
    ArchitectureName,
    AugmentationName,
    AutoConfig,
    AutoregressiveConfig,
    CartConfig,
    CodeModelConfig,
    CopiesConfig,
    CtganConfig,
    CtganLibraryConfig,
    DpConfig,
    ImageGanConfig,
    ImageVaeConfig,
    LossName,
    MarginalsConfig,
    PenaltyName,
    SynthesizerConfig,
    TvaeConfig,
    parse_synthesizer,
)

__all__ = [
    "CONTROL_KINDS",
    "EVALUATION_SIZES",
    "INDEX_COLUMNS",
    "PROFILES",
    "ArchitectureName",
    "AuditConfig",
    "AuditOptions",
    "AugmentationName",
    "AutoConfig",
    "AutoPlan",
    "AutoregressiveConfig",
    "BalancePlan",
    "BuiltinName",
    "BuiltinSource",
    "CartConfig",
    "CodeModelConfig",
    "ColumnKind",
    "Constraint",
    "CopiesConfig",
    "CtganConfig",
    "CtganLibraryConfig",
    "CurationConfig",
    "DpConfig",
    "EvaluationConfig",
    "EvaluationSize",
    "ExportConfig",
    "FixedCombinationsConfig",
    "FormulaConfig",
    "GateConfig",
    "ImageFormat",
    "ImageGanConfig",
    "ImageSource",
    "ImageVaeConfig",
    "ImpliedConfig",
    "InequalityConfig",
    "LossName",
    "MarginalsConfig",
    "NotifyConfig",
    "NotifyEvent",
    "PenaltyName",
    "PerClassPlan",
    "PlanConfig",
    "Profile",
    "PromotionConfig",
    "Purpose",
    "RatioPlan",
    "RowsPlan",
    "RunConfig",
    "Scalar",
    "Section",
    "Source",
    "SplitConfig",
    "SynthesizerConfig",
    "TableFormat",
    "TableSource",
    "TrackingConfig",
    "TvaeConfig",
    "UniqueConfig",
    "parse_constraints",
    "parse_synthesizer",
]

Purpose = Literal["augment", "share"]
TableFormat = Literal["parquet", "csv"]
ImageFormat = Literal["folder", "npz", "dicom", "nifti"]


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


class CurationConfig(Section):
    """What happens to candidates before anybody looks at them.

    Of images, `labels` drops those that a classifier takes for another class, `outliers` those unlike any real one.
    """

    calibrate: bool = True
    near_copies: Literal["drop", "keep"] = "drop"
    labels: Literal["drop", "keep"] = "drop"
    outliers: Literal["drop", "keep"] = "drop"


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
    types: dict[str, ColumnKind] = Field(default_factory=dict)
    series: Literal["slices", "volume"] | None = None
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
