"""Where the data come from."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from synthgen.config.constraints import (
    Constraint,
    FixedCombinationsConfig,
    FormulaConfig,
    ImpliedConfig,
    InequalityConfig,
    TaggedConstraint,
    UniqueConfig,
)
from synthgen.config.section import Section
from synthgen.errors import unknown_name

ColumnKind = Literal["numeric", "integer", "categorical", "boolean", "datetime", "id", "text"]
BuiltinName = Literal["breast-cancer", "wine", "digits", "mnist-5k"]


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
    types: dict[str, ColumnKind] = Field(default_factory=dict)
    constraints: tuple[TaggedConstraint, ...] = ()
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


# Of the index of an emitted dataset of images.
INDEX_COLUMNS = ("path", "label", "split", "synthetic", "group", "position", "slices")


class ImageSource(Section):
    """A folder of class folders, an npz in MedMNIST's layout, a zip of either, or a manifest of path and label.

    Files are PNG, JPEG, TIFF and BMP, or DICOM, or NIfTI. `series`: what the slices of a DICOM series become.
    `intensity`: whether the numbers of DICOM and NIfTI stay, or those of each file are stretched over 16 bits.
    `size`: of every edge in pixels. `fit`: what becomes of images of other sizes: `resize` stretches them, `crop` and
    `pad` scale each as a whole, DICOM and NIfTI of one spacing all by one factor, and not at all without `size`.
    `attributes`: columns of a manifest beside the label, such as site or sex, that images keep and may be drawn for.
    `protected`: those of them whose groups fairness is measured for.
    """

    kind: Literal["images"]
    path: str
    label: str = "label"
    path_column: str = "path"
    group: str | None = None
    attributes: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
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
            if name in INDEX_COLUMNS:
                raise ValueError(f"the index of an emitted dataset has a column {name!r} already: rename the attribute")
        return names

    @field_validator("protected")
    @classmethod
    def _the_protected_are_attributes(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        # Without the key the attributes themselves are refused.
        known = info.data.get("attributes", names)
        for name in names:
            if not known:
                raise ValueError(f"{name!r} is no attribute: source.attributes names none")
            if name not in known:
                raise ValueError(unknown_name("attribute", name, known))
        return names


class BuiltinSource(Section):
    """A real dataset that comes with the dependencies. `thin` leaves at most n training examples of a class."""

    kind: Literal["builtin"]
    name: BuiltinName
    thin: dict[str, Annotated[int, Field(ge=5)]] = Field(default_factory=dict)


Source = Annotated[TableSource | ImageSource | BuiltinSource, Field(discriminator="kind")]
