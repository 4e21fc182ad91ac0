"""Attacks on the rarest people and on groups, against a known leak, and beside them the distances vendors print."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from synthgen.config import EvaluationSize
from synthgen.datasets import Schema, Table
from synthgen.gates import DEFAULT_RULES
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.neighbours import embed
from synthgen.metrics.privacy.crowd import exposure
from synthgen.metrics.privacy.distances import dcr_share, nndr
from synthgen.metrics.privacy.membership import membership_share_of_leak, membership_tpr_at_1pct_fpr
from synthgen.metrics.privacy.membership_rare import RARE, membership_rare
from synthgen.metrics.table_features import encode

SIZE = EvaluationSize(max_rows=5_000, utility_seeds=1, bootstrap_rounds=100)
LIMITS = {rule.metric: rule.at_most for rule in DEFAULT_RULES["table"]}
ROWS = 2_000
CITIES = [0.40, 0.25, 0.15, 0.10, 0.05, 0.03, 0.01, 0.01]


def people(n: int, rng: np.random.Generator) -> Table:
    """Independent rows of one population with tails, rare cities, and protected columns of both kinds."""
    z = rng.normal(size=(n, 2))
    amounts = {f"amount{i}": np.exp(0.8 * z[:, i % 2] + 0.6 * rng.normal(size=n)) for i in range(5)}
    frame = pd.DataFrame(
        {
            **amounts,
            "age": rng.integers(18, 90, n),
            "city": rng.choice(list("abcdefgh"), n, p=CITIES),
            "sex": rng.choice(["f", "m"], n, p=[0.2, 0.8]),
            "ill": np.where(z[:, 0] + rng.normal(size=n) > 1, "yes", "no"),
        }
    )
    kinds = dict.fromkeys(amounts, "numeric") | {"age": "integer"}
    kinds |= dict.fromkeys(("city", "sex", "ill"), "categorical")
    return Table(frame, Schema(kinds, "ill", protected=("sex", "age")))


def evaluation(seed: int, *, rows: int = ROWS, replayed: object = None) -> Evaluation:
    """Fresh rows on every side; `replayed` maps train to the positions of rows that stand among the synthetic ones."""
    rng = np.random.default_rng(seed)
    train, holdout, synthetic = (people(rows, rng) for _ in range(3))
    if callable(replayed):
        rare = train.frame.iloc[replayed(train)]
        frame = pd.concat([rare, synthetic.frame.iloc[len(rare) :]], ignore_index=True)
        synthetic = replace(synthetic, frame=frame)
    return Evaluation(train, holdout, synthetic, SIZE, seed=seed)


def far_from_all(table: Table) -> np.ndarray:
    """The 5 % farthest from their fifth nearest neighbour, numbers and categories at unit variance."""
    (rows,) = encode([table], table.schema.modelled)
    columns = np.column_stack([rows.numeric, *(codes[:, None] == np.unique(codes) for codes in rows.codes.T)])
    scaled = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    return np.argsort(-np.partition(cdist(scaled, scaled), 5, axis=1)[:, 5])[: len(table) // 20]


def far_in_ranks(table: Table) -> np.ndarray:
    """The 5 % farthest from their fifth nearest neighbour, numbers by rank."""
    (rows,) = encode([table], table.schema.modelled)
    points = embed(rows, rows).numpy()
    return np.argsort(-np.partition(cdist(points, points), 5, axis=1)[:, 5])[: len(table) // 20]


@pytest.mark.parametrize("rarest", [far_from_all, far_in_ranks])
@pytest.mark.parametrize("seed", range(2))
def test_a_replay_of_the_rarest_rows_only_is_refused(rarest, seed):
    finding = membership_rare(evaluation(seed, replayed=rarest))
    assert finding.low > LIMITS["membership_rare"]
    assert finding.detail["worst"] == RARE


@pytest.mark.parametrize("seed", range(100, 104))
def test_fresh_rows_are_not_accused(seed):
    given = evaluation(seed)
    rare, share = membership_rare(given), membership_share_of_leak(given)
    assert rare.low <= 0.01
    assert min(group["p_guessing"] for group in rare.detail["groups"]) > 0.05
    assert share.low <= 0 <= share.high < 1


def test_both_controls_are_of_the_same_groups():
    detail = membership_rare(evaluation(100)).detail
    assert detail["control_independent"] < LIMITS["membership_rare"] < detail["control_leak"]


def test_a_leak_of_one_group_is_seen_in_that_group():
    given = evaluation(20, replayed=lambda train: np.flatnonzero(train.frame["sex"] == "f")[:150])
    finding = membership_rare(given)
    assert finding.low > LIMITS["membership_rare"]
    assert finding.detail["worst"] == "sex = f"
    named = {group["group"] for group in finding.detail["groups"] if group["p_guessing"] < 0.05}
    assert "sex = f" in named
    assert "sex = m" not in named


def test_groups_have_names_and_small_ones_are_listed():
    given = evaluation(21, rows=1_400)
    detail = membership_rare(given).detail
    ages = [f"age, quarter {number} of 4" for number in (1, 2, 3, 4)]
    assert [group["group"] for group in detail["groups"]] == [RARE, "sex = m", *ages]
    assert detail["not_measurable"] == ["sex = f"]


def test_a_table_without_protected_columns_is_asked_about_its_rarest_rows():
    given = evaluation(22)
    bare = {
        side: replace(getattr(given, side), schema=replace(given.train.schema, protected=()))
        for side in ("train", "holdout", "synthetic")
    }
    assert [group["group"] for group in membership_rare(replace(given, **bare)).detail["groups"]] == [RARE]


def test_fifty_rare_people_decide_nothing():
    finding = membership_rare(evaluation(23, rows=500))
    assert finding.low < LIMITS["membership_rare"] < finding.high
    with pytest.raises(NotMeasurable, match="rare people"):
        membership_rare(evaluation(23, rows=130))


@pytest.mark.parametrize(("replayed_share", "expected"), [(0.05, 1.0), (0.02, 0.4)])
def test_a_leak_is_measured_in_units_of_the_known_leak(replayed_share, expected):
    finding = membership_share_of_leak(
        evaluation(24, rows=3_000, replayed=lambda train: np.arange(round(replayed_share * len(train))))
    )
    assert finding.low <= expected <= finding.high
    assert finding.high - finding.low < 0.8
    assert (finding.low > LIMITS["membership_share_of_leak"]) == (expected == 1.0)


def test_the_share_is_not_measurable_when_the_known_leak_is_not_seen():
    given = evaluation(25)
    # 5 % of 60 rows are 3 of 2,000 members.
    few = replace(given, synthetic=given.synthetic.take(np.arange(60)))
    with pytest.raises(NotMeasurable, match="does not stand out"):
        membership_share_of_leak(few)


def test_all_metrics_of_an_evaluation_ask_one_crowd():
    given = evaluation(26, rows=300)
    assert exposure(given) is exposure(given)
    assert exposure(replace(given)) is not exposure(given)
    detail = membership_tpr_at_1pct_fpr(given).detail
    share = membership_share_of_leak(evaluation(26))
    assert detail.keys() == {"attack", "control_independent", "control_leak", "share_of_leak"}
    assert share.value == membership_tpr_at_1pct_fpr(evaluation(26)).detail["share_of_leak"]


def test_distances_equal_those_of_all_pairs():
    given = evaluation(27, rows=400)
    exposed = exposure(given)
    points = exposed.crowd.points.double().numpy()
    rows = embed(exposed.synthetic, exposed.crowd.people).double().numpy()
    to_members, to_strangers = (
        np.sort(cdist(rows, side), axis=1) for side in np.split(points, [exposed.crowd.members])
    )
    nearer = (to_members[:, 0] < to_strangers[:, 0]) + 0.5 * (to_members[:, 0] == to_strangers[:, 0])
    assert dcr_share(given).value == pytest.approx(nearer.mean(), abs=1e-9)
    assert nndr(given).value == pytest.approx(np.median(to_members[:, 0] / to_members[:, 1]), abs=1e-4)


def test_a_few_copies_do_not_show_in_distances_which_therefore_gate_nothing():
    given = evaluation(28, replayed=lambda train: np.arange(round(0.03 * len(train))))
    assert dcr_share(given).value < 0.55
    assert nndr(given).detail["low_quantile"] > 0
    assert membership_tpr_at_1pct_fpr(given).low > 0.02
    assert not {"dcr_share", "nndr"} & LIMITS.keys()


def test_copies_of_everything_show_in_distances():
    given = evaluation(29, rows=400)
    copied = replace(given, synthetic=given.train)
    assert dcr_share(copied).low > 0.9
    assert nndr(copied).value == 0


def test_error_of_the_dcr_share_equals_that_of_fresh_samples():
    found = [dcr_share(evaluation(400 + seed, rows=150)) for seed in range(30)]
    claimed = np.mean([(finding.high - finding.low) / (2 * 1.96) for finding in found])
    assert claimed == pytest.approx(np.std([finding.value for finding in found], ddof=1), rel=0.35)
