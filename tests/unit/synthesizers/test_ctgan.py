import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from synthgen.config import CtganConfig
from synthgen.datasets import Schema, Table
from synthgen.errors import DataError
from synthgen.synthesizers.budget import Budget
from synthgen.synthesizers.codes import CodeRows, Layout
from synthgen.synthesizers.ctgan.groups import Groups
from synthgen.synthesizers.ctgan.losses import cooccurrence, critic_scores, gradient_penalty
from synthgen.synthesizers.ctgan.material import Material
from synthgen.synthesizers.ctgan.model import Ctgan
from synthgen.synthesizers.ctgan.network import Head
from synthgen.synthesizers.ctgan.package import PAC, build_critic, build_generator
from synthgen.synthesizers.ctgan.training import budget_of
from synthgen.synthesizers.table_model import TableModel

SIZES = (3, 1, 7, 2)
CPU = torch.device("cpu")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linked(n: int = 800) -> Table:
    """x and c follow each other, and both the class: nothing that independent columns could show."""
    rng = np.random.default_rng(4)
    y = np.where(rng.random(n) < 0.2, "rare", "common")
    c = np.where(rng.random(n) < np.where(y == "rare", 0.85, 0.25), "b", "a")
    x = np.round(rng.normal(np.where(c == "b", 3.0, -3.0), 1.0), 2)
    schema = Schema({"x": "numeric", "c": "categorical", "y": "categorical"}, label="y")
    return Table(pd.DataFrame({"x": x, "c": c, "y": y}), schema)


def config(**changes: object) -> CtganConfig:
    return CtganConfig.model_validate({"kind": "ctgan", "batch_size": 60, "width": 16, "latent": 8, **changes})


def fit(data: Table, settings: CtganConfig, checkpoint: Path | None = None) -> TableModel:
    return TableModel(settings, Ctgan(settings)).fit(data, data, np.random.default_rng(1), checkpoint=checkpoint)


def drawn(model: TableModel, n: int = 100) -> str:
    return model.sample(n, None, np.random.default_rng(2)).fingerprint()


