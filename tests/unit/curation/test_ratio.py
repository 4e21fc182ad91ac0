from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthgen.curation import ratio
from synthgen.curation.ratio import SHARES, choose_ratio, keep_best_share
from synthgen.datasets import ImageSet, Schema, Splits, Table, class_counts, class_rows, load_data
from synthgen.metrics import augmented_images
from synthgen.metrics.augmented import thinned
from synthgen.metrics.image_classifier import Recipe
from synthgen.metrics.utility.augmentation import gains_by_share
from synthgen.sources import builtin

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
    chosen = choose_ratio(train, valid, only(people(3_000, 3, rare=0.5), "rare"), np.random.default_rng(0))
    assert chosen.share > 0
    assert chosen.gains[chosen.share]["low"] > 0
    assert chosen.gains[chosen.share]["value"] == max(gain["value"] for gain in chosen.gains.values())


def test_rows_that_only_move_the_threshold_and_blur_the_ranking_are_not_added() -> None:
    train, valid = people(1_500, 1, rare=0.03), people(1_500, 2, rare=0.03)
    # Called rare, but drawn like everybody.
    everybody = people(3_000, 3, rare=0.25)
    blurred = Table(everybody.frame.assign(y="rare"), SCHEMA)
    chosen = choose_ratio(train, valid, blurred, np.random.default_rng(0))
    assert chosen.share < 1
    assert chosen.share == 0 or chosen.gains[chosen.share]["roc_auc"] >= -0.005
    assert chosen.gains[1.0]["roc_auc"] < -0.005


def test_rows_that_teach_nothing_are_not_added() -> None:
    train, valid = people(1_500, 1, rare=0.5), people(1_500, 2, rare=0.5)
    wrong = people(1_500, 3, rare=0.5)
    shuffled = wrong.frame.assign(y=np.random.default_rng(0).permutation(wrong.frame["y"]))
    chosen = choose_ratio(train, valid, Table(shuffled, SCHEMA), np.random.default_rng(0))
    assert chosen.share == 0
    assert set(chosen.gains) == set(SHARES)
    assert "beyond chance" in chosen.reason


def test_nothing_is_added_when_valid_cannot_tell() -> None:
    train = people(300, 1, rare=0.3)
    chosen = choose_ratio(train, train.take(np.arange(5)), people(200, 3, rare=0.5), np.random.default_rng(0))
    assert chosen.share == 0
    assert "not measurable on valid" in chosen.reason


