import math

import pytest
import torch

from synthgen.gan.losses import LOSSES, squared_gradient_norms

REAL, FAKE = [3.0, -0.5, 0.0], [-2.0, 0.25, 0.0]


def softplus(value):
    return math.log1p(math.exp(value))


EXPECTED = [
    ("relativistic", "discriminator", sum(softplus(f - r) for r, f in zip(REAL, FAKE, strict=True)) / 3),
    ("relativistic", "generator", sum(softplus(r - f) for r, f in zip(REAL, FAKE, strict=True)) / 3),
    ("hinge", "discriminator", (sum(max(0, 1 - r) for r in REAL) + sum(max(0, 1 + f) for f in FAKE)) / 3),
    ("hinge", "generator", -sum(FAKE) / 3),
]


@pytest.mark.parametrize(("name", "role", "expected"), EXPECTED)
def test_loss_equals_its_formula(name, role, expected):
    loss = getattr(LOSSES[name], role)(torch.tensor(REAL), torch.tensor(FAKE))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_the_two_networks_pull_fake_logits_in_opposite_directions(name):
    fake = torch.tensor(FAKE, requires_grad=True)
    gradients = [
        torch.autograd.grad(role(torch.tensor(REAL), fake), fake)[0]
        for role in (LOSSES[name].discriminator, LOSSES[name].generator)
    ]
    assert (gradients[0] >= 0).all()
    assert (gradients[1] < 0).all()


def test_the_generator_still_learns_when_the_discriminator_is_sure():
    # MONAI's PatchAdversarialLoss squashes logits first: its gradient here is 5e-7.
    for loss in LOSSES.values():
        fake = torch.tensor([-8.0], requires_grad=True)
        (gradient,) = torch.autograd.grad(loss.generator(torch.tensor([0.0]), fake), fake)
        assert abs(gradient.item()) > 0.99


def _curved(images):
    weights = torch.linspace(-1, 1, images[0].numel(), dtype=torch.float64)
    return torch.sin(images.flatten(1) * weights).sum(1) + images.flatten(1).square().sum(1) / 3


def test_penalty_equals_the_gradient_norm_by_finite_differences():
    images = torch.randn(3, 2, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    images.requires_grad_()
    norms = squared_gradient_norms(_curved(images), images)
    steps = 1e-6 * torch.eye(8, dtype=torch.float64).view(8, 2, 2, 2)
    expected = [
        sum(((_curved(x + h) - _curved(x - h)).item() / 2e-6) ** 2 for h in steps[:, None]) for x in images[:, None]
    ]
    assert norms.tolist() == pytest.approx(expected, rel=1e-6)


def test_penalty_can_be_minimised():
    slope = torch.tensor(2.0, requires_grad=True)
    images = torch.ones(4, 1, 2, 2, requires_grad=True)
    penalty = squared_gradient_norms((slope * images).sum((1, 2, 3)), images).mean()
    (gradient,) = torch.autograd.grad(penalty, slope)
    assert penalty.item() == pytest.approx(4 * 2.0**2)
    assert gradient.item() == pytest.approx(4 * 2 * 2.0)
