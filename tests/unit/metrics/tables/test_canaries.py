"""Planted records: how they are made up, what guesses about them prove, and who is accused."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from synthgen.canaries import MIN_CANARIES, Canaries, Watch, planted_among, toss
from synthgen.config import EvaluationSize, GateConfig, parse_constraints
from synthgen.constraints import violations
from synthgen.datasets import Schema, Splits, Table, concat
from synthgen.errors import ConfigError
from synthgen.findings import Finding, Verdict
from synthgen.gates import judge, rules_for
from synthgen.metrics.evaluation import Evaluation, NotApplicable, NotMeasurable
from synthgen.metrics.privacy.canaries import MOST_EPSILON, canary_epsilon, p_value, proved_epsilon

SIZE = EvaluationSize(max_rows=5_000, utility_seeds=1, bootstrap_rounds=10)
KINDS = {
    "name": "id", "age": "integer", "income": "numeric", "since": "datetime", "city": "categorical",
    "smokes": "boolean", "ill": "categorical",
}  # fmt: skip
NUMBERS = ["age", "income", "since"]


def people(n: int, rng: np.random.Generator) -> Table:
    """Independent rows of one population."""
    health = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "name": [f"O'Brien-{number}" for number in rng.integers(0, 10**12, n)],
            "age": np.round(45 - 9 * health + 5 * rng.normal(size=n)).astype(int),
            "income": np.where(rng.random(n) < 0.1, np.nan, np.round(np.exp(10 + health + rng.normal(size=n)), 2)),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
            "city": rng.choice(list("abcd"), n, p=[0.6, 0.3, 0.08, 0.02]),
            "smokes": rng.random(n) < 1 / (1 + np.exp(2 * health)),
            "ill": np.where(rng.normal(size=n) - 1.5 * health > 1.2, "yes", "no"),
        }
    )
    return Table(frame, Schema(KINDS, "ill"))


def splits(rng: np.random.Generator, train: int = 8_000) -> Splits:
    return Splits(*(people(n, rng) for n in (train, 500, 1_500)))


def marginals(table: Table, n: int, rng: np.random.Generator) -> Table:
    """What a model emits that has learnt each column, and nothing of a row."""
    frame = table.modelled.apply(lambda column: column.to_numpy()[rng.integers(0, len(column), n)])
    return Table(frame.astype(table.modelled.dtypes), table.schema)


def found(parts: Splits, canaries: Canaries | None, synthetic: Table, probe: Table | None = None) -> Finding:
    return canary_epsilon(Evaluation(parts.train, parts.holdout, synthetic, SIZE, probe=probe, canaries=canaries))


def verdict(finding: Finding, epsilon: float | None = None) -> Verdict:
    rules = rules_for("table", "share", profile="release", epsilon=epsilon)
    return judge([rule for rule in rules if rule.metric == "canary_epsilon"], [finding], [])[0].verdict


def test_canaries_are_new_combinations_of_known_values() -> None:
    rng = np.random.default_rng(0)
    parts = splits(rng)
    canaries = toss(parts, 400, rng)
    rows = canaries.rows.frame
    assert len(canaries) == len(np.unique(canaries.rows.row_keys())) == 400
    for part in (parts.train, parts.valid, parts.holdout):
        assert not np.isin(canaries.rows.row_keys(), part.row_keys()).any()
    for name in rows:
        assert set(rows[name].dropna()) <= set(parts.train.frame[name]), name
        assert rows[name].dtype == parts.train.frame[name].dtype, name
    for name in NUMBERS:
        low, high = parts.train.frame[name].quantile([0.06, 0.94])
        assert ((rows[name] <= low) | (rows[name] >= high)).all(), name
    assert "name" not in rows
    assert (rows["ill"] == "yes").mean() == pytest.approx((parts.train.labels == "yes").mean(), abs=0.08)
    assert canaries.planted.mean() == pytest.approx(0.5, abs=0.1)


def test_canaries_keep_constraints() -> None:
    rng = np.random.default_rng(1)
    x, step = rng.integers(0, 50, 3_000), rng.integers(1, 9, 3_000)
    frame = pd.DataFrame(
        {"x": x, "y": x + step, "twice": 2 * x, "code": np.arange(3_000.0), "c": rng.choice(list("ab"), 3_000)}
    )
    frame["kind"] = np.where(frame["c"] == "a", "plain", rng.choice(["rare", "odd"], 3_000))
    raw = [
        {"kind": "inequality", "low": "x", "high": "y", "strict": True},
        {"kind": "formula", "column": "twice", "formula": "2 * x"},
        {"kind": "fixed_combinations", "columns": ["c", "kind"]},
        {"kind": "unique", "columns": ["code", "x"]},
    ]
    kinds = {
        "x": "integer",
        "y": "integer",
        "twice": "integer",
        "code": "numeric",
        "c": "categorical",
        "kind": "categorical",
    }
    table = Table(frame, Schema(kinds, None, constraints=parse_constraints(raw)))
    train, valid, holdout = (table.take(np.arange(*ends)) for ends in ((0, 2_000), (2_000, 2_500), (2_500, 3_000)))
    canaries = toss(Splits(train, valid, holdout), 100, rng)
    both = concat([train, canaries.rows])
    assert len(canaries) == 100
    assert isinstance(both, Table)
    assert not any(broken.any() for broken in violations(both, train).values())


@pytest.mark.parametrize(
    ("train", "at_most", "expected"),
    [(8_000, 400, 400), (2_000, 400, 100), (959, 400, 0), (4_000, 47, 0), (4_000, 0, 0)],
)
def test_at_most_one_in_forty_training_rows_is_made_up(train: int, at_most: int, expected: int) -> None:
    rng = np.random.default_rng(2)
    canaries = toss(splits(rng, train), at_most, rng)
    assert len(canaries) == expected
    assert canaries.note().severity == ("info" if expected else "warning")


def test_a_table_that_holds_every_combination_has_no_canaries() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"a": rng.integers(0, 2, 2_000).astype(bool), "ill": rng.choice(["no", "yes"], 2_000)})
    table = Table(frame, Schema({"a": "boolean", "ill": "categorical"}, "ill"))
    canaries = toss(Splits(table, table, table), 200, rng)
    assert len(canaries) == 0
    assert "too few could be made up" in canaries.note().message
    with pytest.raises(NotMeasurable, match="0 made-up records"):
        canary_epsilon(Evaluation(table, table, table, SIZE, canaries=canaries))


def test_planting_adds_the_planted_alone_and_says_so() -> None:
    rng = np.random.default_rng(4)
    parts = splits(rng, 2_000)
    canaries = toss(parts, 100, rng)
    assert isinstance(parts.train, Table)
    learnt = planted_among(parts.train, canaries, rng)
    is_canary = np.isin(learnt.row_keys(), canaries.rows.row_keys())
    assert sorted(learnt.row_keys()[is_canary]) == sorted(canaries.rows.row_keys()[canaries.planted])
    assert len(learnt) == 2_000 + is_canary.sum()
    share = f"{is_canary.mean():.1%}"
    assert f"{is_canary.sum()} made-up records (canaries) are planted among 2,000" in canaries.note().message
    assert f"{share} of what the model learns is not real" in canaries.note().message


def test_drawn_copies_of_a_canary_are_kept_back_and_remembered() -> None:
    rng = np.random.default_rng(5)
    parts = splits(rng, 2_000)
    canaries = toss(parts, 100, rng)
    watch = Watch(canaries)
    drawn = concat([replace(parts.valid, frame=parts.valid.modelled), canaries.rows.take(np.array([3, 3, 7]))])
    kept = watch.over(lambda labels, rng: drawn)(np.array(["no"]), rng)
    assert len(kept) == 500
    assert watch.dropped == 3
    assert watch.canaries is not None
    assert np.flatnonzero(watch.canaries.copied).tolist() == [3, 7]
    assert Watch(None).without_copies(drawn) is drawn


def test_saved_canaries_come_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = np.random.default_rng(6)
    canaries = toss(splits(rng, 2_000), 100, rng, delta=1e-6)
    folder = tmp_path_factory.mktemp("canaries")
    canaries.save(folder)
    again = Canaries.load(folder)
    assert again.rows.fingerprint() == canaries.rows.fingerprint()
    assert (again.planted == canaries.planted).all()
    assert (again.train_rows, again.delta, again.copied.any()) == (2_000, 1e-6, False)


@pytest.mark.parametrize(
    ("epsilon", "made", "right", "expected"),
    [(0.0, 10, 10, 0.5**10), (0.0, 10, 0, 1.0), (math.log(3), 2, 2, 0.75**2), (math.log(3), 2, 1, 1 - 0.25**2)],
)
def test_the_probability_of_right_guesses_is_that_of_randomised_response(
    epsilon: float, made: int, right: int, expected: float
) -> None:
    assert p_value(epsilon, 100, made, right) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("m", "made", "right", "delta"), [(100, 40, 35, 1e-3), (1_000, 60, 40, 1e-5), (50, 12, 12, 1e-2)]
)
def test_delta_adds_what_the_theorem_says(m: int, made: int, right: int, delta: float) -> None:
    # The same sum, term by term.
    accuracy = 1 / (1 + math.exp(-0.7))
    tail = sum(stats.binom.pmf(k, made, accuracy) for k in range(right, made + 1))
    terms = [sum(stats.binom.pmf(k, made, accuracy) for k in range(right - i, right)) / i for i in range(1, right + 1)]
    assert p_value(0.7, m, made, right, delta) == pytest.approx(min(1.0, tail + 2 * m * delta * max(terms)))


@pytest.mark.parametrize(
    ("made", "right", "risk", "expected"),
    [
        (400, 200, 0.05, 0.0),
        (400, 0, 0.05, 0.0),
        # All right: accuracy^made = risk.
        (100, 100, 0.05, math.log(1 / (0.05 ** (-1 / 100) - 1))),
        (11, 11, 0.025 / 3, math.log(1 / ((0.025 / 3) ** (-1 / 11) - 1))),
        (10**6, 10**6, 0.05, MOST_EPSILON),
    ],
)
def test_the_proved_epsilon_is_where_the_guesses_become_unlikely(
    made: int, right: int, risk: float, expected: float
) -> None:
    assert proved_epsilon(1_000, made, right, risk=risk) == pytest.approx(expected)


def test_a_delta_proves_less() -> None:
    assert proved_epsilon(400, 100, 90, delta=1e-3) < proved_epsilon(400, 100, 90) - 0.01


@pytest.mark.parametrize("seed", range(3))
def test_a_generator_that_copies_fails_whatever_it_claims_below_two(seed: int) -> None:
    rng = np.random.default_rng(10 + seed)
    parts = splits(rng)
    canaries = toss(parts, 400, rng)
    assert isinstance(parts.train, Table)
    learnt = planted_among(parts.train, canaries, rng)
    finding = found(parts, canaries, learnt.take(rng.integers(0, len(learnt), 8_000)))
    assert finding.low > 2
    assert finding.reference == pytest.approx(0, abs=0.3)
    assert verdict(finding) == verdict(finding, epsilon=2) == Verdict.FAIL


def test_a_jittered_copy_fails_too() -> None:
    rng = np.random.default_rng(20)
    parts = splits(rng)
    canaries = toss(parts, 400, rng)
    assert isinstance(parts.train, Table)
    learnt = planted_among(parts.train, canaries, rng)
    frame = learnt.frame.assign(income=learnt.frame["income"] * rng.uniform(0.98, 1.02, len(learnt)))
    assert verdict(found(parts, canaries, replace(learnt, frame=frame))) == Verdict.FAIL


@pytest.mark.parametrize("seed", range(8))
def test_independent_columns_and_fresh_rows_are_not_accused(seed: int) -> None:
    rng = np.random.default_rng(30 + seed)
    parts = splits(rng)
    canaries = toss(parts, 400, rng)
    assert isinstance(parts.train, Table)
    learnt = planted_among(parts.train, canaries, rng)
    for synthetic in (marginals(learnt, 4_000, rng), people(4_000, rng)):
        finding = found(parts, canaries, synthetic)
        assert finding.low <= 0.5
        assert verdict(finding) != Verdict.FAIL


def test_copies_that_were_kept_back_count_as_leaked() -> None:
    rng = np.random.default_rng(40)
    parts = splits(rng)
    canaries = toss(parts, 400, rng)
    fresh = people(2_000, rng)
    assert found(parts, canaries, fresh).low == 0
    met = replace(canaries, copied=canaries.planted & (rng.random(400) < 0.3))
    assert verdict(found(parts, met, fresh)) == Verdict.FAIL


def test_the_order_of_the_canaries_moves_nothing() -> None:
    rng = np.random.default_rng(45)
    parts = splits(rng, 2_000)
    canaries = toss(parts, 100, rng)
    assert isinstance(parts.train, Table)
    synthetic = planted_among(parts.train, canaries, rng).take(np.arange(700))
    shuffled = canaries.take(rng.permutation(100))
    assert found(parts, shuffled, synthetic) == found(parts, canaries, synthetic)


def test_a_class_that_was_not_synthesised_counts_only_where_the_probe_has_it() -> None:
    rng = np.random.default_rng(50)
    parts = splits(rng)
    canaries = toss(parts, 400, rng)
    fresh = people(2_000, rng)
    rare = fresh.take(np.flatnonzero(fresh.labels == "yes"))
    of_class = int((canaries.rows.labels == "yes").sum())
    assert found(parts, canaries, rare).n == of_class < 400
    assert found(parts, canaries, rare, probe=fresh).n == 400


def test_without_planted_records_there_is_nothing_to_measure() -> None:
    parts = splits(np.random.default_rng(60), 600)
    assert isinstance(parts.holdout, Table)
    with pytest.raises(NotApplicable, match="no made-up records were planted"):
        found(parts, None, parts.holdout)


def test_few_canaries_or_held_out_rows_decide_nothing() -> None:
    rng = np.random.default_rng(70)
    parts = splits(rng)
    canaries = toss(parts, 400, rng)
    assert isinstance(parts.valid, Table)
    with pytest.raises(NotMeasurable, match=f"at least {MIN_CANARIES} of both"):
        found(parts, canaries.take(np.arange(MIN_CANARIES - 1)), parts.valid)
    with pytest.raises(NotMeasurable, match="40 held-out rows"):
        found(replace(parts, holdout=parts.holdout.take(np.arange(40))), canaries, parts.valid)


@pytest.mark.parametrize(
    ("epsilon", "interval", "expected"),
    [
        (None, (0.0, 0.1, 0.4), Verdict.PASS),
        (None, (0.0, 0.3, 0.9), Verdict.INCONCLUSIVE),
        (None, (0.6, 0.9, 1.4), Verdict.FAIL),
        (3.0, (0.6, 0.9, 1.4), Verdict.PASS),
        (3.0, (3.1, 3.5, 4.0), Verdict.FAIL),
        (0.1, (0.0, 0.1, 0.4), Verdict.PASS),
        (0.1, (0.2, 0.3, 0.4), Verdict.FAIL),
    ],
)
def test_the_gate_judges_by_the_declared_epsilon(
    epsilon: float | None, interval: tuple[float, float, float], expected: Verdict
) -> None:
    low, value, high = interval
    finding = Finding("canary_epsilon", "privacy", value, low, high, 0.0, False, 400)
    assert verdict(finding, epsilon) == expected


def test_a_gate_of_the_config_replaces_the_declared_epsilon() -> None:
    gate = GateConfig(metric="canary_epsilon", at_most=1.5)
    rules = rules_for("table", "share", [gate], profile="release", epsilon=3.0)
    assert next(rule.at_most for rule in rules if rule.metric == "canary_epsilon") == 1.5


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_a_gate_under_a_profile_that_does_not_plant_names_the_one_that_does(profile: str) -> None:
    gate = GateConfig(metric="canary_epsilon", at_most=1.0)
    with pytest.raises(
        ConfigError, match=f"profile '{profile}' does not measure 'canary_epsilon', profile 'release' does"
    ):
        rules_for("table", "share", [gate], profile=profile)
