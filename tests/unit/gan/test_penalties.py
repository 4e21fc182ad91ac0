import pytest
import torch

from synthgen.gan.penalties import PENALTIES, Judged, judged_slopes, squared_norms


def _curved(images):
    weights = torch.linspace(-1, 1, images[0].numel(), dtype=torch.float64)
    return torch.sin(images.flatten(1) * weights).sum(1) + images.flatten(1).square().sum(1) / 3


def test_penalty_equals_the_gradient_norm_by_finite_differences():
    images = torch.randn(3, 2, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    norms = squared_norms(judged_slopes(_curved, images)[1])
    steps = 1e-6 * torch.eye(8, dtype=torch.float64).view(8, 2, 2, 2)
    expected = [
        sum(((_curved(x + h) - _curved(x - h)).item() / 2e-6) ** 2 for h in steps[:, None]) for x in images[:, None]
    ]
    assert norms.tolist() == pytest.approx(expected, rel=1e-6)


def test_penalty_can_be_minimised():
    slope = torch.tensor(2.0, requires_grad=True)
    penalty = squared_norms(judged_slopes(lambda x: (slope * x).sum((1, 2, 3)), torch.ones(4, 1, 2, 2))[1]).mean()
    (gradient,) = torch.autograd.grad(penalty, slope)
    assert penalty.item() == pytest.approx(4 * 2.0**2)
    assert gradient.item() == pytest.approx(4 * 2 * 2.0)


def judged(judge, real, fake, seed=0):
    images = torch.cat([real, fake])
    place = torch.rand(len(real), generator=torch.Generator().manual_seed(seed))
    return Judged(images, judged_slopes(judge, images)[1], judge, place)


def squares(slope):
    """Logits whose slope at an image of one pixel x is slope * x."""
    return lambda images: slope * images.square().sum((1, 2, 3)) / 2


REAL, FAKE = torch.full((5, 1, 1, 1), 2.0), torch.full((5, 1, 1, 1), -1.0)


@pytest.mark.parametrize(("name", "expected"), [("r1", 3**2 * 2**2 / 2), ("r1r2", 3**2 * (2**2 + 1) / 2)])
def test_penalty_equals_its_formula(name, expected):
    assert PENALTIES[name].value(judged(squares(3.0), REAL, FAKE)).item() == pytest.approx(expected)


def test_gp_pulls_slopes_to_one_everywhere_between_the_partners():
    def flat(slope):
        return lambda images: slope * images.sum((1, 2, 3))

    for slope, expected in ((1.0, 0.0), (3.0, 4.0), (0.0, 1.0)):
        assert PENALTIES["gp"].value(judged(flat(slope), REAL, FAKE)).item() == pytest.approx(expected, abs=1e-5)
    places = []

    def seen(images):
        places.append(images.detach().flatten())
        return images.sum((1, 2, 3))

    for seed in range(200):
        PENALTIES["gp"].value(judged(seen, REAL, FAKE, seed))
    between = torch.cat(places[1::2])
    assert between.min() >= -1
    assert between.max() <= 2
    # Uniform on [-1, 2]: mean 1/2, variance 3/4.
    assert between.mean().item() == pytest.approx(0.5, abs=0.1)
    assert between.var().item() == pytest.approx(0.75, abs=0.1)


@pytest.mark.parametrize("name", PENALTIES)
def test_every_penalty_can_be_minimised(name):
    slope = torch.tensor(2.0, requires_grad=True)
    penalty = PENALTIES[name].value(judged(squares(slope), REAL, FAKE))
    (gradient,) = torch.autograd.grad(penalty, slope)
    assert gradient.isfinite()
    assert gradient > 0


@pytest.mark.parametrize(("name", "edge", "expected"), [
    ("r1r2", 8, 1.0), ("r1r2", 32, 1.0), ("r1r2", 64, 2.0), ("r1r2", 128, 8.0), ("r1", 128, 8.0), ("gp", 128, 10.0),
])  # fmt: skip
def test_weight_grows_with_the_pixels_of_large_images(name, edge, expected):
    assert PENALTIES[name].weight(edge) == expected
