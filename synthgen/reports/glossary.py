"""What no metric here covers, the words used, and the sources of the methods."""

from collections.abc import Sequence

from synthgen.findings import Report
from synthgen.metrics import METRICS
from synthgen.reports.words import words_of

NEVER_TESTED: Sequence[str] = (
    "Linkage with data from elsewhere: nobody tried to join these rows with another source.",
    "Formal privacy: these are attacks that were tried. Of others they say nothing; only differential privacy of the "
    "model would.",
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
    "Binkowski 2018, arXiv:1801.01401: kernel distance. Salimans 2016, arXiv:1606.03498: inception score.",
    "Przyborowski and Wilenski 1940: interval of the ratio of two rare rates.",
    "Alaa 2022, arXiv:2102.08921; Zhao and Saligrama 2009, arXiv:0910.5461: precision and recall of rows.",
    "Korn and Graubard 1998: intervals of rates of dependent rows.",
    "Chen 2020, arXiv:1909.03935; van Breugel 2023, arXiv:2302.12580: membership inference on synthetic data.",
    "Stadler 2022, arXiv:2011.07018; Meeus 2023, arXiv:2306.10308: rare people are named first.",
    "Holm 1979; Wilks 1941; Fieller 1954: many tests at once, tolerance limits, the interval of a ratio.",
    "Zhao 2021, arXiv:2102.08369: distance to the closest record, nearest neighbour distance ratio.",
    "Steinke, Nasr and Jagielski 2023, arXiv:2305.08846: privacy audit with planted records in one training.",
    "Giomi 2023, arXiv:2211.10459: singling out, linkability and inference; Fieller 1954: interval of a ratio.",
    "Esteban 2017, arXiv:1706.02633: train on synthetic, test on real.",
    "Hardt 2016, arXiv:1610.02413: equalized odds. Katz 1978: interval of a ratio. Berger 1982: the worst of several.",
    "Gebru 2021, arXiv:1803.09010: datasheets for datasets.",
)


def methods(report: Report) -> list[tuple[str, str, str]]:
    """Name, question and method of each metric that was measured or tried."""
    tried = [finding.metric for finding in report.findings] + [item.metric for item in report.not_measured]
    questions = {name: metric.question for table in METRICS.values() for name, metric in table.items()}
    return [(name, questions.get(name, ""), words_of(name).explanation) for name in tried]
