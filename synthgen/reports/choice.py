"""The table models that were compared on valid, in the words of a reader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ArmRow:
    """One model, calibrated or not, as text. `note` says whether it was chosen, or why it could not be."""

    name: str
    c2st: str
    formula: str
    membership: str
    share_of_leak: str
    copies: str
    effective: str
    seconds: str
    note: str
    chosen: bool


def arm_rows(choice: Mapping[str, Any]) -> list[ArmRow]:
    """The arms of a choice.json, those that separate least from real first."""
    arms: Sequence[Mapping[str, Any]] = choice.get("arms", ())
    return [_row(arm) for arm in sorted(arms, key=_order)]


def _order(arm: Mapping[str, Any]) -> tuple[bool, float]:
    return not arm["chosen"], max(arm["c2st"] or 1.0, arm["formula"] or 0.0)


def _row(arm: Mapping[str, Any]) -> ArmRow:
    return ArmRow(
        name=f"{arm['kind']}{', calibrated' if arm['calibrated'] else ''}",
        c2st=_number(arm["c2st"], ".3f"),
        formula=_number(arm["formula"], ".3f"),
        membership=_number(arm["membership"], ".1%"),
        share_of_leak=_number(arm["share_of_leak"], ".2f"),
        copies=_number(arm["copies"], ".2%"),
        effective=_number(arm["effective_sample_size"], ".2f"),
        seconds=f"{arm['fit_seconds']:.0f} s",
        note="chosen" if arm["chosen"] else arm["reason"],
        chosen=arm["chosen"],
    )


def _number(value: float | None, shape: str) -> str:
    return "–" if value is None else format(value, shape)
