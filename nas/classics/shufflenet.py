"""Builds ShuffleNet V2."""

from typing import Literal

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm, shuffle_unit
from nas.blocks.scaling import divisible, scaled


def shufflenet_v2(
    input_shape: Shape,
    classes: int,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
) -> Architecture:
    """Build ShuffleNet V2 (Ma et al. 2018, arXiv:1807.11164, table 5 at 1x), as in torchvision.

    ``stem="cifar"`` is the usual change for small images: stride 1 in the first convolution and
    no max pooling. Other widths are scaled, while the paper has a column of its own for each.
    """
    g = Builder(input_shape)
    if stem == "imagenet":
        x = conv_norm(g, g.input, scaled(24, width), 2, names=("conv1.0", "conv1.1"))
        x = g.max_pool(x, 3, 2, padding=1)
    else:
        x = conv_norm(g, g.input, scaled(24, width), names=("conv1.0", "conv1.1"))
    for stage, (channels, repeats) in enumerate(((116, 4), (232, 8), (464, 4)), 2):
        for repeat in range(repeats):
            with g.scope(f"stage{stage}.{repeat}"):
                x = shuffle_unit(g, x, divisible(channels * width, 2), 2 if repeat == 0 else 1)
    x = conv_norm(g, x, scaled(1024, width), kernel=1, names=("conv5.0", "conv5.1"))
    return g.build(g.linear(g.global_pool(x), classes, name="fc"))
