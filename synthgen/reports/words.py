"""Metrics, controls and numbers in the words of a reader who knows none of them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from synthgen.findings import Finding, Judgement, Verdict
from synthgen.metrics import METRICS

Unit = Literal["percent", "points", "score", "times", "count"]


@dataclass(frozen=True)
class Words:
    """A metric in words.

    Attributes:
        subject: what it is about, to stand in a list: "copies of training rows".
        explanation: how it is measured, in one line.
    """

    subject: str
    explanation: str
    unit: Unit = "score"


WORDS: Mapping[str, Words] = {
    "validity": Words("legal values", "constraints kept; no more new values than fresh real rows have", "percent"),
    "column_shapes": Words("each column's distribution", "1 = every column is distributed as in real rows"),
    "pair_trends": Words("how columns go together", "1 = every pair of columns depends on each other as in real rows"),
    "alpha_precision": Words(
        "lying where real rows lie", "rows inside the region that holds 95 of 100 real rows", "percent"
    ),
    "beta_recall": Words(
        "covering the variety", "share of real rows with a synthetic one in their neighbourhood", "percent"
    ),
    "repeated_rows": Words("repeated rows", "share of synthetic rows that equal another synthetic row", "percent"),
    "missingness_gap": Words(
        "missing values",
        "largest difference of a share of missing values, of one column or of two together",
        "percent",
    ),
    "c2st_auc": Words("telling synthetic from real", "XGBoost, cross-validated; 0.5 = it cannot"),
    "identifier_replay": Words(
        "replayed identifiers", "different real identifiers that stand among the synthetic rows", "count"
    ),
    "excess_copies": Words(
        "copies of training rows", "matches with training rows minus those with unseen rows", "percent"
    ),
    "membership_tpr_at_1pct_fpr": Words(
        "naming who was in the data",
        "people an attacker names at 1 wrong accusation in 100; blind guess 1 %",
        "percent",
    ),
    "discriminator_membership": Words(
        "naming who was in the data, with the model",
        "by the discriminator's score; for information: emitted data hold no model; blind guess 1 %",
        "percent",
    ),
    "membership_share_of_leak": Words(
        "naming people, against a known leak", "0 = as independent columns, 1 = as if every 20th row were copied"
    ),
    "membership_rare": Words(
        "naming the rarest people, and each protected group",
        "as above among the rarest tenth and in each group; the worst counts; blind guess 1 %",
        "percent",
    ),
    "dcr_share": Words(
        "rows nearer to training rows (DCR)", "ideal 50 %; for information: a few copies do not show in it", "percent"
    ),
    "nndr": Words(
        "nearest against second nearest (NNDR)", "median ratio of distances; for information: near 0 = copies"
    ),
    "attribute_inference": Words(
        "guessing a secret", "of those whose secret nobody could guess, how many are guessed for taking part", "percent"
    ),
    "singling_out": Words(
        "describing one person", "descriptions of one synthetic row that fit one participant, beyond chance", "percent"
    ),
    "linkability": Words(
        "joining halves of a record", "participants whose halves a synthetic row joins, beyond chance", "percent"
    ),
    "canary_epsilon": Words(
        "leaks of planted records",
        "log odds of right guesses which made-up records were trained on; 0 = blind guessing",
    ),
    "tstr_gap": Words(
        "training on synthetic rows only", "points: its score minus that of training on real rows", "points"
    ),
    "augmentation_gain": Words(
        "the classifier's gain", "points: trained on real + synthetic, minus real alone, on unseen real data", "points"
    ),
    "gain_over_controls": Words(
        "gaining more than by cheaper means",
        "points: over class weights, duplicated real rows, SMOTE or classic image augmentation, whichever is best",
        "points",
    ),
    "representation_ratio": Words(
        "the share of each group",
        "1 = every group has its real share; of the worst group the smaller share over the larger",
    ),
    "label_rate_shift": Words(
        "how often a group has the label",
        "points: the largest change in a group beyond what the plan changes",
        "points",
    ),
    "group_fidelity_gap": Words(
        "groups modelled worse than others", "AUC of telling a group from real rows, minus that of all others"
    ),
    "equalized_odds_change": Words(
        "how differently the classifier treats groups",
        "points: the largest gap between groups, minus that after duplicating real ones instead",
        "points",
    ),
    "augmentation_share": Words(
        "whether to augment at all", "the share of the plan that helps most on valid; 0 = none"
    ),
    "frechet_ratio": Words("distance to real images", "Fréchet distance over that between real images", "times"),
    "frechet_ratio_random": Words(
        "distance to real images, seen without classes", "the same with a network that was never trained", "times"
    ),
    "kid": Words("kernel distance to real images", "0 = as near as other real images"),
    "density": Words("lying where real images lie", "1 = as deep among real images as real ones; 0 = outside"),
    "mode_coverage": Words(
        "missing kinds of image", "1 = the rarest kind is drawn as often as it is real; 0 = never", "times"
    ),
    "inception_score": Words("inception score", "1 to the number of classes; cannot see one image repeated"),
    "class_agreement": Words(
        "showing the right class", "points: a classifier's agreement minus its accuracy on real", "points"
    ),
    "coverage": Words(
        "covering the variety", "share of real images with a synthetic one in their neighbourhood", "percent"
    ),
    "intra_class_diversity": Words("variety within a class", "1 = as different from each other as real ones"),
    "near_copies": Words("near copies of training images", "shifted, mirrored and noisy copies count too", "percent"),
}

ARMS: Mapping[str, str] = {
    "real": "real only",
    "class_weights": "class weights",
    "weights": "class weights",
    "oversampling": "duplicated real rows",
    "random oversampling": "duplicated real rows",
    "duplicated": "duplicated real images",
    "classic": "classic image augmentation",
    "smote": "SMOTE",
    "synthetic": "this synthetic data",
    "synthetic+classic": "this data + classic",
}

SYMBOLS: Mapping[Verdict, str] = {
    Verdict.PASS: "✓",
    Verdict.INCONCLUSIVE: "?",
    Verdict.NOT_AUDITED: "–",
    Verdict.FAIL: "✗",
}
TONES: Mapping[Verdict, str] = {
    Verdict.PASS: "pass",
    Verdict.INCONCLUSIVE: "open",
    Verdict.NOT_AUDITED: "none",
    Verdict.FAIL: "fail",
}


def words_of(metric: str) -> Words:
    """The metric in words; its own name for one that has none yet."""
    return WORDS.get(metric, Words(metric.replace("_", " "), ""))


def question_of(metric: str) -> str:
    """The question that the metric answers, from the table of metrics."""
    for table in METRICS.values():
        if metric in table:
            return table[metric].question
    return words_of(metric).subject.capitalize()


def arm_name(arm: str) -> str:
    """A training set of the utility experiment, in words."""
    return ARMS.get(arm, arm.replace("_", " "))


def shown_number(value: float | None, unit: Unit) -> str:
    """The number as a person writes it, with its unit; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    match unit:
        case "percent":
            text = f"{100 * value:.{_percent_places(value)}f} %"
        case "points":
            text = f"{100 * value:+.1f}" if value else "0.0"
        case "count":
            text = f"{value:,.0f}"
        case "times":
            text = f"{value:.2f} ×"
        case "score":
            text = f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return text.replace("-", "−").replace(" ", "\N{NO-BREAK SPACE}")


def _percent_places(value: float) -> int:
    room = 100 * min(abs(value), abs(1 - value))
    if room == 0:
        return 0
    # 99.998 % must not read as 100 % beside a limit of 100 %.
    return max(1 if abs(value) >= 0.1 else 2, min(5, math.ceil(-math.log10(room))))


def shown_interval(finding: Finding, unit: Unit) -> str:
    """The 95 % interval; `exact` where there is nothing to estimate."""
    if finding.low == finding.high:
        return "exact"
    low, high = shown_number(finding.low, unit), shown_number(finding.high, unit)
    if unit in ("percent", "times"):
        low = low.rsplit("\N{NO-BREAK SPACE}", 1)[0]
    return f"{low} to {high}"


def shown_rule(judgement: Judgement) -> str:
    """The rule with its threshold in the unit of the metric."""
    unit = words_of(judgement.metric).unit
    plain = re.fullmatch(r"([≤≥]) (-?[0-9.e-]+)", judgement.rule)
    if plain is None or unit == "score":
        return judgement.rule.replace("-", "−")
    return f"{plain[1]} {shown_number(float(plain[2]), unit)}"


def shown_duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
