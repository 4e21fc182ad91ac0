import numpy as np
import pandas as pd
import pytest

from synthgen.curation.ratio import SHARES, choose_ratio
from synthgen.datasets import Schema, Table, class_counts
from synthgen.metrics.augmented import thinned

SCHEMA = Schema({"a": "numeric", "b": "numeric", "y": "categorical"}, label="y")


def people(n: int, seed: int, *, rare: float) -> Table:
    rng = np.random.default_rng(seed)
    y = rng.random(n) < rare
    a = rng.normal(np.where(y, 1.2, 0.0), 1.0)
    b = rng.normal(np.where(y, -1.2, 0.0), 1.0)
    return Table(pd.DataFrame({"a": a, "b": b, "y": np.where(y, "rare", "common")}), SCHEMA)


def only(table: Table, label: str) -> Table:
    return table.take(np.flatnonzero(table.labels == label))


def test_fresh_rows_of_a_rare_class_are_worth_adding() -> None:
    train, valid = people(1_500, 1, rare=0.03), people(1_500, 2, rare=0.03)
    ratio = choose_ratio(train, valid, only(people(3_000, 3, rare=0.5), "rare"), np.random.default_rng(0))
    assert ratio.share > 0
    assert ratio.gains[ratio.share]["low"] > 0
    assert ratio.gains[ratio.share]["value"] == max(gain["value"] for gain in ratio.gains.values())


def test_rows_that_only_move_the_threshold_and_blur_the_ranking_are_not_added() -> None:
    train, valid = people(1_500, 1, rare=0.03), people(1_500, 2, rare=0.03)
    # Called rare, but drawn like everybody.
    everybody = people(3_000, 3, rare=0.25)
    blurred = Table(everybody.frame.assign(y="rare"), SCHEMA)
    ratio = choose_ratio(train, valid, blurred, np.random.default_rng(0))
    assert ratio.share < 1
    assert ratio.share == 0 or ratio.gains[ratio.share]["roc_auc"] >= -0.005
    assert ratio.gains[1.0]["roc_auc"] < -0.005


def test_rows_that_teach_nothing_are_not_added() -> None:
    train, valid = people(1_500, 1, rare=0.5), people(1_500, 2, rare=0.5)
    wrong = people(1_500, 3, rare=0.5)
    shuffled = wrong.frame.assign(y=np.random.default_rng(0).permutation(wrong.frame["y"]))
    ratio = choose_ratio(train, valid, Table(shuffled, SCHEMA), np.random.default_rng(0))
    assert ratio.share == 0
    assert set(ratio.gains) == set(SHARES)
    assert "beyond chance" in ratio.reason


def test_nothing_is_added_when_valid_cannot_tell() -> None:
    train = people(300, 1, rare=0.3)
    ratio = choose_ratio(train, train.take(np.arange(5)), people(200, 3, rare=0.5), np.random.default_rng(0))
    assert ratio.share == 0
    assert "not measurable on valid" in ratio.reason


@pytest.mark.parametrize(("share", "rare"), [(1.0, 200), (0.25, 50), (0.05, 10), (0.001, 1)])
def test_a_share_is_taken_of_every_class(share: float, rare: int) -> None:
    rows = only(people(2_000, 1, rare=0.5), "rare").take(np.arange(200))
    assert class_counts(thinned(rows, share, np.random.default_rng(0))) == {"rare": rare}
