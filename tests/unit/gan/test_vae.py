import pytest
import torch
from torch.distributions import Normal, kl_divergence

from synthgen.gan.spec import NetworkSpec
from synthgen.gan.vae import ConditionalVae, bound

CODES = torch.tensor([0, 1, 1, 0, 1])


@pytest.fixture
def network():
    torch.manual_seed(0)
    spec = NetworkSpec(size=(8, 8), channels=1, classes=2, architecture="dcgan", width=4, latent=3)
    network = ConditionalVae(spec).eval()
    torch.nn.init.normal_(network.prior.weight)
    return network


@torch.no_grad()
def test_the_bound_is_that_of_normal_distributions_of_each_class(network):
    images, noise = torch.rand(5, 1, 8, 8) * 2 - 1, torch.randn(5, 3)
    found, usual = (
        Normal(mean, (log_variance / 2).exp())
        for mean, log_variance in (network.encoded(images), network.expected(CODES))
    )
    error = (network.decoded(found.mean + noise * found.stddev, CODES) - images).square().mean()
    expected = 64 / 2 * error.log() + kl_divergence(found, usual).sum(1).mean()
    assert bound(network, images, CODES, noise) == pytest.approx(float(expected), rel=1e-4)


@torch.no_grad()
def test_what_is_drawn_has_the_numbers_of_its_class(network):
    mean, log_variance = network.expected(CODES)
    noise = torch.randn(5, 3)
    assert torch.equal(network(noise, CODES), network.decoded(mean + noise * (log_variance / 2).exp(), CODES))
    assert not torch.equal(mean[0], mean[1])
