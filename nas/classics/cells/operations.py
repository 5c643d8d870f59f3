"""The operations of edges in pairwise cells, as each implementation builds them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial

from nas.architecture.builder import Builder, Handle
from nas.blocks import (
    Block,
    avg_pool,
    factorized_reduction,
    max_pool,
    relu_bottleneck,
    relu_conv,
    relu_separable,
    zero,
)
from nas.classics.cells.dialects import Dialect


@cache
def operations(dialect: Dialect) -> Mapping[str, Block]:
    """Return the edge operations by the names of the literature, as a dialect builds them.

    ``none`` is zeros and ``skip_connect`` the identity (in the code of NASNet and AmoebaNet that is
    ``none``). ``sep_conv`` has two separable layers, ``dil_conv`` one with dilation 2,
    ``dil_sep_conv`` two. ``conv_3x3`` and the rows and columns are bottlenecks, as in the code of
    AmoebaNet: 1/4 of the channels inside, 3/8 for 1x3 and 3x1. A pool or skip of a state with other
    channels is followed by a projection.
    """
    padding = dialect.padding
    projection = projecting(dialect)
    bottleneck = partial(relu_bottleneck, padding=padding, names=dialect.projection)
    separable = partial(relu_separable, padding=padding, names=dialect.separable)
    dilated = partial(separable, names=dialect.separable[:1], dilation=2)
    return {
        "none": zero,
        "skip_connect": partial(_skip, dialect=dialect),
        "max_pool_2x2": partial(max_pool, kernel=2, padding="same"),
        "max_pool_3x3": partial(max_pool, kernel=3, padding=padding),
        "max_pool_5x5": partial(max_pool, kernel=5, padding=padding),
        "max_pool_7x7": partial(max_pool, kernel=7, padding=padding),
        "avg_pool_3x3": partial(avg_pool, kernel=3, padding=padding),
        "conv_1x1": projection,
        "conv_3x3": partial(bottleneck, kernels=((3, 3),)),
        "conv_1x3_3x1": partial(bottleneck, kernels=((1, 3), (3, 1)), inner=3 / 8),
        "conv_1x7_7x1": partial(bottleneck, kernels=((1, 7), (7, 1))),
        "sep_conv_3x3": partial(separable, kernel=3),
        "sep_conv_5x5": partial(separable, kernel=5),
        "sep_conv_7x7": partial(separable, kernel=7),
        "dil_sep_conv_3x3": partial(separable, kernel=3, dilation=2),
        "dil_sep_conv_5x5": partial(separable, kernel=5, dilation=2),
        "dil_conv_3x3": partial(dilated, kernel=3),
        "dil_conv_5x5": partial(dilated, kernel=5),
    }


def projecting(dialect: Dialect) -> Block:
    """Return a dialect's projection: ReLU, 1x1 convolution, batch norm."""
    return partial(relu_conv, kernel=1, padding=dialect.padding, names=dialect.projection)


def _skip(g: Builder, x: Handle, channels: int, stride: int, *, dialect: Dialect) -> Handle:
    if stride == 1 and x.channels == channels:
        return x
    if dialect.strided_skip == "projection":
        return projecting(dialect)(g, x, channels, stride)
    active = dialect.strided_skip == "factorized"
    return factorized_reduction(g, x, channels, active=active, names=dialect.factorized)
