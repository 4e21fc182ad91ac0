"""Train on synthetic, test on real."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from synthgen.datasets import Index, Table
from synthgen.findings import Finding
from synthgen.metrics.classifiers import Examples, in_threads
from synthgen.metrics.evaluation import Evaluation, NotMeasurable, canonical
from synthgen.metrics.learner import Task, class_codes, macro_auc, make_task
from synthgen.metrics.table_features import Encoded, encode, tables
from synthgen.stats import FloatArray, t_interval


def tstr_gap(evaluation: Evaluation) -> Finding:
    """ROC-AUC on the holdout of a classifier trained on synthetic rows, less that of one trained on as many real rows.

    The synthetic rows are the probe: the same synthesizer with the class frequencies of train. One against the rest,
    mean over classes. The interval holds the noise of the training seeds and of the test rows (DeLong 1988).
    Reference: one half of the holdout in place of the probe, tested on the other half. Source: Esteban 2017,
    arXiv:1706.02633.
    """
    train, holdout, _ = tables(evaluation)
    probe = _probe(evaluation, train)
    real_rows, test_rows, probe_rows = encode([train, holdout, probe], train.schema.features)
    task = make_task(train, holdout, test_rows)
    rng = evaluation.rng("tstr_gap")
    n = min(len(train), len(probe), evaluation.size.max_rows)
    real = _drawn(real_rows, class_codes(train, task.classes), n, rng)
    synthetic = _drawn(probe_rows, class_codes(probe, task.classes), n, rng)
    areas, influence = _areas(task, (synthetic, real), range(evaluation.size.utility_seeds))
    gaps = areas[0] - areas[1]
    low, high = t_interval(gaps, extra_variance=float(np.square(influence).sum()))
    return Finding(
        metric="tstr_gap", family="utility", value=float(gaps.mean()), low=low, high=high,
        reference=_reference(task, real), higher_is_better=True, n=len(holdout),
        detail={
            "train_rows": n, "seeds": len(gaps),
            "trained_on_synthetic": float(areas[0].mean()), "trained_on_real": float(areas[1].mean()),
        },
    )  # fmt: skip


def _probe(evaluation: Evaluation, train: Table) -> Table:
    if evaluation.probe is None:
        raise NotMeasurable("no synthetic rows with the class frequencies of train were drawn")
    probe = canonical(evaluation.probe)
    assert isinstance(probe, Table)
    lacking = set(train.classes) - set(probe.classes)
    if lacking:
        raise NotMeasurable(f"{len(lacking)} of {len(train.classes)} classes have no synthetic row to learn from")
    return probe


def _drawn(rows: Encoded, target: Index, n: int, rng: np.random.Generator) -> Examples:
    """n rows, at least one of each class."""
    shuffled = rng.permutation(len(rows))
    _, first = np.unique(target[shuffled], return_index=True)
    chosen = np.concatenate([shuffled[first], np.delete(shuffled, first)])[:n]
    return Examples(rows.take(chosen).matrix(), target[chosen], rows.kinds)


def _areas(task: Task, sides: tuple[Examples, Examples], seeds: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    """AUC of both sides for each seed, float64 [2, seeds], and each test row's influence on the gap, float64 [n]."""
    found = in_threads([partial(_auc, task, examples, seed) for seed in seeds for examples in sides])
    pairs = list(zip(found[::2], found[1::2], strict=True))
    influence = np.mean([one[1] - other[1] for one, other in pairs], axis=0)
    return np.array([[one[0], other[0]] for one, other in pairs]).T, influence


def _auc(task: Task, examples: Examples, seed: int) -> tuple[float, FloatArray]:
    return macro_auc(task.target, task.probabilities(examples, seed))


def _reference(task: Task, real: Examples) -> float | None:
    """The gap between two samples of real rows; None when a half of the holdout lacks a class."""
    half = np.arange(len(task.target)) % 2 == 0
    fresh = Examples(task.rows[half], task.target[half], real.kinds)
    rest = Task(task.rows[~half], task.target[~half], task.classes)
    if len(np.unique(fresh.target)) < len(task.classes) or len(rest.present) < 2:
        return None
    n = min(len(fresh.target), len(real.target))
    areas, _ = _areas(rest, (_first(fresh, n), _first(real, n)), [0])
    return float(areas[0, 0] - areas[1, 0])


def _first(examples: Examples, n: int) -> Examples:
    return Examples(examples.rows[:n], examples.target[:n], examples.kinds)
