"""Rule x finding -> judgement. There is no way to PASS without a measured interval on the good side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from synthgen.config import GateConfig, Profile, Purpose, RunConfig
from synthgen.errors import ConfigError, name_list, unknown_name
from synthgen.findings import Finding, Judgement, NotMeasured, Rule, Verdict, worst
from synthgen.metrics import METRICS, Modality, metrics_of

# Thresholds and their reasons: docs/metrics.md. A config replaces any of them by `gates:`.
DEFAULT_RULES: Mapping[Modality, Sequence[Rule]] = {
    "table": (
        Rule("validity", at_least=1.0),
        # Excess error at most twice that of real rows; of pairs, at most as much again: on Adult, hotel bookings and
        # SUPPORT2 shuffled columns have an error 2.2 to 2.6 times that of real rows.
        Rule("column_shapes", at_most=3.0, relation="error ratio"),
        Rule("pair_trends", at_most=2.0, relation="error ratio"),
        Rule("c2st_auc", at_most=0.90, warn_beyond=0.75),
        # Real rows are at .95 themselves: on six sets 120 of 120 honest samples of 2,000 rows pass, at 500 17 of 20 do.
        Rule("alpha_precision", at_least=0.95, relation="ratio"),
        Rule("beta_recall", at_least=0.8, relation="ratio"),
        Rule("repeated_rows", at_most=0.05, relation="difference"),
        Rule("missingness_gap", at_most=0.02, relation="difference"),
        Rule("augmentation_gain", at_least=-0.002),
        Rule("gain_over_controls", at_least=-0.002),
        Rule("representation_ratio", at_least=0.8),
        Rule("label_rate_shift", at_most=0.05),
        Rule("equalized_odds_change", at_most=0.02),
        Rule("identifier_replay", at_most=0.0),
        Rule("excess_copies", at_most=0.005, fail_beyond=0.001),
        Rule("membership_tpr_at_1pct_fpr", at_most=0.02),
        Rule("membership_share_of_leak", at_most=0.4),
        Rule("membership_rare", at_most=0.05),
        Rule("attribute_inference", at_most=0.1),
        Rule("canary_epsilon", at_most=0.5),
    ),
    "images": (
        Rule("class_agreement", at_least=-0.02),
        Rule("intra_class_diversity", at_least=0.8),
        Rule("coverage", at_least=0.8, relation="ratio"),
        Rule("density", at_least=0.7),
        # The rarest kind of honest sets lies at 0.7 by chance, with an interval from 0.33 (500 images a class).
        Rule("mode_coverage", at_least=0.3, fail_beyond=0.85),
        Rule("frechet_ratio", at_most=3.0),
        Rule("frechet_ratio_random", at_most=5.0),
        # 1 % of fresh real images are flagged: a few more are proven too many, and not many more must be excluded.
        Rule("near_copies", at_most=0.01, relation="difference", fail_beyond=0.002),
        Rule("membership_tpr_at_1pct_fpr", at_most=0.02),
        Rule("augmentation_gain", at_least=-0.002),
        Rule("gain_over_controls", at_least=-0.002),
        Rule("representation_ratio", at_least=0.8),
        Rule("label_rate_shift", at_most=0.05),
        Rule("equalized_odds_change", at_most=0.02),
    ),
}

# What a purpose stands or falls with; the other rules warn.
REQUIRED: Mapping[Purpose, frozenset[str]] = {
    "augment": frozenset(
        {"validity", "c2st_auc", "augmentation_gain", "class_agreement", "intra_class_diversity", "near_copies"}
        | {"beta_recall"}
    ),
    "share": frozenset(
        {"validity", "c2st_auc", "beta_recall", "intra_class_diversity", "near_copies"}
        | {"membership_share_of_leak", "membership_rare"}
        | {"identifier_replay", "excess_copies", "membership_tpr_at_1pct_fpr", "attribute_inference", "canary_epsilon"}
    ),
}

# What a purpose falls with, but does not stand with: a group of 70 people, or a gain as large as that of class weights,
# stays open for lack of rows (docs/decisions/0009), and of 300 images a class so do honest labels.
BLOCKING: Mapping[Purpose, frozenset[str]] = {
    "augment": frozenset({"gain_over_controls", "representation_ratio", "label_rate_shift", "equalized_odds_change"}),
    "share": frozenset({"mode_coverage", "class_agreement"}),
}

# What compares the classes that both sides have, and says nothing of one that is missing.
_OF_SHARED_CLASSES = frozenset(
    {"column_shapes", "pair_trends", "c2st_auc", "frechet_ratio", "frechet_ratio_random", "intra_class_diversity"}
)
# What asks whether all kinds of real rows are reached: of a missing class none is.
_OF_VARIETY = frozenset({"beta_recall", "coverage", "mode_coverage"})

# An interval so many times wider than its distance to the limit would need a million times the rows.
_MOST_DECIDING_FACTOR = 1_000
# Synthetic images of a class that a verdict on their distribution needs.
_ENOUGH_IMAGES = 200


def rules_of(config: RunConfig) -> list[Rule]:
    """The rules of a run; raises ConfigError as `rules_for` does."""
    epsilon = config.privacy.epsilon if config.privacy else None
    return rules_for(config.modality, config.purpose, config.gates, profile=config.evaluation.profile, epsilon=epsilon)


def rules_for(
    modality: Modality,
    purpose: Purpose,
    overrides: Sequence[GateConfig] = (),
    *,
    profile: Profile = "quick",
    epsilon: float | None = None,
) -> list[Rule]:
    """The default rules of what the profile measures, required as the purpose says, with the config's overrides.

    Args:
        epsilon: of the differential privacy that the model claims, if any.

    Raises:
        ConfigError: an override names a metric that does not exist or that the profile does not measure, or has no
            threshold and no default.
    """
    measured = metrics_of(modality, profile)
    rules = {
        rule.metric: replace(
            _claimed(rule, epsilon),
            required=rule.metric in REQUIRED[purpose],
            blocks=rule.metric in BLOCKING[purpose],
        )
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


def _claimed(rule: Rule, epsilon: float | None) -> Rule:
    """The rule, which a declared epsilon allows more, and fails where that epsilon is refuted."""
    if epsilon is None or rule.metric != "canary_epsilon":
        return rule
    return replace(rule, at_most=max(rule.at_most or 0.0, epsilon), fail_beyond=epsilon)


def _overridden(default: Rule | None, gate: GateConfig) -> Rule:
    if gate.at_most is None and gate.at_least is None:
        if default is None:
            raise ConfigError(f"gate on {gate.metric!r} needs at_most or at_least: it has no default", where="gates")
        return replace(default, required=bool(gate.required), blocks=False, asked=True)
    required = gate.required if gate.required is not None else (default.required if default else True)
    # A limit on the other side is none on the error, nor on what the default compares.
    keeps_side = default is not None and (default.at_most is None) == (gate.at_most is None)
    relation = default.relation if default and keeps_side else "absolute"
    return Rule(gate.metric, gate.at_most, gate.at_least, relation=relation, required=required, asked=True)


def judge(
    rules: Sequence[Rule],
    findings: Sequence[Finding],
    not_measured: Sequence[NotMeasured],
    *,
    holdout_given: bool = True,
    lost_classes: int = 0,
) -> list[Judgement]:
    """One judgement per rule whose metric applies to the data, or that the user asked for.

    Args:
        lost_classes: how many classes a set lacks that should have them all; no rule that compares by class passes.

    Raises:
        ValueError: a rule names a metric that did not run.
    """
    measured = {finding.metric: finding for finding in findings}
    reasons = {item.metric: item.reason for item in not_measured}
    pointless = {item.metric for item in not_measured if not item.applies}
    judgements = []
    for rule in rules:
        if rule.metric in pointless and not rule.asked:
            continue
        if rule.metric in measured:
            judged = _judge_one(rule, measured[rule.metric])
            judgements.append(_without_classes(rule, judged, lost_classes) if lost_classes else judged)
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
    images = finding.detail.get("fewest_images", _ENOUGH_IMAGES)
    if images < _ENOUGH_IMAGES:
        remark = f"a verdict needs {_ENOUGH_IMAGES} synthetic images of each class, one class has {images:,}"
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
        remark = "the whole interval is beyond the limit"
        if rule.fail_beyond is not None:
            remark = f"the whole interval is beyond {rule.fail_beyond:g}, where it fails"
        return Judgement(rule.metric, rule.text, Verdict.FAIL, rule.required or rule.blocks, remark)
    if worst_case <= limit:
        warned = rule.warn_beyond is not None and middle > sign * rule.warn_beyond
        if unseen := finding.detail.get("too_few"):
            remark = f"passes for the other classes alone; too few images to judge: {name_list(unseen)}"
            return Judgement(rule.metric, rule.text, Verdict.INCONCLUSIVE, rule.required, remark)
        remark = f"passes, but beyond {rule.warn_beyond:g}, where one should look" if warned else ""
        return Judgement(rule.metric, rule.text, Verdict.PASS, rule.required, remark)
    remark = _what_would_decide(worst_case - middle, middle - best, limit - middle, finding.n)
    return Judgement(rule.metric, rule.text, Verdict.INCONCLUSIVE, rule.required, remark)


def _without_classes(rule: Rule, judgement: Judgement, lost: int) -> Judgement:
    if rule.metric in _OF_VARIETY:
        remark = f"classes without any synthetic row: {lost:,}; nothing of them is reached"
        return replace(judgement, verdict=Verdict.FAIL, required=rule.required or rule.blocks, remark=remark)
    if rule.metric in _OF_SHARED_CLASSES and judgement.verdict == Verdict.PASS:
        remark = f"passes for the other classes alone; classes without any synthetic row: {lost:,}"
        return replace(judgement, verdict=Verdict.INCONCLUSIVE, remark=remark)
    return judgement


def _related(rule: Rule, finding: Finding) -> tuple[float, float, float] | None:
    triple = (finding.value, finding.low, finding.high)
    if rule.relation == "absolute":
        return triple
    if finding.reference is None:
        return None
    reference = finding.reference
    if rule.relation == "difference":
        return triple[0] - reference, triple[1] - reference, triple[2] - reference
    if rule.relation == "error ratio":
        triple, reference = (1 - triple[0], 1 - triple[1], 1 - triple[2]), 1 - reference
    return None if reference == 0 else (triple[0] / reference, triple[1] / reference, triple[2] / reference)


def _what_would_decide(above: float, below: float, room: float, n: int) -> str:
    # Half-widths shrink with the root of the number of rows.
    width = above if room >= 0 else below
    if abs(room) * _MOST_DECIDING_FACTOR <= width:
        return f"too close to the limit to be decided by more examples (now {n:,})"
    needed = math.ceil(n * (width / abs(room)) ** 2)
    return f"about {needed:,} examples like these would decide (now {n:,})"
