"""Rule x finding -> judgement. There is no way to PASS without a measured interval on the good side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from synthgen.config import GateConfig, Profile, Purpose
from synthgen.errors import ConfigError, unknown_name
from synthgen.findings import Finding, Judgement, NotMeasured, Rule, Verdict, worst
from synthgen.metrics import METRICS, Modality, metrics_of

# Thresholds and their reasons: docs/metrics.md. A config replaces any of them by `gates:`.
DEFAULT_RULES: Mapping[Modality, Sequence[Rule]] = {
    "table": (
        Rule("validity", at_least=1.0),
        Rule("c2st_auc", at_most=0.90, warn_beyond=0.75),
        Rule("augmentation_gain", at_least=-0.002),
        Rule("identifier_replay", at_most=0.0),
        Rule("excess_copies", at_most=0.005, fail_beyond=0.001),
        Rule("membership_tpr_at_1pct_fpr", at_most=0.02),
    ),
    "images": (
        Rule("class_agreement", at_least=-0.02),
        Rule("intra_class_diversity", at_least=0.8),
        Rule("coverage", at_least=0.8, relation="ratio"),
        Rule("frechet_ratio", at_most=3.0),
        # The threshold lies where 1 % of fresh real images are flagged: no more than those.
        Rule("near_copies", at_most=0.0, relation="difference"),
        Rule("augmentation_gain", at_least=-0.002),
    ),
}

# What a purpose stands or falls with; the other rules warn.
REQUIRED: Mapping[Purpose, frozenset[str]] = {
    "augment": frozenset(
        {"validity", "c2st_auc", "augmentation_gain", "class_agreement", "intra_class_diversity", "near_copies"}
    ),
    "share": frozenset(
        {"validity", "c2st_auc", "intra_class_diversity", "near_copies"}
        | {"identifier_replay", "excess_copies", "membership_tpr_at_1pct_fpr"}
    ),
}

# An interval so many times wider than its distance to the limit would need a million times the rows.
_MOST_DECIDING_FACTOR = 1_000


def rules_for(
    modality: Modality, purpose: Purpose, overrides: Sequence[GateConfig] = (), *, profile: Profile = "quick"
) -> list[Rule]:
    """The default rules of what the profile measures, required as the purpose says, with the config's overrides.

    Raises:
        ConfigError: an override names a metric that does not exist or that the profile does not measure, or has no
            threshold and no default.
    """
    measured = metrics_of(modality, profile)
    rules = {
        rule.metric: replace(rule, required=rule.metric in REQUIRED[purpose])
        for rule in DEFAULT_RULES[modality]
        if rule.metric in measured
    }
    for gate in overrides:
        if gate.metric not in METRICS[modality]:
            raise ConfigError(unknown_name("gate metric", gate.metric, METRICS[modality]), where="gates")
        if gate.metric not in measured:
            wanted = METRICS[modality][gate.metric].profile
            message = f"profile {profile!r} does not measure {gate.metric!r}, profile {wanted!r} does"
            raise ConfigError(message, where="gates", hint=f"set evaluation.profile: {wanted}")
        rules[gate.metric] = _overridden(rules.get(gate.metric), gate)
    return list(rules.values())


def _overridden(default: Rule | None, gate: GateConfig) -> Rule:
    if gate.at_most is None and gate.at_least is None:
        if default is None:
            raise ConfigError(f"gate on {gate.metric!r} needs at_most or at_least: it has no default", where="gates")
        return replace(default, required=bool(gate.required))
    required = gate.required if gate.required is not None else (default.required if default else True)
    relation = default.relation if default else "absolute"
    return Rule(gate.metric, at_most=gate.at_most, at_least=gate.at_least, relation=relation, required=required)


def judge(
    rules: Sequence[Rule],
    findings: Sequence[Finding],
    not_measured: Sequence[NotMeasured],
    *,
    holdout_given: bool = True,
) -> list[Judgement]:
    """One judgement per rule whose metric applies to the data.

    Raises:
        ValueError: a rule names a metric that did not run.
    """
    measured = {finding.metric: finding for finding in findings}
    reasons = {item.metric: item.reason for item in not_measured}
    pointless = {item.metric for item in not_measured if not item.applies}
    judgements = []
    for rule in rules:
        if rule.metric in pointless:
            continue
        if rule.metric in measured:
            judgements.append(_judge_one(rule, measured[rule.metric]))
        elif rule.metric in reasons:
            verdict = Verdict.INCONCLUSIVE if holdout_given else Verdict.NOT_AUDITED
            remark = f"not measured: {reasons[rule.metric]}"
            judgements.append(Judgement(rule.metric, rule.text, verdict, rule.required, remark))
        else:
            raise ValueError(f"rule on {rule.metric!r}, which did not run")
    return judgements


def verdict_of(judgements: Sequence[Judgement]) -> Verdict:
    """The worst verdict of the required rules; without any it is NOT AUDITED."""
    return worst([judgement.verdict for judgement in judgements if judgement.required])


def _judge_one(rule: Rule, finding: Finding) -> Judgement:
    related = _related(rule, finding)
    if related is None or not all(map(math.isfinite, related)):
        remark = "it cannot be compared: the reference is missing or zero"
        return Judgement(rule.metric, rule.text, Verdict.INCONCLUSIVE, rule.required, remark)
    value, low, high = related
    # One direction for both kinds of rule: a badness that must stay at or under a limit.
    sign = 1.0 if rule.at_most is not None else -1.0
    threshold = rule.at_most if rule.at_most is not None else rule.at_least
    assert threshold is not None
    limit = sign * threshold
    best, middle, worst_case = sorted((sign * low, sign * high))[0], sign * value, max(sign * low, sign * high)
    fail_limit = limit if rule.fail_beyond is None else sign * rule.fail_beyond
    if best > fail_limit:
        return Judgement(rule.metric, rule.text, Verdict.FAIL, rule.required, "the whole interval is beyond the limit")
    if worst_case <= limit:
        warned = rule.warn_beyond is not None and middle > sign * rule.warn_beyond
        remark = f"passes, but beyond {rule.warn_beyond:g}, where one should look" if warned else ""
        return Judgement(rule.metric, rule.text, Verdict.PASS, rule.required, remark)
    remark = _what_would_decide(worst_case - middle, middle - best, limit - middle, finding.n)
    return Judgement(rule.metric, rule.text, Verdict.INCONCLUSIVE, rule.required, remark)


def _related(rule: Rule, finding: Finding) -> tuple[float, float, float] | None:
    triple = (finding.value, finding.low, finding.high)
    if rule.relation == "absolute":
        return triple
    if finding.reference is None:
        return None
    reference = finding.reference
    if rule.relation == "difference":
        return triple[0] - reference, triple[1] - reference, triple[2] - reference
    return None if reference == 0 else (triple[0] / reference, triple[1] / reference, triple[2] / reference)


def _what_would_decide(above: float, below: float, room: float, n: int) -> str:
    # Half-widths shrink with the root of the number of rows.
    width = above if room >= 0 else below
    if abs(room) * _MOST_DECIDING_FACTOR <= width:
        return f"too close to the limit to be decided by more rows (now {n:,})"
    needed = math.ceil(n * (width / abs(room)) ** 2)
    return f"about {needed:,} rows like these would decide (now {n:,})"
