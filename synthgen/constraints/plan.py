"""Which constraints are kept by construction, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass

from synthgen.constraints.rule import Derivation, Facts, Rule


def derivation_order(rules: Sequence[Rule], facts: Sequence[Facts]) -> list[int]:
    """Positions of the rules to restore one after another, and to reduce in the reverse order.

    A column is made by one rule only, the first that names it, and before any rule reads it. The rules that are left
    out are kept by rejection.
    """
    chosen: list[_Step] = []
    for position, (rule, known) in enumerate(zip(rules, facts, strict=True)):
        if not isinstance(rule, Derivation) or not rule.derived(known):
            continue
        step = _Step(position, frozenset(rule.derived(known)), frozenset(rule.inputs(known)))
        if all(step.derived.isdisjoint(other.derived) for other in chosen):
            chosen = _sorted([*chosen, step]) or chosen
    return [step.position for step in chosen]


@dataclass(frozen=True)
class _Step:
    position: int
    derived: frozenset[str]
    inputs: frozenset[str]


def _sorted(steps: list[_Step]) -> list[_Step] | None:
    """Each step after those that make what it reads; None when they wait for each other in a circle."""
    ordered: list[_Step] = []
    waiting = list(steps)
    while waiting:
        missing = frozenset().union(*(step.derived for step in waiting))
        ready = [step for step in waiting if missing.isdisjoint(step.inputs)]
        if not ready:
            return None
        ordered += ready
        waiting = [step for step in waiting if step not in ready]
    return ordered
