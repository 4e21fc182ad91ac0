"""Each metric of tables must see the failure it exists for, and must not accuse honest data."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted import PEOPLE, emitted, marginals, people

from synthgen.config import EvaluationSize
from synthgen.datasets import Schema, Table
from synthgen.findings import Verdict
from synthgen.gates import judge, rules_for
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.fidelity.c2st import c2st_auc
from synthgen.metrics.fidelity.shapes import column_shapes, pair_trends
from synthgen.metrics.privacy.copies import excess_copies
from synthgen.metrics.privacy.identifiers import identifier_replay
from synthgen.metrics.privacy.membership import membership_tpr_at_1pct_fpr
from synthgen.metrics.utility.augmentation import CONTROLS, augmentation_gain, gain_over_controls
from synthgen.metrics.utility.tstr import tstr_gap

SIZE = EvaluationSize(max_rows=5_000, utility_seeds=3, bootstrap_rounds=50)
ROWS = 1_500


def evaluation(
    rng: np.random.Generator, synthetic: Table | None = None, *, train: Table | None = None, holdout: int = ROWS
) -> Evaluation:
    """Train and holdout of one population; an independent real sample unless other synthetic rows are given."""
    rows = [part or people(ROWS, rng) for part in (train, synthetic)]
    return Evaluation(rows[0], people(holdout, rng), rows[1], SIZE, probe=rows[1])


def with_replay(table: Table, train: Table, share: float) -> Table:
    """The rows, of which that share are training rows."""
    replayed = round(share * len(table))
    frame = pd.concat([train.frame.iloc[:replayed], table.frame.iloc[replayed:]], ignore_index=True)
    return replace(table, frame=frame)


def test_a_copy_of_train_is_seen_by_every_privacy_metric():
    rng = np.random.default_rng(0)
    train = people(ROWS, rng)
    given = evaluation(rng, train, train=train)
    assert identifier_replay(given).low > 0
    assert excess_copies(given).low > 0.9
    assert membership_tpr_at_1pct_fpr(given).low > 0.5


def test_names_are_replayed_even_with_quotes():
    rng = np.random.default_rng(1)
    train, fresh = people(ROWS, rng), people(ROWS, rng)
    names = fresh.frame["name"].where(np.arange(ROWS) >= 3, train.frame["name"])
    given = evaluation(rng, replace(fresh, frame=fresh.frame.assign(name=names)), train=train)
    assert identifier_replay(given).value == 3


def test_an_independent_real_sample_is_not_accused():
    given = evaluation(np.random.default_rng(2))
    assert identifier_replay(given).value == 0
    assert excess_copies(given).high <= 0.005
    assert membership_tpr_at_1pct_fpr(given).low <= 0.01
    assert c2st_auc(given).high < 0.6
    for metric in (column_shapes, pair_trends):
        finding = metric(given)
        assert finding.low <= finding.reference <= finding.high
    gap = tstr_gap(given)
    assert gap.low <= 0 <= gap.high


def test_independent_columns_are_private_and_easy_to_tell():
    rng = np.random.default_rng(3)
    train = people(ROWS, rng)
    given = evaluation(rng, emitted(marginals(train, rng)), train=train)
    assert c2st_auc(given).low > 0.9
    assert excess_copies(given).high <= 0.005
    assert membership_tpr_at_1pct_fpr(given).low <= 0.01
    # The shape of single columns is perfect: shapes alone are never enough.
    assert column_shapes(given).high > column_shapes(given).reference
    assert pair_trends(given).high < pair_trends(given).reference


def test_the_controls_of_membership_bracket_the_scale():
    detail = membership_tpr_at_1pct_fpr(evaluation(np.random.default_rng(4))).detail
    assert detail["control_independent"] == pytest.approx(0.01, abs=0.012)
    assert detail["control_leak"] == pytest.approx(0.06, abs=0.02)
    assert abs(detail["share_of_leak"]) < 0.4


def test_fifty_held_out_rows_decide_nothing():
    rng = np.random.default_rng(5)
    train = people(ROWS, rng)
    given = evaluation(rng, emitted(with_replay(people(ROWS, rng), train, 0.01)), train=train, holdout=50)
    finding = excess_copies(given)
    assert finding.low <= 0.001 < 0.005 < finding.high
    with pytest.raises(NotMeasurable, match="at least 100"):
        membership_tpr_at_1pct_fpr(given)


def test_swapping_train_and_holdout_turns_the_sign():
    rng = np.random.default_rng(6)
    train = people(ROWS, rng)
    given = evaluation(rng, emitted(train), train=train)
    swapped = replace(given, train=given.holdout, holdout=given.train)
    assert excess_copies(swapped).value == pytest.approx(-excess_copies(given).value)
    assert membership_tpr_at_1pct_fpr(swapped).high < 0.01


def test_wrong_labels_are_seen_by_a_classifier_trained_on_them():
    rng = np.random.default_rng(7)
    fresh = people(ROWS, rng)
    labels = fresh.frame["ill"].to_numpy()[rng.permutation(ROWS)]
    given = evaluation(rng, replace(fresh, frame=fresh.frame.assign(ill=labels)))
    assert tstr_gap(given).high < -0.1


def rare_only(table: Table) -> Table:
    """What the plan `balance` emits: rows of the rare class."""
    return table.take(np.flatnonzero(table.labels == "yes"))


def test_fresh_real_rows_of_the_rare_class_help_and_wrong_ones_harm():
    rng = np.random.default_rng(8)
    given = evaluation(rng, rare_only(people(3 * ROWS, rng)))
    gain = augmentation_gain(given)
    assert gain.low > 0
    common = people(4 * ROWS, rng)
    common = common.take(np.flatnonzero(common.labels == "no"))
    wrong = replace(common, frame=common.frame.assign(ill="yes"))
    assert augmentation_gain(replace(given, synthetic=wrong)).high < 0


def test_augmentation_is_compared_with_every_control():
    rng = np.random.default_rng(9)
    detail = augmentation_gain(evaluation(rng, rare_only(people(3 * ROWS, rng)))).detail
    assert set(detail["arms"]) == {"real", "synthetic", *CONTROLS}
    assert detail["best_control"] == max(CONTROLS, key=lambda arm: detail["gains"][arm]["value"])
    over_best = detail["arms"]["synthetic"] - detail["arms"][detail["best_control"]]
    assert detail["gain_over_best_control"]["value"] == pytest.approx(over_best)


def test_the_gain_over_controls_is_the_smallest_and_a_gain_by_threshold_alone_is_refused():
    rng = np.random.default_rng(13)
    given = evaluation(rng, rare_only(people(3 * ROWS, rng)))
    detail, over = augmentation_gain(given).detail, gain_over_controls(given)
    gains = [detail["arms"]["synthetic"] - detail["arms"][name] for name in CONTROLS]
    assert over.value == pytest.approx(min(gains))
    assert over.low == min(gain["low"] for gain in over.detail["over"].values())
    # A thousandth of the rows of a rare class: real alone is beaten by class weights, and so are ten fresh rows.
    few = gain_over_controls(replace(given, synthetic=rare_only(people(60, rng))))
    [rule] = [rule for rule in rules_for("table", "augment") if rule.metric == "gain_over_controls"]
    [judgement] = judge([rule], [few], [])
    assert (judgement.verdict, judgement.required) == (Verdict.FAIL, True)


def test_copies_gain_nothing_over_duplicated_rows():
    rng = np.random.default_rng(10)
    train = people(ROWS, rng)
    rare = np.flatnonzero(train.labels == "yes")
    given = evaluation(rng, train.take(rng.choice(rare, 900)), train=train)
    detail = augmentation_gain(given).detail
    assert detail["gains"]["synthetic"]["value"] == pytest.approx(
        detail["gains"]["random oversampling"]["value"], abs=0.03
    )
    assert detail["gain_over_best_control"]["low"] <= 0


@pytest.mark.parametrize("metric", [tstr_gap, augmentation_gain])
def test_utility_of_a_table_without_label_is_not_measurable(metric):
    given = evaluation(np.random.default_rng(11), holdout=60)
    parts = {
        side: replace(getattr(given, side), schema=Schema(PEOPLE, None))
        for side in ("train", "holdout", "synthetic", "probe")
    }
    with pytest.raises(NotMeasurable, match="no label"):
        metric(replace(given, **parts))


def test_tstr_needs_a_probe_with_every_class():
    given = evaluation(np.random.default_rng(12), holdout=60)
    with pytest.raises(NotMeasurable, match="class frequencies of train"):
        tstr_gap(replace(given, probe=None))
    with pytest.raises(NotMeasurable, match="1 of 2 classes"):
        tstr_gap(replace(given, probe=rare_only(given.probe)))
