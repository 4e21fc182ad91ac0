"""Plans turn into class counts."""

import pytest

from synthgen.config import BalancePlan, PerClassPlan, PlanConfig, RatioPlan, RowsPlan
from synthgen.curation.plan import planned_counts
from synthgen.errors import ConfigError

COUNTS = {"a": 100, "b": 40, "c": 7}


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (BalancePlan(), {"b": 60, "c": 93}),
        (BalancePlan(share=0.5), {"b": 10, "c": 43}),
        (BalancePlan(share=0.3), {"c": 23}),
        (RowsPlan(kind="rows", rows=147), {"a": 100, "b": 40, "c": 7}),
        (RowsPlan(kind="rows", rows=1), {"a": 1}),
        (RatioPlan(kind="ratio", ratio=2), {"a": 200, "b": 80, "c": 14}),
        (PerClassPlan(kind="per_class", per_class={"c": 5, "a": 0}), {"c": 5}),
    ],
)
def test_a_plan_says_how_many_of_each_class(plan: PlanConfig, expected: dict[str, int]) -> None:
    assert planned_counts(plan, COUNTS) == expected


@pytest.mark.parametrize("rows", [1, 2, 10, 99, 1000])
def test_rows_add_up_exactly(rows: int) -> None:
    assert sum(planned_counts(RowsPlan(kind="rows", rows=rows), COUNTS).values()) == rows


def test_an_unknown_class_names_the_nearest() -> None:
    plan = PerClassPlan(kind="per_class", per_class={"malignent": 5})
    with pytest.raises(ConfigError, match="did you mean 'malignant'"):
        planned_counts(plan, {"malignant": 5, "benign": 9})


def test_balancing_what_is_balanced_says_so() -> None:
    with pytest.raises(ConfigError, match="balanced already"):
        planned_counts(BalancePlan(), {"a": 5, "b": 5})
    with pytest.raises(ConfigError, match="50% of the largest already") as refused:
        planned_counts(BalancePlan(share=0.5), {"a": 53, "b": 27})
    assert refused.value.hint == "raise plan.share"
    with pytest.raises(ConfigError, match=r"asks for no synthetic rows$"):
        planned_counts(PerClassPlan(kind="per_class", per_class={"a": 0}), {"a": 5})
