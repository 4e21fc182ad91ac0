import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from synthgen.config import CtganConfig, DpConfig
from synthgen.config_reading import parse_config
from synthgen.datasets import Schema, Table
from synthgen.errors import ConfigError, DataError
from synthgen.synthesizers import create, load_synthesizer
from synthgen.synthesizers.codes import CodeRows, Layout
from synthgen.synthesizers.ctgan.material import Material
from synthgen.synthesizers.ctgan.private_budget import (
    Query,
    accounting,
    gaussian_delta,
    gaussian_mu,
    histogram_query,
    moment_query,
    on_simplex,
)
from synthgen.synthesizers.ctgan.private_encoder import PrivateEncoder, _class_counts, _Histogram
from synthgen.synthesizers.ctgan.private_moments import PrivateMoments, _counts
from synthgen.synthesizers.encoding.columns import BinnedColumn

SIZES = (3, 2, 4)
LAYOUT = Layout(("a", "b", "c"), SIZES, (np.zeros(3), None, None), 2)
DP = DpConfig(epsilon=3, delta=1e-6)
NO_NOISE = Query(1.0, 1e-9)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def code_rows(n: int = 3_000) -> CodeRows:
    rng = seeded(4)
    classes = (rng.random(n) < 0.3).astype(np.int64)
    a = rng.integers(0, 3, n)
    b = (rng.random(n) < np.where(classes == 1, 0.8, 0.3)).astype(np.int64)
    return CodeRows(np.stack([a, b, (a + rng.integers(0, 2, n)) % 4], axis=1), classes)


def people(n: int = 3_000) -> Table:
    rng = seeded(5)
    label = np.where(rng.random(n) < 0.3, "yes", "no")
    income = np.where(rng.random(n) < 0.6, 0.0, np.round(rng.gamma(2.0, 900.0, n), 2))
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "income": income,
            "height": rng.normal(170, 9, n),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
            "kids": pd.Series(rng.poisson(np.where(label == "yes", 3, 1)), dtype="Int64").mask(rng.random(n) < 0.1),
            "city": pd.Series(rng.choice(["Ål", "Oslo", "Bergen"], n)).mask(rng.random(n) < 0.05, None),
            "y": label,
        }
    )
    kinds = {"age": "integer", "income": "numeric", "height": "numeric", "since": "datetime", "kids": "integer"}
    return Table(frame, Schema({**kinds, "city": "categorical", "y": "categorical"}, label="y"))  # type: ignore[dict-item]


@pytest.fixture
def known_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("ctgan.private_moments", "table_model"):
        monkeypatch.setattr(f"synthgen.synthesizers.{module}.secret_rng", seeded)


def config(**changes: object) -> CtganConfig:
    small = {"kind": "ctgan", "batch_size": 200, "width": 32, "latent": 8, "budget_steps": 150}
    return CtganConfig.model_validate({**small, "dp": DP.model_dump(), **changes})


@pytest.mark.parametrize(
    ("epsilon", "delta", "sigma"),
    # What the code of the authors gives (BorjaBalle/analytic-gaussian-mechanism, sensitivity 1).
    [
        (0.1, 1e-5, 30.749566),
        (1.0, 1e-5, 3.730632),
        (3.0, 1e-6, 1.543861),
        (10.0, 1e-6, 0.541087),
        (8.0, 0.1, 0.321456),
    ],
)
def test_noise_is_that_of_the_analytic_gaussian_mechanism(epsilon: float, delta: float, sigma: float) -> None:
    assert 1 / gaussian_mu(epsilon, delta) == pytest.approx(sigma, rel=1e-5)


