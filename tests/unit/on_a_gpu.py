"""The code path of a GPU, without one: fake tensors know where each would lie, and refuse to meet those of the CPU."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from synthgen.config import ImageGanConfig
from synthgen.datasets import ImageSet
from synthgen.gan.architectures import ARCHITECTURES
from synthgen.gan.augment import Policy
from synthgen.gan.autoencoder import Autoencoder, encoded, reconstruction_loss
from synthgen.gan.batches import Batches
from synthgen.gan.losses import LOSSES
from synthgen.gan.monitors import gradient_norm, spread_of
from synthgen.gan.spec import MapSpec, NetworkSpec
from synthgen.gan.state import TrainingState, _adam
from synthgen.gan.steps import train_step, update_average
from synthgen.metrics import image_classifier, neighbours
from synthgen.metrics.image_augmentation import classic_augmentation
from synthgen.metrics.image_classifier import Recipe, build_network, fit_classifier, in_batches
from synthgen.metrics.privacy import image_matching
from synthgen.synthesizers import image_drawing
from synthgen.synthesizers.image_files import Facts

aten = torch.ops.aten
# A device that torch knows, whose tensors have no content. Registering it shows nothing to code that asks for CUDA.
_setup_privateuseone_for_python_backend("fakegpu")
GPU = torch.device("fakegpu:0")
CPU = torch.device("cpu")


class FakeGpu(FakeTensorMode):
    """Tensors without content. Two of different devices in one operation raise; `waits` counts what reads a value."""

    def __init__(self):
        super().__init__(allow_non_fake_inputs=True)
        self.waits = 0

    def dispatch(self, func, types, args=(), kwargs=None):
        if func is aten._local_scalar_dense.default:
            self.waits += 1
            return 1.0
        if func is aten.bincount.default:  # how many there are only the content says
            self.waits += 1
            return args[0].new_empty(args[2])
        return super().dispatch(func, types, args, kwargs or {})

    def moved(self, tensor):
        return self.from_tensor(tensor).detach().to(GPU)


class Called(TorchFunctionMode):
    """What goes past operations: brackets, which ask for the real device, and content, which is not there."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.Tensor.__getitem__ and isinstance(args[1], torch.Tensor):
            return aten.index.Tensor(args[0], [args[1]])
        if func is torch.Tensor.numpy:
            assert args[0].device == CPU
            return np.zeros(args[0].shape, dtype=str(args[0].dtype).removeprefix("torch."))
        return func(*args, **(kwargs or {}))


@pytest.fixture
def gpu():
    with FakeGpu() as mode, Called():
        yield mode


def put_on(mode, network):
    for module in network.modules():
        for name, value in module._parameters.items():
            if value is not None:
                module._parameters[name] = torch.nn.Parameter(mode.moved(value), value.requires_grad)
        for name, value in module._buffers.items():
            if value is not None:
                module._buffers[name] = mode.moved(value)
    return network


SIZES = {2: (16, 16), 3: (8, 8, 8)}


def images(size, count=40):
    values = np.random.default_rng(0).integers(0, 255, (count, 1, *size)).astype(np.uint8)
    return ImageSet(values, np.arange(count) % 3, ("a", "b", "c"))


def state_of(config, size, architecture):
    spec = NetworkSpec(size=size, channels=1, classes=3, architecture=architecture, width=8, latent=8)
    return TrainingState.initial(spec, config, policy=Policy(0.5), seed=0, device=CPU)


def put_state_on(gpu, state, config):
    for network in (state.generator, state.discriminator, state.average):
        put_on(gpu, network)
    state.generator_optimiser = _adam(state.generator, config)
    state.discriminator_optimiser = _adam(state.discriminator, config)
    state.let_discriminator_learn()


def put_batches_on(gpu, batches):
    moved = {name: gpu.moved(getattr(batches, name)) for name in ("images", "codes", "cumulative")}
    return replace(batches, **moved)


