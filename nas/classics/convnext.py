"""Builds ConvNeXt."""

from typing import Literal

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import convnext_block
from nas.blocks.scaling import scaled


def convnext(
    input_shape: Shape,
    classes: int,
    blocks: tuple[int, int, int, int],
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
    drop_path: float = 0.1,
) -> Architecture:
    """Build ConvNeXt (Liu et al. 2022, arXiv:2201.03545, section 2), as in torchvision.

    The probability of drop path rises from 0 at the first block to ``drop_path`` at the last. The
    stem cuts the image into patches of 4x4; with ``stem="cifar"`` it is a 3x3 convolution at
    stride 1.
    """
    g = Builder(input_shape)
    kernel, stride, padding = (4, 4, 0) if stem == "imagenet" else (3, 1, 1)
    x = g.conv(g.input, scaled(96, width), kernel, stride, padding, name="features.0.0")
    x = g.layer_norm(x, epsilon=1e-6, name="features.0.1")
    depth, last = 0, max(sum(blocks) - 1, 1)
    for stage, count in enumerate(blocks):
        if stage > 0:
            with g.scope(f"features.{2 * stage}"):
                x = g.layer_norm(x, epsilon=1e-6, name="0")
                x = g.conv(x, scaled(96 * 2**stage, width), 2, 2, name="1")
        for index in range(count):
            with g.scope(f"features.{2 * stage + 1}.{index}"):
                x = convnext_block(g, x, drop_path=drop_path * depth / last)
            depth += 1
    x = g.layer_norm(g.adaptive_avg_pool(x, 1), epsilon=1e-6, name="classifier.0")
    return g.build(g.linear(g.flatten(x), classes, name="classifier.2"))
