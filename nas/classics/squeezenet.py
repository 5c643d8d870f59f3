"""Builds SqueezeNet, versions 1.0 and 1.1."""

from typing import Literal

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks.scaling import scaled


def squeezenet(
    input_shape: Shape,
    classes: int,
    version: Literal["1.0", "1.1"],
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
) -> Architecture:
    """Build SqueezeNet (Iandola et al. 2016, arXiv:1602.07360, table 1), as in torchvision.

    Version 1.1 has a smaller first convolution and pools earlier. Poolings round up. With
    ``stem="cifar"`` the first convolution is 3x3 at stride 1, and the first pooling is left out.
    """
    g = Builder(input_shape)
    channels, kernel = (96, 7) if version == "1.0" else (64, 3)
    if stem == "imagenet":
        x = g.conv(g.input, scaled(channels, width), kernel, 2, name="features.0")
        x = g.max_pool(g.relu(x), 3, 2, ceil_mode=True)
    else:
        x = g.relu(g.conv(g.input, scaled(channels, width), 3, padding=1, name="features.0"))
    pooled_behind = (2, 6) if version == "1.0" else (1, 3)
    index = 3
    for fire, (squeeze, expand) in enumerate(
        ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
    ):
        with g.scope(f"features.{index}"):
            x = _fire(g, x, scaled(squeeze, width), scaled(expand, width))
        index += 1
        if fire in pooled_behind:
            x = g.max_pool(x, 3, 2, ceil_mode=True)
            index += 1
    x = g.relu(g.conv(g.dropout(x), classes, 1, name="classifier.1"))
    return g.build(g.flatten(g.adaptive_avg_pool(x, 1)))


def _fire(g: Builder, x: Handle, squeeze: int, expand: int) -> Handle:
    """Add the fire module: a 1x1 convolution, then a 1x1 and a 3x3 one side by side (fig. 1)."""
    x = g.relu(g.conv(x, squeeze, 1, name="squeeze"))
    one = g.relu(g.conv(x, expand, 1, name="expand1x1"))
    three = g.relu(g.conv(x, expand, 3, padding=1, name="expand3x3"))
    return g.concat(one, three)
