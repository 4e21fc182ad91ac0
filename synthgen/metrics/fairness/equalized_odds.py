"""Does the classifier that learnt from synthetic rows or images treat groups more differently?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from synthgen.datasets import Data, ImageSet, Index
from synthgen.findings import Finding
from synthgen.metrics.augmented import augmented
from synthgen.metrics.augmented_images import Arm, augmented_images, network_seeds, predictions
from synthgen.metrics.classifiers import Examples, in_threads
from synthgen.metrics.evaluation import Evaluation, NotApplicable, NotMeasurable
from synthgen.metrics.fairness.groups import MIN_ROWS, groupings
from synthgen.metrics.fairness.half_samples import Learnt, half_trained
from synthgen.metrics.fairness.odds import Change, cells_of, change_of
from synthgen.metrics.image_features import image_sets

# Real rows or images alone, at the class counts of the synthetic arm.
OVERSAMPLED, DUPLICATED = "random oversampling", "duplicated"


@dataclass(frozen=True)
class Tested:
    """Classifiers of rows or of images, trained with and without the synthetic ones.

    Attributes:
        holdout: what they were tested on.
        target: int64 [n], its classes.
        classes: how many there are.
        predicted: int64 [seeds, n] of "real", of `control`, and of "synthetic", in this order.
        control: real rows or images alone, at the class counts of the synthetic arm.
        learnt: what the synthetic arm learnt from.
    """

    holdout: Data
    target: Index
    classes: int
    predicted: Mapping[str, Index]
    control: str
    learnt: Learnt


def equalized_odds_change(evaluation: Evaluation) -> Finding:
    """Equalized-odds difference on the holdout of the augmented classifier, minus that of its control; the worst.

    Equalized-odds difference, in [0, 1]: the largest gap between two groups in how often a class is predicted, among
    rows of the class or among the others (fairlearn's, each class against the rest; Hardt 2016, arXiv:1610.02413).
    Groups of each protected column or attribute and of every two; each rate rests on at least 50 held-out rows or
    images; synthetic images need no attributes. The control learnt from real rows alone, duplicated to the same class
    counts: balancing by itself moves the threshold and with it the gaps (fresh real rows of the rare class: +.09 by sex
    on Adult, duplicated ones +.07), which is no fault of the synthetic rows. Changes against real rows as they are
    stand in the detail. Classifiers, seeds and pairing are those of `augmentation_gain`. Interval: Student's, with the
    variances of paired seeds, of test rows (by influence), and of training rows: another sample of them gives another
    classifier, and 1,500 fresh real rows moved the gap by up to .08. That one is the squared difference between random
    halves of the training rows, over 4 (Shao and Wu 1989). For the worst of several groupings Bonferroni at the lower
    end, none needed at the upper (Berger 1982). No reference: held-out rows cannot both train and test a classifier.
    """
    if evaluation.train.classes == ("",):
        raise NotApplicable("there is no label")
    groupings(evaluation.train, holdout=evaluation.holdout)  # nothing to train for when there is no group
    tested = _images(evaluation) if isinstance(evaluation.train, ImageSet) else _rows(evaluation)
    changes = _changes(tested, evaluation)
    worst = max(changes, key=lambda change: change.value)
    return Finding(
        metric="equalized_odds_change", family="fairness", value=worst.value,
        low=max(change.corrected_low for change in changes), high=max(change.high for change in changes),
        reference=None, higher_is_better=False, n=len(tested.target),
        detail={
            "worst_group": worst.columns,
            "control": tested.control,
            "against_real": worst.odds["synthetic"] - worst.odds["real"],
            "control_against_real": worst.odds[tested.control] - worst.odds["real"],
            "groupings": [{"columns": change.columns, "change": change.value, **change.odds} for change in changes],
            "seeds": len(tested.predicted["real"]),
        },
    )  # fmt: skip


def _changes(tested: Tested, evaluation: Evaluation) -> list[Change]:
    found = groupings(evaluation.train, holdout=tested.holdout)
    cells = {
        " × ".join(grouping.columns): cells_of(tested.target, tested.classes, grouping.codes[1]) for grouping in found
    }
    measured = {columns: inside for columns, inside in cells.items() if inside}
    if not measured:
        raise NotMeasurable(f"no two groups have {MIN_ROWS} held-out rows of one class")
    halves = half_trained(tested.learnt, evaluation.rng("equalized_odds_change"))
    alpha = 0.05 / len(measured)
    return [change_of(columns, tested.predicted, halves, inside, alpha) for columns, inside in measured.items()]


def _rows(evaluation: Evaluation) -> Tested:
    arms = augmented(evaluation)
    task, both = arms.task, arms.examples["synthetic"]

    def predicted(rows: Index) -> Index:
        examples = Examples(both.rows[rows], both.target[rows], both.kinds)
        return np.asarray(task.probabilities(examples, 0).argmax(1), dtype=np.int64)

    learnt = Learnt(
        both.target,
        len(arms.examples["real"].target),
        lambda parts: in_threads([partial(predicted, rows) for rows in parts]),
    )
    found = {arm: arms.outcomes[arm].predicted for arm in ("real", OVERSAMPLED, "synthetic")}
    return Tested(arms.holdout, task.target, len(task.classes), found, OVERSAMPLED, learnt)


def _images(evaluation: Evaluation) -> Tested:
    sets = image_sets(evaluation)
    if len(sets.train.classes) < 2:
        raise NotApplicable("all images are of one class")
    found = augmented_images(evaluation)
    both = Arm.of(sets.train, sets.synthetic)

    def again(parts: Sequence[Index]) -> list[Index]:
        arms = {str(place): both.take(rows) for place, rows in enumerate(parts)}
        return [seen[0] for seen in predictions(sets.holdout, arms, network_seeds(evaluation)[:1]).values()]

    learnt = Learnt(both.codes.numpy(), len(sets.train), again)
    kept = {arm: found[arm] for arm in ("real", DUPLICATED, "synthetic")}
    return Tested(sets.holdout, sets.holdout.codes, len(sets.train.classes), kept, DUPLICATED, learnt)
