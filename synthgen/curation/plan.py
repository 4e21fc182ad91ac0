"""How many synthetic rows of each class a plan asks for."""

from collections.abc import Mapping

import numpy as np

from synthgen.config import AutoPlan, BalancePlan, PerClassPlan, PlanConfig, RatioPlan, RowsPlan, RunConfig
from synthgen.datasets import Data, Table, class_counts
from synthgen.errors import ConfigError, unknown_name

# Classes whose sizes differ by less than this share need no balancing.
_UNEVEN = 0.2


def planned_counts(plan: PlanConfig, train_counts: Mapping[str, int]) -> dict[str, int]:
    """Synthetic rows to make of each class with at least one.

    Raises:
        ConfigError: the plan names an unknown class, or asks for nothing.
    """
    match plan:
        case BalancePlan():
            goal = round(plan.share * max(train_counts.values()))
            counts = {name: max(0, goal - count) for name, count in train_counts.items()}
        case RowsPlan():
            counts = _proportional(plan.rows, train_counts)
        case RatioPlan():
            counts = _proportional(round(plan.ratio * sum(train_counts.values())), train_counts)
        case AutoPlan():
            counts = _full_plan(train_counts)
        case PerClassPlan():
            for name in plan.per_class:
                if name not in train_counts:
                    raise ConfigError(unknown_name("class", name, train_counts), where="plan.per_class")
            counts = dict(plan.per_class)
    wanted = {name: count for name, count in counts.items() if count > 0}
    if not wanted:
        raise _nothing_wanted(plan)
    return wanted


def _nothing_wanted(plan: PlanConfig) -> ConfigError:
    reason, hint = "", "ask for more"
    if isinstance(plan, BalancePlan) and plan.share < 1:
        reason, hint = f": each class of train has {plan.share:.0%} of the largest already", "raise plan.share"
    elif isinstance(plan, BalancePlan):
        reason = ": the classes of train are balanced already"
        hint = "use plan: {kind: ratio, ratio: 0.5} to add rows of every class"
    return ConfigError(f"plan {plan.kind!r} asks for no synthetic rows{reason}", where="plan", hint=hint)


def quotas_of(config: RunConfig, train: Data) -> dict[str, dict[str, int]]:
    """Rows to draw of each class: `synthetic` by the plan; `probe`, for tables, with the class frequencies of train."""
    counts = present_classes(train)
    quotas = {"synthetic": planned_counts(config.plan, counts)}
    # Its class frequencies are those of raw rows, which a private model must not see again.
    if isinstance(train, Table) and config.privacy is None:
        share = min(1.0, config.evaluation_size.max_rows / len(train))
        quotas["probe"] = {name: max(1, round(count * share)) for name, count in counts.items()}
    return quotas


def present_classes(data: Data) -> dict[str, int]:
    """Rows of each class that has any."""
    return {name: count for name, count in class_counts(data).items() if count}


def _full_plan(train_counts: Mapping[str, int]) -> dict[str, int]:
    """Every class up to the largest; of balanced classes as many again."""
    largest = max(train_counts.values())
    missing = {name: largest - count for name, count in train_counts.items()}
    return missing if max(missing.values()) >= _UNEVEN * largest else dict(train_counts)


def _proportional(total: int, train_counts: Mapping[str, int]) -> dict[str, int]:
    names = list(train_counts)
    exact = np.array([train_counts[name] for name in names], dtype=np.float64)
    exact *= total / exact.sum()
    counts = np.floor(exact).astype(int)
    # Largest remainders first, so that the counts add up to the total.
    for position in np.argsort(counts - exact, kind="stable")[: total - int(counts.sum())]:
        counts[position] += 1
    return dict(zip(names, counts.tolist(), strict=True))
