"""Builds DenseNets, in which each layer reads all layers before it."""

from typing import Literal

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm
from nas.blocks.scaling import scaled


def densenet(
    input_shape: Shape,
    classes: int,
    blocks: tuple[int, ...],
    growth: int,
    channels: int,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
) -> Architecture:
    """Build DenseNet-BC (Huang et al. 2017, arXiv:1608.06993, table 1), as in torchvision.

    ``blocks`` are the numbers of layers of the dense blocks, ``channels`` the channels of the first
    convolution. ``stem="cifar"`` is the paper's own stem for CIFAR (section 3): one 3x3
    convolution at stride 1.
    """
    g = Builder(input_shape)
    growth = scaled(growth, width)
    with g.scope("features"):
        if stem == "imagenet":
            x = conv_norm(
                g, g.input, scaled(channels, width), 2, kernel=7, names=("conv0", "norm0")
            )
            x = g.max_pool(x, 3, 2, padding=1)
        else:
            x = g.conv(g.input, scaled(channels, width), 3, padding=1, bias=False, name="conv0")
        for stage, layers in enumerate(blocks, start=1):
            if stage > 1:
                with g.scope(f"transition{stage - 1}"):
                    x = g.relu(g.batch_norm(x, name="norm"))
                    x = g.conv(x, max(x.channels // 2, 1), 1, bias=False, name="conv")
                    x = g.avg_pool(x, 2)
            for layer in range(1, layers + 1):
                with g.scope(f"denseblock{stage}.denselayer{layer}"):
                    x = g.concat(x, _dense_layer(g, x, growth))
        x = g.relu(g.batch_norm(x, name="norm5"))
    x = g.flatten(g.adaptive_avg_pool(x, 1))
    return g.build(g.linear(x, classes, name="classifier"))


def _dense_layer(g: Builder, x: Handle, growth: int) -> Handle:
    """Add a 1x1 convolution to 4 x ``growth``, a 3x3 to ``growth``, each behind norm and ReLU."""
    x = g.relu(g.batch_norm(x, name="norm1"))
    x = g.conv(x, 4 * growth, 1, bias=False, name="conv1")
    x = g.relu(g.batch_norm(x, name="norm2"))
    return g.conv(x, growth, 3, padding=1, bias=False, name="conv2")
