"""Numbers of rows are no identifiers; numbers of people are."""

import numpy as np
import pandas as pd
import pytest

from synthgen.config import EvaluationSize
from synthgen.datasets import Schema, Table
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.privacy.identifiers import identifier_replay

SIZE = EvaluationSize(max_rows=1_000, utility_seeds=2, bootstrap_rounds=10)


def numbered(ids: object) -> Table:
    column = pd.Series(ids)
    rng = np.random.default_rng(len(column))
    frame = pd.DataFrame({"id": column, "x": rng.normal(size=len(column)), "y": rng.choice(["a", "b"], len(column))})
    return Table(frame, Schema({"id": "id", "x": "numeric", "y": "categorical"}, "y"))


def replayed(train: object, synthetic: object) -> float:
    holdout = numbered(range(10_000, 10_100))
    return identifier_replay(Evaluation(numbered(train), holdout, numbered(synthetic), SIZE)).value


@pytest.mark.parametrize(
    ("train", "synthetic"),
    [
        (range(1, 101), range(1, 81)),
        (range(100), range(120)),
        ([str(number) for number in range(1, 101)], [str(number) for number in range(1, 101)]),
        (range(0, 200, 2), np.random.default_rng(0).permutation(100)),
    ],
)
def test_a_column_that_numbers_the_synthetic_rows_is_no_replay(train: object, synthetic: object) -> None:
    assert replayed(train, synthetic) == 0


@pytest.mark.parametrize(
    ("train", "synthetic", "count"),
    [
        (range(1, 101), [7, 7, 9], 2),  # drawn from train, not counted
        (range(500_001, 500_101), range(500_001, 500_011), 10),  # numbers of people, though in a row
        (range(1, 101), [1, 2, 3, 5], 4),
        (["O'Brien-1", "2"], ["O'Brien-1", "3"], 1),
    ],
)
def test_numbers_of_people_are_replayed(train: object, synthetic: object, count: int) -> None:
    assert replayed(train, synthetic) == count


def test_the_finding_names_the_columns_that_only_count() -> None:
    train, holdout, synthetic = numbered(range(1, 51)), numbered(range(60, 90)), numbered(range(1, 41))
    finding = identifier_replay(Evaluation(train, holdout, synthetic, SIZE))
    assert finding.detail["row_numbers"] == ["id"]
