"""Privacy and utility in plain words, each number beside its controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthgen.errors import name_list
from synthgen.findings import Family, Finding, Report
from synthgen.reports.figures import Drawing, Estimate, intervals
from synthgen.reports.gate_rows import GateRow, finding_row
from synthgen.reports.words import arm_name, shown_number, words_of


@dataclass(frozen=True)
class Measure:
    """A finding with its row, what it says in words, whom it defends against, and its drawing."""

    row: GateRow
    sentence: str
    threat_model: str | None
    n: int
    drawing: Drawing | None


@dataclass(frozen=True)
class Arm:
    """One training set of the utility experiment; score in [0, 1], gain and interval as text."""

    name: str
    score: str
    gain: str
    interval: str
    ours: bool


def measures(report: Report, family: Family) -> list[Measure]:
    """The findings of a family."""
    judged = {judgement.metric: judgement for judgement in report.judgements}
    return [
        Measure(
            row=finding_row(finding, judged.get(finding.metric)),
            sentence=_sentence(finding),
            threat_model=finding.threat_model,
            n=finding.n,
            drawing=_controls(finding),
        )
        for finding in report.findings
        if finding.family == family
    ]


def utility_arms(gain: Finding | None) -> tuple[list[Arm], Drawing | None]:
    """Every arm with its score and gain, and the plot of the gains; real rows alone are the zero line."""
    if gain is None:
        return [], None
    gains: Mapping[str, Mapping[str, float]] = gain.detail.get("gains", {})
    scores: Mapping[str, float] = gain.detail.get("arms", {})
    arms = [_arm(name, score, gains.get(name)) for name, score in scores.items()]
    rows = [
        Estimate(arm_name(name), 100 * item["value"], 100 * item["low"], 100 * item["high"], ours=_is_ours(name))
        for name, item in gains.items()
    ]
    axis = f"points of {gain.detail.get('score', 'the score')} against real only"
    return arms, intervals(
        rows, axis, "Gain of each training set over real rows alone, with 95 % interval."
    ) if rows else None


def _arm(name: str, score: float, gain: Mapping[str, float] | None) -> Arm:
    if gain is None:
        return Arm(arm_name(name), f"{score:.3f}", "–", "–", _is_ours(name))
    low, high = shown_number(gain["low"], "points"), shown_number(gain["high"], "points")
    return Arm(
        arm_name(name), f"{score:.3f}", shown_number(gain["value"], "points"), f"{low} to {high}", _is_ours(name)
    )


def _is_ours(arm: str) -> bool:
    return arm == "synthetic"


def _sentence(finding: Finding) -> str:
    detail: Mapping[str, Any] = finding.detail
    value = shown_number(finding.value, words_of(finding.metric).unit)
    match finding.metric:
        case "excess_copies" if "equal_to_train" in detail:
            return (
                f"{detail['equal_to_train']:,} of {detail['distinct_train']:,} distinct training rows stand among the "
                f"synthetic ones. So do {detail['equal_to_holdout']:,} of {detail['distinct_holdout']:,} rows that the "
                "model never saw: that is coincidence, and only what goes beyond it counts." + _low_end(detail)
            )
        case "membership_tpr_at_1pct_fpr":
            return f"At 1 wrong accusation in 100, an attacker names {value} of the training rows; blind guessing, 1 %."
        case "attribute_inference":
            return (
                f"Knowing all else, an attacker is right about {detail['secret']!r} of "
                f"{shown_number(detail['right_about_members'], 'percent')} of the participants, and of "
                f"{shown_number(detail['right_about_strangers'], 'percent')} of people who did not take part."
            )
        case "canary_epsilon":
            return _canaries(finding)
        case "equalized_odds_change":
            return (
                f"Against real data as they are, the largest gap between groups of {detail['worst_group']} changes by "
                f"{shown_number(detail['against_real'], 'points')} points with this data, and by "
                f"{shown_number(detail['control_against_real'], 'points')} with {arm_name(detail['control'])} instead."
            )
        case "near_copies" if "flagged" in detail:
            return (
                f"{detail['flagged']:,} of {finding.n:,} synthetic images look more like a training image than "
                "99 of 100 fresh real images do."
            )
        case "mode_coverage" if is_clearly_rarer(finding):
            of_class = f" of {detail['worst_class']}" if "worst_class" in detail else ""
            often = shown_number(finding.value, "times")
            return f"The kind{of_class} most clearly rarer: drawn {often} as often as it is real."
        case "identifier_replay":
            numbered, recurring = (name_list(detail.get(name, ())) for name in ("row_numbers", "recurring"))
            own = f" Column {numbered} only numbers the synthetic rows." if numbered else ""
            chance = f" Values of column {recurring} recur by chance, in held-out rows as often." if recurring else ""
            return f"{value} real identifiers stand among the synthetic rows.{own}{chance}"
        case "c2st_auc" if "formula_auc" in detail:
            return (
                f"With differences and ratios of columns as extra evidence it reaches {detail['formula_auc']:.3f} "
                f"(real against real {detail['formula_reference']:.3f})."
            )
        case _:
            return ""


def _low_end(detail: Mapping[str, Any]) -> str:
    """Which end of an interval is not at 95 %, and why; nothing in reports from before it was noted."""
    if "low_confidence" not in detail:
        return ""
    return (
        f" The low end of the interval is at {shown_number(detail['low_confidence'], 'percent')}, not 95 %: one of six "
        "rules on privacy, which together shall accuse an honest sample in 1 of 100 cases at most."
    )


def is_clearly_rarer(finding: Finding) -> bool:
    """Whether `mode_coverage` has proven that a kind of image is drawn less often than it occurs."""
    return finding.high < 1


def _canaries(finding: Finding) -> str:
    detail = finding.detail
    proof = f"this proves a leak of epsilon {finding.low:.2f}" if finding.low else "this proves no leak"
    claim = f", with delta {detail['delta']:g}" if detail["delta"] else ""
    copied = detail["copied_planted"] + detail["copied_held_back"]
    dropped = f" Rows that equal {copied:,} of them were drawn and never emitted; here they count." if copied else ""
    return (
        f"Of {detail['canaries']:,} made-up records {detail['planted']:,} were trained on. Of {detail['guesses']:,} "
        f"guesses which, {detail['right']:,} are right: {proof}{claim}. A stronger attack may prove more.{dropped}"
    )


def _controls(finding: Finding) -> Drawing | None:
    if "control_independent" not in finding.detail:
        return None
    known = {"control_independent": "independent columns", "control_leak": "known leak: 5 % copies"}
    rows = [Estimate("this data", 100 * finding.value, 100 * finding.low, 100 * finding.high, ours=True)]
    rows += [_point(name, finding.detail[key]) for key, name in known.items()]
    if finding.reference is not None:
        rows.append(_point("unseen real rows", finding.reference))
    what, zero, mark = (
        ("secrets guessed for taking part", "no leak", 0.0)
        if finding.metric == "attribute_inference"
        else ("people named", "blind guessing", 1.0)
    )
    alt = f"Share of {what}: this data beside columns drawn alone, which cannot leak, and a known leak."
    return intervals(_from_leak(rows), f"% of {what}; dashed: {zero}", alt, mark=mark)


def _from_leak(rows: Sequence[Estimate]) -> list[Estimate]:
    return sorted(rows, key=lambda row: row.value)


def _point(name: str, value: float) -> Estimate:
    return Estimate(name, 100 * value, 100 * value, 100 * value)
