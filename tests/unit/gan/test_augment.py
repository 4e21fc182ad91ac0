import pytest
import torch

from synthgen.gan.augment import ALWAYS_SAFE, Policy, augment

EVERY = (*ALWAYS_SAFE, "mirror")
SHAPES = [(5, 1, 8, 8), (5, 3, 16, 12), (5, 1, 8, 9, 10)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(shape, dtype=torch.float32):
    return torch.rand(shape, generator=seeded(1), dtype=dtype) * 2 - 1


@pytest.mark.parametrize("shape", SHAPES)
def test_strength_zero_is_the_identity(shape):
    images = noise(shape)
    assert torch.equal(augment(images, Policy(0.0, EVERY), seeded()), images)


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_is_kept_and_images_are_changed(shape):
    images = noise(shape)
    changed = augment(images, Policy(1.0), seeded())
    assert changed.shape == images.shape
    assert (changed != images).flatten(1).any(1).all()


def test_strength_is_the_probability_of_a_change():
    images = noise((400, 1, 8, 8))
    changed = (augment(images, Policy(0.2), seeded()) != images).flatten(1).any(1).float().mean()
    # Brightness and contrast each at 0.2; a shift of at most one pixel on each axis is zero half of the time.
    assert changed.item() == pytest.approx(1 - 0.8**2 * 0.9**2, abs=0.07)


def test_gradients_reach_the_pixels_and_can_be_differentiated_again():
    images = noise((3, 1, 8, 8), torch.float64).requires_grad_()
    changed = augment(images, Policy(0.8, EVERY), seeded())
    (gradient,) = torch.autograd.grad(changed.square().sum(), images, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), images)
    assert (gradient != 0).flatten(1).any(1).all()
    assert (second != 0).flatten(1).any(1).all()


def test_whole_images_move_by_up_to_an_eighth_along_each_axis():
    point = torch.zeros(300, 1, 16, 24)
    point[:, :, 8, 12] = 1.0
    # Brightness and contrast keep the order of pixels: the brightest one is where the point went.
    where = augment(point, Policy(1.0), seeded()).flatten(1).argmax(1)
    assert set((where // 24 - 8).tolist()) == {-2, -1, 0, 1, 2}
    assert set((where % 24 - 12).tolist()) == {-3, -2, -1, 0, 1, 2, 3}


@pytest.mark.parametrize("mirror", [False, True])
def test_images_are_mirrored_only_where_the_label_allows_it(mirror):
    step = torch.where(torch.arange(16) < 8, -1.0, 1.0).expand(200, 1, 16, 16)
    brighter_left = [
        image[0, 8, 2] > image[0, 8, 13]
        for image in augment(step, Policy(0.8, EVERY if mirror else ALWAYS_SAFE), seeded())
    ]
    assert any(brighter_left) == mirror


def test_same_seed_same_images():
    images = noise((5, 1, 8, 8))
    first, second = (augment(images, Policy(0.5), seeded(3)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("strength", "gap", "expected"),
    [(0.0, 0.0, 0.0), (0.0, 0.9, 0.05), (0.5, 0.9, 0.55), (0.5, 0.1, 0.45), (0.8, 2.0, 0.8), (0.02, -1.0, 0.0)],
)
def test_strength_follows_overfitting_between_zero_and_the_limit(strength, gap, expected):
    assert Policy(strength).adapted(gap, 25_000).strength == pytest.approx(expected)


def test_adaptation_keeps_what_the_dataset_allows():
    assert Policy(0.1, ("contrast",)).adapted(0.9, 1).kinds == ("contrast",)


@pytest.mark.parametrize("kind", EVERY)
def test_only_what_is_named_is_done(kind):
    images = noise((60, 1, 8, 8))
    changed = augment(images, Policy(1.0, (kind,)), seeded())
    moved, shift = kind in ("translation", "mirror"), (changed - images).flatten(1)
    assert torch.isin(changed, images).all() == moved
    assert bool((shift.std(1) < 1e-6).all()) == (kind == "brightness")
    assert bool((changed.mean((1, 2, 3)) - images.mean((1, 2, 3))).abs().max() < 1e-6) == (
        kind in ("contrast", "mirror")
    )
