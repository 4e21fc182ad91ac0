import copy
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from synthgen.config import AutoregressiveConfig
from synthgen.errors import TrainingError
from synthgen.synthesizers.autoregressive.experts import Experts, _share
from synthgen.synthesizers.autoregressive.model import Autoregressive
from synthgen.synthesizers.autoregressive.network import _draw_codes, build_networks, rank_features, start_at_marginals
from synthgen.synthesizers.autoregressive.training import Plan, State, mean_losses, train_networks
from synthgen.synthesizers.budget import Budget
from synthgen.synthesizers.codes import CodeRows, Layout

RANKS = np.array([0.1, 0.3, 0.6, 0.9, np.nan])
LAYOUT = Layout(("a", "b", "c"), (3, 2, 5), (None, None, RANKS), 2)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def config(**changes: object) -> AutoregressiveConfig:
    tiny = {"kind": "autoregressive", "width": 16, "embedding": 4, "batch_size": 64}
    return AutoregressiveConfig.model_validate({**tiny, **changes})


def linked(n: int = 2_000, seed: int = 0) -> CodeRows:
    """b is a xor class; c follows a: nothing that independent columns could show."""
    rng = np.random.default_rng(seed)
    classes = (rng.random(n) < 0.3).astype(np.int64)
    a = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    b = ((a == 1) ^ (classes == 1)).astype(np.int64)
    c = np.where(rng.random(n) < 0.9, a, rng.integers(0, 5, n))
    return CodeRows(np.stack([a, b, c], axis=1), classes)


def tensor(rows: CodeRows) -> torch.Tensor:
    return torch.from_numpy(np.column_stack([rows.classes, rows.codes]))


def fit(
    settings: AutoregressiveConfig,
    *,
    train: CodeRows | None = None,
    valid: CodeRows | None = None,
    layout: Layout = LAYOUT,
    checkpoint: Path | None = None,
) -> Autoregressive:
    train = linked() if train is None else train
    valid = linked(300, seed=1) if valid is None else valid
    return Autoregressive(settings).fit(train, valid, layout, np.random.default_rng(1), checkpoint=checkpoint)


def drawn(model: Autoregressive, seed: int = 2) -> bytes:
    return model.draw(np.arange(200) % 2, {}, np.random.default_rng(seed)).codes.tobytes()


@pytest.fixture(scope="module")
def trained() -> Autoregressive:
    return fit(config(budget_steps=400, learning_rate=0.01, dropout=0.0))


