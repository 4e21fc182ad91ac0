import logging

import numpy as np
import pytest
import torch

from synthgen.config import ImageGanConfig
from synthgen.datasets import ImageSet
from synthgen.errors import TrainingError
from synthgen.gan import networks
from synthgen.gan.augment import Policy
from synthgen.gan.batches import Batches
from synthgen.gan.monitors import Watch
from synthgen.gan.spec import NetworkSpec
from synthgen.gan.state import TrainingState, load_checkpoint, save_checkpoint
from synthgen.gan.steps import train_step, update_average
from synthgen.gan.training import budget_share, phase_of, suitable_threads, train, trains_in_bfloat16

CPU = torch.device("cpu")
SPEC = NetworkSpec(size=(8, 8), channels=1, classes=2, architecture="dcgan", width=4, latent=4)


class Killed(Exception):
    pass


def config(**changes):
    return ImageGanConfig(kind="image-gan", **{"batch_size": 8, "budget_steps": 20, **changes})


def fresh(settings, seed=0):
    return TrainingState.initial(SPEC, settings, policy=Policy(0.3), seed=seed, device=CPU)


def batches(n=40, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 2
    images = np.clip(rng.normal(60 + 120 * codes[:, None, None, None], 20, (n, 1, 8, 8)), 0, 255).astype(np.uint8)
    return Batches.of(ImageSet(images, codes, ("dark", "light")), (0, 255), CPU)


def trained(settings, state=None, keep=None):
    state = state or fresh(settings)
    train(state, batches(), batches(16, seed=1), settings, keep)
    return state


def weights(state):
    return {name: value.clone() for name, value in state.average.state_dict().items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def without_seconds(history):
    return [{name: value for name, value in tick.items() if name != "seconds"} for tick in history]


@pytest.mark.parametrize("loss", ["relativistic", "wasserstein"])
def test_ten_steps_and_a_resume_equal_twenty_steps_to_the_last_bit(tmp_path, loss):
    settings = config(loss=loss)
    straight = trained(settings)

    def killed_at_ten(state):
        save_checkpoint(state, tmp_path, "key")
        if state.step == 10:
            raise Killed

    with pytest.raises(Killed):
        trained(settings, keep=killed_at_ten)
    resumed = fresh(settings, seed=99)
    assert load_checkpoint(resumed, tmp_path, "key")
    assert resumed.step == 10
    trained(settings, resumed)
    assert_same(weights(resumed), weights(straight))
    assert_same(resumed.discriminator.state_dict(), straight.discriminator.state_dict())
    assert without_seconds(resumed.history) == without_seconds(straight.history)
    assert resumed.policy == straight.policy


def test_another_seed_gives_other_weights():
    settings = config(budget_steps=2)
    first, second = trained(settings), trained(settings, fresh(settings, seed=1))
    assert not torch.equal(first.average.body.head.weight, second.average.body.head.weight)


@pytest.mark.parametrize("damage", ["another key", "truncated", "absent"])
def test_a_checkpoint_that_does_not_fit_is_left_alone(tmp_path, damage):
    settings = config()
    save_checkpoint(trained(config(budget_steps=2)), tmp_path, "key")
    file = tmp_path / "checkpoint.safetensors"
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:1000])
    if damage == "absent":
        file.unlink()
    state = fresh(settings)
    before = weights(state)
    assert not load_checkpoint(state, tmp_path, "other" if damage == "another key" else "key")
    assert_same(weights(state), before)


def test_global_random_state_is_untouched():
    before = torch.random.get_rng_state()
    trained(config(budget_steps=3))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_weights_that_explode_stop_the_training_with_what_was_tried():
    settings = config(learning_rate=0.1, penalty_gamma=1000)
    state = fresh(settings)
    with torch.no_grad():
        state.discriminator.realism.weight.fill_(1e38)
    kept = []
    with pytest.raises(TrainingError, match=r"0\.1, 0\.05, 0\.025, 0\.0125") as caught:
        trained(settings, state, keep=kept.append)
    assert "penalty_gamma" in caught.value.hint
    assert kept == []


def test_weights_on_an_accelerator_are_looked_at_without_what_stays_on_the_cpu(monkeypatch):
    # Meta tensors refuse to meet those of a CPU, as those of a GPU do.
    monkeypatch.setattr(networks, "_packed", lambda phase: torch.zeros(2, dtype=torch.float64, device="meta"))
    assert fresh(config()).is_sound()


def broken_once(state):
    """Weights that are no numbers, after the tenth step."""
    if state.step == 10 and not state.rollbacks:
        with torch.no_grad():
            state.generator.body.head.weight.fill_(float("nan"))


def test_weights_that_are_no_numbers_are_rolled_back_and_training_ends_at_a_lower_rate():
    settings = config()
    state = trained(settings, keep=broken_once)
    assert (state.step, state.rollbacks) == (20, 1)
    assert state.is_sound()
    rates = {group["lr"] for optimiser in (state.generator_optimiser, state.discriminator_optimiser)
             for group in optimiser.param_groups}  # fmt: skip
    assert rates == {settings.learning_rate / 2}
    assert [tick for tick in state.history if "rollbacks" in tick] == [
        {"step": 10, "images": 80, "rollbacks": 1, "diverged": 1}
    ]


