"""Each group of the protected columns before and after, in numbers that the metrics of fairness have found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthgen.findings import Report
from synthgen.reports.disclosure import FEWEST
from synthgen.reports.words import arm_name, shown_number

SHOWN_PAIRS = 12


@dataclass(frozen=True)
class GroupLine:
    """One group; numbers are text.

    Attributes:
        expected: synthetic rows if the plan changed class frequencies and nothing else.
        label: the class whose rate moved most; empty when there is none.
        rates: P(label | group) among real rows, expected at the plan's class frequencies, and among synthetic rows.
        auc: how easily its synthetic rows are told from real ones.
        is_off: whether its share lies outside what the default rule allows.
    """

    columns: str
    group: str
    real: str
    synthetic: str
    expected: str
    ratio: str
    label: str
    rates: tuple[str, str, str]
    auc: str
    is_off: bool


@dataclass(frozen=True)
class OddsLine:
    """Largest gap between groups of a column in how often a class is predicted, after each training; as text."""

    columns: str
    gaps: Sequence[str]
    change: str


@dataclass(frozen=True)
class GroupTables:
    """What section 6 shows.

    Attributes:
        groups: of single columns, in their order.
        pairs: of two columns, at most `SHOWN_PAIRS`, those first whose share is farthest from the expected one.
        hidden_pairs: how many more there are.
        too_small: column, group and number of real rows of groups that are too small to measure.
        arms: names of the trainings in `odds`.
    """

    groups: Sequence[GroupLine]
    pairs: Sequence[GroupLine]
    hidden_pairs: int
    too_small: Sequence[tuple[str, str, int]]
    arms: Sequence[str]
    odds: Sequence[OddsLine]


def group_tables(report: Report, *, shared: bool = False) -> GroupTables | None:
    """The tables of groups; None when nothing about them was measured. `shared`: see `disclosure`."""
    shares, odds = report.finding("representation_ratio"), report.finding("equalized_odds_change")
    if shares is None and odds is None:
        return None
    measured: Mapping[str, Any] = shares.detail if shares else {"groups": (), "not_measurable": ()}
    arms = ("real", odds.detail["control"], "synthetic") if odds else ()
    rates, told = _by_group(report, "label_rate_shift"), _by_group(report, "group_fidelity_gap")
    lines = [
        (item, _line(item, rates.get(_key(item)), told.get(_key(item)), shared=shared)) for item in measured["groups"]
    ]
    pairs = [(item, line) for item, line in lines if " × " in item["columns"]]
    pairs.sort(key=lambda pair: min(pair[0]["ratio"], 1 / pair[0]["ratio"]))
    fewest = FEWEST if shared else 1
    return GroupTables(
        groups=[line for item, line in lines if " × " not in item["columns"]],
        pairs=[line for _, line in pairs[:SHOWN_PAIRS]],
        hidden_pairs=max(0, len(pairs) - SHOWN_PAIRS),
        too_small=[
            (item["columns"], item["group"], item["real"])
            for item in measured["not_measurable"]
            if item["real"] >= fewest
        ],
        arms=[arm_name(arm) for arm in arms],
        odds=[_odds(item, arms) for item in odds.detail["groupings"]] if odds else [],
    )


def _key(item: Mapping[str, Any]) -> tuple[str, str]:
    return item["columns"], item["group"]


def _by_group(report: Report, metric: str) -> dict[tuple[str, str], Mapping[str, Any]]:
    finding = report.finding(metric)
    return {_key(item): item for item in finding.detail["groups"]} if finding else {}


def _line(
    item: Mapping[str, Any], rates: Mapping[str, Any] | None, told: Mapping[str, Any] | None, *, shared: bool
) -> GroupLine:
    real = int(item["real"])
    return GroupLine(
        columns=item["columns"],
        group=item["group"],
        real=f"{real:,}",
        synthetic=f"{item['synthetic']:,}",
        expected=f"{item['expected']:,.0f}",
        ratio=f"{item['ratio']:.2f}",
        label=rates["label"] if rates else "",
        rates=_rates(rates, real, shared=shared) if rates else ("–", "–", "–"),
        auc=f"{told['auc']:.2f}" if told else "–",
        is_off=not 0.8 <= item["ratio"] <= 1.25,
    )


def _rates(rates: Mapping[str, Any], real: int, *, shared: bool) -> tuple[str, str, str]:
    with_label = rates["real"] * real
    if shared and min(with_label, real - with_label) < FEWEST:
        return ("a few rows", "–", shown_number(rates["synthetic"], "percent"))
    shown = [shown_number(rates[side], "percent") for side in ("real", "expected", "synthetic")]
    return shown[0], shown[1], shown[2]


def _odds(item: Mapping[str, Any], arms: Sequence[str]) -> OddsLine:
    gaps = [shown_number(item[arm], "percent") for arm in arms]
    return OddsLine(item["columns"], gaps, shown_number(item["change"], "points"))
