"""Builds GoogLeNet, with its auxiliary heads."""

from typing import Literal

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm, inception
from nas.blocks.scaling import scaled

MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""The channels of each module in table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool."""


def googlenet(
    input_shape: Shape,
    classes: int,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
    auxiliary: bool = True,
) -> Architecture:
    """Build GoogLeNet (Szegedy et al. 2015, arXiv:1409.4842, table 1), as in torchvision.

    Torchvision deviates from the paper: it has batch norm, 3x3 convolutions instead of 5x5, and
    pools to 4x4 in the auxiliary heads whatever the size. The outputs are in its order: the main
    one, the head behind 4d, the head behind 4a. ``auxiliary=False`` leaves the heads out.
    ``stem="cifar"`` is for small images: a 3x3 convolution at stride 1 and no pooling before
    module 3a.
    """
    g = Builder(input_shape, norm_epsilon=1e-3)

    def conv(x: Handle, channels: int, kernel: int, name: str, stride: int = 1) -> Handle:
        with g.scope(name):
            return conv_norm(g, x, scaled(channels, width), stride, kernel=kernel)

    def head(x: Handle, name: str) -> Handle:
        with g.scope(name):
            x = g.flatten(conv(g.adaptive_avg_pool(x, 4), 128, 1, "conv"))
            x = g.relu(g.linear(x, scaled(1024, width), name="fc1"))
            return g.linear(g.dropout(x, 0.7), classes, name="fc2")

    if stem == "imagenet":
        x = g.max_pool(conv(g.input, 64, 7, "conv1", 2), 3, 2, ceil_mode=True)
        x = conv(conv(x, 64, 1, "conv2"), 192, 3, "conv3")
        x = g.max_pool(x, 3, 2, ceil_mode=True)
    else:
        x = conv(g.input, 64, 3, "conv1")
        x = conv(conv(x, 64, 1, "conv2"), 192, 3, "conv3")
    heads: list[Handle] = []
    for name, widths in MODULES.items():
        if name in ("4a", "5a"):
            x = g.max_pool(x, 3 if name == "4a" else 2, 2, ceil_mode=True)
        one, reduce_three, three, reduce_five, five, pool = (scaled(n, width) for n in widths)
        with g.scope(f"inception{name}"):
            x = inception(
                g, x, widths=(one, reduce_three, three, reduce_five, five, pool), large_kernel=3
            )
        if auxiliary and name in ("4a", "4d"):
            heads.append(head(x, f"aux{len(heads) + 1}"))
    x = g.dropout(g.flatten(g.adaptive_avg_pool(x, 1)), 0.2)
    return g.build(g.linear(x, classes, name="fc"), *reversed(heads))
