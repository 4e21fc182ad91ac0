import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from synthgen.config import CtganConfig
from synthgen.errors import TrainingError
from synthgen.synthesizers.budget import Budget
from synthgen.synthesizers.codes import CodeRows, Layout
from synthgen.synthesizers.ctgan.groups import Groups
from synthgen.synthesizers.ctgan.material import Material
from synthgen.synthesizers.ctgan.monitor import Health, Judge, Rescue, diversity
from synthgen.synthesizers.ctgan.package import output_layer
from synthgen.synthesizers.ctgan.training import State, Task, train_networks

LAYOUT = Layout(("a", "b", "c"), (5, 4, 3), (None, None, None), 2)


def config(**changes: object) -> CtganConfig:
    return CtganConfig.model_validate({"kind": "ctgan", "batch_size": 60, "width": 16, "latent": 8, **changes})


def rows(n: int = 400, seed: int = 0) -> CodeRows:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 5, n)
    codes = np.stack([first, first % 4, rng.integers(0, 3, n)], axis=1)
    return CodeRows(codes, (rng.random(n) < 0.3).astype(np.int64))


def material_of(train: CodeRows) -> Material:
    return Material.of(train.codes, train.classes, LAYOUT.sizes, batch_size=60)


def trained(
    settings: CtganConfig, plant: Callable[[State], None] = lambda state: None, *, valid: CodeRows | None = None
) -> State:
    """Trained for 100 steps; `plant` is called after each tick."""
    material = material_of(rows())
    state = State.fresh(settings, LAYOUT, material, torch.Generator().manual_seed(0))
    judge = None if valid is None else Judge.of(valid, material, settings.latent)
    train_networks(state, Task(material, settings, judge), Budget(100, 60.0, True), plant)
    return state


def at(step: int, damage: Callable[[State], None]) -> Callable[[State], None]:
    """The damage, once, after this step."""
    return lambda state: damage(state) if state.step == step else None


@torch.no_grad()
def nan_weights(state: State) -> None:
    next(state.generator.parameters()).fill_(torch.nan)


@torch.no_grad()
def explosion(state: State) -> None:
    layer = output_layer(state.generator.generator)
    layer.weight.mul_(1e4)


@torch.no_grad()
def one_row_only(state: State) -> None:
    layer = output_layer(state.generator.generator)
    layer.weight.zero_()
    layer.bias.zero_()
    layer.bias[[0, 5, 9]] = 30.0
    if state.generator.head is not None:
        state.generator.head.outer.zero_()


@pytest.mark.parametrize("has_head", [True, False])
@pytest.mark.parametrize("damage", [nan_weights, explosion, one_row_only])
def test_a_fault_is_rolled_back_at_a_lower_rate(
    damage: Callable[[State], None], has_head: bool, caplog: pytest.LogCaptureFixture
) -> None:
    state = trained(config(head=has_head), at(40, damage))
    clean = trained(config(head=has_head))
    name = "log_loss" if has_head else "moment_error"
    assert [tick["rollbacks"] for tick in state.history[18:22]] == [0, 0, 1, 1]
    assert state.history[22]["learning_rate"] == pytest.approx(clean.history[22]["learning_rate"] / 2)
    # Learned as well as without the fault, or nearly.
    assert state.history[-1][name] < clean.history[0][name]
    assert np.isfinite([value for tick in state.history for value in tick.values()]).all()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "roll back step=42" in caplog.text


@pytest.mark.parametrize("has_head", [True, False])
def test_vanished_gradients_are_answered(has_head: bool, caplog: pytest.LogCaptureFixture) -> None:
    hooks = []

    def kill(state: State) -> None:
        if state.step == 40:
            hooks.extend(p.register_hook(torch.zeros_like) for p in state.generator.parameters())
        if state.numbers["rollbacks"]:
            [hook.remove() for hook in hooks]

    state = trained(config(head=has_head), kill)
    assert "its gradients vanished" in caplog.text
    assert (state.numbers["rollbacks"], state.numbers["rate_scale"]) == (1.0, 0.5)
    assert state.history[20]["gradient_norm"] == 0
    assert state.history[22]["gradient_norm"] > 0


def test_a_first_tick_that_fails_does_not_condemn_the_next() -> None:
    state = State.fresh(config(), LAYOUT, material_of(rows()), torch.Generator().manual_seed(0))
    rescue = Rescue(state)
    assert not rescue.is_ready(state, replace(HEALTHY, error=float("nan")))
    assert rescue.is_ready(state, HEALTHY)


