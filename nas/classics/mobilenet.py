"""MobileNets."""

from typing import Literal

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm, inverted_residual
from nas.classics.scaling import divisible


def mobilenet_v2(
    input_shape: Shape,
    classes: int,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
) -> Architecture:
    """MobileNetV2 (Sandler et al. 2018, table 2), as in torchvision.

    ``stem="cifar"`` is the usual change for small images: stride 1 in the first convolution and
    in the first 24-channel stage. Widths are rounded to multiples of eight.
    """
    g = Builder(input_shape)
    small = stem == "cifar"
    with g.scope("features.0"):
        x = conv_norm(
            g, g.input, divisible(32 * width), 1 if small else 2, ("0", "1"), activation="relu6"
        )
    index = 0
    for expansion, channels, repeats, first_stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 1 if small else 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for repeat in range(repeats):
            index += 1
            with g.scope(f"features.{index}"):
                stride = first_stride if repeat == 0 else 1
                x = inverted_residual(
                    g, x, divisible(channels * width), stride, expansion=expansion
                )
    with g.scope(f"features.{index + 1}"):
        last = divisible(1280 * max(width, 1.0))
        x = conv_norm(g, x, last, 1, ("0", "1"), kernel=1, activation="relu6")
    x = g.flatten(g.adaptive_avg_pool(x, 1))
    return g.build(g.linear(g.dropout(x, 0.2), classes, name="classifier.1"))
