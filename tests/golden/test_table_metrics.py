"""Each metric of tables against an independent formula, a library, or counting by hand."""

from collections import Counter
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.over_sampling import SMOTE
from scipy import stats as scipy_stats
from scipy.spatial.distance import cdist
from sdmetrics.column_pairs import ContingencySimilarity
from sdmetrics.reports.single_table._properties import ColumnPairTrends, ColumnShapes
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score, roc_curve

from synthgen.config import EvaluationSize
from synthgen.datasets import Schema, Table
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.fidelity.c2st import c2st_auc
from synthgen.metrics.fidelity.shapes import Mean, column_shapes, pair_trends, shape_scores, trend_scores
from synthgen.metrics.fidelity.validity import validity
from synthgen.metrics.learner import (
    Task,
    balanced_mean,
    macro_auc,
    rare_average_precision,
)
from synthgen.metrics.neighbours import nearest_distances
from synthgen.metrics.privacy.copies import excess_copies
from synthgen.metrics.privacy.identifiers import identifier_replay
from synthgen.metrics.privacy.membership import hits
from synthgen.metrics.smote import MAX_DONORS, interpolated
from synthgen.metrics.table_features import encode

SIZE = EvaluationSize(max_rows=2_000, utility_seeds=2, bootstrap_rounds=50)
SDTYPES = {
    "numeric": "numerical", "integer": "numerical", "categorical": "categorical", "boolean": "boolean",
    "datetime": "datetime",
}  # fmt: skip


def table(kinds: dict[str, str], label: str | None = None, **columns: object) -> Table:
    """A table of these columns."""
    return Table(pd.DataFrame(columns), Schema(kinds, label))


def mixed(n: int, seed: int, *, shift: float = 0.0) -> Table:
    """Columns of all kinds, dependent on each other, some missing."""
    rng = np.random.default_rng(seed)
    z = rng.normal(shift, 1, n)
    kinds = {
        "amount": "numeric", "visits": "integer", "city": "categorical", "smokes": "boolean", "since": "datetime",
        "constant": "integer", "ill": "categorical",
    }  # fmt: skip
    return table(
        kinds,
        "ill",
        amount=np.where(rng.random(n) < 0.15, np.nan, np.exp(z)),
        visits=rng.poisson(np.exp(z / 2)),
        city=pd.Series(np.digitize(z + rng.normal(size=n), [-1, 0.5])).map({0: "a", 1: "b", 2: None}),
        smokes=z + rng.normal(size=n) > 0,
        since=pd.Timestamp("2021-03-01") + pd.to_timedelta(np.round(90 * z), unit="D"),
        constant=np.full(n, 7),
        ill=np.where(z + rng.normal(size=n) > 1, "yes", "no"),
    )


def sdmetrics_score(which: type, real: Table, synthetic: Table) -> float:
    """The score that SDMetrics prints."""
    metadata = {"columns": {name: {"sdtype": SDTYPES[kind]} for name, kind in real.schema.kinds.items()}}
    metadata["columns"]["since"]["datetime_format"] = "%Y-%m-%d"
    scorer = which()
    scorer.num_rows_subsample = None
    return float(scorer.get_score(real.frame, synthetic.frame, metadata))


@pytest.mark.parametrize("shift", [0.0, 0.7])
@pytest.mark.parametrize(
    ("score", "theirs"),
    [(shape_scores, ColumnShapes), (partial(trend_scores, own_bins=True), ColumnPairTrends)],
    ids=["shapes", "trends"],
)
def test_shapes_and_trends_equal_the_report_of_sdmetrics(shift, score, theirs):
    real, synthetic = mixed(400, 0), mixed(300, 1, shift=shift)
    ours = Mean.of(score(*encode([real, synthetic], real.schema.modelled)))
    assert ours.value == pytest.approx(sdmetrics_score(theirs, real, synthetic), abs=1e-6)


def test_trend_of_a_number_and_a_category_equals_sdmetrics_with_bins_of_the_real_range():
    real, synthetic = mixed(400, 0), mixed(300, 1, shift=1.5)
    (score,) = trend_scores(*encode([real, synthetic], ["visits", "ill"]))
    expected = ContingencySimilarity.compute(
        real.frame[["visits", "ill"]].copy(), synthetic.frame[["visits", "ill"]].copy(), ["visits"]
    )
    assert score.value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("score", [shape_scores, trend_scores])