class _Killer(logging.Handler):
    """Ends the process' work at a step, as a signal would."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.tick.done >= 26:
            raise KeyboardInterrupt


@pytest.fixture
def killer() -> Iterator[_Killer]:
    logger, handler = logging.getLogger("synthgen.progress"), _Killer()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_training_that_was_killed_goes_on_bit_by_bit(tmp_path: Path, killer: _Killer) -> None:
    settings = config(budget_steps=40)
    with pytest.raises(KeyboardInterrupt):
        fit(settings, checkpoint=tmp_path)
    logging.getLogger("synthgen.progress").removeHandler(killer)
    resumed, whole = fit(settings, checkpoint=tmp_path), fit(settings)
    assert [{**tick, "seconds": 0} for tick in resumed.history] == [{**tick, "seconds": 0} for tick in whole.history]
    assert [tick["step"] for tick in whole.history] == list(range(2, 41, 2))
    for name, weight in whole.state()[1].items():
        assert np.array_equal(resumed.state()[1][name], weight), name
    assert drawn(resumed) == drawn(whole)


@pytest.mark.parametrize("damage", ["truncated", "other config", "other validation rows"])
def test_a_checkpoint_of_something_else_is_ignored(damage: str, tmp_path: Path) -> None:
    other = linked(300, seed=2 if damage == "other validation rows" else 1)
    fit(config(budget_steps=8, width=24 if damage == "other config" else 16), valid=other, checkpoint=tmp_path)
    if damage == "truncated":
        file = tmp_path / "training.safetensors"
        file.write_bytes(file.read_bytes()[:1_000])
    settings = config(budget_steps=12)
    assert drawn(fit(settings, checkpoint=tmp_path)) == drawn(fit(settings))


def test_what_needs_class_and_column_together_is_learned(trained: Autoregressive) -> None:
    classes = np.arange(6_000) % 2
    codes = trained.draw(classes, {}, np.random.default_rng(0)).codes
    assert (codes[:, 1] == ((codes[:, 0] == 1) ^ (classes == 1))).mean() > 0.99
    assert (codes[:, 0] == codes[:, 2]).mean() == pytest.approx(0.92, abs=0.02)
    assert np.bincount(codes[:, 0]) / 6_000 == pytest.approx([0.5, 0.3, 0.2], abs=0.04)


def test_an_allowed_code_is_forced_and_weighed_by_its_probability(trained: Autoregressive) -> None:
    classes = np.zeros(8_000, dtype=np.int64)
    allowed = {0: np.array([False, True, True]), 2: np.array([False, False, True, False, True])}
    found = trained.draw(classes, allowed, np.random.default_rng(0))
    free = trained.draw(classes, {}, np.random.default_rng(1))
    assert set(found.codes[:, 0]) == {1, 2}
    assert set(found.codes[:, 2]) == {2, 4}
    assert not free.log_weight.any()
    # The mean weight is the probability of the condition, which free rows meet that often.
    is_met = np.isin(free.codes[:, 0], [1, 2]) & np.isin(free.codes[:, 2], [2, 4])
    assert np.exp(found.log_weight).mean() == pytest.approx(is_met.mean(), abs=0.02)
    # Weighted, forced rows are distributed as the free rows that meet the condition.
    share = np.average(found.codes[:, 0] == 2, weights=np.exp(found.log_weight))
    assert share == pytest.approx((free.codes[is_met, 0] == 2).mean(), abs=0.02)


def test_a_code_that_the_model_finds_all_but_impossible_can_be_forced(trained: Autoregressive) -> None:
    assert trained._experts is not None
    networks = copy.deepcopy(trained._experts.networks)
    networks.columns[1][-1].bias.copy_(torch.tensor([0.0, -500.0]))
    model = Experts(networks, trained._experts.trees, np.ones(3))
    found = model.draw(np.zeros(50, dtype=np.int64), {1: np.array([False, True])}, np.random.default_rng(0))
    assert (found.codes[:, 1] == 1).all()
    assert np.isfinite(found.log_weight).all()
    assert found.log_weight.max() < -400


def test_no_rows_are_drawn_for_no_classes(trained: Autoregressive) -> None:
    assert trained.draw(np.empty(0, dtype=np.int64), {}, np.random.default_rng(0)).codes.shape == (0, 3)


def test_drawn_codes_follow_their_probabilities_and_never_one_of_zero() -> None:
    probabilities = torch.tensor([0.0, 0.6, 0.0, 0.1, 0.3, 0.0])
    codes = _draw_codes(torch.log(probabilities).expand(40_000, -1), seeded(0))
    assert torch.allclose(torch.bincount(codes, minlength=6) / 40_000, probabilities, atol=0.01)
    assert set(codes.tolist()) == {1, 3, 4}


def test_a_column_sees_only_the_class_and_the_columns_before_it() -> None:
    networks = build_networks(LAYOUT, config(), seeded(0))
    row = torch.tensor([[0, 1, 0, 3]])
    for changed in range(4):
        other = row.clone()
        other[0, changed] = 1 - row[0, changed].clamp(max=1)
        differs = [
            not torch.equal(a, b) for a, b in zip(networks(row, range(3)), networks(other, range(3)), strict=True)
        ]
        assert differs == [j >= changed for j in range(3)]


def test_untrained_networks_start_at_the_marginals() -> None:
    networks = build_networks(LAYOUT, config(), seeded(0))
    rows = tensor(linked())
    start_at_marginals(networks, rows[:, 1:])
    entropy = -sum(
        float((share[share > 0] * np.log(share[share > 0])).sum())
        for share in (np.bincount(column) / len(rows) for column in rows[:, 1:].numpy().T)
    )
    assert float(mean_losses(networks, rows, range(3)).sum()) == pytest.approx(entropy, abs=0.15)


@pytest.mark.parametrize("columns", [[0, 1, 2], [2, 0], [1]])
def test_mean_losses_are_the_log_likelihoods_of_the_columns(columns: list[int]) -> None:
    networks = build_networks(LAYOUT, config(), seeded(0))
    rows = linked(5_000)
    logits = networks(tensor(rows), range(3))
    chain = [
        -nn.functional.log_softmax(logits[j], dim=1)[range(5_000), rows.codes[:, j]].mean().item() for j in columns
    ]
    assert mean_losses(networks, tensor(rows), columns).tolist() == pytest.approx(chain, rel=1e-5)
    assert (-np.log(networks.likelihood(rows)).mean(axis=0))[columns].tolist() == pytest.approx(chain, rel=1e-5)


def test_rank_features_are_smooth_in_the_rank_and_flag_the_missing() -> None:
    features = rank_features(np.array([0.5, 0.25, np.nan, 0.0]))
    assert features.shape == (4, 11)
    assert features[0, :2].tolist() == [0, 0]
    assert features[1, 0] == pytest.approx(-0.5)
    assert features[1, 1] == pytest.approx(-0.67449, abs=1e-5)
    assert features[1, 2] == pytest.approx(1.0)
    assert features[2].tolist() == [0.0] * 10 + [1.0]
    assert torch.isfinite(features).all()


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_drops_its_share(rate: float) -> None:
    networks = build_networks(LAYOUT, config(dropout=rate, width=64), seeded(0))
    keep = networks.draw_keep(2_000, 3, seeded(1))
    assert (keep.hidden == 0).float().mean().item() == pytest.approx(rate, abs=0.005)
    assert keep.hidden.mean().item() == pytest.approx(1, abs=0.02)
    assert (keep.inputs == 0).float().mean().item() == pytest.approx(rate / 2, abs=0.01)


def test_each_column_keeps_its_weights_of_the_best_validation_likelihood() -> None:
    # Five columns of noise are learned by heart soon; the last, a copy of the first, is learned on.
    train, valid = (_noise_and_a_copy(n, seed) for n, seed in ((150, 0), (400, 1)))
    layout = Layout(tuple("abcdef"), (6,) * 6, (None,) * 6, 1)
    settings = config(width=64, dropout=0.0, learning_rate=0.01)
    state = State.fresh(layout, settings, tensor(train), seeded(0))
    seen: list[list[float]] = []
    stopped: list[int] = []

    def look(now: State) -> None:
        seen.append(mean_losses(now.average, tensor(valid), range(6)).tolist())
        stopped.append(6 - len(now.learning))

    train_networks(state, tensor(train), tensor(valid), Plan(Budget(600, 60.0, True), 64), look)
    kept = mean_losses(state.best, tensor(valid), range(6)).tolist()
    # From the second tick on: before it the embeddings still change.
    assert kept == pytest.approx(np.asarray(seen[1:]).min(axis=0).tolist(), rel=1e-4)
    assert state.best_losses == pytest.approx(kept, rel=1e-4)
    assert kept[5] < 0.1
    assert min(kept[:5]) > 1.5
    assert stopped[-1] == 5
    assert len(seen) == 20


def _noise_and_a_copy(n: int, seed: int) -> CodeRows:
    codes = np.random.default_rng(seed).integers(0, 6, (n, 6))
    codes[:, 5] = codes[:, 0]
    return CodeRows(codes, np.zeros(n, dtype=np.int64))


def test_a_share_is_the_weight_under_which_the_rows_are_likeliest() -> None:
    rng = np.random.default_rng(0)
    own, others = rng.random(500), rng.random(500)
    shares = np.linspace(0.02, 1, 99)
    likeliest = shares[np.argmax([np.log(share * own + (1 - share) * others).sum() for share in shares])]
    assert _share(own, others) == pytest.approx(likeliest, abs=0.03)
    assert _share(own, np.zeros(500)) == 1.0
    assert _share(np.full(500, 1e-9), np.ones(500)) == 0.02


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_codes_come_from_both_experts_by_their_share(trained: Autoregressive, share: float) -> None:
    assert trained._experts is not None
    networks, trees = trained._experts.networks, trained._experts.trees
    mixed = Experts(networks, trees, np.full(3, share))
    classes = np.zeros(40_000, dtype=np.int64)
    drawn = mixed.draw(classes, {}, np.random.default_rng(0)).codes
    first = CodeRows(np.array([[code, 0, 0] for code in range(3)]), np.zeros(3, dtype=np.int64))
    wanted = share * networks.likelihood(first)[:, 0] + (1 - share) * trees.likelihood(first)[:, 0]
    assert np.bincount(drawn[:, 0], minlength=3) / 40_000 == pytest.approx(wanted, abs=0.01)
    # The mean weight of a condition is its probability, whatever the share.
    forced = mixed.draw(classes, {2: np.arange(5) == 4}, np.random.default_rng(1)).log_weight
    assert np.exp(forced).mean() == pytest.approx((drawn[:, 2] == 4).mean(), abs=0.005)


@pytest.mark.parametrize("rows", [1, 19, 20, 400])
def test_without_validation_rows_some_of_train_are_held_out(rows: int) -> None:
    nothing = linked(0)
    model = fit(config(budget_steps=20), train=linked(rows), valid=nothing)
    assert all(np.isfinite(tick["valid_loss"]) for tick in model.history)
    assert len(model.draw(np.zeros(5, dtype=np.int64), {}, np.random.default_rng(0)).codes) == 5


def test_a_wide_column_is_learned() -> None:
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 1_000, 4_000)
    rows = CodeRows(np.stack([wide, wide // 500], axis=1), np.zeros(4_000, dtype=np.int64))
    layout = Layout(("wide", "half"), (1_000, 2), ((np.arange(1_000) + 0.5) / 1_000, None), 1)
    model = fit(
        config(budget_steps=150, learning_rate=0.01), train=rows, valid=rows.take(np.arange(500)), layout=layout
    )
    codes = model.draw(np.zeros(2_000, dtype=np.int64), {}, np.random.default_rng(0)).codes
    assert (codes[:, 0] // 500 == codes[:, 1]).mean() > 0.95
    assert len(np.unique(codes[:, 0])) > 700


@pytest.mark.parametrize("broken", [1, 3])
def test_divergence_rolls_back_to_the_last_good_weights_at_half_the_rate(broken: int) -> None:
    state, train, valid, plan = _training(steps=60)
    breaks = iter(range(broken))

    def break_weights(now: State) -> None:
        if next(breaks, None) is not None:
            next(now.networks.parameters()).detach().fill_(torch.nan)

    train_networks(state, train, valid, plan, break_weights)
    assert [tick["rollbacks"] for tick in state.history if "rollbacks" in tick] == list(range(1, broken + 1))
    assert all(torch.isfinite(parameter).all() for parameter in state.networks.parameters())
    assert torch.isfinite(mean_losses(state.best, valid, range(3))).all()


def test_divergence_that_does_not_end_says_which_setting_to_change() -> None:
    state, train, valid, plan = _training(steps=60)
    with torch.no_grad():
        next(state.networks.parameters()).fill_(torch.nan)
    with pytest.raises(TrainingError, match="diverged") as caught:
        train_networks(state, train, valid, plan, lambda now: None)
    assert caught.value.where == "synthesizer.learning_rate"


def _training(steps: int) -> tuple[State, torch.Tensor, torch.Tensor, Plan]:
    train, valid = tensor(linked()), tensor(linked(300, seed=1))
    state = State.fresh(LAYOUT, config(), train, seeded(0))
    return state, train, valid, Plan(Budget(steps, 60.0, True), 64)


@pytest.mark.parametrize(
    ("rows", "changes", "steps", "batch_size"),
    [
        (100, {}, 600, 64),
        (9_999, {}, 1_250, 64),
        (10_000, {}, 600, 200),
        (10**6, {}, 40_000, 200),
        (10**6, {"epochs": 0.5, "batch_size": 1_000}, 600, 1_000),
        (10**6, {"budget_steps": 7}, 7, 200),
    ],
)
def test_steps_follow_epochs_unless_told(rows: int, changes: dict[str, object], steps: int, batch_size: int) -> None:
    plan = Plan.of(config(**{"batch_size": None, **changes}), rows)
    assert (plan.budget.steps, plan.batch_size) == (steps, batch_size)


def test_the_minutes_end_training_early() -> None:
    model = fit(config(budget_steps=10**6, budget_minutes=0.01))
    assert 0 < model.history[-1]["step"] < 10**6
    assert model.history[-1]["seconds"] >= 0.6
