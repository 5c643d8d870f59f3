"""Builds AlexNet."""

from typing import Literal

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks.scaling import scaled


def alexnet(
    input_shape: Shape,
    classes: int,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
) -> Architecture:
    """Build AlexNet in its one-tower form (Krizhevsky 2014, arXiv:1404.5997), as in torchvision.

    ``stem="cifar"`` is for small images: a 3x3 convolution at stride 1 and no pooling behind it.
    """
    g = Builder(input_shape)

    def conv(
        x: Handle, channels: int, kernel: int, stride: int, padding: int, index: int
    ) -> Handle:
        channels = scaled(channels, width)
        return g.relu(g.conv(x, channels, kernel, stride, padding, name=f"features.{index}"))

    if stem == "imagenet":
        x = g.max_pool(conv(g.input, 64, 11, 4, 2, 0), 3, 2)
    else:
        x = conv(g.input, 64, 3, 1, 1, 0)
    x = g.max_pool(conv(x, 192, 5, 1, 2, 3), 3, 2)
    x = conv(x, 384, 3, 1, 1, 6)
    x = conv(x, 256, 3, 1, 1, 8)
    x = g.max_pool(conv(x, 256, 3, 1, 1, 10), 3, 2)
    x = g.flatten(g.adaptive_avg_pool(x, 6))
    for index in (1, 4):
        x = g.dropout(x)
        x = g.relu(g.linear(x, scaled(4096, width), name=f"classifier.{index}"))
    return g.build(g.linear(x, classes, name="classifier.6"))


def alexnet_2012(
    input_shape: Shape,
    classes: int,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
) -> Architecture:
    """Build AlexNet as published, in two groups (Krizhevsky et al. 2012, section 3, fig. 2).

    The towers of the two GPUs are groups of the second, fourth and fifth convolution. Local
    response normalisation has the paper's constants; torch divides alpha by the size. The paper's
    55x55 maps of 224x224 images need padding that it does not mention: 2 in the first convolution.
    ``stem="cifar"`` is for small images: a 3x3 convolution at stride 1 and no pooling behind it.
    """
    g = Builder(input_shape)

    def conv(x: Handle, channels: int, kernel: int, index: int, groups: int = 1) -> Handle:
        channels = 2 * scaled(channels // 2, width)
        padding = kernel // 2
        return g.relu(g.conv(x, channels, kernel, 1, padding, groups=groups, name=f"conv{index}"))

    def norm(x: Handle) -> Handle:
        return g.local_response_norm(x, 5, alpha=5 * 1e-4, beta=0.75, k=2.0)

    first = 2 * scaled(48, width)
    if stem == "imagenet":
        x = g.relu(g.conv(g.input, first, 11, 4, 2, name="conv1"))
        x = g.max_pool(norm(x), 3, 2)
    else:
        x = norm(g.relu(g.conv(g.input, first, 3, padding=1, name="conv1")))
    x = g.max_pool(norm(conv(x, 256, 5, 2, groups=2)), 3, 2)
    x = conv(x, 384, 3, 3)
    x = conv(x, 384, 3, 4, groups=2)
    x = g.flatten(g.max_pool(conv(x, 256, 3, 5, groups=2), 3, 2))
    for index in (6, 7):
        x = g.dropout(g.relu(g.linear(x, scaled(4096, width), name=f"fc{index}")))
    return g.build(g.linear(x, classes, name="fc8"))