def test_error_of_shapes_and_trends_equals_that_of_fresh_samples(score):
    columns = [name for name in mixed(2, 0).schema.modelled if name != "since"]
    found = [
        Mean.of(score(*encode([mixed(300, 2 * seed), mixed(300, 2 * seed + 1, shift=0.8)], columns)))
        for seed in range(60)
    ]
    actual = np.std([mean.value for mean in found], ddof=1)
    assert np.mean([mean.error for mean in found]) == pytest.approx(actual, rel=0.35)


@pytest.mark.parametrize("metric", [column_shapes, pair_trends])
def test_reference_is_the_holdout_in_place_of_the_synthetic_rows(metric):
    train, holdout, synthetic = mixed(400, 0), mixed(400, 1), mixed(400, 2, shift=1)
    finding = metric(Evaluation(train, holdout, synthetic, SIZE))
    assert finding.reference == pytest.approx(metric(Evaluation(train, synthetic, holdout, SIZE)).value, abs=0.01)
    assert finding.reference > finding.high


def test_validity_counts_every_kind_of_illegal_value():
    kinds = {"size": "numeric", "count": "integer", "city": "categorical", "flag": "boolean"}
    train = table(kinds, size=[0.0, 5.0, np.nan], count=[1, 2, 9], city=["a", "b", "b"], flag=[True, False, True])
    synthetic = table(
        kinds,
        size=[5.0, 5.1, np.nan, -0.1],  # two out of range; missing is legal here
        count=[1.0, 2.5, np.nan, 10.0],  # not whole, missing where train has none, out of range
        city=["a", "c", None, "b"],  # unknown, missing
        flag=[True, True, False, False],
    )
    finding = validity(Evaluation(train, train, synthetic, SIZE))
    assert finding.value == finding.low == finding.high == pytest.approx((0.5 + 0.25 + 0.5 + 1) / 4)
    assert finding.detail["illegal_share"] == pytest.approx({"size": 0.5, "count": 0.75, "city": 0.5})
    assert finding.reference == 1


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.0])
def test_c2st_of_two_gaussians_equals_the_best_possible_area(distance):
    rng = np.random.default_rng(7)
    real, holdout, synthetic = (table({"x": "numeric"}, x=rng.normal(centre, 1, 1_500)) for centre in (0, 0, distance))
    finding = c2st_auc(Evaluation(real, holdout, synthetic, SIZE))
    assert finding.value == pytest.approx(scipy_stats.norm.cdf(distance / np.sqrt(2)), abs=0.04)
    assert finding.reference == pytest.approx(0.5, abs=0.04)


def test_c2st_with_formulas_sees_a_broken_equality():
    rng = np.random.default_rng(8)
    kinds = {"price": "numeric", "paid": "numeric"}

    def bills(n: int, jitter: float) -> Table:
        price = np.exp(rng.normal(size=n))
        return table(kinds, price=price, paid=price * (1 + jitter * rng.normal(size=n)))

    finding = c2st_auc(Evaluation(bills(900, 0), bills(900, 0), bills(900, 1e-3), SIZE))
    assert finding.value < 0.65
    assert finding.detail["formula_auc"] > 0.99
    assert finding.detail["formula_reference"] == pytest.approx(0.5, abs=0.05)


