"""Curation: no copies, every quota full, and what was done is counted."""

import numpy as np
import pandas as pd
import pytest

from synthgen.config import CurationConfig
from synthgen.curation.selection import MAX_ROUNDS, Screen, curate
from synthgen.datasets import Data, Labels, Schema, Table, class_counts
from synthgen.errors import TrainingError

PLAIN = CurationConfig(calibrate=False)
SCHEMA = Schema({"x": "numeric", "y": "categorical"}, "y")


def table(values: list[float], labels: list[str]) -> Table:
    return Table(pd.DataFrame({"x": values, "y": labels}), SCHEMA)


TRAIN = table([0.0, 1.0, 2.0, 3.0], ["a", "a", "b", "b"])
RNG = np.random.default_rng(0)


def fresh(labels: Labels, rng: np.random.Generator) -> Data:
    return table((10 + rng.random(len(labels))).tolist(), labels.tolist())


def never(labels: Labels, rng: np.random.Generator) -> Data:
    raise AssertionError("drew again although nothing was missing")


def only_copies(labels: Labels, rng: np.random.Generator) -> Data:
    return table([0.0 if label == "a" else 2.0 for label in labels], labels.tolist())


def test_copies_of_training_rows_are_dropped_and_drawn_again() -> None:
    candidates = table([0.0, 11.0, 2.0], ["a", "a", "b"])
    data, record = curate(candidates, {"a": 2, "b": 1}, fresh, Screen.of(TRAIN, TRAIN, PLAIN), PLAIN, RNG)
    assert class_counts(data) == {"a": 2, "b": 1}
    assert not np.isin(data.row_keys(), TRAIN.row_keys()).any()
    assert (record.exact_copies, record.rounds, record.dropped_per_class) == (2, 1, {"a": 1, "b": 1})


def test_enough_candidates_are_not_drawn_again() -> None:
    candidates = table([11.0, 12.0, 13.0], ["a", "a", "b"])
    data, record = curate(candidates, {"a": 1, "b": 1}, never, Screen.of(TRAIN, TRAIN, PLAIN), PLAIN, RNG)
    assert class_counts(data) == {"a": 1, "b": 1}
    assert (record.rounds, record.exact_copies, record.drawn) == (0, 0, 3)


def test_the_same_values_under_another_label_are_no_copy() -> None:
    candidates = table([0.0], ["b"])
    _, record = curate(candidates, {"b": 1}, never, Screen.of(TRAIN, TRAIN, PLAIN), PLAIN, RNG)
    assert record.exact_copies == 0


def test_what_only_copies_can_fill_is_filled_with_them_and_counted() -> None:
    candidates = table([0.0, 11.0], ["a", "a"])
    data, record = curate(candidates, {"a": 3}, only_copies, Screen.of(TRAIN, TRAIN, PLAIN), PLAIN, RNG)
    assert (len(data), record.copies_kept, record.rounds) == (3, 2, MAX_ROUNDS)


def test_a_class_that_cannot_be_filled_is_named() -> None:
    def nothing(labels: Labels, rng: np.random.Generator) -> Data:
        return table([], [])

    with pytest.raises(TrainingError, match="class 'b' could not be filled: 2 of 2"):
        curate(table([11.0], ["a"]), {"b": 2}, nothing, Screen.of(TRAIN, TRAIN, PLAIN), PLAIN, RNG)
