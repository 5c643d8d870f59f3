"""Builds Inception v4 and Inception-ResNet v2."""

from typing import Literal

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm
from nas.blocks.scaling import scaled

Step = tuple[int, int | tuple[int, int]] | tuple[int, int | tuple[int, int], int]
"""The channels and the kernel of a convolution that keeps the size. With a stride as a third
item, the convolution is not padded."""

ROW, COLUMN = (1, 7), (7, 1)


def inception_v4(
    input_shape: Shape,
    classes: int,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
    dropout: float = 0.0,
) -> Architecture:
    """Build Inception v4 (Szegedy et al. 2017, arXiv:1602.07261, figure 9), as in timm.

    ``stem="cifar"`` is for small images: the stem keeps the size. The published network was
    trained with ``dropout=0.2``.
    """
    g = Builder(input_shape, norm_epsilon=1e-3)
    m = _Modules(g, width)
    with g.scope("features"):
        x = _stem_v4(g, m, padded=stem == "cifar")
        modules = [m.a] * 4 + [m.reduction_a] + [m.b] * 7 + [m.reduction_b] + [m.c] * 3
        for index, module in enumerate(modules, start=6):
            with g.scope(str(index)):
                x = module(x)
    return _classified(g, x, classes, dropout, "last_linear")


def _stem_v4(g: Builder, m: "_Modules", padded: bool) -> Handle:
    """Add the stem of figure 3; ``padded`` keeps the size."""

    def bare(channels: int, stride: int = 1) -> Step:
        return (channels, 3) if padded else (channels, 3, stride)

    def pool(x: Handle) -> Handle:
        return g.max_pool(x, 3, 1, 1) if padded else g.max_pool(x, 3, 2)

    x = m.conv(m.conv(g.input, "0", bare(32, 2)), "1", bare(32))
    x = m.conv(x, "2", (64, 3))
    x = g.concat(pool(x), m.conv(x, "3.conv", bare(96, 2)))
    short = m.chain(x, "4.branch0", (64, 1), bare(96))
    long = m.chain(x, "4.branch1", (64, 1), (64, ROW), (64, COLUMN), bare(96))
    x = g.concat(short, long)
    return g.concat(m.conv(x, "5.conv", bare(192, 2)), pool(x))


def inception_resnet_v2(
    input_shape: Shape,
    classes: int,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
    dropout: float = 0.0,
) -> Architecture:
    """Build Inception-ResNet v2 (Szegedy et al. 2017, arXiv:1602.07261, figure 15), as in timm.

    It has the stem of Inception v3 and 10, 20 and 10 residual modules, as in the authors'
    TensorFlow code and unlike in the paper's figures. ``stem="cifar"`` is for small images: the
    stem keeps the size and does not pool. The published network was trained with ``dropout=0.2``.
    """
    g = Builder(input_shape, norm_epsilon=1e-3)
    m = _Modules(g, width)
    if stem == "imagenet":
        x = m.conv(m.conv(g.input, "conv2d_1a", (32, 3, 2)), "conv2d_2a", (32, 3, 1))
        x = g.max_pool(m.conv(x, "conv2d_2b", (64, 3)), 3, 2)
        x = m.conv(m.conv(x, "conv2d_3b", (80, 1)), "conv2d_4a", (192, 3, 1))
        x = g.max_pool(x, 3, 2)
    else:
        x = m.conv(m.conv(g.input, "conv2d_1a", (32, 3)), "conv2d_2a", (32, 3))
        x = m.conv(m.conv(x, "conv2d_2b", (64, 3)), "conv2d_3b", (80, 1))
        x = m.conv(x, "conv2d_4a", (192, 3))
    with g.scope("mixed_5b"):
        x = g.concat(
            m.conv(x, "branch0", (96, 1)),
            m.chain(x, "branch1", (48, 1), (64, 5)),
            m.chain(x, "branch2", (64, 1), (96, 3), (96, 3)),
            m.pooled(x, 64),
        )
    for index in range(10):
        with g.scope(f"repeat.{index}"):
            x = m.residual(x, 0.17, [(32, 1)], [(32, 1), (32, 3)], [(32, 1), (48, 3), (64, 3)])
    with g.scope("mixed_6a"):
        x = m.reduction(x, [(384, 3, 2)], [(256, 1), (256, 3), (384, 3, 2)])
    for index in range(20):
        with g.scope(f"repeat_1.{index}"):
            x = m.residual(x, 0.1, [(192, 1)], [(128, 1), (160, ROW), (192, COLUMN)])
    with g.scope("mixed_7a"):
        ends: list[list[Step]] = [[(384, 3, 2)], [(288, 3, 2)], [(288, 3), (320, 3, 2)]]
        x = m.reduction(x, *([(256, 1), *end] for end in ends))
    last: list[list[Step]] = [[(192, 1)], [(192, 1), (224, (1, 3)), (256, (3, 1))]]
    for index in range(9):
        with g.scope(f"repeat_2.{index}"):
            x = m.residual(x, 0.2, *last)
    with g.scope("block8"):
        x = m.residual(x, 1.0, *last, active=False)
    x = m.conv(x, "conv2d_7b", (1536, 1))
    return _classified(g, x, classes, dropout, "classif")