class _Killer(logging.Handler):
    """Ends the process' work at a step, as a signal would."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def emit(self, record: logging.LogRecord) -> None:
        if record.tick.done >= self.step:
            raise KeyboardInterrupt


@pytest.fixture
def progress_log() -> logging.Logger:
    logger = logging.getLogger("synthgen.progress")
    level = logger.level
    logger.setLevel(logging.INFO)
    yield logger
    logger.setLevel(level)
    logger.handlers.clear()


@pytest.mark.parametrize(("has_head", "killed_at"), [(True, 46), (False, 46)])
def test_training_that_was_killed_goes_on_bit_by_bit(
    has_head: bool, killed_at: int, tmp_path: Path, progress_log: logging.Logger
) -> None:
    data, settings = linked(200), config(budget_steps=50, head=has_head)
    whole = fit(data, settings)
    killer = _Killer(killed_at)
    progress_log.addHandler(killer)
    with pytest.raises(KeyboardInterrupt):
        fit(data, settings, tmp_path)
    progress_log.removeHandler(killer)
    resumed = fit(data, settings, tmp_path)
    assert [tick["step"] for tick in resumed.history] == [tick["step"] for tick in whole.history]
    for name in ("generator_loss", "valid_auc", "gradient_norm"):
        assert [tick.get(name) for tick in resumed.history] == [tick.get(name) for tick in whole.history]
    assert drawn(resumed) == drawn(whole)


@pytest.mark.parametrize("damage", ["truncated", "other config"])
def test_a_checkpoint_of_something_else_is_ignored(damage: str, tmp_path: Path) -> None:
    data = linked(90)
    fit(data, config(budget_steps=12, latent=8 if damage == "truncated" else 9), tmp_path)
    if damage == "truncated":
        file = tmp_path / "training.safetensors"
        file.write_bytes(file.read_bytes()[:1_000])
    settings = config(budget_steps=12)
    assert drawn(fit(data, settings, tmp_path)) == drawn(fit(data, settings))


@pytest.mark.parametrize("has_head", [True, False])
def test_labels_and_columns_are_learned_together(has_head: bool) -> None:
    data = linked()
    model = fit(data, config(budget_steps=250, learning_rate=0.01, width=32, head=has_head))
    labels = np.repeat(np.asarray(["rare", "common"]), 1_000)
    frame = model.sample(2_000, labels, np.random.default_rng(0)).frame
    agreement = ((frame["x"] > 0) == (frame["c"] == "b")).mean()
    assert agreement > 0.9
    assert (frame["c"][frame["y"] == "rare"] == "b").mean() == pytest.approx(0.85, abs=0.08)
    assert (frame["c"][frame["y"] == "common"] == "b").mean() == pytest.approx(0.25, abs=0.08)


def test_free_sampling_follows_the_class_frequencies_and_not_their_logarithms() -> None:
    data = linked()
    labels = fit(data, config(budget_steps=5)).sample(4_000, None, np.random.default_rng(0)).labels
    assert (labels == "rare").mean() == pytest.approx((data.labels == "rare").mean(), abs=0.03)


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    network = fit(linked(), config(budget_steps=5)).codes._network
    noise = torch.randn(50, 8, generator=seeded(0))
    condition = functional.one_hot(torch.arange(50) % 2, 2).float()
    assert torch.allclose(network(noise, condition)[:1], network(noise[:1], condition[:1]), atol=1e-6)


def test_more_levels_than_pairs_of_them_fit_into_memory_are_refused() -> None:
    layout = Layout(("code", "x"), (9_000, 2), (None, None), 1)
    rows = CodeRows(np.zeros((5, 2), dtype=np.int64), np.zeros(5, dtype=np.int64))
    with pytest.raises(DataError, match="9002 levels together") as caught:
        Ctgan(config()).fit(rows, rows, layout, np.random.default_rng(0), checkpoint=None)
    assert caught.value.where == "code"


def test_a_table_of_labels_alone_says_so() -> None:
    data = Table(pd.DataFrame({"y": ["a", "b"] * 40}), Schema({"y": "categorical"}, label="y"))
    with pytest.raises(DataError, match="no column to learn"):
        fit(data, config(budget_steps=1))


@pytest.mark.parametrize(
    ("rows", "settings", "steps"),
    [
        (10, {}, 300),
        (10_000, {}, 3_000),
        (2_500, {"batch_size": 100}, 500),
        (10**6, {"budget_steps": 7}, 7),
        (10, {"head": False}, 600),
        (340, {"head": False}, 737),
        (10**6, {"head": False}, 3_000),
    ],
)
def test_steps_follow_the_rows_unless_told(rows: int, settings: dict[str, int], steps: int) -> None:
    assert budget_of(config(**settings), rows).steps == steps


@pytest.mark.parametrize(
    ("is_reproducible", "step", "seconds", "share"),
    [(True, 50, 99.0, 0.5), (False, 50, 99.0, 0.99), (False, 50, 10.0, 0.5), (False, 100, 500.0, 1.0)],
)
def test_only_a_budget_without_steps_looks_at_the_clock(
    is_reproducible: bool, step: int, seconds: float, share: float
) -> None:
    assert Budget(100, 100.0, is_reproducible).share(step, seconds) == share


def test_the_minutes_end_training_early(monkeypatch: pytest.MonkeyPatch) -> None:
    # On an idle core even so short a training goes past its best.
    monkeypatch.setattr("synthgen.synthesizers.ctgan.monitor._PATIENCE", 10**6)
    model = fit(linked(), config(budget_steps=10**6, budget_minutes=0.01))
    assert 0 < model.history[-1]["step"] < 10**6
    assert model.history[-1]["seconds"] >= 0.6


def test_there_are_about_fifty_ticks() -> None:
    history = fit(linked(90), config(budget_steps=100)).history
    assert [tick["step"] for tick in history] == list(range(2, 101, 2))


def test_grouped_softmax_is_the_softmax_of_each_column() -> None:
    logits = torch.randn(5, sum(SIZES), generator=seeded(0)) * 40
    logits[:, 4:11] -= 500
    expected = torch.cat([part.softmax(dim=1) for part in torch.split(logits, SIZES, dim=1)], dim=1)
    assert torch.allclose(Groups.of(SIZES, CPU).softmax(logits), expected, atol=1e-6)


def test_one_hot_and_draw_are_inverse_for_sharp_logits() -> None:
    groups = Groups.of(SIZES, CPU)
    codes = torch.stack([torch.randint(size, (40,), generator=seeded(size)) for size in SIZES], dim=1)
    assert torch.equal(groups.draw(groups.one_hot(codes) * 200, seeded(0)), codes)


def test_draws_have_the_frequencies_of_the_softmax() -> None:
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1, 1.0, 0.5, 0.5]])).expand(20_000, -1)
    codes = Groups.of((3, 1, 2), CPU).draw(logits, seeded(0))
    shares = torch.bincount(codes[:, 0]) / len(codes)
    assert torch.allclose(shares, torch.tensor([0.7, 0.2, 0.1]), atol=0.015)


def test_the_closed_form_penalty_is_the_one_that_autograd_computes() -> None:
    critic = build_critic(6, 12, seeded(0))
    real, fake = (torch.randn(4 * PAC, 6, generator=seeded(seed)) for seed in (1, 2))
    rng = seeded(3)
    share = torch.rand(4, 1, 1, generator=rng).expand(-1, PAC, 1).reshape(-1, 1)
    points = (fake + share * (real - fake)).requires_grad_()
    scores = critic_scores(critic, points, rng)
    (gradient,) = torch.autograd.grad(scores.sum(), points)
    expected = 10 * ((gradient.reshape(4, -1).norm(2, dim=1) - 1) ** 2).mean()
    assert torch.allclose(gradient_penalty(critic, real, fake, seeded(3)), expected, rtol=1e-5)


def test_the_critic_is_the_one_of_the_package_when_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    critic = build_critic(6, 12, seeded(0)).eval()
    rows = torch.randn(2 * PAC, 6, generator=seeded(1))
    monkeypatch.setattr("synthgen.synthesizers.ctgan.losses._KEEP", 1.0)
    assert torch.allclose(critic_scores(critic, rows, seeded(2)), critic(rows), atol=1e-6)


def test_cooccurrence_counts_pairs_in_each_stratum() -> None:
    rows = torch.tensor([[1.0, 0, 1], [0, 1, 1], [0, 1, 0]])
    first, second = cooccurrence(rows, [1, 2])
    assert first.tolist() == [[1, 0, 1], [0, 0, 0], [1, 0, 1]]
    assert second.tolist() == [[0, 0, 0], [0, 1, 0.5], [0, 0.5, 0.5]]


def test_material_knows_the_pairs_of_each_class() -> None:
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, size, 500) for size in SIZES], axis=1)
    classes = (rng.random(500) < 0.1).astype(np.int64)
    material = Material.of(codes, classes, SIZES, batch_size=100)
    rare = codes[classes == 1]
    expected = ((rare[:, 0] == 2) & (rare[:, 2] == 5)).mean()
    assert material.target[1, 2, 4 + 5].item() == pytest.approx(expected)
    assert material.target[1, 2, sum(SIZES) + 1].item() == pytest.approx((rare[:, 0] == 2).mean())
    # Only different columns are compared: not the three levels of the first with each other.
    assert material.weight[:, :3, :3].abs().max() == 0


def test_batches_hold_real_rows_of_their_class_and_more_of_the_rare_one() -> None:
    classes = np.repeat([0, 1], [475, 25])
    codes = np.stack([classes, np.arange(500) % 7], axis=1)
    material = Material.of(codes, classes, (2, 7), batch_size=100)
    rows = material.real_codes(seeded(0))
    assert len(rows) % PAC == 0
    assert torch.equal(rows[:, 0].long(), material.batch_classes)
    # The square root of 1 : 19 instead of 1 : 19.
    assert (material.batch_classes == 1).float().mean().item() == pytest.approx(0.187, abs=0.01)


def test_more_classes_than_strata_are_matched_together() -> None:
    classes = np.arange(400) % 25
    material = Material.of((classes % 5)[:, None], classes, (5,), batch_size=60)
    assert material.target.shape == (1, 30, 30)
    assert material.target[0, 3, 5 + 8].item() == pytest.approx(1 / 25)
    assert material.target[0, 2, 5 + 8].item() == 0


def test_networks_are_made_from_the_given_randomness_alone() -> None:
    first, second = (build_generator(5, 8, 6, seeded(3)) for _ in "ab")
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def linked_rows() -> tuple[CodeRows, Layout]:
    """Three columns of which the second repeats the first in four of five rows."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 3, 900)
    second = np.where(rng.random(900) < 0.8, first, rng.integers(0, 3, 900))
    codes = np.stack([first, second, rng.integers(0, 4, 900)], axis=1)
    return CodeRows(codes, rng.integers(0, 2, 900)), Layout(("a", "b", "c"), (3, 3, 4), (None,) * 3, 2)