def test_c2st_does_not_take_repeated_real_rows_for_a_difference():
    # Few values, so that rows repeat; all copies of one stand on one side of the split.
    rng = np.random.default_rng(9)
    codes = rng.integers(0, 1_500, 6_000)
    side = rng.random(1_500)[codes]
    rows = pd.DataFrame({"x": codes % 40, "y": codes // 40})
    kinds = {"x": "integer", "y": "integer"}
    train, holdout = (
        Table(rows[mask].reset_index(drop=True), Schema(kinds, None)) for mask in (side < 0.5, side > 0.5)
    )
    fresh = rng.integers(0, 1_500, 3_000)
    synthetic = table(kinds, x=fresh % 40, y=fresh // 40)
    finding = c2st_auc(Evaluation(train, holdout, synthetic, SIZE))
    assert finding.value == pytest.approx(0.5, abs=0.06)
    assert finding.reference == pytest.approx(0.5, abs=0.06)


def test_c2st_sees_one_row_repeated():
    rng = np.random.default_rng(10)
    real, holdout = (table({"x": "numeric"}, x=rng.normal(size=300)) for _ in range(2))
    repeated = table({"x": "numeric"}, x=np.full(300, 0.01))
    assert c2st_auc(Evaluation(real, holdout, repeated, SIZE)).low > 0.9


def test_identifier_replay_counts_distinct_exact_matches():
    kinds = {"name": "id", "x": "numeric"}
    train = table(kinds, name=["O'Brien", 'de "Vries"', "Ng", "=cmd|x", "Ng"], x=[1.0, 2, 3, 4, 5])
    holdout = table(kinds, name=["Ng", "Li"], x=[1.0, 2])
    synthetic = table(kinds, name=["O'Brien", "O'Brien", "o'brien", "=cmd|x", "Li"], x=[1.0, 2, 3, 4, 5])
    finding = identifier_replay(Evaluation(train, holdout, synthetic, SIZE))
    assert (finding.value, finding.low, finding.high, finding.reference) == (2, 2, 2, 1)


@pytest.mark.parametrize("values", [4, 9])
def test_excess_copies_equals_counting_by_hand(values):
    rng = np.random.default_rng(11)
    kinds = {"a": "categorical", "b": "integer", "c": "numeric"}
    parts = [
        table(kinds, a=rng.choice(list("xyz"), n), b=rng.integers(0, values, n), c=rng.integers(0, values, n) / 10)
        for n in (300, 100, 200)
    ]
    train, holdout, synthetic = ({tuple(row) for row in part.frame.to_numpy()} for part in parts)
    finding = excess_copies(Evaluation(*parts, SIZE))
    rates = len(train & synthetic) / len(train) - len(holdout & synthetic) / len(holdout)
    assert finding.value == pytest.approx(rates * len(train) / len(synthetic))
    assert finding.detail["equal_to_train"] == len(train & synthetic)


@pytest.mark.parametrize(
    ("jitter", "copied"),
    [(0.0, True), (1e-13, True), (4e-4, True), (0.01, False)],
    ids=["exact", "tiny", "small", "more"],
)
def test_copies_are_recognised_in_the_decimals_of_train(jitter, copied):
    rng = np.random.default_rng(12)
    train, holdout = (table({"x": "numeric"}, x=np.round(rng.normal(0, 100, 200), 3)) for _ in range(2))
    synthetic = table({"x": "numeric"}, x=train.frame["x"] + jitter)
    assert (excess_copies(Evaluation(train, holdout, synthetic, SIZE)).value > 0.9) == copied


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("queries", [1, 700])
def test_nearest_distances_equal_brute_force(k, queries):
    rng = np.random.default_rng(13)
    left, right = rng.random((queries, 6)).astype(np.float32), rng.random((500, 6)).astype(np.float32)
    expected = np.sort(cdist(left, right), axis=1)[:, k - 1]
    found = nearest_distances(torch.from_numpy(left), torch.from_numpy(right), k)
    assert found == pytest.approx(expected, abs=1e-5)


def test_distance_of_a_copy_is_exactly_zero():
    points = torch.from_numpy(np.random.default_rng(14).random((400, 50)).astype(np.float32))
    assert (nearest_distances(points, points, 1) == 0).all()


def test_hits_equal_the_roc_curve_at_one_percent():
    rng = np.random.default_rng(15)
    members, strangers = rng.normal(1, 1, 700), rng.normal(0, 1, 500)
    false, true, _ = roc_curve([1] * 700 + [0] * 500, np.concatenate([members, strangers]), drop_intermediate=False)
    assert hits(members, strangers).rate == pytest.approx(true[np.isclose(false, 0.01)].min())


@pytest.mark.parametrize(
    ("members", "strangers", "rate"),
    [
        ([1] * 100, [0] * 100, 1.0),
        ([0] * 100, [1] * 100, 0.0),
        ([1] * 100, [1] * 100, 0.01),  # all tied: a coin names 1 in 100
        ([1] * 100, [1] * 10 + [0] * 90, 0.1),  # the coin accuses a tenth of the tied
        ([1] * 50 + [2] * 50, [1] * 10 + [0] * 90, 0.55),
    ],
)
def test_ties_at_the_threshold_are_accused_by_coin(members, strangers, rate):
    found = hits(np.array(members, dtype=float), np.array(strangers, dtype=float))
    assert found.rate == pytest.approx(rate)
    assert found.low <= found.rate <= found.high


@pytest.mark.parametrize("n", [100, 400])
@pytest.mark.parametrize("leaked", [0.0, 0.1])
def test_hits_interval_contains_the_truth(n, leaked):
    rng = np.random.default_rng(16)
    truth = leaked + (1 - leaked) * 0.01
    covered = 0
    for _ in range(200):
        members = np.where(rng.random(n) < leaked, 10, rng.normal(size=n))
        found = hits(members, rng.normal(size=n))
        covered += found.low <= truth <= found.high
    assert covered >= 188


def three_classes() -> tuple[Task, np.ndarray]:
    """A task with three classes and noisy probabilities."""
    rng = np.random.default_rng(17)
    target = rng.choice(3, 400, p=[0.7, 0.2, 0.1])
    raw = rng.random((400, 3)) + np.eye(3)[target] * 0.4
    return Task(np.empty((400, 0)), target, ("a", "b", "c")), raw / raw.sum(axis=1, keepdims=True)


def test_scores_of_a_classifier_equal_sklearn():
    task, probabilities = three_classes()
    right = (probabilities.argmax(1) == task.target).astype(float)
    assert balanced_mean(task.target, right) == pytest.approx(
        balanced_accuracy_score(task.target, probabilities.argmax(1))
    )
    assert macro_auc(task.target, probabilities)[0] == pytest.approx(
        roc_auc_score(task.target, probabilities, multi_class="ovr", average="macro")
    )
    assert rare_average_precision(task.target, probabilities) == pytest.approx(
        average_precision_score(task.target == 2, probabilities[:, 2])
    )


def test_smote_of_numbers_equals_imblearn_on_scaled_numbers():
    rng = np.random.default_rng(18)
    part = table({"x": "numeric", "y": "numeric"}, x=rng.normal(5, 1, 80), y=rng.normal(0, 100, 80))
    (rows,) = encode([part], ["x", "y"])
    target = (np.arange(80) < 20).astype(np.int64)
    made, made_target = interpolated(rows, target, {1: 30}, np.random.default_rng(1))
    middle, scale = np.median(rows.numeric, axis=0), rows.numeric.std(axis=0)
    seed = int(np.random.default_rng(1).integers(2**31))
    expected, _ = SMOTE(sampling_strategy={1: 50}, k_neighbors=5, random_state=seed).fit_resample(
        (rows.numeric - middle) / scale, target
    )
    assert made == pytest.approx(expected[80:] * scale + middle)
    assert Counter(made_target.tolist()) == {1: 30}


@pytest.mark.parametrize("columns", [["amount", "visits"], ["city", "smokes"], ["amount", "city", "since"]])
def test_smote_fills_any_table_with_tiny_classes(columns):
    part = mixed(60, 3)
    (rows,) = encode([part], columns)
    target = np.array([0] * 56 + [1] * 3 + [2])
    made, made_target = interpolated(rows, target, {1: 7, 2: 4}, np.random.default_rng(2))
    assert made.shape == (11, len(columns))
    assert Counter(made_target.tolist()) == {1: 7, 2: 4}
    known = np.nanmin(rows.matrix(), axis=0), np.nanmax(rows.matrix(), axis=0)
    assert ((made >= known[0]) & (made <= known[1]) | np.isnan(made)).all()


def test_smote_of_a_large_class_takes_a_sample_of_donors():
    n = MAX_DONORS + 500
    (rows,) = encode([table({"x": "numeric"}, x=np.random.default_rng(19).normal(size=n))], ["x"])
    made, made_target = interpolated(
        rows, np.zeros(n, dtype=np.int64) + (np.arange(n) < 50), {0: 400}, np.random.default_rng(3)
    )
    assert Counter(made_target.tolist()) == {0: 400}
    assert scipy_stats.ks_2samp(made[:, 0], rows.numeric[:, 0]).pvalue > 0.01
