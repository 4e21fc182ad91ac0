"""Boosted trees on real and augmented rows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from synthgen.datasets import Table
from synthgen.downstream.reading import Material
from synthgen.downstream.scores import Truth
from synthgen.downstream.training import Bench, Training, shares
from synthgen.metrics.augmented import CONTROLS, Materials, training_sets
from synthgen.metrics.classifiers import Trees, fit_trees, in_threads
from synthgen.metrics.learner import LEARNER, class_codes
from synthgen.metrics.saved_classifier import LearntTrees
from synthgen.metrics.table_features import Coding
from synthgen.stats import named_rng

# Tried on valid, for every arm alike.
SETTINGS: Mapping[str, Trees] = {
    "depth 5": LEARNER,
    "depth 3": replace(LEARNER, depth=3),
    "depth 8": replace(LEARNER, depth=8, rounds=100),
}


def table_bench(material: Material) -> Bench:
    """The arms of `metrics.augmented`: real, class weights, random oversampling, SMOTE, synthetic."""
    parts = (material.train, material.synthetic, material.valid, material.holdout)
    train, synthetic, valid, holdout = [part for part in parts if isinstance(part, Table)]
    coding = Coding.of([train, synthetic], [name for name in train.schema.features if name in synthetic.frame])
    # A class that only the test rows have is one that no classifier gets right.
    classes = tuple(sorted({name for part in (train, synthetic, valid, holdout) for name in part.classes}))
    codes = [class_codes(part, classes) for part in (train, synthetic)]
    materials = Materials(coding.encode(train.frame), codes[0], coding.encode(synthetic.frame), codes[1])
    sets = training_sets(materials, named_rng(0, "downstream"))

    def train_once(arm: str, setting: str, seed: int) -> Training:
        trees = fit_trees(sets[arm], classes=len(classes), trees=SETTINGS[setting], seed=seed)
        learnt = LearntTrees(coding, trees)
        return Training(learnt, learnt.probabilities(valid.frame), learnt.probabilities(holdout.frame))

    def train_all(arm: str, jobs: Sequence[tuple[str, int]]) -> list[Training]:
        return in_threads([partial(train_once, arm, *job) for job in jobs])

    return Bench(
        truth=Truth(class_codes(valid, classes), class_codes(holdout, classes), classes),
        label=train.schema.label,
        frequency={arm: shares(found.target, found.weight, len(classes)) for arm, found in sets.items()},
        settings=tuple(SETTINGS),
        pairs=(("real", "synthetic"),),
        beside={"real": "synthetic", **dict.fromkeys(CONTROLS, "synthetic")},
        train=train_all,
    )
