"""Splits: shares, strata, groups, duplicates, the user's own parts."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen.config import SplitConfig
from synthgen.datasets import Data, ImageSet, Ingested, Schema, Splits, Table, class_counts
from synthgen.errors import DataError
from synthgen.splitting import split, split_problems, standard_parts

CONFIG = SplitConfig()


def table(labels: list[str], *, group: list[object] | None = None, value: list[int] | None = None) -> Table:
    frame = pd.DataFrame({"value": value or list(range(len(labels))), "label": labels})
    kinds = {"value": "integer", "label": "categorical"}
    if group is not None:
        frame["patient"], kinds = pd.Series(group, dtype=object), {**kinds, "patient": "categorical"}
    return Table(frame, Schema(kinds, "label", "patient" if group is not None else None))


def parted(data: Data, config: SplitConfig = CONFIG, *, seed: int = 0, parts: list[str] | None = None) -> Splits:
    given_parts = None if parts is None else np.asarray(parts)
    return split(Ingested(data, given_parts), config, np.random.default_rng(seed))


def values(part: Data) -> set[int]:
    assert isinstance(part, Table)
    return set(part.frame["value"].tolist())


@pytest.mark.parametrize(
    ("train", "valid", "holdout"), [(0.6, 0.2, 0.2), (0.8, 0.1, 0.1), (0.34, 0.33, 0.33), (0.05, 0.05, 0.9)]
)
@pytest.mark.parametrize("sizes", [(100, 100), (1000, 37, 5), (3, 3)])
def test_each_class_is_cut_at_the_shares_within_one_row(
    train: float, valid: float, holdout: float, sizes: tuple
) -> None:
    labels = [f"class {code}" for code, size in enumerate(sizes) for _ in range(size)]
    splits = parted(table(labels), SplitConfig(train=train, valid=valid, holdout=holdout))
    for (_, part), share in zip(splits.parts(), (train, valid, holdout), strict=True):
        for code, size in enumerate(sizes):
            assert class_counts(part)[f"class {code}"] == pytest.approx(max(1, share * size), abs=2 if size < 50 else 1)


def test_every_row_is_in_exactly_one_part_and_in_its_old_order() -> None:
    splits = parted(table(["a", "b"] * 100))
    every = [row for _, part in splits.parts() for row in part.frame["value"].tolist()]
    assert sorted(every) == list(range(200))
    assert all(part.frame["value"].is_monotonic_increasing for _, part in splits.parts())


def test_equal_rows_never_stand_on_two_sides() -> None:
    splits = parted(table(["a"] * 150 + ["b"] * 150, value=[row // 6 for row in range(300)]))
    assert sum(len(values(part)) for _, part in splits.parts()) == 50


def test_rows_that_repeat_are_as_frequent_in_every_part() -> None:
    copies = np.random.default_rng(0).geometric(0.3, 1_000)
    splits = parted(table(["a"] * int(copies.sum()), value=np.repeat(np.arange(1_000), copies).tolist()))
    repeated = [len(values(part)) / len(part) for _, part in splits.parts()]
    assert max(repeated) - min(repeated) < 0.02


def test_a_group_never_stands_on_two_sides_and_rows_without_a_group_stand_alone() -> None:
    group = [f"p{row // 5}" if row < 400 else None for row in range(500)]
    splits = parted(table(["a", "b", "b"] * 166 + ["a", "a"], group=group))
    patients = [set(part.frame["patient"].dropna()) for _, part in splits.parts()]
    assert sum(map(len, patients)) == 80
    assert [len(part) for _, part in splits.parts()] == pytest.approx([300, 100, 100], abs=10)
    assert all(part.frame["patient"].isna().any() for _, part in splits.parts())


def test_groups_that_share_an_equal_row_stay_together() -> None:
    # Rows 0 and 1 are equal, so patients p0 and p1 are linked, and so on in pairs.
    value = [row // 4 * 4 + (row % 4 if row % 4 > 1 else 0) for row in range(200)]
    group = [f"p{row // 2 + row % 2}" if row % 4 < 2 else f"p{row // 2 + 1 - row % 2}" for row in range(200)]
    splits = parted(table(["a"] * 100 + ["b"] * 100, group=group, value=value))
    assert split_problems(splits) == []


def test_groups_of_images_stay_together() -> None:
    images = np.random.default_rng(0).integers(0, 255, (60, 1, 8, 8), dtype=np.uint8)
    groups = np.asarray([f"patient {row // 4}" for row in range(60)])
    splits = parted(ImageSet(images, np.arange(60) % 2, ("a", "b"), groups))
    sides = [set(part.groups.tolist()) for _, part in splits.parts()]
    assert sum(map(len, sides)) == 15


@pytest.mark.parametrize(("count", "expected"), [(1, [1, 0, 0]), (2, [1, 0, 1]), (3, [1, 1, 1]), (4, [2, 1, 1])])
def test_a_rare_class_is_first_learnt_then_judged_then_validated(count: int, expected: list[int]) -> None:
    splits = parted(table(["common"] * 100 + ["rare"] * count))
    assert [class_counts(part).get("rare", 0) for _, part in splits.parts()] == expected


def test_the_same_generator_gives_the_same_split_and_another_one_another() -> None:
    data = table(["a", "b"] * 100)
    assert values(parted(data, seed=1).holdout) == values(parted(data, seed=1).holdout)
    assert values(parted(data, seed=1).holdout) != values(parted(data, seed=2).holdout)


def test_fifty_thousand_rows_are_split_within_a_second() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(["a", "b", "c"], 50_000, p=[0.9, 0.09, 0.01]).tolist()
    data = table(labels, group=[f"p{number}" for number in rng.integers(0, 30_000, 50_000)])
    start = time.process_time()
    parted(data)
    assert time.process_time() - start < 1


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_group_and_no_equal_row_is_ever_cut(data: st.DataObject) -> None:
    size = data.draw(st.integers(12, 60))
    labels = data.draw(st.lists(st.sampled_from("ab"), min_size=size, max_size=size))
    group = data.draw(st.lists(st.integers(0, 20), min_size=size, max_size=size))
    value = data.draw(st.lists(st.integers(0, 40), min_size=size, max_size=size))
    try:
        splits = parted(table(labels, group=group, value=value))
    except DataError:
        return
    assert sum(len(part) for _, part in splits.parts()) == size
    assert {problem.kind for problem in split_problems(splits)} <= {"class_missing"}


def test_the_given_parts_are_kept_whatever_they_are_called() -> None:
    names = ["Training", "VAL", "test"] * 20
    splits = parted(table(["a", "b"] * 30), parts=names)
    assert values(splits.valid) == set(range(1, 60, 3))
    assert values(splits.holdout) == set(range(2, 60, 3))


def test_valid_is_cut_from_train_when_the_given_parts_have_none() -> None:
    splits = parted(table(["a", "b"] * 100), parts=["train"] * 160 + ["test"] * 40)
    assert values(splits.holdout) == set(range(160, 200))
    assert (len(splits.train), len(splits.valid)) == (120, 40)
    assert class_counts(splits.valid) == {"a": 20, "b": 20}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train"] * 10, "no holdout part"),
        (["test"] * 10, "no train part"),
        (["train"] * 9 + ["fold 3"], r"names no part in 1 of 10 rows \(the first is row 10\)"),
        (["train"] * 9 + [None], "names no part in 1 of 10 rows"),
    ],
)
def test_parts_that_prove_nothing_are_refused(names: list[str | None], message: str) -> None:
    with pytest.raises(DataError, match=message):
        parted(table(["a", "b"] * 5), parts=standard_parts(pd.Series(names), "column 'split'").tolist())


def test_one_group_for_all_rows_cannot_be_split() -> None:
    with pytest.raises(DataError, match="leave no row for valid"):
        parted(table(["a", "b"] * 10, group=["clinic"] * 20))


def test_own_parts_with_a_group_on_two_sides_are_refused() -> None:
    data = table(["a", "b", "a", "b", "a", "a"], group=["p", "q", "p", "r", "s", "t"])
    with pytest.raises(DataError, match="1 groups stand in train and in holdout of the given split"):
        parted(data, parts=["train", "train", "test", "test", "valid", "valid"])


def test_own_parts_with_shared_rows_and_missing_classes_are_reported() -> None:
    data = table(["a", "b", "a", "b", "a", "a"], value=[1, 2, 1, 3, 4, 5])
    splits = parted(data, parts=["train", "train", "test", "test", "valid", "valid"])
    found = {problem.kind: problem for problem in split_problems(splits)}
    assert found["rows_on_two_sides"].message == "1 different rows stand in train and in holdout"
    assert found["class_missing"].message == "valid has no row of 'b'"
