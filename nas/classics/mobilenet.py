"""Builds the MobileNets, versions 1 to 3."""

from functools import partial
from typing import Literal

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.architecture.operations.layers import Function
from nas.blocks import conv_norm, depthwise_separable, inverted_residual, squeeze_excitation
from nas.blocks.scaling import divisible

Stem = Literal["imagenet", "cifar"]
"""The images that the stem is made for.

"cifar" is the usual change for small images: stride 1 in the first convolution and in the first
strided stage. The last map then has 1/8 of the input's side, as in a ResNet whose stem has no
strides.
"""


def mobilenet_v1(
    input_shape: Shape, classes: int, *, width: float = 1.0, stem: Stem = "imagenet"
) -> Architecture:
    """Build MobileNet (Howard et al. 2017, arXiv:1704.04861, table 1), as in timm.

    timm's activation is ReLU6, as in the authors' code; the paper says ReLU. Widths are rounded
    to multiples of eight.
    """
    g = Builder(input_shape)
    small = stem == "cifar"
    first = divisible(32 * width)
    x = conv_norm(
        g, g.input, first, 1 if small else 2, activation="relu6", names=("conv_stem", "bn1")
    )
    stages = ((64, 1, 1), (128, 2, 1 if small else 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))
    for stage, (channels, repeats, first_stride) in enumerate(stages):
        for repeat in range(repeats):
            with g.scope(f"blocks.{stage}.{repeat}"):
                stride = first_stride if repeat == 0 else 1
                x = depthwise_separable(
                    g, x, divisible(channels * width), stride, activation="relu6"
                )
    x = g.flatten(g.adaptive_avg_pool(x, 1))
    return g.build(g.linear(x, classes, name="classifier"))


def mobilenet_v2(
    input_shape: Shape, classes: int, *, width: float = 1.0, stem: Stem = "imagenet"
) -> Architecture:
    """Build MobileNetV2 (Sandler et al. 2018, table 2), as in torchvision.

    Widths are rounded to multiples of eight.
    """
    g = Builder(input_shape)
    small = stem == "cifar"
    with g.scope("features.0"):
        x = conv_norm(
            g,
            g.input,
            divisible(32 * width),
            1 if small else 2,
            activation="relu6",
            names=("0", "1"),
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
        x = conv_norm(g, x, last, kernel=1, activation="relu6", names=("0", "1"))
    x = g.flatten(g.adaptive_avg_pool(x, 1))
    return g.build(g.linear(g.dropout(x, 0.2), classes, name="classifier.1"))


Bneck = tuple[int, int, int, bool, Function, int]
"""Kernel, expanded channels, channels, squeeze-and-excitation, activation, stride."""

MOBILENET_V3: dict[str, tuple[Bneck, ...]] = {
    "large": (
        (3, 16, 16, False, "relu", 1),
        (3, 64, 24, False, "relu", 2),
        (3, 72, 24, False, "relu", 1),
        (5, 72, 40, True, "relu", 2),
        (5, 120, 40, True, "relu", 1),
        (5, 120, 40, True, "relu", 1),
        (3, 240, 80, False, "hard_swish", 2),
        (3, 200, 80, False, "hard_swish", 1),
        (3, 184, 80, False, "hard_swish", 1),
        (3, 184, 80, False, "hard_swish", 1),
        (3, 480, 112, True, "hard_swish", 1),
        (3, 672, 112, True, "hard_swish", 1),
        (5, 672, 160, True, "hard_swish", 2),
        (5, 960, 160, True, "hard_swish", 1),
        (5, 960, 160, True, "hard_swish", 1),
    ),
    "small": (
        (3, 16, 16, True, "relu", 2),
        (3, 72, 24, False, "relu", 2),
        (3, 88, 24, False, "relu", 1),
        (5, 96, 40, True, "hard_swish", 2),
        (5, 240, 40, True, "hard_swish", 1),
        (5, 240, 40, True, "hard_swish", 1),
        (5, 120, 48, True, "hard_swish", 1),
        (5, 144, 48, True, "hard_swish", 1),
        (5, 288, 96, True, "hard_swish", 2),
        (5, 576, 96, True, "hard_swish", 1),
        (5, 576, 96, True, "hard_swish", 1),
    ),
}


def mobilenet_v3(
    input_shape: Shape,
    classes: int,
    size: Literal["small", "large"],
    last: int,
    *,
    width: float = 1.0,
    stem: Stem = "imagenet",
    reduced_tail: bool = False,
) -> Architecture:
    """Build MobileNetV3 (Howard et al. 2019, arXiv:1905.02244, tables 1 and 2), as in torchvision.

    ``last`` is the width of the hidden layer behind the pooling. Widths are rounded to multiples
    of eight, including those of squeeze-and-excitation. ``reduced_tail`` halves the channels from
    the last three blocks on, as for detection (section 6.3).
    """
    g = Builder(input_shape, norm_epsilon=1e-3, norm_momentum=0.01)
    blocks, small = MOBILENET_V3[size], stem == "cifar"
    first_strided = [stride for *_, stride in blocks].index(2)
    tail, first_of_tail = width / 2 if reduced_tail else width, len(blocks) - 3
    with g.scope("features.0"):
        x = conv_norm(
            g,
            g.input,
            divisible(16 * width),
            1 if small else 2,
            activation="hard_swish",
            names=("0", "1"),
        )
    for index, (kernel, hidden, channels, squeeze, activation, stride) in enumerate(blocks):
        hidden = divisible(hidden * (tail if index > first_of_tail else width))
        excitation = partial(
            squeeze_excitation, inner=divisible(hidden // 4), adaptive=True, gate="hard_sigmoid"
        )
        with g.scope(f"features.{index + 1}"):
            x = inverted_residual(
                g,
                x,
                divisible(channels * (tail if index >= first_of_tail else width)),
                1 if small and index == first_strided else stride,
                kernel=kernel,
                activation=activation,
                container="block",
                hidden=hidden,
                excitation=excitation if squeeze else None,
            )
    with g.scope(f"features.{len(blocks) + 1}"):
        x = conv_norm(g, x, 6 * x.channels, kernel=1, activation="hard_swish", names=("0", "1"))
    x = g.flatten(g.adaptive_avg_pool(x, 1))
    x = g.linear(x, divisible(last * tail), name="classifier.0")
    x = g.dropout(g.activation(x, "hard_swish"), 0.2)
    return g.build(g.linear(x, classes, name="classifier.3"))