@pytest.mark.parametrize("has_head", [True, False])
def test_forced_columns_weigh_as_often_as_they_come_by_themselves(has_head: bool) -> None:
    rows, layout = linked_rows()
    empty = rows.take(np.arange(0))
    settings = config(budget_steps=150, head=has_head, learning_rate=0.02)
    model = Ctgan(settings).fit(rows, empty, layout, np.random.default_rng(0), checkpoint=None)
    classes = np.zeros(20_000, dtype=np.int64)
    free = model.draw(classes, {}, np.random.default_rng(1))
    assert not free.log_weight.any()
    allowed = {0: np.array([True, False, True]), 1: np.array([False, True, False])}
    forced = model.draw(classes, allowed, np.random.default_rng(2))
    assert set(forced.codes[:, 0]) <= {0, 2}
    assert set(forced.codes[:, 1]) == {1}
    meets = (free.codes[:, 0] != 1) & (free.codes[:, 1] == 1)
    weights = np.exp(forced.log_weight)
    assert weights.mean() == pytest.approx(meets.mean(), rel=0.15)
    # And weighted, the forced rows are the free ones that meet the condition.
    of_forced = np.average(forced.codes[:, 0] == 0, weights=weights)
    assert of_forced == pytest.approx((free.codes[meets, 0] == 0).mean(), abs=0.06)


