import pytest
import torch

from synthgen.gan.architectures import ARCHITECTURES
from synthgen.gan.architectures.attention import Attention
from synthgen.gan.architectures.style import ModulatedConv
from synthgen.gan.blocks import ConditionalNorm
from synthgen.gan.networks import Discriminator, Generator, Phase
from synthgen.gan.spec import MapSpec, NetworkSpec, discriminator_ladder, generator_ladder, halvings

SIZES = [(8, 8), (28, 28), (9, 9), (30, 17), (4, 4), (8, 12, 16), (7, 9, 8)]
SPECS = [
    pytest.param(size, 1, name, id=f"{'x'.join(map(str, size))}-{name}") for size in SIZES for name in ARCHITECTURES
] + [
    pytest.param((128, 128), 3, "dcgan", id="128px-rgb"),
    pytest.param((8, 128), 1, "residual", id="very-wide"),
]


def tiny(size, channels=1, architecture="dcgan", **changes):
    facts = {"classes": 3, "width": 4, "latent": 5, **changes}
    return NetworkSpec(size=size, channels=channels, architecture=architecture, **facts)


@pytest.mark.parametrize(("size", "channels", "architecture"), SPECS)
def test_generator_and_discriminator_agree_on_the_shape(size, channels, architecture):
    spec = tiny(size, channels, architecture)
    codes = torch.tensor([0, 2])
    generator = Generator(spec)
    images = generator(torch.zeros(2, generator.latent), codes)
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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("size", [(4, 4), (7, 7), (7, 4), (8, 8), (16, 16), (4, 4, 4), (7, 7, 7)])
def test_networks_of_small_maps_have_several_levels(architecture, size):
    spec = tiny(size, 4, architecture, maps=MapSpec(tuple(4 * length for length in size), 1, 4, 4, 8))
    assert generator_ladder(spec).strides
    assert len(discriminator_ladder(spec).strides) >= 3
    generator, codes = Generator(spec), torch.tensor([0, 2])
    maps = generator(torch.zeros(2, generator.latent), codes)
    assert maps.shape == (2, 4, *size)
    assert Discriminator(spec)(maps, codes).shape == (2,)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_class_changes_the_image_and_nothing_else_differs(architecture):
    generator = Generator(tiny((8, 8), architecture=architecture)).eval()
    latent = torch.randn(1, generator.latent, generator=torch.Generator().manual_seed(0)).repeat(3, 1)
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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_a_condition_the_class_plays_no_part(architecture):
    spec = tiny((8, 8), architecture=architecture, is_conditional=False)
    generator, discriminator = Generator(spec).eval(), Discriminator(spec)
    latent = torch.randn(1, generator.latent).repeat(2, 1)
    first, second = images = generator(latent, torch.tensor([0, 2]))
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(*discriminator(images, torch.tensor([0, 2])))


def test_a_class_signal_that_is_not_let_in_changes_nothing():
    generator, discriminator = Generator(tiny((8, 8))).eval(), Discriminator(tiny((8, 8)))
    latent, codes = torch.randn(1, 5).repeat(2, 1), torch.tensor([0, 2])
    images = generator(latent, codes)
    assert not torch.allclose(*images)
    for network in (generator, discriminator):
        network.enter(Phase(class_share=0.0))
    torch.testing.assert_close(*generator(latent, codes))
    same = images[:1].expand(2, -1, -1, -1)
    torch.testing.assert_close(*discriminator(same, codes))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dim", [2, 3])
def test_each_logit_follows_from_its_own_image_alone(architecture, dim):
    # What a gradient penalty rests on.
    discriminator, images = Discriminator(tiny((8,) * dim, architecture=architecture)), torch.randn(3, 1, *(8,) * dim)
    codes = torch.tensor([0, 1, 2])
    alone = torch.cat([discriminator(images[i : i + 1], codes[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(discriminator(images, codes), alone)


def growing(missing):
    spec = tiny((28, 28), architecture="progressive")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator, discriminator = Generator(spec).eval(), Discriminator(spec)
    for network in (generator, discriminator):
        network.enter(Phase(missing=missing))
    return generator, discriminator


def test_a_network_that_has_not_grown_sees_and_makes_coarse_pixels():
    generator, discriminator = growing(2.0)
    images, codes = generator(torch.randn(2, 5), torch.tensor([0, 1])), torch.tensor([0, 1])
    blocks = images.unfold(2, 4, 4).unfold(3, 4, 4)
    assert torch.equal(blocks.amax((4, 5)), blocks.amin((4, 5)))
    assert len(images[0].unique()) > 10
    within = torch.randn(2, 1, 28, 28)
    within -= within.unfold(2, 4, 4).unfold(3, 4, 4).mean((4, 5)).repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(discriminator(images + within, codes), discriminator(images, codes))


@pytest.mark.parametrize("level", [1.0, 2.0])
def test_a_doubling_fades_in_without_a_jump(level):
    latent, codes = torch.randn(2, 5), torch.tensor([0, 1])
    images = torch.randn(2, 1, 28, 28)
    before, start, end, after = (growing(level + step) for step in (0.0, -1e-6, -1 + 1e-6, -1.0))
    for one, other in ((before, start), (end, after)):
        torch.testing.assert_close(one[0](latent, codes), other[0](latent, codes), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(one[1](images, codes), other[1](images, codes), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(before[0](latent, codes), after[0](latent, codes), atol=1e-2)


def test_attention_is_the_identity_at_first_and_then_a_mean_over_all_places():
    attention, x = Attention(2, 8), torch.randn(2, 8, 3, 4)
    torch.testing.assert_close(attention(x), x)
    with torch.no_grad():
        attention.share.fill_(1.0)
        attention.query.weight.zero_(), attention.query.bias.zero_()
    mean = attention.value(x).mean((2, 3), keepdim=True)
    torch.testing.assert_close(attention(x), x + mean)


def test_a_modulated_convolution_equals_one_with_a_kernel_for_each_image():
    layer, x, style = ModulatedConv(3, 5, (1, 1), 4), torch.randn(2, 3, 6, 6), torch.randn(2, 4)
    kernels = layer.conv.weight * layer.affine(style)[:, None, :, None, None]  # [n, o, i, 3, 3]
    kernels = kernels / (kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    expected = torch.cat([torch.nn.functional.conv2d(x[i : i + 1], kernels[i], padding=1) for i in range(2)])
    torch.testing.assert_close(layer(x, style), expected)


def test_noise_changes_details_once_it_has_a_strength():
    generator = Generator(tiny((28, 28), architecture="style")).eval()
    latent = torch.randn(2, generator.latent)
    latent[1, :5] = latent[0, :5]
    codes = torch.zeros(2, dtype=torch.int64)
    torch.testing.assert_close(*generator(latent, codes))
    with torch.no_grad():
        for block in generator.body.blocks:
            block.noise.fill_(0.5)
    assert not torch.allclose(*generator(latent, codes))
