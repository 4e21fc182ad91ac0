import pytest
import torch

from synthgen.gan.networks import ConditionalNorm, Discriminator, Generator, NetworkSpec, halvings

SPECS = [
    pytest.param((size, size), channels, block, id=f"{size}px-{channels}ch-{block}")
    for size in (8, 28, 32, 64)
    for channels in (1, 3)
    for block in ("deconv", "residual")
] + [
    pytest.param((128, 128), 1, "deconv", id="128px"),
    pytest.param((30, 30), 1, "deconv", id="not-a-multiple"),
    pytest.param((9, 9), 1, "residual", id="odd"),
    pytest.param((48, 20), 3, "deconv", id="not-square"),
    pytest.param((8, 128), 1, "residual", id="very-wide"),
    pytest.param((8, 12, 16), 1, "deconv", id="3-d-deconv"),
    pytest.param((8, 8, 8), 1, "residual", id="3-d-residual"),
]


def tiny(size, channels=1, block="deconv", classes=3):
    return NetworkSpec(size=size, channels=channels, classes=classes, block=block, width=4, latent=5)


@pytest.mark.parametrize(("size", "channels", "block"), SPECS)
def test_generator_and_discriminator_agree_on_the_shape(size, channels, block):
    spec = tiny(size, channels, block)
    codes = torch.tensor([0, 2])
    images = Generator(spec)(torch.zeros(2, 5), codes)
    assert images.shape == (2, channels, *size)
    assert images.abs().max() <= 1
    assert Discriminator(spec)(images, codes).shape == (2,)


@pytest.mark.parametrize(
    ("size", "smallest", "strides", "left"),
    [
        ((28, 28), 7, [(2, 2), (2, 2)], (7, 7)),
        ((28, 28), 4, [(2, 2), (2, 2), (2, 2)], (4, 4)),
        ((30, 30), 7, [(2, 2), (2, 2), (2, 2)], (4, 4)),
        ((8, 16), 7, [(2, 2), (1, 2)], (4, 4)),
        ((4, 4), 7, [], (4, 4)),
        ((5, 9, 30), 7, [(1, 2, 2), (1, 1, 2), (1, 1, 2)], (5, 5, 4)),
    ],
)
def test_each_axis_is_halved_until_it_is_small(size, smallest, strides, left):
    assert halvings(size, smallest) == (strides, left)


@pytest.mark.parametrize("block", ["deconv", "residual"])
def test_the_class_changes_the_image_and_nothing_else_differs(block):
    generator = Generator(tiny((8, 8), block=block)).eval()
    latent = torch.randn(1, 5, generator=torch.Generator().manual_seed(0)).repeat(3, 1)
    same, again, other = generator(latent, torch.tensor([1, 1, 2]))
    torch.testing.assert_close(same, again)
    assert (same - other).abs().max() > 1e-3


def test_conditional_norm_equals_batch_norm_followed_by_scale_and_shift():
    norm = ConditionalNorm(2, 4, 3)
    x, condition = torch.randn(6, 4, 5, 5, dtype=torch.float32), torch.randn(6, 3)
    affine = (condition @ norm.affine.weight.T + norm.affine.bias).view(6, 4, 2)
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    expected = (x - mean) / (variance + norm.norm.eps).sqrt() * (1 + affine[..., :1, None]) + affine[..., 1:, None]
    torch.testing.assert_close(norm(x, condition), expected)


def test_projection_head_adds_the_inner_product_with_the_class():
    spec = tiny((8, 8))
    discriminator = Discriminator(spec)
    images = torch.randn(3, 1, 8, 8)
    zero, one = (discriminator(images, torch.full((3,), code)) for code in (0, 1))
    with torch.no_grad():
        discriminator.embedding.weight[1] = discriminator.embedding.weight[0]
    torch.testing.assert_close(discriminator(images, torch.ones(3, dtype=torch.int64)), zero)
    assert not torch.allclose(zero, one)