def test_each_column_sees_those_before_it_and_no_other() -> None:
    _, layout = linked_rows()
    head = Head(layout, Groups.of(layout.sizes, CPU), seeded(0))
    with torch.no_grad():
        head.outer.normal_(generator=seeded(1))
    codes, condition = torch.tensor([[0, 1, 2]]), torch.tensor([[1.0, 0.0]])
    spans = [slice(0, 3), slice(3, 6), slice(6, 10)]
    for changed in range(3):
        other = codes.clone()
        other[0, changed] = (codes[0, changed] + 1) % 3
        moved = (head(codes, condition) - head(other, condition))[0]
        assert [bool(moved[span].abs().sum() > 1e-6) for span in spans] == [j > changed for j in range(3)]


def test_rows_drawn_in_order_have_the_likelihood_that_one_pass_gives() -> None:
    _, layout = linked_rows()
    groups = Groups.of(layout.sizes, CPU)
    head = Head(layout, groups, seeded(0))
    with torch.no_grad():
        head.outer.normal_(generator=seeded(1))
    logits, condition = torch.randn(50, 10, generator=seeded(2)), torch.eye(2)[torch.arange(50) % 2]
    drafts = head.draw(logits, condition, {}, seeded(3))
    assert torch.equal(groups.largest(logits + head(drafts.codes, condition) + drafts.noise), drafts.codes)


def test_a_column_that_repeats_another_is_drawn_as_its_repetition() -> None:
    rows, layout = linked_rows()
    same = CodeRows(rows.codes[:, [0, 0, 2]], rows.classes)
    settings = config(budget_steps=150, learning_rate=0.03, critic_weight=0)
    model = Ctgan(settings).fit(same, same, layout, np.random.default_rng(0), checkpoint=None)
    codes = model.draw(np.zeros(2_000, dtype=np.int64), {}, np.random.default_rng(1)).codes
    assert (codes[:, 0] == codes[:, 1]).mean() > 0.97
