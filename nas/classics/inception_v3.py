"""Builds Inception v3, with its auxiliary head."""

from typing import Literal

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.architecture.padding import Padding
from nas.blocks import conv_norm
from nas.blocks.scaling import scaled

Kernel = int | tuple[int, int]
Step = tuple[int, Kernel]
"""The channels and the kernel of one convolution in a branch."""

ROW, COLUMN = (1, 7), (7, 1)


def inception_v3(
    input_shape: Shape,
    classes: int,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
    auxiliary: bool = True,
) -> Architecture:
    """Build Inception v3 (Szegedy et al. 2016, arXiv:1512.00567, table 1), as in torchvision.

    The second output is the auxiliary head; ``auxiliary=False`` leaves it out. If the head's map is
    smaller than 5x5 (for images smaller than 299x299), it is padded with zeros so that the 5x5
    convolution fits. ``stem="cifar"`` is for small images: the convolutions of the stem have
    stride 1 and keep the size, and the stem does not pool.
    """
    g = Builder(input_shape, norm_epsilon=1e-3)
    modules = _Modules(g, width)
    conv = modules.conv
    if stem == "imagenet":
        x = conv(g.input, "Conv2d_1a_3x3", (32, 3), 2, "valid")
        x = conv(x, "Conv2d_2a_3x3", (32, 3), padding="valid")
        x = g.max_pool(conv(x, "Conv2d_2b_3x3", (64, 3)), 3, 2)
        x = conv(conv(x, "Conv2d_3b_1x1", (80, 1)), "Conv2d_4a_3x3", (192, 3), padding="valid")
        x = g.max_pool(x, 3, 2)
    else:
        x = conv(conv(g.input, "Conv2d_1a_3x3", (32, 3)), "Conv2d_2a_3x3", (32, 3))
        x = conv(conv(x, "Conv2d_2b_3x3", (64, 3)), "Conv2d_3b_1x1", (80, 1))
        x = conv(x, "Conv2d_4a_3x3", (192, 3))
    for name, pool in (("5b", 32), ("5c", 64), ("5d", 64)):
        with g.scope(f"Mixed_{name}"):
            x = modules.a(x, pool)
    with g.scope("Mixed_6a"):
        x = modules.b(x)
    for name, channels in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        with g.scope(f"Mixed_{name}"):
            x = modules.c(x, channels)
    heads = []
    if auxiliary:
        with g.scope("AuxLogits"):
            y = conv(g.avg_pool(x, 5, 3), "conv0", (128, 1))
            y = conv(y, "conv1", (768, 5), padding=[max(6 - size, 0) // 2 for size in y.spatial])
            heads.append(g.linear(g.flatten(g.adaptive_avg_pool(y, 1)), classes, name="fc"))
    with g.scope("Mixed_7a"):
        x = modules.d(x)
    for name in ("7b", "7c"):
        with g.scope(f"Mixed_{name}"):
            x = modules.e(x)
    x = g.flatten(g.dropout(g.adaptive_avg_pool(x, 1)))
    return g.build(g.linear(x, classes, name="fc"), *heads)


class _Modules:
    """Builds the inception modules of figures 5, 6 and 7 and two reductions, as in torchvision."""

    def __init__(self, g: Builder, width: float) -> None:
        self.g, self.width = g, width

    def conv(
        self,
        x: Handle,
        name: str,
        step: Step,
        stride: int = 1,
        padding: Padding | None = None,
    ) -> Handle:
        """Add a normed convolution; by default it keeps the size at stride 1."""
        channels, kernel = step
        with self.g.scope(name):
            return conv_norm(
                self.g,
                x,
                scaled(channels, self.width),
                stride,
                padding=padding,
                kernel=kernel,
            )

    def chain(self, x: Handle, name: str, *steps: Step) -> Handle:
        """Add convolutions in a row, ``name_1``, ``name_2``, ..., each of which keeps the size."""
        for index, step in enumerate(steps, start=1):
            x = self.conv(x, f"{name}_{index}", step)
        return x

    def pooled(self, x: Handle, channels: int) -> Handle:
        """Add the pooling branch."""
        return self.conv(self.g.avg_pool(x, 3, 1, 1), "branch_pool", (channels, 1))

    def a(self, x: Handle, pool: int) -> Handle:
        """Add the module of figure 5: two 3x3 convolutions replace a 5x5 one."""
        return self.g.concat(
            self.conv(x, "branch1x1", (64, 1)),
            self.chain(x, "branch5x5", (48, 1), (64, 5)),
            self.chain(x, "branch3x3dbl", (64, 1), (96, 3), (96, 3)),
            self.pooled(x, pool),
        )

    def b(self, x: Handle) -> Handle:
        """Add the first reduction."""
        double = self.chain(x, "branch3x3dbl", (64, 1), (96, 3))
        return self.g.concat(
            self.conv(x, "branch3x3", (384, 3), 2, "valid"),
            self.conv(double, "branch3x3dbl_3", (96, 3), 2, "valid"),
            self.g.max_pool(x, 3, 2),
        )

    def c(self, x: Handle, n: int) -> Handle:
        """Add the module of figure 6: a row and a column replace a 7x7 convolution."""
        double = ((n, 1), (n, COLUMN), (n, ROW), (n, COLUMN), (192, ROW))
        return self.g.concat(
            self.conv(x, "branch1x1", (192, 1)),
            self.chain(x, "branch7x7", (n, 1), (n, ROW), (192, COLUMN)),
            self.chain(x, "branch7x7dbl", *double),
            self.pooled(x, 192),
        )

    def d(self, x: Handle) -> Handle:
        """Add the second reduction."""
        three = self.conv(x, "branch3x3_1", (192, 1))
        seven = self.chain(x, "branch7x7x3", (192, 1), (192, ROW), (192, COLUMN))
        return self.g.concat(
            self.conv(three, "branch3x3_2", (320, 3), 2, "valid"),
            self.conv(seven, "branch7x7x3_4", (192, 3), 2, "valid"),
            self.g.max_pool(x, 3, 2),
        )

    def e(self, x: Handle) -> Handle:
        """Add the module of figure 7: a row and a column are side by side."""
        one = self.conv(x, "branch1x1", (320, 1))
        three = self.conv(x, "branch3x3_1", (384, 1))
        double = self.chain(x, "branch3x3dbl", (448, 1), (384, 3))
        return self.g.concat(
            one,
            self.conv(three, "branch3x3_2a", (384, (1, 3))),
            self.conv(three, "branch3x3_2b", (384, (3, 1))),
            self.conv(double, "branch3x3dbl_3a", (384, (1, 3))),
            self.conv(double, "branch3x3dbl_3b", (384, (3, 1))),
            self.pooled(x, 192),
        )
