"""Builds RegNets from the parameters of their widths."""

from collections import Counter
from math import log
from typing import Literal

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm, grouped_bottleneck
from nas.blocks.scaling import divisible, scaled


def regnet(
    input_shape: Shape,
    classes: int,
    depth: int,
    initial_width: int,
    slope: float,
    step: float,
    group_width: int,
    squeeze: float | None = None,
    nearest: bool = False,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
) -> Architecture:
    """Build RegNet (Radosavovic et al. 2020, arXiv:2003.13678, section 3.3), as in torchvision.

    The widths of all ``depth`` blocks are on a line, ``initial_width + slope * block``, and are
    rounded to powers of ``step`` times the initial width. Blocks of one width are a stage.
    ``squeeze`` makes it a RegNetY: squeeze-and-excitation with that share of the block's input
    channels. The width of a stage is rounded to a multiple of its group width. With ``nearest``
    that is the nearest one, as in the authors' code (facebookresearch/pycls); otherwise it is at
    most a tenth below, as in torchvision. ``stem="cifar"`` has stride 1 in the stem and in the
    first stage.
    """
    g = Builder(input_shape)
    small = stem == "cifar"
    x = conv_norm(g, g.input, scaled(32, width), 1 if small else 2, names=("stem.0", "stem.1"))
    stages = Counter(block_widths(depth, initial_width, slope, step))
    for stage, (full, blocks) in enumerate(stages.items(), 1):
        group = min(group_width, full)
        if nearest:
            channels = max(round(full * width / group), 1) * group
        else:
            channels = divisible(full * width, group)
        for index in range(blocks):
            stride = 2 if index == 0 and not (small and stage == 1) else 1
            with g.scope(f"trunk_output.block{stage}.block{stage}-{index}"):
                x = grouped_bottleneck(
                    g, x, channels, stride, group_width=group_width, squeeze=squeeze or 0.0
                )
    x = g.flatten(g.adaptive_avg_pool(x, 1))
    return g.build(g.linear(x, classes, name="fc"))


def block_widths(depth: int, initial: int, slope: float, step: float) -> list[int]:
    """Return the width of each block, a multiple of eight (Radosavovic et al. 2020, eq. 2 to 4)."""
    powers = (round(log(1 + slope * block / initial) / log(step)) for block in range(depth))
    return [8 * round(initial * step**power / 8) for power in powers]
