"""What must hold between the columns of a row."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from synthgen.config.section import Scalar, Section, different


class FixedCombinationsConfig(Section):
    """No combination of values that the training rows do not have."""

    kind: Literal["fixed_combinations"]
    columns: Annotated[tuple[str, ...], Field(min_length=2), AfterValidator(different)]


class InequalityConfig(Section):
    """`low` is at most `high` (below it if strict) wherever both are known."""

    kind: Literal["inequality"]
    low: str
    high: str
    strict: bool = False

    @model_validator(mode="after")
    def _columns_differ(self) -> "InequalityConfig":
        different((self.low, self.high))
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
    columns: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(different)]


Constraint = FixedCombinationsConfig | InequalityConfig | FormulaConfig | ImpliedConfig | UniqueConfig
TaggedConstraint = Annotated[Constraint, Field(discriminator="kind")]
_CONSTRAINTS: TypeAdapter[tuple[Constraint, ...]] = TypeAdapter(tuple[TaggedConstraint, ...])


def parse_constraints(raw: Sequence[Mapping[str, Any]]) -> tuple[Constraint, ...]:
    """The constraints that a saved schema holds."""
    return _CONSTRAINTS.validate_python(list(raw))
