"""RegNet."""

from collections import Counter
from math import log
from typing import Literal

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm, squeeze_excitation
from nas.classics.scaling import divisible, scaled


def regnet(
    input_shape: Shape,
    classes: int,
    depth: int,
    initial_width: int,
    slope: float,
    step: float,
    group_width: int,
    squeeze: float | None = None,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
) -> Architecture:
    """RegNet (Radosavovic et al. 2020, arXiv:2003.13678, section 3.3), as in torchvision.

    The widths of all ``depth`` blocks are a line, ``initial_width + slope * block``, rounded to
    powers of ``step`` times the initial width; blocks of one width are a stage. ``squeeze`` makes
    it a RegNetY: squeeze-and-excitation with that part of the block's input channels.
    ``stem="cifar"`` has stride 1 in the stem and in the first stage.
    """
    g = Builder(input_shape)
    small = stem == "cifar"
    x = conv_norm(g, g.input, scaled(32, width), 1 if small else 2, ("stem.0", "stem.1"))
    stages = Counter(_widths(depth, initial_width, slope, step))
    for stage, (channels, blocks) in enumerate(stages.items(), 1):
        channels = divisible(channels * width, group_width)
        for index in range(blocks):
            stride = 2 if index == 0 and not (small and stage == 1) else 1
            with g.scope(f"trunk_output.block{stage}.block{stage}-{index}"):
                x = _block(g, x, channels, stride, channels // group_width, squeeze)
    x = g.flatten(g.adaptive_avg_pool(x, 1))
    return g.build(g.linear(x, classes, name="fc"))


def _widths(depth: int, initial: int, slope: float, step: float) -> list[int]:
    """The width of each block, a multiple of eight (equations 2 to 4)."""
    powers = (round(log(1 + slope * block / initial) / log(step)) for block in range(depth))
    return [8 * round(initial * step**power / 8) for power in powers]


def _block(
    g: Builder, x: Handle, channels: int, stride: int, groups: int, squeeze: float | None
) -> Handle:
    """The bottleneck block without a bottleneck: 1x1, grouped 3x3, 1x1 of one width."""
    shortcut = x
    if stride > 1 or x.channels != channels:
        with g.scope("proj"):
            shortcut = conv_norm(g, x, channels, stride, ("0", "1"), kernel=1, activation=None)
    y = conv_norm(g, x, channels, 1, ("f.a.0", "f.a.1"), kernel=1)
    y = conv_norm(g, y, channels, stride, ("f.b.0", "f.b.1"), groups=groups)
    if squeeze:
        y = squeeze_excitation(g, y, "f.se", max(round(squeeze * x.channels), 1), adaptive=True)
    y = conv_norm(g, y, channels, 1, ("f.c.0", "f.c.1"), kernel=1, activation=None)
    return g.relu(g.add(shortcut, y))
