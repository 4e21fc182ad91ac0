"""What moved between two data sets is named, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from synthgen.datasets import ImageSet, Schema, Table
from synthgen.findings import Drift
from synthgen.metrics.drift import compare
from synthgen.metrics.drift.columns import table_movements
from synthgen.metrics.drift.comparing import arrived

KINDS = {"age": "integer", "income": "numeric", "seen": "datetime", "town": "categorical", "note": "text"}
KINDS |= {"ill": "categorical"}


def patients(n: int, seed: int) -> Table:
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, n)
    income = np.round(rng.gamma(2, 900, n) + 20 * age, 2)
    income[rng.random(n) < 0.1] = np.nan
    frame = pd.DataFrame(
        {
            "age": age,
            "income": income,
            "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D"),
            "town": rng.choice(["Oslo", "Rome", "Kyiv", "Bern"], n, p=[0.4, 0.3, 0.2, 0.1]),
            "note": [f"{seed}-{row}" for row in range(n)],
            "ill": np.where(rng.random(n) < age / 120, "yes", "no"),
        }
    )
    return Table(frame, Schema(KINDS, "ill"))  # type: ignore[arg-type]


def changed(table: Table, **columns: object) -> Table:
    return Table(table.frame.assign(**columns), table.schema)  # type: ignore[arg-type]


def drift(old: Table | ImageSet, new: Table | ImageSet) -> Drift:
    return compare(old, new, since="r1", seed=0)


def test_data_drawn_again_are_not_flagged() -> None:
    pairs = [table_movements(patients(200 + seed, seed), patients(500, 1_000 + seed)) for seed in range(60)]
    assert sum(any(item.moved for item in pair) for pair in pairs) <= 3
    big = drift(patients(20_000, 1), patients(20_000, 2))
    assert big.moved == []
    assert big.separation is not None
    assert abs(big.separation.auc - big.separation.reference) < 0.04


@pytest.mark.parametrize("n", [600, 10_000])
@pytest.mark.parametrize("name", ["age", "income", "seen", "town", "ill"])
def test_a_column_that_moved_is_named_alone(name: str, n: int) -> None:
    old, fresh = patients(n, 1), patients(n, 2)
    rng = np.random.default_rng(3)
    moves = {
        "age": fresh.frame["age"] + 12,
        "income": fresh.frame["income"] * 1.5,
        "seen": fresh.frame["seen"] + pd.Timedelta(days=90),
        "town": rng.choice(["Oslo", "Rome", "Kyiv", "Lima"], n, p=[0.2, 0.3, 0.2, 0.3]),
        "ill": rng.choice(["no", "yes"], n, p=[0.75, 0.25]),
    }
    found = drift(old, changed(fresh, **{name: moves[name]}))
    assert found.moved == [name]
    assert found.movements[0].column == name
    assert found.separation is not None
    assert found.separation.low > 0.5


@pytest.mark.parametrize("dtype", ["float64", "Int64"])
def test_a_gap_in_whole_numbers_makes_no_other_row_new(dtype: str) -> None:
    old = patients(600, 1)
    gappy = old.frame["age"].astype(dtype).where(np.arange(600) != 7)
    assert drift(old, changed(old, age=gappy)).rows_kept == 599
    assert drift(changed(old, age=gappy), old).rows_kept == 599


def test_a_movement_too_small_to_matter_is_not_flagged_however_many_rows_prove_it() -> None:
    fresh = patients(40_000, 2)
    found = drift(patients(40_000, 1), changed(fresh, age=fresh.frame["age"] + 1))
    item = next(item for item in found.movements if item.column == "age")
    assert item.p < 0.001
    assert not item.moved


def test_missing_values_and_new_categories_are_told_without_a_value() -> None:
    fresh = patients(800, 2)
    income = fresh.frame["income"].where(np.arange(800) % 3 > 0)
    town = fresh.frame["town"].where(np.arange(800) % 4 > 0, "Zanzibar")
    found = drift(patients(800, 1), changed(fresh, income=income, town=town))
    assert set(found.moved) == {"income", "town"}
    missing = next(item for item in found.movements if item.column == "income" and item.moved)
    assert missing.what == "missing"
    assert "were missing" in missing.words
    words = next(item.words for item in found.movements if item.column == "town")
    assert "1 new categories have 25.0% of the rows" in words
    assert "Zanzibar" not in repr(found)


def test_changes_of_the_schema_are_told() -> None:
    new = patients(300, 2)
    kinds = {"weight": "numeric", **{name: kind for name, kind in KINDS.items() if name != "town"}, "age": "numeric"}
    frame = new.frame.drop(columns="town").assign(weight=1.0)[list(kinds)]
    found = drift(patients(300, 1), Table(frame, Schema(kinds, "ill")))  # type: ignore[arg-type]
    assert set(found.schema) == {
        "column 'weight' is new", "column 'town' is gone", "column 'age' was integer and is numeric",
    }  # fmt: skip
    assert {item.column for item in found.movements} == {"income", "seen", "ill"}


def test_rows_that_came_in_are_compared_alone() -> None:
    old, more = patients(2_000, 1), patients(200, 2)
    more = changed(more, age=more.frame["age"] + 30)
    grown = Table(pd.concat([old.frame, more.frame], ignore_index=True), old.schema)
    found = drift(old, grown)
    assert (found.rows_kept, found.moved) == (2_000, ["age"])
    assert "200 rows that came in" in found.note
    # Lost among all rows: the reason why.
    assert not compare(old, grown.take(np.random.default_rng(0).permutation(2_200)[:900]), since="r1", seed=0).rows_kept


def test_a_few_rows_that_came_in_are_not_judged() -> None:
    old = patients(500, 1)
    found = drift(old, Table(pd.concat([old.frame, patients(5, 2).frame], ignore_index=True), old.schema))
    assert (found.movements, found.separation) == ([], None)
    assert found.note == "5 rows came in: too few to compare"


def test_of_each_group_one_row_counts() -> None:
    """Fifty patients with forty equal rows each are fifty observations."""
    rng = np.random.default_rng(0)
    kinds = {"patient": "categorical", "size": "numeric", "ill": "categorical"}

    def visits(start: int) -> Table:
        people = np.repeat(np.arange(start, start + 60), 40)
        size = np.repeat(rng.normal(size=60), 40)
        frame = pd.DataFrame({"patient": people.astype(str), "size": size, "ill": np.where(people % 2, "yes", "no")})
        return Table(frame, Schema(kinds, "ill", group="patient"))  # type: ignore[arg-type]

    flagged = [bool(drift(visits(100 * seed), visits(100 * seed + 7_000)).moved) for seed in range(6)]
    assert sum(flagged) == 0


@pytest.mark.parametrize(
    ("old", "new", "fresh"),
    [
        ([0, 1] * 30, [0, 1] * 30 + [0, 0, 1], [False] * 60 + [True] * 3),
        ([1] * 20 + [0, 1] * 30, [0, 1] * 30 + [1, 1], [False] * 60 + [True] * 2),
        ([0, 1] * 30, [1, 1, 0] * 20, None),
        (range(100), [*range(50, 100), 200, 7], [False] * 50 + [True, False]),
        (range(100), range(90, 190), None),
    ],
)
def test_rows_that_came_in_are_found_by_order_or_by_content(
    old: list[int], new: list[int], fresh: list[bool] | None
) -> None:
    found = arrived(np.array(old, dtype=np.uint64), np.array(new, dtype=np.uint64))
    assert (None if found is None else found.tolist()) == fresh


def pictures(n: int, seed: int, *, brighter: int = 0) -> ImageSet:
    rng = np.random.default_rng(seed)
    images = (rng.integers(0, 150, (n, 1, 16, 16)) + rng.integers(0, 40, (n, 1, 1, 1)) + brighter).astype(np.uint8)
    return ImageSet(images, rng.integers(0, 2, n), ("a", "b"))


def test_brighter_images_are_named_and_others_are_not() -> None:
    assert drift(pictures(200, 1), pictures(200, 2)).moved == []
    found = drift(pictures(200, 1), pictures(200, 2, brighter=25))
    assert found.moved == ["brightness"]
    assert found.separation is not None
    assert found.separation.low > max(0.6, found.separation.reference)


def test_images_of_another_size_and_class_are_told() -> None:
    new = pictures(100, 2)
    other = ImageSet(np.repeat(new.images, 2, axis=3), new.codes, ("a", "c"))
    found = drift(pictures(100, 1), other)
    assert found.schema == [
        "class 'c' is new",
        "class 'b' is gone",
        "images had 1 x 16 x 16 and have 1 x 16 x 32 numbers",
    ]
    assert found.separation is None
    assert "class" in found.moved
