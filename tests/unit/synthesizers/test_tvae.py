import copy
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from ctgan.data_transformer import SpanInfo
from ctgan.synthesizers.tvae import _loss_function

from synthgen.config import TvaeConfig
from synthgen.datasets import Schema, Table
from synthgen.errors import TrainingError
from synthgen.synthesizers.budget import Budget
from synthgen.synthesizers.codes import CodeRows, Layout
from synthgen.synthesizers.ctgan.package import build_decoder, build_encoder
from synthgen.synthesizers.table_model import TableModel
from synthgen.synthesizers.tvae.model import Tvae
from synthgen.synthesizers.tvae.training import State, Task, train_autoencoder

SIZES = (3, 2, 7)
LAYOUT = Layout(("a", "b", "c"), SIZES, (None, None, None), 2)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def config(**changes: object) -> TvaeConfig:
    tiny = {"kind": "tvae", "batch_size": 100, "width": 24, "latent": 6, "inside": "uniform"}
    return TvaeConfig.model_validate({**tiny, **changes})


def linked_codes(n: int = 1_200, seed: int = 0) -> CodeRows:
    """The second column follows the class, the third the first: nothing that independent columns could show."""
    rng = np.random.default_rng(seed)
    classes = (rng.random(n) < 0.2).astype(np.int64)
    first = rng.integers(0, 3, n)
    second = (rng.random(n) < np.where(classes == 1, 0.9, 0.2)).astype(np.int64)
    third = np.where(rng.random(n) < 0.9, first * 2, rng.integers(0, 7, n))
    return CodeRows(np.stack([first, second, third], axis=1), classes)


def linked_table(n: int = 600) -> Table:
    rows = linked_codes(n)
    x = np.round(np.random.default_rng(1).normal(rows.codes[:, 0] * 5.0, 1.0), 2)
    frame = pd.DataFrame({"x": x, "c": rows.codes[:, 1].astype(str), "y": np.asarray(["no", "yes"])[rows.classes]})
    return Table(frame, Schema({"x": "numeric", "c": "categorical", "y": "categorical"}, label="y"))


def fit(rows: CodeRows, valid: CodeRows, settings: TvaeConfig, checkpoint: Path | None = None) -> Tvae:
    return Tvae(settings).fit(rows, valid, LAYOUT, np.random.default_rng(1), checkpoint=checkpoint)


@pytest.fixture(scope="module")
def trained() -> Tvae:
    return fit(linked_codes(), linked_codes(seed=1), config(budget_steps=700, learning_rate=0.01, width=32))


def draw(model: Tvae, classes: np.ndarray, allowed: dict[int, np.ndarray] | None = None) -> CodeRows:
    return CodeRows(model.draw(classes, allowed or {}, np.random.default_rng(2)).codes, classes)


