"""Builds cells of NAS-Bench-101 (google-research/nasbench, ``lib/model_builder.py``)."""

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
    """A cell in which every vertex is on a path from the input, vertex 0, to the output, the last.

    ``sources`` are the vertices that enter each vertex, in ascending order; ``operations`` are
    those of the vertices between input and output.
    """

    sources: list[list[int]]
    operations: list[str]


def vertex_channels(sources: Sequence[Sequence[int]], channels: int) -> dict[int, int]:
    """Return the channels of the vertices between input and output.

    This is the benchmark's ``compute_vertex_channels``. The output's channels are divided among the
    vertices that enter it; if they do not divide evenly, the first ones take one more. Any other
    vertex has as many channels as the widest one that it enters.

    Args:
        sources: the vertices that enter each vertex of a pruned cell; 0 is the input, the last one
            the output.
        channels: the channels of the output.
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

    What enters a vertex is summed. What enters the output is concatenated, and then the input is
    added. The input is projected by a 1x1 convolution wherever it is read. If a vertex has more
    channels than its reader (:func:`vertex_channels`), the reader takes the first ones.
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
