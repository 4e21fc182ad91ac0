"""The metrics. To add one: write a function `Evaluation -> Finding` in the folder of its question, then a line here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from synthgen.config import PROFILES, Profile
from synthgen.findings import Family, Finding, NotMeasured
from synthgen.metrics.evaluation import Evaluation, NotApplicable, NotMeasurable
from synthgen.metrics.fairness.equalized_odds import equalized_odds_change
from synthgen.metrics.fairness.group_fidelity import group_fidelity_gap
from synthgen.metrics.fairness.label_rates import label_rate_shift
from synthgen.metrics.fairness.representation import representation_ratio
from synthgen.metrics.fidelity.c2st import c2st_auc
from synthgen.metrics.fidelity.class_agreement import class_agreement
from synthgen.metrics.fidelity.coverage import coverage, density
from synthgen.metrics.fidelity.diversity import intra_class_diversity
from synthgen.metrics.fidelity.frechet import frechet_ratio, frechet_ratio_random
from synthgen.metrics.fidelity.inception import inception_score
from synthgen.metrics.fidelity.kid import kid
from synthgen.metrics.fidelity.missingness import missingness_gap
from synthgen.metrics.fidelity.mode_coverage import mode_coverage
from synthgen.metrics.fidelity.precision_recall import alpha_precision, beta_recall
from synthgen.metrics.fidelity.repeated import repeated_rows
from synthgen.metrics.fidelity.shapes import column_shapes, pair_trends
from synthgen.metrics.fidelity.validity import validity
from synthgen.metrics.privacy import image_membership
from synthgen.metrics.privacy.attribute_inference import attribute_inference
from synthgen.metrics.privacy.canaries import canary_epsilon
from synthgen.metrics.privacy.copies import excess_copies
from synthgen.metrics.privacy.distances import dcr_share, nndr
from synthgen.metrics.privacy.identifiers import identifier_replay
from synthgen.metrics.privacy.linkability import linkability
from synthgen.metrics.privacy.membership import membership_share_of_leak, membership_tpr_at_1pct_fpr
from synthgen.metrics.privacy.membership_rare import membership_rare
from synthgen.metrics.privacy.near_copies import near_copies
from synthgen.metrics.privacy.singling_out import singling_out
from synthgen.metrics.utility import augmentation, images
from synthgen.metrics.utility.tstr import tstr_gap
from synthgen.progress import within

__all__ = [
    "METRICS",
    "Evaluation",
    "Metric",
    "Modality",
    "NotApplicable",
    "NotMeasurable",
    "measure",
    "measured",
    "metrics_of",
    "together",
]

Modality = Literal["table", "images"]


@dataclass(frozen=True)
class Metric:
    """A measurement and what it asks, in the words of a reader who does not know its name.

    Attributes:
        profile: the least thorough profile that measures it.
    """

    function: Callable[[Evaluation], Finding]
    family: Family
    question: str
    profile: Profile = "quick"


# In the order in which a report shows them.
METRICS: Mapping[Modality, Mapping[str, Metric]] = {
    "table": {
        "validity": Metric(validity, "fidelity", "Are all values legal?"),
        "column_shapes": Metric(column_shapes, "fidelity", "Does each column have the shape it has in real data?"),
        "pair_trends": Metric(pair_trends, "fidelity", "Do columns depend on each other as they do in real data?"),
        "c2st_auc": Metric(c2st_auc, "fidelity", "Can a strong classifier tell them from real?"),
        "alpha_precision": Metric(alpha_precision, "fidelity", "Do they lie only where real rows lie?"),
        "beta_recall": Metric(beta_recall, "fidelity", "Do they reach all kinds of real rows?"),
        "repeated_rows": Metric(repeated_rows, "fidelity", "Do rows repeat more often than real ones do?"),
        "missingness_gap": Metric(missingness_gap, "fidelity", "Are values missing as often, and together?"),
        "identifier_replay": Metric(identifier_replay, "privacy", "Does a real name or number appear?"),
        "excess_copies": Metric(excess_copies, "privacy", "Copies of training rows beyond coincidence?"),
        "membership_tpr_at_1pct_fpr": Metric(
            membership_tpr_at_1pct_fpr, "privacy", "Can an attacker name who was in the data?"
        ),
        "membership_share_of_leak": Metric(
            membership_share_of_leak, "privacy", "How much of a known leak is that, beyond rows that cannot leak?"
        ),
        "membership_rare": Metric(
            membership_rare, "privacy", "Can an attacker name the rarest people, or those of a protected group?"
        ),
        "dcr_share": Metric(dcr_share, "privacy", "Do rows lie nearer to training rows than to others?"),
        "nndr": Metric(nndr, "privacy", "Does a row point at one training row alone?"),
        "attribute_inference": Metric(
            attribute_inference, "privacy", "Can an attacker guess a secret of those who took part?"
        ),
        "singling_out": Metric(
            singling_out, "privacy", "Does what fits one synthetic row fit one real person?", "full"
        ),
        "linkability": Metric(linkability, "privacy", "Do they join two halves of a person's record?", "full"),
        "canary_epsilon": Metric(
            canary_epsilon, "privacy", "How much of planted records is provably given away?", "release"
        ),
        "tstr_gap": Metric(tstr_gap, "utility", "Can a classifier learn from the synthetic rows alone?"),
        "augmentation_gain": Metric(augmentation.augmentation_gain, "utility", "Does the classifier gain from them?"),
        "gain_over_controls": Metric(
            augmentation.gain_over_controls, "utility", "Does it gain as much as by cheaper means?"
        ),
        "representation_ratio": Metric(representation_ratio, "fairness", "Has every group its share of the rows?"),
        "label_rate_shift": Metric(
            label_rate_shift, "fairness", "Is the label as frequent in every group as in real data?"
        ),
        "group_fidelity_gap": Metric(group_fidelity_gap, "fairness", "Is a group modelled worse than the others?"),
        "equalized_odds_change": Metric(
            equalized_odds_change, "fairness", "Does the augmented classifier treat groups more differently?"
        ),
    },
    "images": {
        "frechet_ratio": Metric(frechet_ratio, "fidelity", "How far is each class from real, against real from real?"),
        "frechet_ratio_random": Metric(
            frechet_ratio_random, "fidelity", "The same, as a network sees it that knows no class?"
        ),
        "kid": Metric(kid, "fidelity", "How far are they from real, without the bias of few images?"),
        "density": Metric(density, "fidelity", "Do they lie where real images lie?"),
        "class_agreement": Metric(class_agreement, "fidelity", "Does each image show the class that was asked for?"),
        "coverage": Metric(coverage, "fidelity", "Do they reach all kinds of real images?"),
        "mode_coverage": Metric(mode_coverage, "fidelity", "Is a kind of real image missing?"),
        "intra_class_diversity": Metric(intra_class_diversity, "fidelity", "Do they differ as much as real images do?"),
        "inception_score": Metric(inception_score, "fidelity", "Are they clear and varied to a classifier?", "full"),
        "near_copies": Metric(near_copies, "privacy", "Is a training image recognisable in one of them?"),
        "membership_tpr_at_1pct_fpr": Metric(
            image_membership.membership_tpr_at_1pct_fpr,
            "privacy",
            "Can an attacker name which images were in the data?",
        ),
        "discriminator_membership": Metric(
            image_membership.discriminator_membership,
            "privacy",
            "And one who has the saved model with its discriminator?",
        ),
        "augmentation_gain": Metric(images.augmentation_gain, "utility", "Does the classifier gain from them?"),
        "gain_over_controls": Metric(images.gain_over_controls, "utility", "Does it gain as much as by cheaper means?"),
        "representation_ratio": Metric(representation_ratio, "fairness", "Has every group its share of the images?"),
        "label_rate_shift": Metric(
            label_rate_shift, "fairness", "Is the label as frequent in every group as in real data?"
        ),
        "group_fidelity_gap": Metric(group_fidelity_gap, "fairness", "Is a group modelled worse than the others?"),
        "equalized_odds_change": Metric(
            equalized_odds_change, "fairness", "Does the augmented classifier treat groups more differently?"
        ),
    },
}


# What shares trained classifiers, distances to everybody, or features of images; measured apart each would do it again.
_SHARED: Mapping[Modality, Sequence[tuple[str, ...]]] = {
    "table": (
        ("augmentation_gain", "gain_over_controls", "equalized_odds_change"),
        ("membership_tpr_at_1pct_fpr", "membership_share_of_leak", "membership_rare", "dcr_share", "nndr"),
    ),
    "images": (
        ("augmentation_gain", "gain_over_controls", "equalized_odds_change"),
        ("class_agreement", "membership_tpr_at_1pct_fpr"),
        ("frechet_ratio", "frechet_ratio_random", "kid", "density", "coverage", "mode_coverage",
         "intra_class_diversity", "inception_score"),
    ),
}  # fmt: skip


def metrics_of(modality: Modality, profile: Profile) -> dict[str, Metric]:
    """What the profile measures: its own metrics and those of less thorough profiles."""
    reach = PROFILES.index(profile)
    return {name: metric for name, metric in METRICS[modality].items() if PROFILES.index(metric.profile) <= reach}


def measured(
    evaluation: Evaluation, modality: Modality, name: str, *, stage: str = "evaluate"
) -> Finding | NotMeasured:
    """The metric of that name: a finding, or why there is none."""
    metric = METRICS[modality][name]
    try:
        with within(stage, name):
            return metric.function(evaluation)
    except NotMeasurable as reason:
        return NotMeasured(name, metric.family, str(reason), not isinstance(reason, NotApplicable))


def measure(evaluation: Evaluation, modality: Modality) -> tuple[list[Finding], list[NotMeasured]]:
    """Every metric of the modality and of the profile of `evaluation.size`: a finding, or why there is none."""
    results = [measured(evaluation, modality, name) for name in metrics_of(modality, evaluation.size.profile)]
    findings = [item for item in results if isinstance(item, Finding)]
    return findings, [item for item in results if isinstance(item, NotMeasured)]


def together(modality: Modality, names: Sequence[str]) -> list[tuple[str, ...]]:
    """The names in parts that may be measured apart: those that share much work in one part, and these first."""
    shared = [tuple(name for name in part if name in names) for part in _SHARED[modality]]
    taken = {name for part in shared for name in part}
    return [*filter(None, shared), *((name,) for name in names if name not in taken)]
