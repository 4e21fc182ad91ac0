"""The gates on fidelity of tables: each is seen to fire on the failure it exists for, and real rows pass."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from synthgen.config import EvaluationSize, GateConfig
from synthgen.datasets import Schema, Table
from synthgen.findings import Finding, Rule, Verdict
from synthgen.gates import DEFAULT_RULES, judge, rules_for
from synthgen.metrics.evaluation import Evaluation, NotApplicable, NotMeasurable
from synthgen.metrics.fidelity.missingness import missingness_gap
from synthgen.metrics.fidelity.precision_recall import Points, alpha_precision, beta_recall
from synthgen.metrics.fidelity.repeated import repeated_rows
from synthgen.metrics.fidelity.shapes import column_shapes, pair_trends, shape_scores, trend_scores
from synthgen.metrics.table_features import encode

SIZE = EvaluationSize(max_rows=5_000, utility_seeds=2, bootstrap_rounds=50)
RULES = {rule.metric: rule for rule in DEFAULT_RULES["table"]}
PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE

Make = Callable[[int, np.random.Generator], Table]
Spoil = Callable[[Table, np.random.Generator], Table]


def patients(n: int, rng: np.random.Generator) -> Table:
    """Numbers and categories that follow from each other; two measurements are missing together in 1 of 20 rows."""
    health, place = rng.normal(size=(2, n))
    height = 170 + 9 * health + 2 * rng.normal(size=n)
    unmeasured = rng.random(n) < 0.05
    frame = pd.DataFrame(
        {
            "height": np.where(unmeasured, np.nan, np.round(height, 2)),
            "weight": np.where(unmeasured, np.nan, np.round(0.8 * height - 60 + 2 * rng.normal(size=n), 2)),
            "pulse": np.round(70 - 6 * health + 2 * rng.normal(size=n)).astype(int),
            "city": np.array(["a", "b", "c", "d"])[np.digitize(place, [-0.7, 0, 0.7])],
            "region": np.where(place > 0, "north", "south"),
            "ill": np.where(rng.normal(size=n) - 2 * health > 2, "yes", "no"),
        }
    )
    kinds = dict(zip(frame, ["numeric", "numeric", "integer", *["categorical"] * 3], strict=True))
    return Table(frame, Schema(kinds, label="ill"))


def counts(n: int, rng: np.random.Generator) -> Table:
    """Rows of which most repeat by nature."""
    frame = pd.DataFrame({"x": rng.poisson(5, n), "y": rng.poisson(5, n), "ill": rng.choice(["no", "yes"], n)})
    return Table(frame, Schema({"x": "integer", "y": "integer", "ill": "categorical"}, "ill"))


def fresh(table: Table, rng: np.random.Generator) -> Table:
    return table


def shuffled(table: Table, rng: np.random.Generator) -> Table:
    return replace(table, frame=table.frame.apply(lambda column: column.to_numpy()[rng.permutation(len(column))]))


def third_nonsense(table: Table, rng: np.random.Generator) -> Table:
    cut = len(table) // 3
    frames = [shuffled(table, rng).frame.iloc[:cut], table.frame.iloc[cut:]]
    return replace(table, frame=pd.concat(frames, ignore_index=True))


def few_rows(table: Table, rng: np.random.Generator) -> Table:
    return table.take(rng.integers(0, 20, len(table)))


def one_row(table: Table, rng: np.random.Generator) -> Table:
    return table.take(np.concatenate([np.flatnonzero(table.labels == name)[:1] for name in table.classes]).repeat(500))


def one_region(table: Table, rng: np.random.Generator) -> Table:
    return table.take(rng.choice(np.flatnonzero(table.frame["region"] == "north"), len(table)))


def missing_apart(table: Table, rng: np.random.Generator) -> Table:
    weight = table.frame["weight"].to_numpy()[rng.permutation(len(table))]
    return replace(table, frame=table.frame.assign(weight=weight))


def never_missing(table: Table, rng: np.random.Generator) -> Table:
    return replace(table, frame=table.frame.fillna({"height": 170.0, "weight": 76.0}))


def evaluation(make: Make, n: int, spoil: Spoil = fresh, *, seed: int = 0) -> Evaluation:
    rng = np.random.default_rng(seed)
    return Evaluation(make(n, rng), make(n, rng), spoil(make(n, rng), rng), SIZE)


def verdict(finding: Finding) -> Verdict:
    (judgement,) = judge([RULES[finding.metric]], [finding], [])
    return judgement.verdict


@pytest.mark.parametrize(
    ("metric", "spoil", "expected"),
    [
        (alpha_precision, shuffled, FAIL),
        (alpha_precision, third_nonsense, FAIL),
        # Each row is perfect: that there are few kinds is for the other three to say.
        (alpha_precision, one_region, PASS),
        (beta_recall, shuffled, FAIL),
        (beta_recall, one_region, FAIL),
        (beta_recall, few_rows, FAIL),
        (beta_recall, one_row, FAIL),
        (repeated_rows, few_rows, FAIL),
        (repeated_rows, one_row, FAIL),
        (repeated_rows, shuffled, PASS),
        (missingness_gap, missing_apart, FAIL),
        (missingness_gap, never_missing, FAIL),
        (pair_trends, shuffled, FAIL),
        # What shapes alone cannot see.
        (column_shapes, shuffled, PASS),
        (column_shapes, few_rows, FAIL),
    ],
)
def test_a_planted_failure_is_judged(metric, spoil, expected):
    assert verdict(metric(evaluation(patients, 3_000, spoil))) == expected


@pytest.mark.parametrize("metric", [alpha_precision, beta_recall, pair_trends])
@pytest.mark.parametrize("n", [400, 3_000])
@pytest.mark.parametrize("seed", range(3))
def test_fresh_real_rows_pass(metric, n, seed):
    assert verdict(metric(evaluation(patients, n, seed=seed))) == PASS


@pytest.mark.parametrize("metric", [missingness_gap, repeated_rows, column_shapes])
@pytest.mark.parametrize(("n", "allowed"), [(300, {PASS, OPEN}), (5_000, {PASS})])
def test_fresh_real_rows_do_not_fail_and_pass_when_there_are_enough(metric, n, allowed):
    assert {verdict(metric(evaluation(patients, n, seed=seed))) for seed in range(3)} <= allowed


@pytest.mark.parametrize(("n", "allowed"), [(300, {PASS, OPEN}), (2_000, {PASS})])
def test_rows_that_repeat_by_nature_are_not_accused(n, allowed):
    findings = [repeated_rows(evaluation(counts, n, seed=seed)) for seed in range(10)]
    assert min(finding.value for finding in findings) > 0.5
    assert {verdict(finding) for finding in findings} <= allowed


@pytest.mark.parametrize("metric", [alpha_precision, beta_recall])
def test_rows_of_which_few_differ_are_realistic_and_complete(metric):
    assert verdict(metric(evaluation(counts, 1_000))) == PASS


@pytest.mark.parametrize("metric", [alpha_precision, beta_recall])
def test_a_copy_of_train_is_no_more_realistic_than_real_rows(metric):
    given = evaluation(patients, 1_000)
    finding = metric(replace(given, synthetic=given.train))
    # Equal but for which rows of each class were drawn.
    assert finding.value == pytest.approx(finding.reference, abs=0.01)


def test_realism_and_coverage_equal_their_formulas_over_all_distances():
    given = evaluation(patients, 300, third_nonsense)
    points = Points.of(given)
    to_real, among_real = (cdist(rows, points.kinds) for rows in (points.synthetic, points.kinds))
    radius = np.sort(among_real, axis=1)[:, 5]
    assert beta_recall(given).value == pytest.approx((to_real.min(axis=0) <= radius).mean())
    # Every row of this table is different, and so the real rows are the different ones.
    assert len(points.kinds) == len(points.holdout)
    inside = np.sort(to_real, axis=1)[:, 4] <= np.quantile(radius, 0.95)
    assert alpha_precision(given).value == pytest.approx(inside.mean())


@pytest.mark.parametrize(
    ("multiplicities", "expected"), [([1, 1, 1, 1], 0.0), ([2, 1, 1], 0.5), ([3, 1], 0.75), ([4], 1.0), ([2, 2], 1.0)]
)
def test_repeated_rows_counts_every_row_that_has_a_twin(multiplicities, expected):
    rows = pd.DataFrame({"x": np.repeat(np.arange(len(multiplicities)), multiplicities).repeat(10) * 10.0})
    # Ten such sets side by side, apart from each other.
    rows = rows.assign(x=rows["x"] + np.tile(np.arange(10), len(rows) // 10) / 10, ill="no")
    table = Table(rows, Schema({"x": "numeric", "ill": "categorical"}, "ill"))
    finding = repeated_rows(Evaluation(table, table, table, SIZE))
    assert finding.value == finding.reference == expected
    assert finding.detail["distinct"] == 10 * len(multiplicities)


def test_missingness_names_the_pair_that_is_no_longer_missing_together():
    finding = missingness_gap(evaluation(patients, 3_000, missing_apart))
    assert finding.detail["worst"] == ["height", "weight"]
    shares = finding.detail["columns"]["weight"]
    assert shares["synthetic"] == pytest.approx(shares["real"], abs=0.02)


def test_missingness_does_not_apply_where_nothing_is_missing():
    with pytest.raises(NotApplicable, match="no value is missing"):
        missingness_gap(evaluation(counts, 100))


def test_values_missing_only_in_synthetic_rows_are_measured():
    def holes(table: Table, rng: np.random.Generator) -> Table:
        return replace(table, frame=table.frame.assign(x=table.frame["x"].where(rng.random(len(table)) < 0.8)))

    finding = missingness_gap(evaluation(counts, 1_000, holes))
    assert (verdict(finding), finding.reference) == (FAIL, 0.0)


def without(name: str) -> Spoil:
    return lambda table, rng: replace(
        table, frame=table.frame.assign(**{name: pd.Series(index=table.frame.index, dtype=table.frame[name].dtype)})
    )


def scores(real: Table, synthetic: Table) -> dict[tuple[str, ...], float]:
    encoded = encode([real, synthetic], real.schema.modelled)
    return {score.names: score.value for which in (shape_scores, trend_scores) for score in which(*encoded)}


@pytest.mark.parametrize("metric", [column_shapes, pair_trends])
@pytest.mark.parametrize("name", ["height", "city"])
def test_a_column_without_any_value_is_judged(metric, name):
    assert verdict(metric(evaluation(patients, 1_000, without(name)))) == FAIL


@pytest.mark.parametrize("name", ["height", "city"])
def test_a_column_that_has_values_on_one_side_alone_scores_zero_and_so_do_its_pairs(name):
    rng = np.random.default_rng(0)
    table, other = patients(300, rng), patients(300, rng)
    gone = without(name)(other, rng)
    for found in (scores(table, gone), scores(gone, table)):
        assert found[(name,)] == 0
        pairs = {names: value for names, value in found.items() if len(names) == 2 and name in names}
        assert len(pairs) == 5
        assert max(pairs.values()) < 0.1
    assert (name,) not in scores(gone, without(name)(table, rng))


def test_a_few_values_on_one_side_alone_are_chance():
    rng = np.random.default_rng(0)
    table = patients(300, rng)
    few = replace(table, frame=table.frame.assign(height=table.frame["height"].where(np.arange(300) < 9)))
    assert ("height",) not in scores(few, without("height")(table, rng))


def test_a_constant_goes_with_no_other_column():
    rng = np.random.default_rng(0)
    table = patients(300, rng)
    found = scores(table, replace(table, frame=table.frame.assign(weight=70.0)))
    correlation = abs(table.frame["height"].corr(table.frame["weight"]))
    assert found[("height", "weight")] == pytest.approx(1 - correlation / 2)


def test_a_neighbourhood_needs_different_rows():
    table = Table(pd.DataFrame({"ill": ["no", "yes"] * 100}), Schema({"ill": "categorical"}, "ill"))
    with pytest.raises(NotMeasurable, match="2 different held-out rows"):
        beta_recall(Evaluation(table, table, table, SIZE))


@pytest.mark.parametrize(
    ("value", "low", "high", "reference", "expected"),
    [
        (0.95, 0.94, 0.96, 0.96, PASS),
        (0.90, 0.89, 0.91, 0.96, FAIL),
        (0.92, 0.90, 0.94, 0.96, OPEN),
        (1.0, 1.0, 1.0, 0.96, PASS),
        (0.5, 0.5, 0.5, 1.0, OPEN),
    ],
)
def test_an_error_ratio_compares_what_both_lack_to_one(value, low, high, reference, expected):
    rule = Rule("m", at_most=2.0, relation="error ratio")
    (judgement,) = judge([rule], [Finding("m", "fidelity", value, low, high, reference, True, 100)], [])
    assert (judgement.verdict, judgement.rule) == (expected, "error ≤ 2 × real")


@pytest.mark.parametrize(
    ("gate", "relation"),
    [
        (GateConfig(metric="pair_trends", at_least=0.9), "absolute"),
        (GateConfig(metric="pair_trends", at_most=4), "error ratio"),
        (GateConfig(metric="beta_recall", at_least=0.9), "ratio"),
    ],
)
def test_a_gate_on_the_other_side_judges_the_value_itself(gate, relation):
    rules = {rule.metric: rule for rule in rules_for("table", "augment", [gate])}
    assert rules[gate.metric].relation == relation
