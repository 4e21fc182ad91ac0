"""What no metric here covers, the words used, and the sources of the methods."""

from collections.abc import Sequence

from synthgen.findings import Report
from synthgen.metrics import METRICS
from synthgen.reports.words import words_of

NEVER_TESTED: Sequence[str] = (
    "Linkage with data from elsewhere: nobody tried to join these rows with another source.",
    "Formal privacy: the model was trained without differential privacy, so no guarantee holds against attacks "
    "that were not tried.",
    "Another time or place: the held-out rows come from the same source as the training rows.",
    "Other classifiers: the gain was measured with one kind of classifier. Yours may gain more, less or nothing.",
    "Meaning: no expert looked at the rows. A row can be typical in every number and still make no sense.",
    "Errors in the source: wrong labels and biases of the real rows are learned like everything else.",
)

TERMS: Sequence[tuple[str, str]] = (
    ("real", "the same number with held-out real rows in place of the synthetic ones: the best any generator could do"),
    ("95 % interval", "repeated with other rows, 95 of 100 such intervals hold the true value"),
    ("pass", "the whole interval lies on the good side of the limit"),
    ("fail", "the whole interval lies on the bad side of the limit"),
    ("open, inconclusive", "the interval lies on both sides: too few rows to decide"),
    ("not audited", "no real rows were held back, so nothing has a control, and nothing can pass"),
    ("holdout", "real rows that no stage before the evaluation has seen"),
    ("control", "another way to the same end, or data with a known answer, measured in the same way"),
    ("balanced accuracy", "mean over the classes of the share recognised: a rare class counts as much as a common one"),
    ("points", "differences of percentages: from 80 % to 82 % is +2 points"),
    ("rows that would have to move", "total variation distance: 0 % = equal distributions, 100 % = nothing in common"),
    ("axis of a histogram", "the 1 % to the 99 % quantile of the real rows; the outermost bars hold the rest"),
)

REFERENCES: Sequence[str] = (
    "Clopper and Pearson 1934; Wilson 1927; Newcombe 1998: intervals of rates and their differences.",
    "Hanley and McNeil 1982: interval of the area under the ROC curve.",
    "Lopez-Paz and Oquab 2017, arXiv:1610.06545: classifier two-sample test.",
    "Heusel 2017, arXiv:1706.08500: Fréchet distance in feature space.",
    "Naeem 2020, arXiv:2002.09797: density and coverage.",
    "Chen 2020, arXiv:1909.03935; van Breugel 2023, arXiv:2302.12580: membership inference on synthetic data.",
    "Esteban 2017, arXiv:1706.02633: train on synthetic, test on real.",
    "Gebru 2021, arXiv:1803.09010: datasheets for datasets.",
)


def methods(report: Report) -> list[tuple[str, str, str]]:
    """Name, question and method of each metric that was measured or tried."""
    tried = [finding.metric for finding in report.findings] + [item.metric for item in report.not_measured]
    questions = {name: metric.question for table in METRICS.values() for name, metric in table.items()}
    return [(name, questions.get(name, ""), words_of(name).explanation) for name in tried]