@pytest.mark.parametrize("epsilon", [0.05, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("delta", [1e-9, 1e-4])
def test_delta_is_the_hockey_stick_between_the_two_answers(epsilon: float, delta: float) -> None:
    mu = gaussian_mu(epsilon, delta)
    low = epsilon / mu + mu / 2
    excess, _ = quad(lambda x: norm.pdf(x, mu) - np.exp(epsilon) * norm.pdf(x), low, low + 40, epsabs=1e-14)
    assert excess == pytest.approx(delta, rel=1e-3)
    assert gaussian_delta(epsilon, mu) == pytest.approx(delta, rel=1e-6)


def test_the_two_queries_together_are_as_private_as_promised() -> None:
    queries = [histogram_query(DP, 7), moment_query(DP, 12)]
    mu = np.linalg.norm([query.sensitivity / query.sigma for query in queries])
    assert gaussian_delta(DP.epsilon, mu) == pytest.approx(DP.delta, rel=1e-6)


@pytest.mark.parametrize("row", [0, 17, 2_999])
def test_one_row_moves_the_moments_by_their_sensitivity(row: int) -> None:
    rows = code_rows()
    others = rows.take(np.delete(np.arange(len(rows)), row))
    moved = _counts(rows, LAYOUT) - _counts(others, LAYOUT)
    asked = np.concatenate([np.triu(moved[:, :-1, :-1]).ravel(), moved[:, -1, -1]])
    assert np.linalg.norm(asked) == pytest.approx(moment_query(DP, len(SIZES)).sensitivity)


@pytest.mark.parametrize("row", [0, 17, 2_999])
def test_one_row_moves_the_histograms_by_their_sensitivity(row: int) -> None:
    data = people()
    less = data.take(np.delete(np.arange(len(data)), row))
    asked = []
    for table in (data, less):
        cells = [_Histogram.of(table.frame[name], len(table), NO_NOISE, seeded()) for name in ("age", "kids", "since")]
        missing = [len(table) - part.counts.sum() for part in cells]
        asked.append(np.concatenate([_class_counts(table), *(part.counts for part in cells), missing]))
    assert np.linalg.norm(asked[0] - asked[1]) == pytest.approx(histogram_query(DP, 3).sensitivity, abs=1e-6)


def test_noise_has_the_deviation_that_the_accounting_states() -> None:
    stated = accounting(DP, LAYOUT)["queries"]["moments"]
    noised = moment_query(DP, len(SIZES)).noised(np.full(100_000, 50.0), seeded())
    assert (noised - 50).std() == pytest.approx(stated["sigma"], rel=0.01)
    assert (noised == np.rint(noised)).all()


def test_the_best_attack_on_the_answer_finds_a_row_no_better_than_mu_allows() -> None:
    rows = code_rows(400)
    query = moment_query(DP, len(SIZES))
    asked = np.triu(np.ones((sum(SIZES) + 1, sum(SIZES) + 1)))
    asked[:-1, -1] = 0
    with_row, without = (_counts(part, LAYOUT) * asked for part in (rows, rows.take(np.arange(1, 400))))
    rng = seeded(1)
    # The likelihood ratio of two Gaussians depends on the projection on their difference alone.
    found = np.stack([[query.noised(answer, rng) for _ in range(4_000)] for answer in (with_row, without)])
    scores = np.einsum("sikab,kab->si", found, with_row - without)
    separation = (scores[0].mean() - scores[1].mean()) / scores[1].std()
    assert separation == pytest.approx(query.sensitivity / query.sigma, abs=0.06)
    assert query.sensitivity / query.sigma < gaussian_mu(DP.epsilon, DP.delta)


@pytest.mark.parametrize(
    ("values", "total", "expected"),
    [
        ([3.0, 1.0, -2.0], 4.0, [3.0, 1.0, 0.0]),
        ([-1.0, -3.0], 2.0, [2.0, 0.0]),
        ([0.0, 0.0, 0.0], 3.0, [1.0, 1.0, 1.0]),
    ],
)
def test_projection_gives_the_nearest_counts_with_this_sum(
    values: list[float], total: float, expected: list[float]
) -> None:
    assert on_simplex(np.asarray(values), total).tolist() == pytest.approx(expected)


def test_without_noise_the_target_is_the_plain_one() -> None:
    rows = code_rows()
    plain = Material.of(rows.codes, rows.classes, SIZES, batch_size=200)
    material = PrivateMoments.of(rows, LAYOUT, NO_NOISE, seeded()).material(200, seeded())
    assert np.abs((material.target - plain.target).numpy()).max() < 2e-6
    assert np.allclose(material.weight, plain.weight, rtol=1e-2, atol=1e-6)
    assert material.batch_classes.tolist() == plain.batch_classes.tolist()


def test_the_noised_target_is_that_of_a_possible_table_and_near_the_plain_one() -> None:
    rows = code_rows()
    plain = Material.of(rows.codes, rows.classes, SIZES, batch_size=200).target.numpy()
    material = PrivateMoments.of(rows, LAYOUT, moment_query(DP, 3), seeded()).material(200, seeded())
    target = material.target.numpy()
    assert (target >= 0).all()
    assert np.allclose(target, target.transpose(0, 2, 1))
    assert target[:, :3, 3:5].sum(axis=(1, 2)).tolist() == pytest.approx([1, 1], abs=1e-5)
    assert target[:, 5:9, :3].sum(axis=1) == pytest.approx(target[:, range(3), range(3)], abs=0.01)
    assert 0 < np.abs(target - plain).max() < 0.02


def test_the_material_holds_no_training_row() -> None:
    rows = code_rows(300)
    material = PrivateMoments.of(rows, LAYOUT, NO_NOISE, seeded()).material(100, seeded())
    # The third column follows the first in every training row; in the material columns are independent.
    linked = (material.codes[:, 2] - material.codes[:, 0]) % 4 <= 1
    assert linked.double().mean() < 0.75


def test_too_many_classes_for_moments_of_their_own_are_refused() -> None:
    layout = Layout(("a",), (3,), (None,), 25)
    rows = CodeRows(np.zeros((50, 1), dtype=np.int64), np.arange(50) % 25)
    with pytest.raises(DataError, match="25 classes with 3 levels are too many for dp"):
        PrivateMoments.of(rows, layout, NO_NOISE, seeded())


def test_bins_hold_about_equally_many_rows_and_frequent_values_a_level_of_their_own() -> None:
    data = people()
    private = PrivateEncoder.fit(data, DP, bins=8, rng=seeded())
    income, height = private.encoder.columns[1:3]
    assert isinstance(income, BinnedColumn)
    assert isinstance(height, BinnedColumn)
    assert income.spikes.tolist() == [0]
    shares = np.bincount(height.encode(data.frame["height"])) / len(data)
    assert len(shares) == 8
    assert shares == pytest.approx(np.full(8, 1 / 8), abs=0.05)
    assert private.frequency == pytest.approx([0.7, 0.3], abs=0.03)


def test_a_private_model_draws_legal_rows_that_follow_the_label(tmp_path: Path, known_noise: None) -> None:
    data, settings = people(), config(budget_steps=250, learning_rate=0.01)
    model = create(settings, data).fit(data, data, seeded(1))
    drawn = model.sample(2_000, np.repeat(np.asarray(["no", "yes"]), 1_000), seeded(2))
    assert isinstance(drawn, Table)
    frame, real = drawn.frame, data.frame
    assert frame.dtypes.to_dict() == real.dtypes.to_dict()
    for name in ("age", "income", "height", "since", "kids"):
        assert real[name].min() <= frame[name].min() <= frame[name].max() <= real[name].max(), name
    assert set(frame["city"].dropna()) <= {"Ål", "Oslo", "Bergen"}
    means = frame.groupby("y")["kids"].mean()
    assert means["yes"] - means["no"] > 0.8  # 2 in the data
    assert (frame["income"] == 0).mean() == pytest.approx(0.6, abs=0.1)
    model.save(tmp_path)
    privacy = json.loads((tmp_path / "synthesizer.json").read_text())["model"]["privacy"]
    assert (privacy["epsilon"], privacy["delta"]) == (3, 1e-6)
    sensitivities = {name: query["sensitivity"] for name, query in privacy["queries"].items()}
    assert sensitivities == pytest.approx({"histograms": np.sqrt(1 + 5), "moments": np.sqrt(1 + 6 + 15)})
    assert "levels of categories" in privacy["public"]
    loaded = load_synthesizer(tmp_path)
    assert loaded.sample(50, None, seeded(3)).fingerprint() == model.sample(50, None, seeded(3)).fingerprint()


def test_the_noise_does_not_follow_from_the_seed() -> None:
    data, settings = people(500), config(budget_steps=5)
    first, second = (create(settings, data).fit(data, data, seeded(1)).sample(50, None, seeded(2)) for _ in "ab")
    assert first.fingerprint() != second.fingerprint()


def test_a_checkpoint_is_neither_read_nor_written(tmp_path: Path) -> None:
    data = people(500)
    create(config(budget_steps=10), data).fit(data, data, seeded(1), checkpoint=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("query", "bounds"), [(NO_NOISE, (1, 1)), (moment_query(DpConfig(epsilon=1), 3), (0.4, 0.6))])
def test_whether_a_single_odd_row_was_there_cannot_be_seen(query: Query, bounds: tuple[float, float]) -> None:
    rng = seeded(6)
    codes = rng.integers(0, 3, (2_000, 3))
    codes[0] = 3  # nobody else has the fourth levels
    layout = Layout(("a", "b", "c"), (4, 4, 4), (None, None, None), 1)
    rows = CodeRows(codes, np.zeros(2_000, dtype=np.int64))
    signs: list[list[float]] = []
    for part in (rows.take(np.arange(1, 2_000)), rows):
        tables = [PrivateMoments.of(part, layout, query, rng).pairs[0] for _ in range(300)]
        signs.append([float(table[3, 7] + table[3, 11] + table[7, 11]) for table in tables])
    # At epsilon 1 no attack at all has an area above 0.57: the normal distribution function at mu / sqrt(2).
    area = roc_auc_score(np.repeat([0, 1], 300), np.concatenate(signs))
    assert bounds[0] <= area <= bounds[1]


def test_planted_rows_come_back_from_the_plain_model_and_not_from_the_private_one(known_noise: None) -> None:
    rng = seeded(3)
    frame = pd.DataFrame({name: rng.choice(list("abc"), 3_000) for name in "pqrs"})
    frame.loc[:11, list("pqrs")] = "z"
    frame["y"] = rng.choice(["no", "yes"], 3_000)
    data = Table(frame, Schema(dict.fromkeys("pqrsy", "categorical"), label="y"))
    copies = {}
    # Not the noise alone: without head, such rows do not come back at epsilon 1000 either.
    for kind, dp in (("plain", None), ("private", {"epsilon": 1.0})):
        settings = config(dp=dp, budget_steps=400, learning_rate=0.01)
        drawn = create(settings, data).fit(data, data, seeded(1)).sample(30_000, None, seeded(2))
        assert isinstance(drawn, Table)
        copies[kind] = int((drawn.frame[list("pqrs")] == "z").all(axis=1).sum())
    assert copies["plain"] >= 60  # 120 would be their share
    assert copies["private"] == 0


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"kind": "ctgan", "dp": {"epsilon": 1, "head": True}}, "allowed: 'epsilon', 'delta'"),
        ({"kind": "ctgan", "dp": {"epsilon": 0}}, "epsilon is 0, allowed: a number .above 0"),
        ({"kind": "ctgan", "dp": {"epsilon": 1}, "critic_weight": 0.2}, "dp allows neither head, critic_weight"),
        ({"kind": "ctgan", "dp": {"epsilon": 1}, "head": True}, "dp allows neither head, critic_weight"),
        ({"kind": "tvae", "dp": {"epsilon": 1}}, "key 'synthesizer.dp' is not known"),
    ],
)
def test_a_config_that_contradicts_privacy_says_so(section: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config({"source": {"kind": "builtin", "name": "wine"}, "synthesizer": section})


def test_dp_switches_off_what_looks_at_rows() -> None:
    settings = config()
    assert (settings.head, settings.critic_weight, settings.inside) == (False, 0.0, "uniform")
