"""Curation: no copies, every quota full, and what was done is counted."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthgen.config import CurationConfig, UniqueConfig
from synthgen.curation.selection import MAX_ROUNDS, Screen, curate
from synthgen.datasets import Data, Labels, Schema, Table, class_counts
from synthgen.errors import TrainingError

PLAIN = CurationConfig(calibrate=False)
SCHEMA = Schema({"x": "numeric", "y": "categorical"}, "y")


def table(values: list[float], labels: list[str]) -> Table:
    return Table(pd.DataFrame({"x": values, "y": labels}), SCHEMA)


TRAIN = table([0.0, 1.0, 2.0, 3.0], ["a", "a", "b", "b"])
VALID = table([4.0, 5.0, 6.0, 7.0], ["a", "a", "b", "b"])
SCREEN = Screen.of(TRAIN, VALID, PLAIN)
RNG = np.random.default_rng(0)


def fresh(labels: Labels, rng: np.random.Generator) -> Data:
    return table((10 + rng.random(len(labels))).tolist(), labels.tolist())


def never(labels: Labels, rng: np.random.Generator) -> Data:
    raise AssertionError("drew again although nothing was missing")


def only_copies(labels: Labels, rng: np.random.Generator) -> Data:
    return table([0.0 if label == "a" else 2.0 for label in labels], labels.tolist())


def test_copies_of_training_rows_are_dropped_and_drawn_again() -> None:
    candidates = table([0.0, 11.0, 2.0], ["a", "a", "b"])
    data, record = curate(candidates, {"a": 2, "b": 1}, fresh, SCREEN, PLAIN, RNG)
    assert class_counts(data) == {"a": 2, "b": 1}
    assert not np.isin(data.row_keys(), TRAIN.row_keys()).any()
    assert (record.exact_copies, record.rounds) == (2, 1)
    assert {name: counts["exact_copies"] for name, counts in record.per_class.items()} == {"a": 1, "b": 1}


def test_enough_candidates_are_not_drawn_again() -> None:
    candidates = table([11.0, 12.0, 13.0], ["a", "a", "b"])
    data, record = curate(candidates, {"a": 1, "b": 1}, never, SCREEN, PLAIN, RNG)
    assert class_counts(data) == {"a": 1, "b": 1}
    assert (record.rounds, record.exact_copies, record.drawn) == (0, 0, 3)


def test_the_same_values_under_another_label_are_no_copy() -> None:
    candidates = table([0.0], ["b"])
    _, record = curate(candidates, {"b": 1}, never, SCREEN, PLAIN, RNG)
    assert record.exact_copies == 0


def test_what_only_copies_can_fill_is_filled_with_them_and_counted() -> None:
    candidates = table([0.0, 11.0], ["a", "a"])
    data, record = curate(candidates, {"a": 3}, only_copies, SCREEN, PLAIN, RNG)
    assert (len(data), record.copies_kept, record.rounds) == (3, 2, MAX_ROUNDS)


def test_a_class_that_cannot_be_filled_is_named() -> None:
    def nothing(labels: Labels, rng: np.random.Generator) -> Data:
        return table([], [])

    with pytest.raises(TrainingError, match="class 'b' could not be filled: 2 of 2"):
        curate(table([11.0], ["a"]), {"b": 2}, nothing, SCREEN, PLAIN, RNG)


def test_what_must_be_unique_repeats_no_training_row_either() -> None:
    schema = replace(SCHEMA, constraints=(UniqueConfig(kind="unique", columns=("x",)),))
    train, valid = replace(TRAIN, schema=schema), replace(VALID, schema=schema)
    # 2.0 is the value of a training row of another class: no copy, but not unique beside it.
    candidates = replace(table([2.0, 11.0, 11.0], ["a", "a", "a"]), schema=schema)
    data, record = curate(candidates, {"a": 2}, fresh, Screen.of(train, valid, PLAIN), PLAIN, RNG)
    values = data.frame["x"].tolist()
    assert len(set(values)) == 2
    assert 2.0 not in values
    assert (record.exact_copies, record.rounds) == (0, 1)


def test_as_many_copies_pass_as_coincidence_explains() -> None:
    whole = np.arange(4_000.0)
    train, valid = (table(values.tolist(), ["a"] * 2_000) for values in (whole[::2], whole[1::2]))
    screen = Screen.of(train, valid, PLAIN)
    # Half of the rows of valid are met: that is coincidence. All rows of train are met, so half of them pass.
    drawn = table([*whole[::2], *whole[1:2_001:2]], ["a"] * 3_000)
    kept = screen.let_through(drawn, {"a": 1_500})
    copies = int(np.isin(kept.row_keys(), train.row_keys()).sum())
    assert copies == pytest.approx(1_000, abs=100)
    assert len(kept) - copies == 1_000
    assert screen.let_through(drawn, {"a": 2_500}) is drawn
