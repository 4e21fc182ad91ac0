"""How many synthetic rows of which class."""

from typing import Annotated, Literal

from pydantic import Field

from synthgen.config.section import Section


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
