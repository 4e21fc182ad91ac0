"""The one door to the ctgan package (BUSL-1.1): everything of it that is used is imported here."""

import torch
from ctgan.synthesizers.ctgan import Discriminator, Generator
from torch import Tensor, nn

# Rows that the critic judges together (PacGAN, Lin 2018): it then sees when a generator repeats itself.
PAC = 10


def build_generator(input_dim: int, width: int, output_dim: int, rng: torch.Generator) -> nn.Module:
    """ctgan's generator on the device of `rng`: two residual blocks of `width`, then logits."""
    with torch.device("meta"):
        network = Generator(input_dim, (width, width), output_dim)
    return _initialised(network, rng)


def build_critic(row_dim: int, width: int, rng: torch.Generator) -> nn.Module:
    """ctgan's discriminator on the device of `rng`: a score for each PAC rows."""
    with torch.device("meta"):
        network = Discriminator(row_dim, (width, width), pac=PAC)
    return _initialised(network, rng)


def output_layer(generator: nn.Module) -> nn.Linear:
    """The layer that writes the logits."""
    return [layer for layer in generator.modules() if isinstance(layer, nn.Linear)][-1]


def critic_layers(critic: nn.Module) -> list[nn.Linear]:
    """The linear layers, between which stand LeakyReLU(0.2) and Dropout(0.5)."""
    return [layer for layer in critic.modules() if isinstance(layer, nn.Linear)]


def _initialised(network: nn.Module, rng: torch.Generator) -> nn.Module:
    # Built on `meta` and filled from our generator, because the constructors draw from the global random state.
    network.to_empty(device=rng.device)
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            _fill(layer.weight, bound, rng)
            _fill(layer.bias, bound, rng)
        elif isinstance(layer, nn.BatchNorm1d):
            layer.reset_parameters()
    return network


def _fill(parameter: Tensor, bound: float, rng: torch.Generator) -> None:
    with torch.no_grad():
        parameter.uniform_(-bound, bound, generator=rng)
