"""An image GAN trained by two processes: one training, the same in both; what one does alone is in test_training."""

import hashlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from synthgen.config import ImageGanConfig
from synthgen.datasets import ImageSet
from synthgen.errors import ConfigError, ResourceError
from synthgen.gan import training
from synthgen.gan.augment import Policy
from synthgen.gan.batches import Batches
from synthgen.gan.spec import NetworkSpec
from synthgen.gan.state import TrainingState, load_checkpoint, save_checkpoint
from synthgen.gan.steps import discriminator_step
from synthgen.synthesizers.image_assisting import assist, call_for_help, require_shares
from synthgen.team import ALONE, Team, joined
from tests.unit.synthesizers.two_processes import require_parted, run_both

CPU = torch.device("cpu")
STEPS, TICKS = 15, 5
# Name: edge lengths, channels, what the config says besides.
TRAININGS = {
    "dcgan": ((8, 8), 1, {"class_ramp_images": 80}),
    "dcgan, wasserstein": ((8, 8), 1, {"loss": "wasserstein", "discriminator_steps": 2}),
    "residual-attention, RGB": ((8, 8), 3, {"architecture": "residual-attention"}),
    "residual, volumes": ((8, 8, 8), 1, {"architecture": "residual"}),
    "progressive": ((8, 8), 1, {"architecture": "progressive"}),
    "by the clock": ((8, 8), 1, {"architecture": "progressive", "budget_steps": None, "budget_minutes": 0.02}),
    "style, volumes": ((8, 8, 8), 1, {"architecture": "style"}),
    "straight": ((8, 8), 1, {}),
    "rolled back": ((8, 8), 1, {}),
    "killed": ((8, 8), 1, {}),
    "resumed": ((8, 8), 1, {}),
}


class Killed(Exception):
    pass


def config(**changes):
    return ImageGanConfig(kind="image-gan", **{"batch_size": 8, "budget_steps": STEPS, "width": 4, **changes})


def fresh(settings, size=(8, 8), channels=1, team=ALONE):
    architecture = "dcgan" if settings.architecture == "auto" else settings.architecture
    spec = NetworkSpec(size=size, channels=channels, classes=2, architecture=architecture, width=4, latent=4)
    state = TrainingState.initial(spec, settings, policy=Policy(0.3), seed=0, device=CPU)
    state.team = team
    return state


def batches(shape, seed, n=40):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 2
    images = rng.normal(15_000 + 30_000 * codes.reshape(-1, *[1] * len(shape)), 5_000, (n, *shape))
    data = ImageSet(np.clip(images, 0, 65_535).astype(np.uint16), codes, ("dark", "light"))
    return Batches.of(data, (0, 65_535), CPU)


def kept(name, folder):
    def keep(state):
        save_checkpoint(state, folder, "key")
        if name == "killed" and state.step >= STEPS // 2:
            raise Killed
        if name == "rolled back" and state.step >= STEPS // 2 and not state.rollbacks:
            with torch.no_grad():
                state.generator.body.head.weight.fill_(float("nan"))

    return keep


def led(name, folder, team):
    """The state after the training of this name."""
    size, channels, changes = TRAININGS[name]
    settings = config(**changes)
    state = fresh(settings, size, channels, team)
    state.is_whole = channels == 3
    if name == "resumed":
        assert load_checkpoint(state, folder / "killed", "key")
        assert state.step < STEPS
    call_for_help(state, batches((channels, *size), 0), settings)
    try:
        training.train(
            state, batches((channels, *size), 0), batches((channels, *size), 1), settings, kept(name, folder / name)
        )
    except Killed:
        assert name == "killed"
    return state


def described(state):
    """What has to be the same in every process, and the stream, which must not be."""
    tensors = {name: hashlib.sha256(value.numpy().tobytes()).hexdigest() for name, value in state.tensors().items()}
    rates = [o.param_groups[0]["lr"] for o in (state.generator_optimiser, state.discriminator_optimiser)]
    numbers = {name: value for name, value in state.numbers().items() if name not in ("history", "seconds")}
    return {
        "stream": tensors.pop("rng"),
        "same": {**tensors, **numbers, "rates": rates, "phase": asdict(state.generator.phase)},
    }


