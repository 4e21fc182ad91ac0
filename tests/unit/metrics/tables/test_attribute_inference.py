"""What an attacker guesses about participants beyond strangers: planted leaks are seen, honest data is not accused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthgen.config import EvaluationSize
from synthgen.datasets import Schema, Table
from synthgen.findings import Finding, NotMeasured, Verdict
from synthgen.gates import judge, rules_for
from synthgen.metrics.evaluation import Evaluation, NotApplicable, NotMeasurable
from synthgen.metrics.privacy.attribute_inference import attribute_inference, bin_cuts
from synthgen.metrics.privacy.excess import Success, excess_success, matched_success, plain_success

SIZE = EvaluationSize(max_rows=5_000, utility_seeds=1, bootstrap_rounds=10)
KINDS = {
    "height": "numeric", "weight": "numeric", "balance": "numeric", "city": "categorical", "ill": "categorical",
    "note": "text",
}  # fmt: skip
ROWS = 900


def people(n: int, rng: np.random.Generator) -> Table:
    """Independent rows of one population; balance is often negative, city depends on weight."""
    health = rng.normal(size=n)
    weight = np.round(70 + 8 * health + 4 * rng.normal(size=n), 1)
    frame = pd.DataFrame(
        {
            "height": np.round(170 + 9 * health + 4 * rng.normal(size=n), 1),
            "weight": weight,
            "balance": np.round(-300 + 500 * rng.normal(size=n), 2),
            "city": np.array(["Coeur d'Alene", "L'Aquila", "Rome"])[
                np.digitize(weight + 9 * rng.normal(size=n), [65, 75])
            ],
            "ill": np.where(rng.normal(size=n) - health > 1, "yes", "no"),
            "note": "x",
        }
    )
    return Table(frame, Schema(KINDS, "ill", secrets=("city", "balance")))


def evaluation(seed: int, *, share: float = 0.0, holdout: int = ROWS, secrets: tuple[str, ...] = ()) -> Evaluation:
    """Fresh rows of which that share is replaced by training rows."""
    rng = np.random.default_rng(seed)
    train, control, fresh = people(ROWS, rng), people(holdout, rng), people(ROWS, rng)
    copied = round(share * ROWS)
    frame = pd.concat([train.frame[:copied], fresh.frame[copied:]], ignore_index=True)
    given = Evaluation(train, control, replace(fresh, frame=frame), SIZE)
    return with_secrets(given, secrets) if secrets else given


def with_secrets(given: Evaluation, secrets: tuple[str, ...]) -> Evaluation:
    """The same with other secrets declared."""
    parts = {side: getattr(given, side) for side in ("train", "holdout", "synthetic")}
    return replace(
        given, **{side: replace(part, schema=replace(part.schema, secrets=secrets)) for side, part in parts.items()}
    )


def with_synthetic(given: Evaluation, **columns: object) -> Evaluation:
    """The same with these columns of the synthetic rows."""
    return replace(given, synthetic=replace(given.synthetic, frame=given.synthetic.frame.assign(**columns)))


def verdict(*findings: Finding, missing: tuple[NotMeasured, ...] = ()) -> Verdict:
    """What the default rule says."""
    rules = [rule for rule in rules_for("table", "share") if rule.metric == "attribute_inference"]
    assert rules[0].required
    return judge(rules, findings, missing)[0].verdict


def test_a_copy_of_train_fails():
    finding = attribute_inference(evaluation(0, share=1.0))
    assert finding.low > 0.9
    assert verdict(finding) is Verdict.FAIL


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("holdout", [ROWS, ROWS // 3])
def test_an_independent_real_sample_is_not_accused(seed, holdout):
    finding = attribute_inference(evaluation(10 + seed, holdout=holdout))
    assert finding.low <= 0
    assert verdict(finding) is not Verdict.FAIL
    assert finding.n == holdout


@pytest.mark.parametrize("seed", range(3))
def test_independent_columns_are_not_accused(seed):
    given = evaluation(20 + seed)
    rng = np.random.default_rng(seed)
    alone = given.train.frame.apply(lambda column: column.to_numpy()[rng.permutation(ROWS)])
    assert attribute_inference(replace(given, synthetic=replace(given.train, frame=alone))).low <= 0


def test_many_attacked_people_let_honest_data_pass():
    rng = np.random.default_rng(3)
    parts = [people(n, rng) for n in (5_000, 5_000, 1_000)]
    finding = attribute_inference(with_secrets(Evaluation(*parts, SIZE), ("balance",)))
    assert finding.n == 5_000
    assert verdict(finding) is Verdict.PASS


def test_more_copies_are_a_larger_excess():
    found = [attribute_inference(evaluation(4, share=share)).value for share in (0.0, 0.3, 1.0)]
    assert found == sorted(found)
    assert found[1:] == pytest.approx([0.3, 1.0], abs=0.1)


def test_jittered_copies_are_seen():
    given = evaluation(5, share=1.0, secrets=("city",))
    jitter = np.random.default_rng(5).normal(0, 0.1, (2, ROWS))
    frame = given.synthetic.frame
    assert attribute_inference(with_synthetic(given, height=frame["height"] + jitter[0])).low > 0.5


def test_the_secret_that_leaks_is_named_and_the_other_is_not_accused():
    given = evaluation(6, share=1.0)
    shuffled = np.random.default_rng(6).permutation(given.synthetic.frame["city"].to_numpy())
    detail = attribute_inference(with_synthetic(given, city=shuffled)).detail
    assert detail["secret"] == "balance"
    assert detail["secrets"]["balance"]["low"] > 0.3
    assert detail["secrets"]["city"]["low"] <= 0


def test_negative_guesses_are_no_hits():
    given = evaluation(7, secrets=("balance",))
    finding = attribute_inference(with_synthetic(given, balance=-1e6 - np.arange(ROWS)))
    # All in the lowest tenth: right about those who are there, and only about them.
    assert finding.detail["right_about_members"] == pytest.approx(0.1, abs=0.01)
    assert finding.low <= 0 <= finding.high


def test_secrets_that_differ_between_all_people_are_seen_when_copied():
    given = evaluation(8, share=1.0, secrets=("city",))
    for side in ("train", "holdout", "synthetic"):
        part = getattr(given, side)
        own = side == "holdout"
        names = [f"{'h' if own else 't'}'{number}" for number in range(len(part))]
        given = replace(given, **{side: replace(part, frame=part.frame.assign(city=names))})
    assert attribute_inference(given).low > 0.9


def test_train_and_holdout_swapped_changes_the_sign():
    given = evaluation(9, share=0.5, secrets=("balance",))
    swapped = attribute_inference(replace(given, train=given.holdout, holdout=given.train))
    assert attribute_inference(given).low > 0.3
    assert swapped.high < -0.3


def test_the_controls_bracket_the_scale():
    given = evaluation(40, secrets=("balance",))
    finding = attribute_inference(given)
    assert finding.detail["control_independent"] == pytest.approx(0, abs=0.05)
    assert finding.detail["control_leak"] == pytest.approx(0.05, abs=0.05)
    assert finding.detail["control_leak"] > finding.detail["control_independent"]
    assert finding.reference == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize("secrets", [("note",), ("nobody",)])
def test_without_a_synthesised_secret_there_is_nothing_to_infer(secrets):
    with pytest.raises(NotApplicable, match="no synthesised column is declared a secret"):
        attribute_inference(with_secrets(evaluation(41), secrets))


def test_without_another_column_there_is_nothing_to_infer_from():
    given = evaluation(42)
    schema = Schema({"city": "categorical"}, None, secrets=("city",))
    parts = {side: Table(getattr(given, side).frame[["city"]], schema) for side in ("train", "holdout", "synthetic")}
    with pytest.raises(NotApplicable, match="no column beside the secret"):
        attribute_inference(replace(given, **parts))


def test_fifty_held_out_rows_decide_nothing():
    with pytest.raises(NotMeasurable, match="fewer than 100") as reason:
        attribute_inference(evaluation(43, share=1.0, holdout=50))
    assert not isinstance(reason.value, NotApplicable)
    missing = NotMeasured("attribute_inference", "privacy", str(reason.value))
    assert verdict(missing=(missing,)) is Verdict.INCONCLUSIVE


def test_one_secret_that_is_hardly_known_leaves_the_question_open():
    given = evaluation(44)
    for side in ("train", "holdout"):
        part = getattr(given, side)
        given = replace(
            given,
            **{side: replace(part, frame=part.frame.assign(city=part.frame["city"].where(part.frame.index < 20)))},
        )
    with pytest.raises(NotMeasurable, match="'city' is missing in nearly all rows"):
        attribute_inference(given)


@pytest.mark.parametrize("level", [None, "Rome"])
def test_a_secret_that_is_withheld_or_constant_gives_nothing_away(level):
    given = evaluation(45, share=1.0, secrets=("city",))
    finding = attribute_inference(with_synthetic(given, city=np.full(ROWS, level, dtype=object)))
    assert finding.low <= 0 <= finding.high <= 0.1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(np.arange(100.0), np.arange(9, 90, 10), id="continuous"),
        pytest.param(-np.arange(100.0), np.arange(-90, -9, 10), id="negative"),
        pytest.param([0, 0, 1, 1, 1], [1], id="two values"),
        pytest.param([7, 7], [], id="one value"),
    ],
)
def test_numbers_are_cut_into_tenths(values, expected):
    assert bin_cuts(np.asarray(values, dtype=float)) == pytest.approx(np.asarray(expected, dtype=float), abs=1)


def test_a_frequent_number_has_its_own_bin():
    cuts = bin_cuts(np.concatenate([np.zeros(900), np.arange(-50.0, 0), np.arange(1.0, 51)]))
    bins = np.searchsorted(cuts, [-1e-9, 0, 1e-9], "right")
    assert len(set(bins.tolist())) == 3
    assert len(cuts) == pytest.approx(10, abs=1)


@pytest.mark.parametrize(
    ("members", "strangers", "expected"),
    [(0.6, 0.5, 0.2), (0.5, 0.5, 0.0), (0.0, 0.5, -1.0), (1.0, 0.9, 1.0), (1.0, 1.0, 0.0), (0.9, 1.0, -1.0)],
)
def test_excess_is_the_share_of_what_strangers_keep(members, strangers, expected):
    found = excess_success(Success(members, 1e-6), Success(strangers, 1e-6))
    assert found.value == pytest.approx(expected)
    assert -1 <= found.low <= found.value <= found.high <= 1


def test_the_interval_of_the_excess_holds_it_95_times_in_100():
    rng = np.random.default_rng(46)
    truth = 1 - (1 - 0.3) / (1 - 0.2)
    held = []
    for _ in range(1_000):
        found = excess_success(*(plain_success(rng.random(400) < rate) for rate in (0.3, 0.2)))
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)


def test_more_tests_lower_the_low_end_alone():
    sides = Success(0.5, 1e-4), Success(0.4, 1e-4)
    one, six = excess_success(*sides), excess_success(*sides, tests=6)
    assert six.low < one.low
    assert (six.value, six.high) == (one.value, one.high)


def test_both_sides_are_standardised_to_the_same_strata():
    # Rare values are never guessed, frequent ones always: 40 and 20 rare ones would look like a difference.
    strata = np.repeat([0, 1, 0, 1], [60, 40, 80, 20])
    members, strangers = matched_success(strata == 0, strata, 100)
    assert members.rate == strangers.rate == pytest.approx(0.7)
    assert 0 < members.variance < plain_success((strata == 0)[:100]).variance


def test_thin_strata_count_as_one():
    strata = np.arange(200)
    members, strangers = matched_success(np.arange(200) < 50, strata, 100)
    assert (members.rate, strangers.rate) == (0.5, 0.0)
