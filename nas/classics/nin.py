"""Builds Network in Network for small images."""

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks.scaling import scaled


def nin(
    input_shape: Shape, classes: int, *, width: float = 1.0, last_relu: bool = True
) -> Architecture:
    """Build Network in Network for CIFAR (Lin et al. 2014, arXiv:1312.4400, section 4.2).

    Widths are those of the authors' Caffe model, whose poolings round up and which has 966,986
    parameters at ten classes. The last 1x1 convolution has one map per class, which is averaged
    globally. The model has a ReLU behind those maps too; with a short recipe, most classes then
    stay at zero. ``last_relu=False`` leaves that ReLU out, as many later versions do.
    """
    g = Builder(input_shape)

    def mlpconv(x: Handle, channels: list[int], kernel: int) -> Handle:
        for index, out in enumerate(channels):
            size = kernel if index == 0 else 1
            x = g.relu(g.conv(x, out, size, padding=size // 2))
        return x

    def widths(*channels: int) -> list[int]:
        return [scaled(n, width) for n in channels]

    with g.scope("block1"):
        x = mlpconv(g.input, widths(192, 160, 96), 5)
    x = g.dropout(g.max_pool(x, 3, 2, ceil_mode=True))
    with g.scope("block2"):
        x = mlpconv(x, widths(192, 192, 192), 5)
    x = g.dropout(g.avg_pool(x, 3, 2, ceil_mode=True))
    with g.scope("block3"):
        x = g.conv(mlpconv(x, widths(192, 192), 3), classes, 1)
        x = g.relu(x) if last_relu else x
    return g.build(g.global_pool(x))
