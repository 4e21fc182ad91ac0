"""Compiled steps do what the others do."""

from functools import partial

import numpy as np
import pytest
import torch

from synthgen.config import ImageGanConfig
from synthgen.config_reading import parse_config
from synthgen.datasets import ImageSet
from synthgen.errors import ConfigError, TrainingError
from synthgen.gan.augment import Policy
from synthgen.gan.batches import Batches
from synthgen.gan.compiling import compile_networks
from synthgen.gan.graphs import Graphs
from synthgen.gan.losses import LOSSES
from synthgen.gan.spec import NetworkSpec
from synthgen.gan.state import TrainingState
from synthgen.gan.steps import discriminator_objective, train_step

CPU = torch.device("cpu")
# torch looks at what it is given, and then warns of having looked.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")


def config(**changes):
    return ImageGanConfig(kind="image-gan", **{"batch_size": 8, "width": 4, "latent": 4, "budget_steps": 4, **changes})


def beginning(settings, architecture="dcgan", size=(8, 8)):
    spec = NetworkSpec(size, 1, 3, architecture, settings.width, settings.latent)
    return TrainingState.initial(spec, settings, policy=Policy(strength=0.3), seed=0, device=CPU)


def batches(size=(8, 8)):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (40, 1, *size)).astype(np.uint8)
    return Batches.of(ImageSet(images, np.arange(40) % 3, ("a", "b", "c")), (0, 255), CPU)


def compiled(state, settings):
    """Traced into whole graphs as ever, but run without making code of them."""
    objective = partial(discriminator_objective, loss=LOSSES[settings.loss])
    return Graphs(state.generator, state.discriminator, objective, backend="aot_eager")


@pytest.mark.parametrize(
    ("changes", "architecture", "size"),
    [
        ({}, "dcgan", (8, 8)),
        ({"loss": "wasserstein"}, "dcgan", (8, 8)),
        pytest.param({"loss": "hinge", "penalty": "r1"}, "residual-attention", (8, 8), marks=pytest.mark.slow),
        pytest.param({"loss": "nonsaturating", "penalty": "none"}, "style", (8, 8), marks=pytest.mark.slow),
        pytest.param({"penalty_every": 1}, "residual", (8, 8, 8), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_compiled_steps_lead_to_the_same_weights(changes, architecture, size):
    settings = config(**changes)
    plain, fast = (beginning(settings, architecture, size) for _ in range(2))
    fast.graphs = compiled(fast, settings)
    data = batches(size)
    for state in (plain, fast):
        for step in range(3):
            state.step = step
            train_step(state, data, settings)
    for network in ("generator", "discriminator"):
        ours, theirs = (getattr(state, network).state_dict() for state in (fast, plain))
        for name, value in theirs.items():
            assert torch.allclose(ours[name], value, atol=1e-4), f"{network} {name}"
    assert torch.equal(plain.rng.get_state(), fast.rng.get_state())


def test_frozen_layers_stay_frozen_in_a_graph():
    settings = config()
    state = beginning(settings)
    state.frozen = 1
    state.let_discriminator_learn()
    before = state.discriminator.layers[0][0].weight.clone()
    state.graphs = compiled(state, settings)
    train_step(state, batches(), settings)
    assert torch.equal(state.discriminator.layers[0][0].weight, before)


def test_trying_out_the_graphs_leaves_no_trace(monkeypatch):
    monkeypatch.setattr("synthgen.gan.compiling.Graphs", partial(Graphs, backend="aot_eager"))
    settings = config(compile=True)
    state, untouched = beginning(settings), beginning(settings)
    compile_networks(state, batches(), settings)
    assert state.graphs is not None
    assert state.step == 0
    found, expected = state.tensors(), untouched.tensors()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_networks_that_cannot_be_compiled_are_refused_with_one_sentence(monkeypatch):
    def fails(graph, inputs):
        raise OSError("no compiler")

    monkeypatch.setattr("synthgen.gan.compiling.Graphs", partial(Graphs, backend=fails))
    state = beginning(config(compile=True))
    with pytest.raises(TrainingError, match="cannot be compiled here") as raised:
        compile_networks(state, batches(), config(compile=True))
    assert "false trains them as they are" in str(raised.value.hint)


def test_a_short_training_on_a_processor_is_not_compiled():
    state = beginning(config())
    compile_networks(state, batches(), config())
    assert state.graphs is None


@pytest.mark.parametrize("changes", [{"architecture": "progressive"}, {"class_ramp_images": 100}], ids=str)
def test_networks_that_change_while_they_train_are_not_compiled(changes):
    raw = {
        "source": {"kind": "builtin", "name": "digits"},
        "synthesizer": {"kind": "image-gan", "compile": True, **changes},
    }
    with pytest.raises(ConfigError, match="compile needs networks that stay as they are"):
        parse_config(raw)
