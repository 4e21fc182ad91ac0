"""How much is measured, and what a number has to be."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, model_validator

from synthgen.config.section import Section

Profile = Literal["quick", "full", "release"]
# From the least to the most thorough.
PROFILES: Sequence[Profile] = ("quick", "full", "release")


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
    at_most: FiniteFloat | None = None
    at_least: FiniteFloat | None = None
    required: bool | None = None

    @model_validator(mode="after")
    def _has_one_side(self) -> "GateConfig":
        if self.at_most is not None and self.at_least is not None:
            raise ValueError("a gate takes at_most or at_least, not both")
        if self.at_most is None and self.at_least is None and self.required is None:
            raise ValueError("a gate needs at_most, at_least or required")
        return self
