"""Builds MnasNet, which a search has found."""

from typing import Literal

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm, inverted_residual
from nas.blocks.scaling import divisible


def mnasnet(
    input_shape: Shape,
    classes: int,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
) -> Architecture:
    """Build MnasNet-B1 (Tan et al. 2019, arXiv:1807.11626), as in torchvision.

    It is the network that the search found without squeeze-and-excitation. ``stem="cifar"`` has
    stride 1 in the first convolution and in the first stage. It also has torch's momentum in the
    norms, because the authors' momentum forgets only after thousands of steps. Widths are rounded
    to multiples of eight; the last one is always 1280.
    """
    small = stem == "cifar"
    g = Builder(input_shape, norm_momentum=0.1 if small else 1 - 0.9997)
    first = divisible(32 * width)
    x = conv_norm(g, g.input, first, 1 if small else 2, names=("layers.0", "layers.1"))
    x = conv_norm(g, x, first, groups=first, names=("layers.3", "layers.4"))
    x = conv_norm(
        g, x, divisible(16 * width), kernel=1, activation=None, names=("layers.6", "layers.7")
    )
    stages = (
        (3, 24, 3, 3, 1 if small else 2),
        (3, 40, 3, 5, 2),
        (6, 80, 3, 5, 2),
        (6, 96, 2, 3, 1),
        (6, 192, 4, 5, 2),
        (6, 320, 1, 3, 1),
    )
    for stage, (expansion, channels, repeats, kernel, first_stride) in enumerate(stages):
        for repeat in range(repeats):
            with g.scope(f"layers.{stage + 8}.{repeat}"):
                x = inverted_residual(
                    g,
                    x,
                    divisible(channels * width),
                    first_stride if repeat == 0 else 1,
                    expansion=expansion,
                    kernel=kernel,
                    activation="relu",
                    container="layers",
                )
    x = g.global_pool(conv_norm(g, x, 1280, kernel=1, names=("layers.14", "layers.15")))
    return g.build(g.linear(g.dropout(x, 0.2), classes, name="classifier.1"))