@pytest.mark.parametrize(
    ("architecture", "loss", "dim"),
    [*((name, "relativistic", 2) for name in ARCHITECTURES), *(("dcgan", name, 3) for name in LOSSES)],
)
def test_a_step_keeps_to_the_device_and_waits_for_nothing(architecture, loss, dim):
    config = ImageGanConfig(kind="image-gan", architecture=architecture, loss=loss, batch_size=8)
    state = state_of(config, SIZES[dim], architecture)
    batches = Batches.of(images(SIZES[dim]), (0, 255), CPU)
    with FakeGpu() as gpu, Called():
        put_state_on(gpu, state, config)
        batches = put_batches_on(gpu, batches)
        assert state.device == GPU
        for step in range(2):  # with the penalty and without
            state.step = step
            told = train_step(state, batches, config)
            update_average(state, config)
        assert told.device == GPU
        assert gpu.waits == 0
        # What a tick reads.
        assert gradient_norm(state) == 1
        assert state.is_sound()
        assert state.copied().tensors.keys() == state.tensors().keys()
        spread_of(batches.images.flatten(1).float(), batches.codes, 3)
        assert all(value.device in (GPU, CPU) for value in state.tensors().values())


def test_what_waits_is_seen():
    with FakeGpu() as gpu, Called():
        number = gpu.moved(torch.zeros(3))
        float(number.sum())
        assert gpu.waits == 1
        with pytest.raises(RuntimeError, match="same device"):
            number + torch.ones(3)


@pytest.mark.parametrize("dim", [2, 3])
def test_the_autoencoder_keeps_to_the_device(dim):
    size = (16,) * dim
    network = Autoencoder(MapSpec(size, 1, 4, 4, 8))
    batches = Batches.of(images(size), (0, 255), CPU)
    with FakeGpu() as gpu, Called():
        put_on(gpu, network)
        batches = put_batches_on(gpu, batches)
        shown, _ = batches.draw(8, torch.Generator())
        reconstruction_loss(network, shown, torch.Generator()).backward()
        assert gpu.waits == 0
        network.standardise(batches)
        assert encoded(batches, network).images.device == GPU


def test_judges_are_trained_on_the_device_and_answer_on_the_cpu(monkeypatch):
    data = images((16, 16))
    shown, codes = image_classifier.pixels(data), torch.from_numpy(data.codes)
    network = build_network(shown, 3, torch.Generator())
    monkeypatch.setattr(image_classifier, "best_device", lambda: GPU)
    with FakeGpu() as gpu, Called():
        monkeypatch.setattr(image_classifier, "build_network", lambda *_, **__: put_on(gpu, network))
        weights, augment = torch.ones(len(codes)), partial(classic_augmentation, mirror=True)
        shown, codes = gpu.from_tensor(shown), gpu.from_tensor(codes)
        judge = fit_classifier(
            shown, codes, 3, torch.Generator(), recipe=Recipe(steps=2), weights=weights, augment=augment
        )
        assert gpu.waits == 0
        assert next(judge.parameters()).device == GPU
        for asked in (judge, judge.features):
            assert in_batches(asked, shown).device == CPU


def test_images_are_drawn_and_rounded_on_the_device(monkeypatch):
    config, data = ImageGanConfig(kind="image-gan"), images((16, 16))
    generator = state_of(config, (16, 16), "dcgan").average
    monkeypatch.setattr(image_drawing, "best_device", lambda: GPU)
    with FakeGpu() as gpu, Called():
        put_on(gpu, generator)
        found = image_drawing.drawn(generator, data.codes, Facts.of(data, None), np.random.default_rng(0))
    assert found.images.shape == data.images.shape
    assert found.images.dtype == data.images.dtype


def test_networks_are_built_where_they_are_used(monkeypatch):
    monkeypatch.setattr(image_classifier, "best_device", lambda: torch.device("meta"))
    network = build_network(torch.zeros(1, 1, 16, 16), 3, torch.Generator())
    assert {value.device.type for value in network.state_dict().values()} == {"meta"}


@pytest.mark.parametrize("size", [(16, 16), (40, 40), (20, 20, 20)], ids=str)
def test_near_copies_are_looked_for_on_the_device(monkeypatch, size):
    seen = []
    monkeypatch.setattr(image_matching, "best_device", lambda: GPU)
    scores = image_matching._scores
    monkeypatch.setattr(image_matching, "_scores", lambda *given: seen.append(given[0].device) or scores(*given))
    with FakeGpu(), Called():
        found, where = image_matching.nearest_correlations(images(size, 9), images(size), count=5)
    assert set(seen) == {GPU}
    assert found.shape == where.shape == (9, 5)


def test_neighbours_are_looked_for_on_the_device(monkeypatch):
    monkeypatch.setattr(neighbours, "best_device", lambda: GPU)
    with FakeGpu(), Called():
        where, distances = neighbours.nearest(torch.zeros(9, 4), torch.zeros(20, 4), 3)
    assert where.shape == distances.shape == (9, 3)
