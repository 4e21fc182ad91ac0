"""The metrics. To add one: write a function `Evaluation -> Finding` in the folder of its question, then a line here."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from synthgen.config import PROFILES, Profile
from synthgen.findings import Family, Finding, NotMeasured
from synthgen.metrics.evaluation import Evaluation, NotApplicable, NotMeasurable
from synthgen.metrics.fidelity.c2st import c2st_auc
from synthgen.metrics.fidelity.class_agreement import class_agreement
from synthgen.metrics.fidelity.coverage import coverage
from synthgen.metrics.fidelity.diversity import intra_class_diversity
from synthgen.metrics.fidelity.frechet import frechet_ratio
from synthgen.metrics.fidelity.shapes import column_shapes, pair_trends
from synthgen.metrics.fidelity.validity import validity
from synthgen.metrics.privacy.copies import excess_copies
from synthgen.metrics.privacy.identifiers import identifier_replay
from synthgen.metrics.privacy.membership import membership_tpr_at_1pct_fpr
from synthgen.metrics.privacy.near_copies import near_copies
from synthgen.metrics.utility import augmentation, images
from synthgen.metrics.utility.tstr import tstr_gap

__all__ = ["METRICS", "Evaluation", "Metric", "NotApplicable", "NotMeasurable", "measure", "metrics_of"]

logger = logging.getLogger(__name__)

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
        "identifier_replay": Metric(identifier_replay, "privacy", "Does a real name or number appear?"),
        "excess_copies": Metric(excess_copies, "privacy", "Copies of training rows beyond coincidence?"),
        "membership_tpr_at_1pct_fpr": Metric(
            membership_tpr_at_1pct_fpr, "privacy", "Can an attacker name who was in the data?"
        ),
        "tstr_gap": Metric(tstr_gap, "utility", "Can a classifier learn from the synthetic rows alone?"),
        "augmentation_gain": Metric(
            augmentation.augmentation_gain, "utility", "Does the classifier gain, against every control?"
        ),
    },
    "images": {
        "frechet_ratio": Metric(frechet_ratio, "fidelity", "How far is each class from real, against real from real?"),
        "class_agreement": Metric(class_agreement, "fidelity", "Does each image show the class that was asked for?"),
        "coverage": Metric(coverage, "fidelity", "Do they reach all kinds of real images?"),
        "intra_class_diversity": Metric(intra_class_diversity, "fidelity", "Do they differ as much as real images do?"),
        "near_copies": Metric(near_copies, "privacy", "Is a training image recognisable in one of them?"),
        "augmentation_gain": Metric(
            images.augmentation_gain, "utility", "Does the classifier gain, against every control?"
        ),
    },
}


def metrics_of(modality: Modality, profile: Profile) -> dict[str, Metric]:
    """What the profile measures: its own metrics and those of less thorough profiles."""
    reach = PROFILES.index(profile)
    return {name: metric for name, metric in METRICS[modality].items() if PROFILES.index(metric.profile) <= reach}


def measure(evaluation: Evaluation, modality: Modality) -> tuple[list[Finding], list[NotMeasured]]:
    """Every metric of the modality and of the profile of `evaluation.size`: a finding, or why there is none."""
    findings: list[Finding] = []
    missing: list[NotMeasured] = []
    for name, metric in metrics_of(modality, evaluation.size.profile).items():
        logger.info("measure metric=%s", name, extra={"stage": "evaluate", "state": "running", "step": name})
        try:
            findings.append(metric.function(evaluation))
        except NotMeasurable as reason:
            missing.append(NotMeasured(name, metric.family, str(reason), not isinstance(reason, NotApplicable)))
    return findings, missing
