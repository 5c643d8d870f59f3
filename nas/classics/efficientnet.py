"""Builds EfficientNet-B0."""

from functools import partial
from typing import Literal

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm, inverted_residual, squeeze_excitation
from nas.blocks.scaling import divisible


def efficientnet(
    input_shape: Shape,
    classes: int,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
    drop_path: float = 0.2,
) -> Architecture:
    """Build EfficientNet-B0 (Tan & Le 2019, arXiv:1905.11946, table 1), as in torchvision.

    The probability of drop path rises from 0 at the first block towards ``drop_path`` at the last.
    ``stem="cifar"`` has stride 1 in the first convolution and in the first strided stage. Widths
    are rounded to multiples of eight.
    """
    g = Builder(input_shape)
    small = stem == "cifar"
    with g.scope("features.0"):
        x = conv_norm(
            g,
            g.input,
            divisible(32 * width),
            1 if small else 2,
            activation="silu",
            names=("0", "1"),
        )
    stages = (
        (1, 16, 1, 3, 1),
        (6, 24, 2, 3, 1 if small else 2),
        (6, 40, 2, 5, 2),
        (6, 80, 3, 3, 2),
        (6, 112, 3, 5, 1),
        (6, 192, 4, 5, 2),
        (6, 320, 1, 3, 1),
    )
    depth, total = 0, sum(repeats for _, _, repeats, _, _ in stages)
    for stage, (expansion, channels, repeats, kernel, first_stride) in enumerate(stages, 1):
        for repeat in range(repeats):
            with g.scope(f"features.{stage}.{repeat}"):
                x = inverted_residual(
                    g,
                    x,
                    divisible(channels * width),
                    first_stride if repeat == 0 else 1,
                    excitation=partial(
                        squeeze_excitation,
                        inner=max(x.channels // 4, 1),
                        adaptive=True,
                        activation="silu",
                    ),
                    expansion=expansion,
                    kernel=kernel,
                    activation="silu",
                    drop_path=drop_path * depth / total,
                    container="block",
                )
            depth += 1
    with g.scope(f"features.{len(stages) + 1}"):
        x = conv_norm(g, x, 4 * x.channels, kernel=1, activation="silu", names=("0", "1"))
    x = g.flatten(g.adaptive_avg_pool(x, 1))
    return g.build(g.linear(g.dropout(x, 0.2), classes, name="classifier.1"))
