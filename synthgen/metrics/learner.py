"""The classifier that every utility number of a table is measured with, and how its answers are scored."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score

from synthgen.datasets import Index, Table
from synthgen.metrics.classifiers import Examples, Trees, class_probabilities
from synthgen.metrics.evaluation import NotMeasurable
from synthgen.metrics.table_features import Encoded
from synthgen.stats import FloatArray, auc_influence, paired_rate_variance

# One setting for all arms, near the best on Adult and on 120 rare rows of it; the trees see other rows each seed.
LEARNER = Trees(rounds=150, depth=5, learning_rate=0.1, row_share=0.8, column_share=0.8)
MIN_TEST_ROWS = 20


@dataclass(frozen=True)
class Task:
    """Rows to classify, which no classifier has seen.

    Attributes:
        target: int64 [n], position in `classes`.
    """

    rows: FloatArray
    target: Index
    classes: tuple[str, ...]

    def probabilities(self, examples: Examples, seed: int) -> FloatArray:
        """Probability of each class for each test row, float64 [n, classes]."""
        return class_probabilities(examples, self.rows, classes=len(self.classes), trees=LEARNER, seed=seed)

    @property
    def present(self) -> Index:
        """Classes that have test rows."""
        return np.unique(self.target)


def make_task(train: Table, test: Table, rows: Encoded) -> Task:
    """The task of predicting the label of the test rows; raises NotMeasurable when nothing can be learnt or tested."""
    if train.schema.label is None:
        raise NotMeasurable("the table has no label to predict")
    if not rows.names:
        raise NotMeasurable("the table has no column to predict the label from")
    # A class that only the test rows have is one that no classifier gets right.
    classes = tuple(sorted({*train.classes, *test.classes}))
    task = Task(rows.matrix(), class_codes(test, classes), classes)
    if len(train.classes) < 2 or len(task.present) < 2 or len(test) < MIN_TEST_ROWS:
        raise NotMeasurable(f"two classes and {MIN_TEST_ROWS} held-out rows are needed to test a classifier")
    return task


def class_codes(table: Table, classes: tuple[str, ...]) -> Index:
    """int64 [n], position of each row's label among the sorted classes."""
    return np.searchsorted(np.asarray(classes, dtype=np.str_), table.labels).astype(np.int64)


def macro_auc(target: Index, probabilities: FloatArray) -> tuple[float, FloatArray]:
    """Mean over classes of the ROC-AUC of one against the rest, and the influence of each test row, float64 [n]."""
    found = [auc_influence(probabilities[:, code], target == code) for code in np.unique(target)]
    return float(np.mean([auc for auc, _ in found])), np.mean([influence for _, influence in found], axis=0)


def balanced_mean(target: Index, values: FloatArray) -> float:
    """Mean over classes of the mean over their test rows: of right answers, that is the balanced accuracy."""
    return float(np.mean([values[target == code].mean() for code in np.unique(target)]))


def balanced_variance(target: Index, differences: FloatArray) -> float:
    """Variance of `balanced_mean` of paired differences of right answers, from the test rows."""
    variances = [paired_rate_variance(differences[target == code]) for code in np.unique(target)]
    return sum(variances) / len(variances) ** 2


def rare_average_precision(target: Index, probabilities: FloatArray) -> float:
    """Average precision of the class with the fewest test rows."""
    classes, counts = np.unique(target, return_counts=True)
    rarest = classes[counts.argmin()]
    return float(average_precision_score(target == rarest, probabilities[:, rarest]))
