"""The network of NAS-Bench-201 and NATS-Bench, whose cells have an operation on every edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import Block, avg_pool, conv_norm, identity, max_pool, relu_conv, zero

LABELS: Mapping[str, Block] = {
    "none": zero,
    "skip_connect": identity,
    "nor_conv_1x1": partial(relu_conv, kernel=1),
    "nor_conv_3x3": partial(relu_conv, kernel=3),
    "nor_conv_7x7": partial(relu_conv, kernel=7),
    "avg_pool_3x3": partial(avg_pool, name="op"),
    "max_pool_3x3": partial(max_pool, name="op"),
}
"""The operations of edges by the benchmarks' names."""

Edge = tuple[int, int, Block]
"""The source, the target and the operation of an edge."""


def edge_network(
    input_shape: Shape, classes: int, widths: Sequence[int], cells: int, edges: Sequence[Edge]
) -> Architecture:
    """Build a stem, stages of equal cells and a classifier.

    Dong & Yang 2020, arXiv:2001.00326, figure 1. Node names are the paths in the state dict of
    the authors' ``TinyNetwork`` (D-X-Y/AutoDL-Projects). Deviation: on maps of odd size, where
    the reference cannot be built, the pooling of a shortcut rounds up.

    Args:
        input_shape: the input without the batch.
        classes: the number of classes.
        widths: the channels of each layer. The layers are ``cells`` cells, a residual block of
            stride 2, ``cells`` cells, and so on. The stem has the channels of the first.
        cells: the number of cells per stage.
        edges: the edges of every cell, ordered by target, then by source.
    """
    g = Builder(input_shape)
    x = g.repeated("stem", _stem, g.input, widths[0])
    for index, channels in enumerate(widths):
        if (index + 1) % (cells + 1) == 0:
            x = g.repeated(f"cells.{index}", reduction, x, channels)
        else:
            x = g.repeated(f"cells.{index}", _cell, x, channels, tuple(edges))
    x = g.repeated("lastact", _norm_relu, x)
    x = g.flatten(g.adaptive_avg_pool(x, 1, name="global_pooling"))
    return g.build(g.linear(x, classes, name="classifier"))


def _stem(g: Builder, x: Handle, channels: int) -> Handle:
    return conv_norm(g, x, channels, activation=None, names=("0", "1"))


def _norm_relu(g: Builder, x: Handle) -> Handle:
    return g.relu(g.batch_norm(x, name="0"), name="1")


def _cell(g: Builder, x: Handle, channels: int, edges: Sequence[Edge]) -> Handle:
    """Add a cell: each state is the sum of the edges into it, the last state is the output."""
    states = {0: x}
    for target, into in groupby(enumerate(edges), lambda item: item[1][1]):
        entering = []
        for layer, (source, _, block) in into:
            entering.append(g.repeated(f"layers.{layer}", block, states[source], channels, 1))
        states[target] = g.add(*entering) if len(entering) > 1 else entering[0]
    return states[max(states)]


def reduction(g: Builder, x: Handle, channels: int) -> Handle:
    """Add the benchmark's ``ResNetBasicblock`` of stride 2."""
    with g.scope("conv_a"):
        y = relu_conv(g, x, channels, 2)
    with g.scope("conv_b"):
        y = relu_conv(g, y)
    pooled = g.avg_pool(x, 2, 2, ceil_mode=True, name="downsample.0")
    return g.add(g.conv(pooled, channels, 1, bias=False, name="downsample.1"), y)