def after_one_step(team):
    """The discriminator's weights; style has no batch norm, so that halves of a batch are nothing but halves."""
    settings = config(architecture="style", learning_rate=0.01)
    state = fresh(settings, team=team)
    state.policy = Policy(0.0)
    stream = torch.Generator().manual_seed(0)
    real, fake = (torch.rand(8, 1, 8, 8, generator=stream) for _ in range(2))
    mine = slice(team.rank, None, team.size)
    discriminator_step(state, real[mine], fake[mine], (torch.arange(8) // 4)[mine], settings)
    return torch.cat([parameter.grad.flatten() for parameter in state.discriminator.parameters()])


def _main(folder):
    torch.set_num_threads(1)
    # Steps between two ticks, in which nobody sets the processes equal.
    training._TICKS = TICKS
    found = {}
    with joined() as team:
        found["gradients"] = after_one_step(team).tolist()
        if team.leads:
            found |= {name: described(led(name, folder, team)) for name in TRAININGS}
            with pytest.raises(ResourceError) as caught:
                led("straight", folder, team)
            found["lost"] = [caught.value.message, caught.value.hint]
        else:
            found |= {name: described(assist(team.tell(), team)) for name in TRAININGS}
        (folder / f"{team.rank}.json").write_text(json.dumps(found))
        if not team.leads:
            # As one that was killed: nobody is told.
            os._exit(0)
    # The error in hand must not hold the connection.
    require_parted()


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What both processes said after all trainings, which one team does one after the other."""
    folder = tmp_path_factory.mktemp("team")
    run_both("tests.unit.synthesizers.test_image_team", str(folder))
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in "01"]


# Who is stopped in the middle of a tick has told nothing of it.
@pytest.mark.parametrize("name", [name for name in TRAININGS if name != "killed"])
def test_weights_moments_counters_policy_and_rate_are_the_same_in_both_processes(told, name):
    leader, helper = (one[name] for one in told)
    differing = [key for key in leader["same"] if leader["same"][key] != helper["same"][key]]
    assert differing == []
    assert leader["stream"] != helper["stream"]


def test_a_rollback_lowers_the_rate_of_both(told):
    for one in told:
        assert one["rolled back"]["same"]["rollbacks"] == 1
        assert one["rolled back"]["same"]["rates"] == [config().learning_rate / 2] * 2


def test_two_processes_resumed_equal_two_that_were_not_interrupted(told):
    assert told[0]["killed"]["same"]["step"] < STEPS
    for one in told:
        assert one["resumed"]["same"] == one["straight"]["same"]


def test_a_process_that_dies_ends_the_training_with_what_to_do(told):
    assert told[0]["lost"] == [
        "one of the 2 processes that train together is gone",
        "the same command goes on from the last checkpoint",
    ]


def test_gradients_are_those_of_the_whole_batch(told):
    alone = after_one_step(ALONE)
    for one in told:
        assert torch.allclose(torch.tensor(one["gradients"]), alone, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("batch_size", "size", "hint"), [(32, 3, "30"), (2, 2, "4"), (31, 2, "30"), (6, 4, "8")])
def test_a_batch_that_cannot_be_shared_equally_is_refused_with_one_that_can(batch_size, size, hint):
    with pytest.raises(ConfigError, match=f"batch_size is {batch_size}, {size} processes") as caught:
        require_shares(config(batch_size=batch_size), Team(0, size))
    assert caught.value.hint == f"set it to {hint}"


@pytest.mark.parametrize(("batch_size", "size"), [(31, 1), (32, 2), (32, 16)])
def test_equal_shares_of_two_images_or_more_are_accepted(batch_size, size):
    require_shares(config(batch_size=batch_size), Team(0, size))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
