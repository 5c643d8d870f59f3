"""What a cell of NAS-Bench-101 computes (google-research/nasbench, ``lib/model_builder.py``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from nas.architecture.builder import Builder, Handle
from nas.blocks import Block, conv_norm, max_pool

conv = partial(conv_norm, names=("conv2d", "batch_normalization"))
"""A convolution, batch normalisation and a ReLU, named as in the benchmark."""


def _scoped(scope: str, block: Block) -> Block:
    def scoped(g: Builder, x: Handle, channels: int, stride: int) -> Handle:
        with g.scope(scope):
            return block(g, x, channels, stride)

    return scoped


LABELS: Mapping[str, Block] = {
    "conv3x3-bn-relu": _scoped("Conv3x3-BN-ReLU", partial(conv, kernel=3)),
    "conv1x1-bn-relu": _scoped("Conv1x1-BN-ReLU", partial(conv, kernel=1)),
    "maxpool3x3": _scoped("MaxPool3x3", partial(max_pool, padding="same", name="max_pooling2d")),
}
"""The operations of vertices by the benchmark's names."""


class Cell(NamedTuple):
    """A cell whose every vertex is on a path from the input, vertex 0, to the output, the last.

    ``sources`` of every vertex are in ascending order; ``operations`` are those of the vertices
    between.
    """

    sources: list[list[int]]
    operations: list[str]


def vertex_channels(sources: Sequence[Sequence[int]], channels: int) -> dict[int, int]:
    """The channels of every vertex between input and output (``compute_vertex_channels``).

    Those of the output are divided among the vertices that enter it, and the first ones take one
    more where that is uneven. Another vertex has as many as the widest that it enters.

    Args:
        sources: what enters each vertex of a pruned cell; 0 is the input, the last the output.
        channels: those of the output.
    """
    last = len(sources) - 1
    ends = [source for source in sources[last] if source > 0]
    widths = {}
    for index, vertex in enumerate(ends):
        widths[vertex] = channels // len(ends) + (index < channels % len(ends))
    for vertex in reversed(range(1, last)):
        if vertex not in widths:
            readers = [target for target in range(vertex, last) if vertex in sources[target]]
            widths[vertex] = max(widths[target] for target in readers)
    return widths


def matrix_module(
    g: Builder, x: Handle, channels: int, cell: Cell, blocks: Mapping[str, Block]
) -> Handle:
    """Add one cell, as the benchmark's ``build_module`` makes it.

    What enters a vertex is summed; what enters the output is concatenated, and the input added to
    that. The input is projected by a 1x1 convolution wherever it is read. Where a vertex has
    more channels than its reader (:func:`vertex_channels`), the first ones are read.
    """
    widths = vertex_channels(cell.sources, channels)
    states = [x]
    for vertex, operation in enumerate(cell.operations, start=1):
        with g.scope(f"vertex_{vertex}"):
            entering = [
                _fitted(g, states[source], widths[vertex]) if source > 0
                else _projection(g, x, widths[vertex])
                for source in cell.sources[vertex]
            ]  # fmt: skip
            y = g.add(*entering) if len(entering) > 1 else entering[0]
            states.append(blocks[operation](g, y, y.channels, 1))
    ends = [states[source] for source in cell.sources[-1] if source > 0]
    if not ends:
        with g.scope("output"):
            return _projection(g, x, channels)
    y = g.concat(*ends) if len(ends) > 1 else ends[0]
    return g.add(y, _projection(g, x, channels)) if 0 in cell.sources[-1] else y


def _fitted(g: Builder, x: Handle, channels: int) -> Handle:
    return x if x.channels == channels else g.slice(x, 0, channels)


def _projection(g: Builder, x: Handle, channels: int) -> Handle:
    with g.scope("projection"):
        return conv(g, x, channels, kernel=1)
