import logging
import math

import numpy as np
import pytest
import torch

from synthgen.config import ImageGanConfig
from synthgen.datasets import ImageSet
from synthgen.errors import TrainingError
from synthgen.gan.augment import Policy
from synthgen.gan.batches import Batches
from synthgen.gan.monitors import Trouble, Watch, diversity, spread_of, trouble_of
from synthgen.gan.spec import NetworkSpec
from synthgen.gan.state import TrainingState
from synthgen.gan.training import train

CPU = torch.device("cpu")
SPEC = NetworkSpec(size=(8, 8), channels=1, classes=2, architecture="dcgan", width=4, latent=4)


def config(**changes):
    return ImageGanConfig(kind="image-gan", **{"batch_size": 8, "budget_steps": 40, **changes})


def batches(n=40, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 2
    images = np.clip(rng.normal(60 + 120 * codes[:, None, None, None], 20, (n, 1, 8, 8)), 0, 255).astype(np.uint8)
    return Batches.of(ImageSet(images, codes, ("dark", "light")), (0, 255), CPU)


def trained(plant, settings=None, train_images=40):
    settings = settings or config()
    state = TrainingState.initial(SPEC, settings, policy=Policy(), seed=0, device=CPU)
    train(state, batches(train_images), batches(200, seed=1), settings, plant)
    return state


def deaf(state):
    """A generator that no longer hears its latents: every image of a class is the same."""
    with torch.no_grad():
        for module in (state.generator, state.average):
            module.body.stem.linear.weight[:, :4] = 0
            for norm in [module.body.stem.norm, *(block.norm for block in module.body.blocks)]:
                norm.affine.weight[:, :4] = 0


def saturated(state):
    """A generator whose last layer passes no gradient on."""
    with torch.no_grad():
        state.generator.body.head.bias.fill_(40.0)


PLANTED = [(deaf, Trouble.COLLAPSED), (saturated, Trouble.VANISHED)]


@pytest.mark.parametrize(("plant", "trouble"), PLANTED)
def test_a_planted_failure_is_rolled_back_and_training_ends_well(plant, trouble, caplog):
    def once(state):
        if state.step == 30 and not state.rollbacks:
            plant(state)

    with caplog.at_level(logging.WARNING):
        state = trained(once)
    assert [tick for tick in state.history if "rollbacks" in tick] == [
        {"step": 30, "images": 240, "rollbacks": 1, str(trouble): 1}
    ]
    assert f"reason={trouble}" in caplog.text
    assert state.step == 40
    assert state.generator_optimiser.param_groups[0]["lr"] == config().learning_rate / 2
    assert trouble_of(state.history[:-1], state.history[-1]) is None


@pytest.mark.parametrize(("plant", "trouble"), PLANTED)
def test_a_failure_that_comes_back_ends_the_training_at_the_last_good_state(plant, trouble):
    kept = []

    def always(state):
        kept.append(state.step)
        if state.step >= 30:
            plant(state)

    state = trained(always)
    assert [tick["rollbacks"] for tick in state.history if str(trouble) in tick] == [1, 2, 3, 4]
    # Each time one sound step further, at half the rate.
    assert state.step == max(kept) == 33


def test_a_discriminator_that_knows_its_images_by_heart_is_shown_changed_ones():
    by_heart = trained(None, config(budget_steps=300, penalty="none", learning_rate=3e-3), train_images=6)
    assert max(tick["logit_gap"] for tick in by_heart.history) > 0.5
    enough = trained(None, config(budget_steps=300), train_images=400)
    assert by_heart.policy.strength > 2 * enough.policy.strength
    assert by_heart.policy.strength > 0


@pytest.mark.parametrize("seed", range(3))
def test_a_sound_training_is_left_alone(seed):
    settings = config(budget_steps=150)
    state = TrainingState.initial(SPEC, settings, policy=Policy(), seed=seed, device=CPU)
    train(state, batches(), batches(16, seed=1), settings)
    assert state.rollbacks == 0


SOUND = [(0.9, 1.0)] * 5


@pytest.mark.parametrize(
    ("past", "now", "expected"),
    [
        ([], (0.0, 0.0), None),
        (SOUND[1:], (0.0, 0.0), None),  # too early to know
        (SOUND, (0.0, 0.0), None),  # one bad tick is chance
        ([*SOUND, (0.1, 1.0), (0.1, 1.0)], (0.1, 1.0), Trouble.COLLAPSED),
        ([*SOUND, (0.1, 1.0), (0.8, 1.0)], (0.1, 1.0), None),
        ([*SOUND, (0.1, 1.0), (0.1, 1.0)], (None, 1.0), None),  # too few of a class to tell
        ([*SOUND, (0.9, 1e-9), (0.9, 0.0)], (0.9, 0.0), Trouble.VANISHED),
        ([*SOUND, (0.0, 0.0), (0.0, 0.0)], (0.0, 0.0), Trouble.VANISHED),  # the cause first
        ([*SOUND, (0.9, 0.01), (0.9, 0.01)], (0.9, 0.01), None),
    ],
)
def test_trouble_is_what_three_ticks_show_against_the_median_before_them(past, now, expected):
    def tick(varied, norm):
        return {"gradient": norm} if varied is None else {"diversity": varied, "gradient": norm}

    assert trouble_of([tick(*numbers) for numbers in past], tick(*now)) == expected


def test_what_was_suspicious_before_a_rollback_does_not_count_after_it():
    history = [{"diversity": 0.9, "gradient": 1.0}] * 5 + [{"diversity": 0.1, "gradient": 1.0}] * 2 + [{"rollbacks": 1}]
    assert trouble_of(history, {"diversity": 0.1, "gradient": 1.0}) is None


def test_spread_equals_the_mean_variance_of_each_class():
    coarse = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    codes = torch.arange(30) % 3
    codes[codes == 2] = torch.tensor([2, 2, 2] + [0] * 7)
    spread = spread_of(coarse, codes, 4)
    assert spread[:2].tolist() == pytest.approx([coarse[codes == k].var(0).mean().item() for k in (0, 1)])
    assert spread[2:].isnan().all()  # three images and none


def test_diversity_is_that_of_the_class_where_it_is_least():
    rng = torch.Generator().manual_seed(0)
    codes = torch.arange(4000) % 2
    fake = torch.randn(4000, 1, 4, 4, generator=rng) * torch.tensor([1.0, 0.5])[codes].view(-1, 1, 1, 1)
    assert diversity(fake, codes, torch.tensor([1.0, 1.0])) == pytest.approx(0.25, abs=0.02)
    assert diversity(fake, codes, torch.tensor([1.0, math.nan])) == pytest.approx(1.0, abs=0.05)
    assert diversity(fake, codes, torch.tensor([math.nan, 0.0])) is None


def alike(count):
    """So many ticks at which all images of some class are alike."""
    return [{"diversity": 0.0, "gradient": 1.0} for _ in range(count)]


def test_a_training_that_has_collapsed_from_its_first_tick_on_is_in_trouble():
    # Compared with its own median it is as it always was.
    assert trouble_of(alike(7), alike(1)[0]) == Trouble.COLLAPSED
    assert trouble_of(alike(6), alike(1)[0]) is None


def test_a_collapse_from_the_beginning_goes_back_to_the_beginning_at_half_the_rate():
    kept = []
    settings = config(learning_rate=0.1, loss="hinge", penalty="none", budget_steps=400)
    state = trained(lambda state: kept.append((state.images, state.history[-1]["diversity"])), settings)
    falls = [tick for tick in state.history if "rollbacks" in tick]
    assert falls[0] == {"step": 0, "images": 0, "rollbacks": 1, "collapsed": 1}
    assert all(diversity >= 1e-3 for _, diversity in kept)


def test_a_collapse_that_no_rate_prevents_is_an_error(monkeypatch):
    monkeypatch.setattr("synthgen.gan.monitors.diversity", lambda *_: 0.0)
    with pytest.raises(TrainingError, match=r"collapsed at \d+ images: from the beginning the images") as raised:
        trained(None, config(budget_steps=400))
    assert raised.value.where == "synthesizer.learning_rate"


def test_a_training_that_looks_wrong_at_its_end_ends_at_the_last_good_state(caplog):
    kept = []

    def plant(state):
        kept.append(state.copied())
        if len(kept) == 39:
            deaf(state)

    state = trained(plant)
    assert state.images == kept[-1].images < 40 * 8
    for name, value in state.generator.state_dict().items():
        assert torch.equal(value, kept[-1].tensors[f"generator/{name}"])
    assert "end at the last good state" in caplog.text


def test_every_class_is_looked_at_however_many_there_are():
    codes = np.arange(300) % 100
    images = np.random.default_rng(0).integers(0, 255, (300, 1, 8, 8)).astype(np.uint8)
    many = Batches.of(ImageSet(images, codes, tuple(map(str, range(101)))), (0, 255), CPU)  # of the last there is none
    asked = Watch.over(many, None, 101)._codes_of_each_class(torch.Generator().manual_seed(0))
    assert torch.bincount(asked, minlength=101).tolist() == [4] * 100 + [0]
