import math

import pytest
import torch

from synthgen.gan.losses import LOSSES

REAL, FAKE = [3.0, -0.5, 0.0], [-2.0, 0.25, 0.0]


def softplus(value):
    return math.log1p(math.exp(value))


EXPECTED = [
    ("relativistic", "discriminator", sum(softplus(f - r) for r, f in zip(REAL, FAKE, strict=True)) / 3),
    ("relativistic", "generator", sum(softplus(r - f) for r, f in zip(REAL, FAKE, strict=True)) / 3),
    ("hinge", "discriminator", (sum(max(0, 1 - r) for r in REAL) + sum(max(0, 1 + f) for f in FAKE)) / 3),
    ("hinge", "generator", -sum(FAKE) / 3),
    ("wasserstein", "discriminator", sum(FAKE) / 3 - sum(REAL) / 3),
    ("wasserstein", "generator", -sum(FAKE) / 3),
    ("nonsaturating", "discriminator", sum(softplus(-r) for r in REAL) / 3 + sum(softplus(f) for f in FAKE) / 3),
    ("nonsaturating", "generator", sum(softplus(-f) for f in FAKE) / 3),
    ("least_squares", "discriminator", sum((r - 1) ** 2 for r in REAL) / 6 + sum(f**2 for f in FAKE) / 6),
    ("least_squares", "generator", sum((f - 1) ** 2 for f in FAKE) / 6),
]


@pytest.mark.parametrize(("name", "role", "expected"), EXPECTED)
def test_loss_equals_its_formula(name, role, expected):
    loss = getattr(LOSSES[name], role)(torch.tensor(REAL), torch.tensor(FAKE))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_the_two_networks_pull_fake_logits_in_opposite_directions(name):
    # Between the targets of least squares.
    fake = torch.tensor([0.25, 0.0, 0.75], requires_grad=True)
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