def test_the_rows_that_are_kept_are_those_whose_gain_was_proven(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(ratio, "SHARES", (0.1, 0.4))
    parts = Splits(people(1_500, 1, rare=0.03), people(1_500, 2, rare=0.03), people(10, 4, rare=0.5))
    only(people(3_000, 3, rare=0.5), "rare").save(tmp_path)
    chosen = keep_best_share(parts, tmp_path, np.random.default_rng(0))
    kept = load_data(tmp_path)
    assert chosen["share"] in (0.1, 0.4)
    again = gains_by_share(parts.train, parts.valid, {1.0: kept}, seeds=5)
    assert again[1.0]["value"] == chosen["gains"][chosen["share"]]["value"]


def test_of_rows_that_teach_nothing_the_fewest_that_were_tested_are_kept(tmp_path) -> None:
    wrong = people(400, 3, rare=0.5)
    rows = Table(wrong.frame.assign(y=np.random.default_rng(0).permutation(wrong.frame["y"])), SCHEMA)
    rows.save(tmp_path)
    parts = Splits(people(400, 1, rare=0.5), people(400, 2, rare=0.5), people(10, 4, rare=0.5))
    assert keep_best_share(parts, tmp_path, np.random.default_rng(0))["share"] == 0
    tested = thinned(rows, min(SHARES), np.random.default_rng(0))
    assert load_data(tmp_path).fingerprint() == tested.fingerprint()


@pytest.mark.usefixtures("short")
def test_the_images_that_are_kept_are_those_that_were_tested(digits, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(ratio, "SHARES", (0.5, 0.9))
    digits["fresh"].save(tmp_path)
    chosen = keep_best_share(
        Splits(digits["train"], digits["valid"], digits["train"]), tmp_path, np.random.default_rng(0)
    )
    rng = np.random.default_rng(0)
    tested = {share: thinned(digits["fresh"], share, rng) for share in (0.5, 0.9)}
    assert chosen["share"] in tested
    assert load_data(tmp_path).fingerprint() == tested[chosen["share"]].fingerprint()


def test_the_intervals_of_all_shares_hold_together() -> None:
    train, valid = people(1_500, 1, rare=0.1), people(1_500, 2, rare=0.1)
    rows = only(people(600, 3, rare=0.5), "rare")
    alone = gains_by_share(train, valid, {1.0: rows}, seeds=5)[1.0]
    of_three = gains_by_share(train, valid, {0.05: rows, 0.25: rows, 1.0: rows}, seeds=5)[1.0]
    assert of_three["value"] == alone["value"]
    # Bonferroni: 98.3 % of the normal distribution lie within 2.39 standard errors, 95 % within 1.96.
    wider = (of_three["value"] - of_three["low"]) / (alone["value"] - alone["low"])
    assert 1.22 <= wider < 1.4


@pytest.mark.parametrize(("share", "rare"), [(1.0, 200), (0.25, 50), (0.05, 10), (0.001, 1)])
def test_a_share_is_taken_of_every_class(share: float, rare: int) -> None:
    rows = only(people(2_000, 1, rare=0.5), "rare").take(np.arange(200))
    assert class_counts(thinned(rows, share, np.random.default_rng(0))) == {"rare": rare}


@pytest.fixture(scope="module")
def digits() -> dict[str, ImageSet]:
    """Three digits have 6 training images each; `fresh` are real images of them that nothing else holds."""
    every, rare = builtin.digits().data, ("3", "5", "8")
    assert isinstance(every, ImageSet)
    order = np.random.default_rng(0).permutation(len(every))
    train, valid, fresh = (every.take(order[part]) for part in (slice(700), slice(700, 1_200), slice(1_200, None)))
    kept = [class_rows(train, name)[: 6 if name in rare else None] for name in train.classes]
    added = np.concatenate([class_rows(fresh, name) for name in rare])
    return {"train": train.take(np.concatenate(kept)), "valid": valid, "fresh": fresh.take(added)}


@pytest.fixture
def short(monkeypatch) -> None:
    monkeypatch.setattr(augmented_images, "RECIPE", Recipe(steps=80))
    monkeypatch.setattr(ratio, "SHARES", (0.25, 1.0))


@pytest.mark.usefixtures("short")
def test_fresh_images_of_rare_classes_are_worth_adding(digits) -> None:
    chosen = choose_ratio(digits["train"], digits["valid"], digits["fresh"], np.random.default_rng(0))
    assert chosen.share == 1
    assert "real images drawn again" in chosen.reason


@pytest.mark.usefixtures("short")
def test_training_images_drawn_again_are_not_added_as_synthetic_ones(digits) -> None:
    train = digits["train"]
    rows = np.concatenate([np.resize(class_rows(train, name), 40) for name in ("3", "5", "8")])
    chosen = choose_ratio(train, digits["valid"], train.take(rows), np.random.default_rng(0))
    assert chosen.share == 0
    assert "no share helps" in chosen.reason


def test_images_are_not_added_when_valid_cannot_tell(digits) -> None:
    few = digits["valid"].take(np.arange(40))
    chosen = choose_ratio(digits["train"], few, digits["fresh"], np.random.default_rng(0))
    assert (chosen.share, chosen.gains) == (0, {})
    assert "50 valid images" in chosen.reason


@pytest.mark.usefixtures("short")
def test_images_of_the_wrong_class_are_not_added(digits) -> None:
    wrong = replace(digits["fresh"], codes=(digits["fresh"].codes + 1) % 10)
    assert choose_ratio(digits["train"], digits["valid"], wrong, np.random.default_rng(0)).share == 0