def test_a_resume_keeps_the_lower_rate(tmp_path):
    settings = config()

    def killed_at_fifteen(state):
        save_checkpoint(state, tmp_path, "key")
        broken_once(state)
        if state.step == 15:
            raise Killed

    straight = trained(settings, keep=broken_once)
    with pytest.raises(Killed):
        trained(settings, keep=killed_at_fifteen)
    resumed = fresh(settings, seed=99)
    assert load_checkpoint(resumed, tmp_path, "key")
    trained(settings, resumed)
    assert_same(weights(resumed), weights(straight))


def test_progress_tells_images_rate_and_losses(caplog):
    with caplog.at_level(logging.INFO, logger="synthgen.progress"):
        state = trained(config(budget_steps=100))
    ticks = [record.tick for record in caplog.records]
    assert len(ticks) == 50
    assert ticks[-1].share == 1
    assert ticks[-1].total == 800
    expected = {
        "loss_discriminator",
        "loss_generator",
        "accuracy",
        "logit_gap",
        "augmentation",
        "gradient",
        "diversity",
    }
    assert set(ticks[0].numbers) == expected
    assert set(state.history[0]) == expected | {"step", "images", "seconds"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"budget_steps": 40}, 0.5),
        ({"budget_steps": 10}, 1.0),
        ({"budget_steps": None, "budget_images": 640}, 0.25),
        ({"budget_steps": 40, "budget_images": 200}, 0.8),
        ({"budget_steps": None, "budget_minutes": 2.0}, 0.75),
    ],
)
def test_budget_is_steps_or_images_and_else_minutes(changes, expected):
    settings = config(**changes)
    state = fresh(settings)
    state.step, state.images, state.seconds = 20, 160, 90.0
    assert budget_share(state, settings) == pytest.approx(expected)


def test_half_of_the_way_is_left_after_one_halflife():
    settings = config(batch_size=100, ema_halflife_images=100)
    state = fresh(settings)
    state.images = 1_000_000
    with torch.no_grad():
        state.average.body.head.bias.fill_(0.0)
        state.generator.body.head.bias.fill_(1.0)
    update_average(state, settings)
    assert state.average.body.head.bias.item() == pytest.approx(0.5)


class Brightness(torch.nn.Module):
    """A discriminator that takes bright images for real ones."""

    def __init__(self, sign):
        super().__init__()
        self.sign = sign

    def forward(self, images, codes):
        return self.sign * images.mean((1, 2, 3))


def grey(value):
    return Batches.of(
        ImageSet(np.full((5, 1, 8, 8), value, dtype=np.uint8), np.arange(5) % 2, ("a", "b")), (0, 200), CPU
    )


@pytest.mark.parametrize(
    ("unseen", "sign", "expected"), [(200, 1, 0.0), (100, 1, 0.5), (0, 1, 1.0), (100, -1, 0.0)], ids=str
)
def test_logit_gap_is_where_held_out_images_stand_between_train_and_fake(unseen, sign, expected):
    state = fresh(config())
    state.policy = Policy(0.0)
    state.discriminator = Brightness(sign)
    with torch.no_grad():
        state.generator.body.head.weight.zero_()
        state.generator.body.head.bias.fill_(-20.0)  # black
    seen = Watch.over(grey(200), grey(unseen), 2).look(state)
    assert seen["logit_gap"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("size", "expected"), [((28, 28), 1), ((8, 8, 8), 1), ((64, 64), 3)])
def test_small_images_train_on_one_thread_others_leave_a_core_free(size, expected):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        with suitable_threads(size, CPU):
            assert torch.get_num_threads() == expected
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("has", "dim", "is_short"), [("amx_bf16", 2, True), ("amx_bf16", 3, False), ("avx512_bf16", 2, False)]
)
def test_on_a_cpu_only_planes_are_trained_in_bfloat16_and_only_by_matrix_tiles(monkeypatch, has, dim, is_short):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {has: True}, raising=False)
    assert trains_in_bfloat16(CPU, dim) == is_short


def test_every_step_of_the_discriminator_sees_what_the_one_before_has_learned():
    settings = config(loss="hinge", discriminator_steps=3)

    def after(**how):
        state = fresh(settings)
        state.step = 1  # without the penalty
        with torch.autocast("cpu", torch.bfloat16, **how):
            train_step(state, batches(), settings)
        return state.discriminator.state_dict()

    found, expected = after(), after(cache_enabled=False)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_what_has_grown_stays_when_a_longer_budget_goes_on():
    settings = config(architecture="progressive", budget_images=800)
    spec = NetworkSpec(size=(16, 16), channels=1, classes=2, architecture="progressive", width=4, latent=4)
    state = TrainingState.initial(spec, settings, policy=Policy(), seed=0, device=CPU)
    assert phase_of(state, settings, 0.0).missing == 2
    assert phase_of(state, settings, 0.6).missing == 0
    assert phase_of(state, settings, 0.1).missing == 0
