"""The operations that an edge of a pairwise cell can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import ceil
from typing import Literal

from nas.architecture.builder import Builder, Handle
from nas.blocks import conv_norm, separable_conv
from nas.classics.cells.dialects import Dialect

EdgeOperation = Callable[[Builder, Handle, int, int, Dialect], Handle]
"""From builder, state, channels, stride and dialect to the edge's output."""


def projection(
    g: Builder,
    x: Handle,
    channels: int,
    stride: int | tuple[int, int],
    dialect: Dialect,
    kernel: int | tuple[int, int] = 1,
) -> Handle:
    """ReLU, convolution (1x1 unless told), batch norm."""
    relu, *names = dialect.projection
    return conv_norm(
        g,
        g.relu(x, name=relu),
        channels,
        stride,
        (names[0], names[1]),
        dialect.padding(kernel),
        dialect.epsilon,
        kernel=kernel,
        activation=None,
    )


def factorized_reduction(
    g: Builder, x: Handle, channels: int, dialect: Dialect, active: bool = True
) -> Handle:
    """Half the map: two strided 1x1 convolutions, one of them a pixel on, side by side, normed.

    ``active`` puts a ReLU before. On an odd map the one a pixel on reads a border of zeros;
    DARTS's own code cannot take odd maps.
    """
    relu, first, second, norm = dialect.factorized
    if active:
        x = g.relu(x, name=relu)
    shifted = g.pad(x, [(-1, 1)] * len(x.spatial))
    half = channels // 2
    x = g.concat(
        g.conv(x, half, 1, 2, bias=False, name=first),
        g.conv(shifted, channels - half, 1, 2, bias=False, name=second),
    )
    return g.batch_norm(x, dialect.epsilon, name=norm)


def _skip(g: Builder, x: Handle, channels: int, stride: int, dialect: Dialect) -> Handle:
    if stride == 1 and x.channels == channels:
        return x
    if dialect.strided_skip == "projection":
        return projection(g, x, channels, stride, dialect)
    return factorized_reduction(g, x, channels, dialect, dialect.strided_skip == "factorized")


def _none(g: Builder, x: Handle, channels: int, stride: int, dialect: Dialect) -> Handle:
    if x.channels != channels:
        x = g.slice(g.concat(*[x] * ceil(channels / x.channels)), 0, channels)
    return g.zero(x, stride)


def _pool(
    g: Builder,
    x: Handle,
    channels: int,
    stride: int,
    dialect: Dialect,
    kind: Literal["max", "avg"],
    kernel: int,
) -> Handle:
    padding = dialect.padding(kernel)
    if kind == "max":
        y = g.max_pool(x, kernel, stride, padding)
    else:
        counted = stride > 1 and not dialect.half_padding
        y = g.avg_pool(x, kernel, stride, padding, count_include_pad=counted)
    if y.channels == channels:
        return y
    return conv_norm(g, y, channels, epsilon=dialect.epsilon, kernel=1, activation=None)


def _separable(
    g: Builder,
    x: Handle,
    channels: int,
    stride: int,
    dialect: Dialect,
    kernel: int,
    dilation: int = 1,
    layers: int = 2,
) -> Handle:
    """Layers of ReLU, depthwise and pointwise convolution and norm; the first has the stride."""
    padding = dialect.padding(kernel, dilation)
    for relu, depthwise, pointwise, norm in dialect.separable[:layers]:
        x = g.relu(x, name=relu)
        names = (depthwise, pointwise)
        x = separable_conv(g, x, channels, stride, names, padding, kernel=kernel, dilation=dilation)
        x, stride = g.batch_norm(x, dialect.epsilon, name=norm), 1
    return x


def _bottleneck(
    g: Builder,
    x: Handle,
    channels: int,
    stride: int,
    dialect: Dialect,
    kernels: tuple[tuple[int, int], ...],
    inner: float = 1 / 4,
) -> Handle:
    """Convolutions of part of the channels between two 1x1; each strides over its long axes."""
    width = max(int(channels * inner), 1)
    with g.scope("pre_1x1"):
        x = projection(g, x, width, 1, dialect)
    for high, wide in kernels:
        strides = (stride if high > 1 else 1, stride if wide > 1 else 1)
        with g.scope(f"conv_{high}x{wide}"):
            x = projection(g, x, width, strides, dialect, (high, wide))
    with g.scope("post_1x1"):
        return projection(g, x, channels, 1, dialect)


OPERATIONS: Mapping[str, EdgeOperation] = {
    "none": _none,
    "skip_connect": _skip,
    "max_pool_2x2": partial(_pool, kind="max", kernel=2),
    "max_pool_3x3": partial(_pool, kind="max", kernel=3),
    "max_pool_5x5": partial(_pool, kind="max", kernel=5),
    "max_pool_7x7": partial(_pool, kind="max", kernel=7),
    "avg_pool_3x3": partial(_pool, kind="avg", kernel=3),
    "conv_1x1": projection,
    "conv_3x3": partial(_bottleneck, kernels=((3, 3),)),
    "conv_1x3_3x1": partial(_bottleneck, kernels=((1, 3), (3, 1)), inner=3 / 8),
    "conv_1x7_7x1": partial(_bottleneck, kernels=((1, 7), (7, 1))),
    "sep_conv_3x3": partial(_separable, kernel=3),
    "sep_conv_5x5": partial(_separable, kernel=5),
    "sep_conv_7x7": partial(_separable, kernel=7),
    "dil_sep_conv_3x3": partial(_separable, kernel=3, dilation=2),
    "dil_sep_conv_5x5": partial(_separable, kernel=5, dilation=2),
    "dil_conv_3x3": partial(_separable, kernel=3, dilation=2, layers=1),
    "dil_conv_5x5": partial(_separable, kernel=5, dilation=2, layers=1),
}
"""Edge operations by the names of the literature.

``none`` is zeros and ``skip_connect`` the identity (in the code of NASNet and AmoebaNet that is
``none``). ``sep_conv`` has two separable layers, ``dil_conv`` one with dilation 2,
``dil_sep_conv`` two. ``conv_3x3`` and the rows and columns are bottlenecks, as in the code of
AmoebaNet: 1/4 of the channels inside, 3/8 for 1x3 and 3x1. A pool or skip of a state with other
channels is followed by a projection.
"""
