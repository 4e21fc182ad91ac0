"""Transposed convolutions: 4 taps per output pixel, the fastest on a CPU. After Radford 2015, arXiv:1511.06434."""

from monai.networks.layers.factories import Conv
from torch import Tensor, nn
from torch.nn import functional

from synthgen.gan.blocks import ConditionalNorm, Upsampling, kernel
from synthgen.gan.spec import NetworkSpec, Stride


class DeconvBlock(nn.Module):
    """Doubles the axes of stride 2 with a k4s2 transposed convolution."""

    def __init__(self, inputs: int, outputs: int, stride: Stride, condition: int) -> None:
        super().__init__()
        dim = len(stride)
        # k4s2 covers every output pixel equally often; k3s2 would leave a checkerboard.
        self.up = Conv[Conv.CONVTRANS, dim](inputs, outputs, kernel(stride), stride, 1)
        self.norm = ConditionalNorm(dim, outputs, condition)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """[n, inputs, *size] -> [n, outputs, *(size * stride)]."""
        return functional.relu(self.norm(self.up(x), condition))


def generator(spec: NetworkSpec) -> nn.Module:
    """The body of the generator."""
    return Upsampling(spec, DeconvBlock)
