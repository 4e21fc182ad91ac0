"""Residual up-sampling: better per image seen than transposed convolutions, slower. After arXiv:1802.05637."""

from monai.networks.layers.factories import Conv
from torch import Tensor, nn
from torch.nn import functional

from synthgen.gan.blocks import ConditionalNorm, Upsampling, enlarged
from synthgen.gan.spec import NetworkSpec, Stride


class ResidualBlock(nn.Module):
    """Doubles the axes of stride 2 by repetition, then two 3-convolutions beside a 1-convolution."""

    def __init__(self, inputs: int, outputs: int, stride: Stride, condition: int) -> None:
        super().__init__()
        dim = len(stride)
        conv = Conv[Conv.CONV, dim]
        self.stride = stride
        self.first, self.first_norm = conv(inputs, outputs, 3, 1, 1), ConditionalNorm(dim, outputs, condition)
        self.second, self.second_norm = conv(outputs, outputs, 3, 1, 1), ConditionalNorm(dim, outputs, condition)
        self.skip = conv(inputs, outputs, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """[n, inputs, *size] -> [n, outputs, *(size * stride)]."""
        skip = enlarged(self.skip(x), self.stride)
        h = self.first(enlarged(x, self.stride))
        h = self.second(functional.relu(self.first_norm(h, condition)))
        return functional.relu(self.second_norm(h, condition) + skip)


def generator(spec: NetworkSpec) -> nn.Module:
    """The body of the generator."""
    return Upsampling(spec, ResidualBlock)
