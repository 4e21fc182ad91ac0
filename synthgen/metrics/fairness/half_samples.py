"""How much a comparison of two training sets varies with the rows that happen to be in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from synthgen.datasets import Index
from synthgen.metrics.augmented import Augmented, extended
from synthgen.metrics.classifiers import Examples, in_threads
from synthgen.metrics.evaluation import NotMeasurable
from synthgen.metrics.learner import Task

# Each costs two trainings of full size.
SPLITS = 4


@dataclass(frozen=True)
class HalfTrained:
    """Predictions, int64 [1, n], of classifiers trained on half of the rows.

    Attributes:
        synthetic: trained on half of the real and half of the synthetic rows.
        control: trained on the same half of the real rows, duplicated to the same class counts.
    """

    synthetic: Index
    control: Index


def half_trained(arms: Augmented, rng: np.random.Generator) -> list[tuple[HalfTrained, HalfTrained]]:
    """Both halves of each of `SPLITS` random splits.

    A difference between them has four times the variance that one sample of full size has: two halves, each with
    twice the variance.
    """
    real, synthetic = _parts(arms)
    if np.bincount(real.target)[np.unique(synthetic.target)].min() < 2:
        raise NotMeasurable("two training rows of each class are needed to see how much they matter")
    halves = [half for _ in range(SPLITS) for half in _halves(real, synthetic, rng)]
    found = in_threads([partial(_predicted, arms.task, examples) for half in halves for examples in half])
    trained = [HalfTrained(*pair) for pair in zip(found[::2], found[1::2], strict=True)]
    return list(zip(trained[::2], trained[1::2], strict=True))


def _parts(arms: Augmented) -> tuple[Examples, Examples]:
    real, both = arms.examples["real"], arms.examples["synthetic"]
    n = len(real.target)
    return real, Examples(both.rows[n:], both.target[n:], both.kinds)


def _halves(real: Examples, synthetic: Examples, rng: np.random.Generator) -> Iterator[tuple[Examples, Examples]]:
    """The training sets of both halves: with synthetic rows, and with duplicated ones of the same classes."""
    for rows, added in zip(_split(real, rng), _split(synthetic, rng), strict=True):
        codes, counts = np.unique(added.target, return_counts=True)
        again = np.concatenate(
            [rng.choice(np.flatnonzero(rows.target == code), n) for code, n in zip(codes, counts, strict=True)]
        )
        yield extended(rows, added.rows, added.target), extended(rows, rows.rows[again], rows.target[again])


def _split(examples: Examples, rng: np.random.Generator) -> tuple[Examples, Examples]:
    shuffled = rng.permutation(len(examples.target))
    by_class = shuffled[np.argsort(examples.target[shuffled], kind="stable")]
    first, second = (
        Examples(examples.rows[side], examples.target[side], examples.kinds) for side in (by_class[::2], by_class[1::2])
    )
    return first, second


def _predicted(task: Task, examples: Examples) -> Index:
    predicted = task.probabilities(examples, 0).argmax(1)
    return np.asarray(predicted[None], dtype=np.int64)
