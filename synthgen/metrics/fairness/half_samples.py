"""How much a comparison of two training sets varies with the rows or images that happen to be in them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from synthgen.datasets import Index
from synthgen.metrics.evaluation import NotMeasurable

# Each costs four trainings.
SPLITS = 4


@dataclass(frozen=True)
class Learnt:
    """What the synthetic arm learnt from, and how to learn again from some of it.

    Attributes:
        target: int64 [n], classes of its rows or images: the real ones, then the synthetic ones.
        real: how many are real.
        again: what classifiers see in the test rows that learn from the rows at these positions, int64 [m] each.
    """

    target: Index
    real: int
    again: Callable[[Sequence[Index]], Sequence[Index]]


@dataclass(frozen=True)
class HalfTrained:
    """Predictions, int64 [1, n], of classifiers trained on half of the rows.

    Attributes:
        synthetic: trained on half of the real and half of the synthetic rows.
        control: trained on the same half of the real rows, duplicated to the same class counts.
    """

    synthetic: Index
    control: Index


def half_trained(learnt: Learnt, rng: np.random.Generator) -> list[tuple[HalfTrained, HalfTrained]]:
    """Both halves of each of `SPLITS` random splits.

    A difference between them has four times the variance that one sample of full size has: two halves, each with
    twice the variance.
    """
    real, synthetic = learnt.target[: learnt.real], learnt.target[learnt.real :]
    if np.bincount(real, minlength=int(synthetic.max()) + 1)[np.unique(synthetic)].min() < 2:
        raise NotMeasurable("two training rows of each class are needed to see how much they matter")
    halves = [half for _ in range(SPLITS) for half in _halves(learnt, rng)]
    found = [predicted[None] for predicted in learnt.again([rows for half in halves for rows in half])]
    trained = [HalfTrained(*pair) for pair in zip(found[::2], found[1::2], strict=True)]
    return list(zip(trained[::2], trained[1::2], strict=True))


def _halves(learnt: Learnt, rng: np.random.Generator) -> Iterator[tuple[Index, Index]]:
    """Positions of the rows of both halves: with synthetic rows, and with real ones of the same classes again."""
    target, n = learnt.target, learnt.real
    for rows, added in zip(_split(target[:n], rng), _split(target[n:], rng), strict=True):
        codes, counts = np.unique(target[n + added], return_counts=True)
        again = [rng.choice(rows[target[rows] == code], count) for code, count in zip(codes, counts, strict=True)]
        yield np.concatenate([rows, n + added]), np.concatenate([rows, *again])


def _split(target: Index, rng: np.random.Generator) -> tuple[Index, Index]:
    shuffled = rng.permutation(len(target))
    by_class = shuffled[np.argsort(target[shuffled], kind="stable")]
    return by_class[::2], by_class[1::2]