def _classified(g: Builder, x: Handle, classes: int, dropout: float, name: str) -> Architecture:
    x = g.flatten(g.adaptive_avg_pool(x, 1))
    if dropout:
        x = g.dropout(x, dropout)
    return g.build(g.linear(x, classes, name=name))


class _Modules:
    """Builds the modules of both networks, with timm's names."""

    def __init__(self, g: Builder, width: float) -> None:
        self.g, self.width = g, width

    def conv(self, x: Handle, name: str, step: Step) -> Handle:
        """Add a normed convolution."""
        channels, kernel, stride = (*step, None)[:3]
        with self.g.scope(name):
            return conv_norm(
                self.g,
                x,
                scaled(channels, self.width),
                stride or 1,
                padding=0 if stride else None,
                kernel=kernel,
            )

    def chain(self, x: Handle, name: str, *steps: Step) -> Handle:
        """Add convolutions in a row, ``name.0``, ``name.1``, ...; a single one is ``name``."""
        for index, step in enumerate(steps):
            x = self.conv(x, f"{name}.{index}" if len(steps) > 1 else name, step)
        return x

    def pooled(self, x: Handle, channels: int) -> Handle:
        """Add the pooling branch."""
        x = self.g.avg_pool(x, 3, 1, 1, count_include_pad=False)
        return self.conv(x, "branch3.1", (channels, 1))

    def reduction(self, x: Handle, *branches: list[Step]) -> Handle:
        """Add branches that end in stride 2, beside max pooling."""
        ends = [self.chain(x, f"branch{i}", *steps) for i, steps in enumerate(branches)]
        return self.g.concat(*ends, self.g.max_pool(x, 3, 2))

    def residual(
        self, x: Handle, scale: float, *branches: list[Step], active: bool = True
    ) -> Handle:
        """Add branches and a 1x1 convolution with bias, times ``scale``; add the input, ReLU."""
        ends = [self.chain(x, f"branch{i}", *steps) for i, steps in enumerate(branches)]
        y = self.g.conv(self.g.concat(*ends), x.channels, 1, name="conv2d")
        y = self.g.add(y if scale == 1.0 else self.g.rescale(y, scale), x)
        return self.g.relu(y) if active else y

    def a(self, x: Handle) -> Handle:
        """Add Inception-A (figure 4)."""
        return self.g.concat(
            self.conv(x, "branch0", (96, 1)),
            self.chain(x, "branch1", (64, 1), (96, 3)),
            self.chain(x, "branch2", (64, 1), (96, 3), (96, 3)),
            self.pooled(x, 96),
        )

    def b(self, x: Handle) -> Handle:
        """Add Inception-B (figure 5)."""
        long = ((192, COLUMN), (224, ROW), (224, COLUMN), (256, ROW))
        return self.g.concat(
            self.conv(x, "branch0", (384, 1)),
            self.chain(x, "branch1", (192, 1), (224, ROW), (256, COLUMN)),
            self.chain(x, "branch2", (192, 1), *long),
            self.pooled(x, 128),
        )

    def c(self, x: Handle) -> Handle:
        """Add Inception-C (figure 6): a row and a column are side by side."""
        short = self.conv(x, "branch1_0", (384, 1))
        long = self.conv(x, "branch2_0", (384, 1))
        long = self.conv(self.conv(long, "branch2_1", (448, (3, 1))), "branch2_2", (512, (1, 3)))
        return self.g.concat(
            self.conv(x, "branch0", (256, 1)),
            self.conv(short, "branch1_1a", (256, (1, 3))),
            self.conv(short, "branch1_1b", (256, (3, 1))),
            self.conv(long, "branch2_3a", (256, (1, 3))),
            self.conv(long, "branch2_3b", (256, (3, 1))),
            self.pooled(x, 256),
        )

    def reduction_a(self, x: Handle) -> Handle:
        """Add the reduction of figure 7."""
        return self.reduction(x, [(384, 3, 2)], [(192, 1), (224, 3), (256, 3, 2)])

    def reduction_b(self, x: Handle) -> Handle:
        """Add the reduction of figure 8."""
        long: list[Step] = [(256, 1), (256, ROW), (320, COLUMN), (320, 3, 2)]
        return self.reduction(x, [(192, 1), (192, 3, 2)], long)