class _Killer(logging.Handler):
    """Ends the process' work at a step, as a signal would."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.tick.done >= 26:
            raise KeyboardInterrupt


@pytest.fixture
def progress_log() -> logging.Logger:
    logger = logging.getLogger("synthgen.progress")
    level = logger.level
    logger.setLevel(logging.INFO)
    yield logger
    logger.setLevel(level)
    logger.handlers.clear()


def test_training_that_was_killed_goes_on_bit_by_bit(tmp_path: Path, progress_log: logging.Logger) -> None:
    rows, valid, settings = linked_codes(), linked_codes(300, seed=1), config(budget_steps=50)
    whole = fit(rows, valid, settings)
    killer = _Killer()
    progress_log.addHandler(killer)
    with pytest.raises(KeyboardInterrupt):
        fit(rows, valid, settings, tmp_path)
    progress_log.removeHandler(killer)
    resumed = fit(rows, valid, settings, tmp_path)
    assert [tick["step"] for tick in resumed.history] == [tick["step"] for tick in whole.history]
    assert [tick["valid_bound"] for tick in resumed.history] == [tick["valid_bound"] for tick in whole.history]
    for name, array in whole.state()[1].items():
        assert np.array_equal(array, resumed.state()[1][name]), name


def test_a_checkpoint_of_another_config_is_ignored(tmp_path: Path) -> None:
    rows, settings = linked_codes(200), config(budget_steps=10)
    fit(rows, rows, config(budget_steps=10, latent=7), tmp_path)
    assert (
        draw(fit(rows, rows, settings, tmp_path), rows.classes).fingerprint()
        == draw(fit(rows, rows, settings), rows.classes).fingerprint()
    )


def test_columns_are_learned_together_and_for_their_class(trained: Tvae) -> None:
    drawn = draw(trained, np.repeat([0, 1], 2_000))
    # 0.91 in the data, 0.14 by chance; an autoencoder blurs.
    assert (drawn.codes[:, 2] == drawn.codes[:, 0] * 2).mean() > 0.75
    shares = [drawn.codes[drawn.classes == k, 1].mean() for k in (0, 1)]
    assert shares == pytest.approx([0.2, 0.9], abs=0.08)


def test_restricted_columns_have_allowed_codes_only_and_say_how_likely_they_were(trained: Tvae) -> None:
    mask = np.arange(7) == 4
    drawn = trained.draw(np.zeros(4_000, dtype=np.int64), {2: mask}, np.random.default_rng(0))
    assert set(drawn.codes[:, 2].tolist()) == {4}
    free = draw(trained, np.zeros(20_000, dtype=np.int64)).codes[:, 2]
    assert np.exp(drawn.log_weight).mean() == pytest.approx((free == 4).mean(), abs=0.02)
    assert trained.draw(np.zeros(3, dtype=np.int64), {}, np.random.default_rng(0)).log_weight.tolist() == [0.0] * 3


def test_the_losses_are_those_of_the_package() -> None:
    rows, settings = linked_codes(64), config()
    task = Task.of(rows, rows, LAYOUT, settings.latent, seeded(0))
    state = State.fresh(settings, sum(SIZES), 2, seeded(1))
    entropy, divergence = task.losses(state, task.train, task.noise)
    one_hot, condition = task.groups.one_hot(task.train.codes), torch.eye(2)[task.train.classes]
    mean, deviation, log_variance = state.encoder(torch.cat([one_hot, condition], dim=1))
    logits = state.decoder(torch.cat([mean + deviation * task.noise, condition], dim=1))
    spans = [[SpanInfo(size, "softmax")] for size in SIZES]
    expected = _loss_function(logits, one_hot, None, mean, log_variance, spans, 2)
    assert torch.allclose(torch.stack([2 * entropy, divergence]), torch.stack(expected), rtol=1e-5)


def test_training_stops_when_valid_no_longer_gains_and_keeps_the_best_weights() -> None:
    rows = linked_codes(60)
    rng = np.random.default_rng(5)
    # Nothing of valid can be learned from these few rows: the bound falls as soon as they are learned by heart.
    valid = CodeRows(np.stack([rng.integers(0, size, 400) for size in SIZES], axis=1), rng.integers(0, 2, 400))
    settings = config(learning_rate=0.02)
    task, state = Task.of(rows, valid, LAYOUT, 6, seeded(0)), State.fresh(settings, sum(SIZES), 2, seeded(1))
    copies: list[dict[str, torch.Tensor]] = []
    budget = Budget(1_000, 60.0, True)
    train_autoencoder(state, task, settings, budget, lambda now: copies.append(copy.deepcopy(now.decoder.state_dict())))
    best = int(np.argmax([tick["valid_bound"] for tick in state.history]))
    assert len(state.history) - 1 - best == 12
    assert state.history[-1]["step"] < 1_000
    kept = state.best.state_dict()
    assert all(torch.equal(kept[name], copies[best][name]) for name in kept)
    assert not all(torch.equal(kept[name], copies[-1][name]) for name in kept)


def test_without_valid_rows_training_uses_its_budget() -> None:
    model = fit(linked_codes(200), linked_codes(0), config(budget_steps=60))
    assert model.history[-1]["step"] == 60
    assert "valid_bound" not in model.history[-1]


def test_the_minutes_end_training_early() -> None:
    model = fit(linked_codes(300), linked_codes(0), config(budget_steps=10**6, budget_minutes=0.005))
    assert 0 < model.history[-1]["step"] < 10**6


def test_divergence_says_which_setting_to_change() -> None:
    rows = linked_codes(100)
    task = Task.of(rows, rows, LAYOUT, 6, seeded(0))
    state = State.fresh(config(), sum(SIZES), 2, seeded(0))
    with torch.no_grad():
        next(state.encoder.parameters()).fill_(torch.nan)
    with pytest.raises(TrainingError, match="diverged") as caught:
        train_autoencoder(state, task, config(), Budget(5, 60.0, True), lambda state: None)
    assert caught.value.where == "synthesizer.learning_rate"


def test_a_table_model_of_it_keeps_quotas_and_comes_back_from_its_files(tmp_path: Path) -> None:
    data, settings = linked_table(), config(budget_steps=30)
    model = TableModel(settings, Tvae(settings)).fit(data, data, np.random.default_rng(1))
    labels = np.asarray(["yes", "no", "yes"])
    assert model.sample(3, labels, np.random.default_rng(0)).labels.tolist() == labels.tolist()
    model.save(tmp_path)
    loaded = TableModel(settings, Tvae(settings)).load(tmp_path)
    first, second = (some.sample(50, None, np.random.default_rng(3)).fingerprint() for some in (model, loaded))
    assert first == second


def test_networks_are_made_from_the_given_randomness_alone() -> None:
    for build in (build_encoder, build_decoder):
        first, second = (build(5, 8, 6, seeded(3)).state_dict() for _ in "ab")
        assert all(torch.equal(first[name], second[name]) for name in first)
