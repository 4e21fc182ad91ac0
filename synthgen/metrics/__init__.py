"""The table of metrics. To add one: write a function `Evaluation -> Finding` in the folder of its question, then a line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from synthgen.findings import Family, Finding, NotMeasured
from synthgen.metrics.evaluation import Evaluation, NotMeasurable

__all__ = ["METRICS", "Evaluation", "Metric", "NotMeasurable", "measure"]

Modality = Literal["table", "images"]


@dataclass(frozen=True)
class Metric:
    """A measurement and what it asks, in the words of a reader who does not know its name."""

    function: Callable[[Evaluation], Finding]
    family: Family
    question: str


# TABLE_METRICS / IMAGE_METRICS are filled by the two tables below.
METRICS: Mapping[Modality, Mapping[str, Metric]] = {"table": {}, "images": {}}


def measure(evaluation: Evaluation, modality: Modality) -> tuple[list[Finding], list[NotMeasured]]:
    """Every metric of the modality: a finding, or the reason why there is none."""
    findings: list[Finding] = []
    missing: list[NotMeasured] = []
    for name, metric in METRICS[modality].items():
        try:
            findings.append(metric.function(evaluation))
        except NotMeasurable as reason:
            missing.append(NotMeasured(name, metric.family, str(reason)))
    return findings, missing
