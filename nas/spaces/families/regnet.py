"""The family of RegNet: six numbers decide the widths and depths of a network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import log
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks.residual import Ratio
from nas.classics.regnet import block_widths, regnet
from nas.spaces.choices import Choose, Infeasible
from nas.spaces.families.family import Count, Family, distinct

_SOME = (Field(min_length=1), AfterValidator(distinct))


class RegNet(Family):
    """The networks of :func:`nas.classics.regnet.regnet` that have a number of ``stages``.

    Choices, in the order asked: ``depth`` (d, of all stages together), ``initial_width`` (w_0),
    ``slope`` (w_a), ``step`` (w_m), ``group_width`` (g) and ``squeeze``, the ratio of
    squeeze-and-excitation: null is RegNetX, 0.25 RegNetY. The bottleneck ratio is 1, as in both.
    Widths are those of equations 2 to 4. Combinations that make another number of stages are
    infeasible, as in section 3.3. Widths are multiples of the group width by the authors' rule
    (facebookresearch/pycls), not torchvision's. Unlike in the staged family, no stage is chosen by
    itself.
    """

    family: Literal["regnet"]
    """The name of the family."""
    stem: Literal["imagenet", "cifar"]
    """The stem: ``cifar`` for small images, ``imagenet`` for large ones."""
    stages: Count
    """The number of stages; other combinations are infeasible."""
    depth: Annotated[tuple[Count, ...], *_SOME]
    """The number of blocks of all stages together."""
    initial_width: Annotated[tuple[Annotated[int, Field(gt=0, multiple_of=8)], ...], *_SOME]
    """The width of the first block before quantisation, w_0."""
    slope: Annotated[tuple[PositiveFloat, ...], *_SOME]
    """The slope of the widths, w_a."""
    step: Annotated[tuple[Annotated[float, Field(gt=1)], ...], *_SOME]
    """The factor between the widths of stages, w_m."""
    group_width: Annotated[tuple[PositiveInt, ...], *_SOME]
    """The channels of each group of a convolution."""
    squeeze: Annotated[tuple[Ratio | None, ...], *_SOME]
    """The ratio of squeeze-and-excitation; null for none."""

    def architecture(
        self, choose: Choose, input_shape: Shape, classes: int
    ) -> Callable[[], Architecture]:
        """Ask for the numbers; raise :class:`Infeasible` if they make another number of stages."""
        depth = choose("depth", self.depth)
        initial_width = choose("initial_width", self.initial_width)
        slope = choose("slope", self.slope)
        step = choose("step", self.step)
        stages = len(set(block_widths(depth, initial_width, slope, step)))
        if stages != self.stages:
            raise Infeasible(f"{stages} stages, not {self.stages}", "stages")
        return partial(
            regnet,
            input_shape,
            classes,
            depth,
            initial_width,
            slope,
            step,
            choose("group_width", self.group_width),
            choose("squeeze", self.squeeze),
            nearest=True,
            stem=self.stem,
        )

    def size(self) -> int:
        """Count the genotypes for all depths at once: deeper ones begin with the same widths."""
        deepest = max(self.depth)
        depths = np.array(self.depth) - 1
        count = 0
        for initial in self.initial_width:
            # The arithmetic must be that of block_widths, because rounding decides close cases.
            powers = np.array(
                [[log(1 + slope * j / initial) for j in range(deepest)] for slope in self.slope]
            )
            for step in self.step:
                rounded = np.rint(powers / log(step)).astype(int)
                by_power = [8 * round(initial * step**k / 8) for k in range(rounded.max() + 1)]
                widths = np.array(by_power)[rounded]
                stages = 1 + np.cumsum(np.diff(widths, prepend=widths[:, :1]) > 0, axis=1)
                count += int((stages[:, depths] == self.stages).sum())
        return count * len(self.group_width) * len(self.squeeze)