def test_a_collapse_with_the_critic_lowers_the_weight_of_the_critic() -> None:
    state = trained(config(), at(90, one_row_only))
    assert (state.numbers["critic_scale"], state.numbers["rate_scale"], state.numbers["rollbacks"]) == (0.5, 1.0, 1.0)


@pytest.mark.parametrize(("damage", "word"), [(nan_weights, "diverged"), (one_row_only, "diverged|collapsed")])
def test_a_fault_that_comes_back_ends_training_with_what_to_change(damage: Callable[[State], None], word: str) -> None:
    with pytest.raises(TrainingError, match=word) as caught:
        trained(config(), damage)
    assert caught.value.where == "synthesizer.learning_rate"


def test_a_fault_that_comes_back_ends_training_with_the_best_weights_when_there_are_some() -> None:
    state = trained(config(), lambda state: nan_weights(state) if state.step >= 60 else None, valid=rows(200, 1))
    assert state.step == 68
    assert state.numbers["rollbacks"] == 3
    assert all(torch.isfinite(tensor).all() for tensor in state.best.state_dict().values())


HEALTHY = Health(1.0, {"log_loss": 1.0}, 0.5, 0.9, True)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"error": 6.9}, None),
        ({"error": 7.1}, "diverged"),
        ({"losses": {"critic_loss": np.inf}}, "diverged"),
        ({"gradient_norm": np.nan}, "diverged"),
        ({"gradient_norm": 1e-9}, "vanished"),
        # Nothing left to learn is no fault.
        ({"gradient_norm": 1e-9, "error": 0.01}, None),
        ({"diversity": 0.2}, "alike"),
    ],
)
def test_faults_are_told_apart(changes: dict[str, object], fault: str | None) -> None:
    found = replace(HEALTHY, **changes).fault(2.0)
    assert found is None if fault is None else fault in str(found)


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [([[0, 0], [1, 1], [2, 0], [3, 1]], 1.0), ([[0, 0]] * 4, 0.0), ([[0, 0], [0, 0], [1, 1], [1, 1]], 0.5)],
)
def test_diversity_is_relative_to_real_rows(drawn: list[list[int]], expected: float) -> None:
    real = torch.tensor([[0, 0], [1, 1], [2, 0], [3, 1]])
    groups = Groups.of((4, 2), torch.device("cpu"))
    assert diversity(torch.tensor(drawn), real, groups) == pytest.approx(expected, abs=1e-4)


def test_looking_at_valid_is_recorded_and_changes_nothing_else() -> None:
    watched, blind = trained(config(), valid=rows(300, 1)), trained(config())
    # The generator's weights, not the average's statistics, tell whether the training was the same.
    for a, b in zip(watched.generator.parameters(), blind.generator.parameters(), strict=True):
        assert torch.equal(a, b) or watched.step < blind.step
    areas = [tick["valid_auc"] for tick in watched.history if "valid_auc" in tick]
    assert 3 <= len(areas) <= 6
    assert all(0.2 < area < 0.9 for area in areas)
    assert not [tick for tick in blind.history if "valid_auc" in tick]


def test_too_few_rows_to_compare_with_are_not_looked_at() -> None:
    assert Judge.of(rows(99), material_of(rows()), 8) is None
    assert Judge.of(rows(100), material_of(rows()), 8) is not None


def test_training_stops_when_it_recites_training_rows() -> None:
    rng = np.random.default_rng(0)
    layout = Layout(tuple("abcdef"), (12,) * 6, (None,) * 6, 1)
    noise = CodeRows(rng.integers(0, 12, (400, 6)), np.zeros(400, dtype=np.int64))
    train, valid = noise.take(np.arange(200)), noise.take(np.arange(200, 400))
    material = Material.of(train.codes, train.classes, layout.sizes, batch_size=60)
    settings = config(learning_rate=0.02)
    state = State.fresh(settings, layout, material, torch.Generator().manual_seed(0))
    judge = Judge.of(valid, material, settings.latent)
    train_networks(state, Task(material, settings, judge), Budget(1_000, 60.0, True), lambda state: None)
    assert state.step < 1_000
    losses = [tick["valid_loss"] for tick in state.history if "valid_loss" in tick]
    assert losses[-1] > 1.01 * min(losses)
    assert state.history[-1]["log_loss"] < losses[-1]


def test_a_long_tail_of_checks_without_gain_keeps_the_best(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    # Ruined slowly, below what the monitors call a fault: only `valid` can tell.
    @torch.no_grad()
    def ruin(state: State) -> None:
        if state.step >= 64:
            layer = output_layer(state.average.generator)
            layer.bias[0] += 1.5

    state = trained(config(), ruin, valid=rows(300, 1))
    assert state.step < 100
    assert "past-its-best" in caplog.text
