"""What tables and images share: the arms of one dataset, trained over all seeds, each kept as soon as it is done."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthgen import progress
from synthgen.datasets import Index
from synthgen.downstream.scores import Answers, Result, Truth, best_setting
from synthgen.files import read_json, write_json
from synthgen.metrics.saved_classifier import Classifier, Learnt
from synthgen.stats import FloatArray

logger = logging.getLogger(__name__)

_ANSWERS = "answers.npz"


@dataclass(frozen=True)
class Training:
    """One trained classifier and its probabilities for valid and holdout, float64 [n, classes]."""

    learnt: Learnt
    valid: FloatArray
    holdout: FloatArray


@dataclass(frozen=True)
class Bench:
    """The arms of one dataset.

    Attributes:
        frequency: of each arm, float64 [classes], how often it shows each class to the classifier.
        settings: names of what may be chosen for the classifier on valid.
        pairs: arms of real rows alone and of augmented ones that differ in nothing else; valid chooses the pair.
        beside: which arm has to beat which control.
        train: the trainings of an arm, one for each setting and seed.
    """

    truth: Truth
    label: str | None
    frequency: Mapping[str, FloatArray]
    settings: Sequence[str]
    pairs: Sequence[tuple[str, str]]
    beside: Mapping[str, str]
    train: Callable[[str, Sequence[tuple[str, int]]], list[Training]]


def measured(bench: Bench, seeds: int, folder: Path) -> dict[str, Result]:
    """Every arm, trained, chosen on valid and tested; its first classifier is in folder/<position>/model."""
    results = {}
    started, arms = time.monotonic(), list(bench.frequency)
    for position, arm in enumerate(arms):
        results[arm] = _measured_once(bench, arm, seeds, folder / str(position))
        _tell(position + 1, len(arms), time.monotonic() - started)
    return results


def place_of(bench: Bench, arm: str, folder: Path) -> Path:
    """Where `measured` left the classifier of an arm."""
    return folder / str(list(bench.frequency).index(arm)) / "model"


def shares(target: Index, weight: FloatArray | None, classes: int) -> FloatArray:
    """float64 [classes]: share of each class among examples int64 [n], weighted."""
    counts = np.bincount(target, weight, minlength=classes).astype(np.float64)
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def _measured_once(bench: Bench, arm: str, seeds: int, folder: Path) -> Result:
    done = folder / "setting.json"
    if not done.exists():
        answers, first = _trained(bench, arm, seeds)
        result = Result.of(arm, answers, bench.truth)
        weights = answers.weights(result.tilt)
        Classifier(first.learnt, bench.truth.classes, weights, bench.label).save(folder / "model")
        np.savez(folder / _ANSWERS, valid=answers.valid, holdout=answers.holdout, allow_pickle=False)
        # Last: its existence means that the arm is done.
        write_json(done, answers.setting)
    with np.load(folder / _ANSWERS, allow_pickle=False) as saved:
        answers = Answers(saved["valid"], saved["holdout"], read_json(done), bench.frequency[arm])
    return Result.of(arm, answers, bench.truth)


def _trained(bench: Bench, arm: str, seeds: int) -> tuple[Answers, Training]:
    logger.info("train arm=%s", arm, extra={"stage": "downstream", "state": "running", "step": arm})
    tried = dict(zip(bench.settings, bench.train(arm, [(name, 0) for name in bench.settings]), strict=True))
    setting = best_setting({name: training.valid for name, training in tried.items()}, bench.truth.valid)
    every = [tried[setting], *bench.train(arm, [(setting, seed) for seed in range(1, seeds)])]
    valid, holdout = (np.stack(part) for part in zip(*((one.valid, one.holdout) for one in every), strict=True))
    return Answers(valid, holdout, setting, bench.frequency[arm]), every[0]


def _tell(done: int, total: int, seconds: float) -> None:
    pace = done / max(seconds, 1e-9)
    progress.report(progress.Tick("downstream", "arm", done, total, done / total, pace, (total - done) / pace))
