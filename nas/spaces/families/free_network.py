"""Builds the networks of a free-graph space from plain values: stem, stages of cells, head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.architecture.operations.layers import Function
from nas.blocks import Block, conv_norm
from nas.blocks.convolution import fitted

Join = Literal["add", "concat", "stack"]
"""How several maps become one: ``add`` sums them; ``concat`` concatenates them and brings them to
the stage's width by a 1x1 convolution; ``stack`` only concatenates them."""

StemPadding = Literal["same", "valid", "same_below_32"]
"""How the stem pads: ``same_below_32`` pads only images smaller than 32 pixels, as LeNet-5 does."""

Pooling = Literal["mean", "adaptive", "flatten", "conv", "conv_relu"]
"""How a head uses the last map.

- ``mean``: it takes the mean of each channel. ``adaptive`` does the same with adaptive pooling, as
  torchvision does; fvcore counts it.
- ``flatten``: it uses every pixel.
- ``conv``: a 1x1 convolution makes one map per class, and their means are the scores (Lin et al.
  2014, arXiv:1312.4400). ``conv_relu`` has a ReLU before the mean, as the authors' model has.
"""


@dataclass(frozen=True)
class Node:
    """A node of a cell, which reads one or two earlier nodes or the cell's ``"input"``.

    ``width`` is the number of its channels; None stands for the stage's width.
    """

    block: Block
    inputs: tuple[str, ...]
    join: Join | None
    width: int | None


@dataclass(frozen=True)
class Cell:
    """A cell is a graph of nodes. ``outputs`` are the nodes that no other node reads."""

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    join: Join | None

    def build(self, g: Builder, x: Handle, width: int, stride: int) -> Handle:
        """Build the cell on ``x``; the nodes that read its input apply the stride."""
        handles = {"input": x}

        def joined(names: Sequence[str], join: Join | None) -> Handle:
            if join is None:
                return handles[names[0]]
            bare = join != "add" and (stride == 1 or "input" not in names)
            parts = [handles[name] if bare else reached(name) for name in names]
            if join == "add":
                return g.add(*parts)
            if join == "stack":
                return g.concat(*parts)
            with g.scope("merge"):
                return conv_norm(g, g.concat(*parts), width, kernel=1)

        def reached(name: str) -> Handle:
            with g.scope(f"from_{name}"):
                return fitted(g, handles[name], width, stride if name == "input" else 1)

        for index, node in enumerate(self.nodes):
            with g.scope(f"node{index}"):
                y = joined(node.inputs, node.join)
                strided = stride if node.inputs == ("input",) else 1
                handles[f"node{index}"] = node.block(g, y, node.width or width, strided)
        with g.scope("output"):
            return joined(self.outputs, self.join)


@dataclass(frozen=True)
class Reduction:
    """The beginning of a stage.

    Attributes:
        block: the block that makes the map smaller; None if the first cell does.
        stride: the stride of the block or of the first cell.
        widens: whether the block changes the number of channels to the stage's width.
        dropout: the probability of dropout after the block; 0 for none.
    """

    block: Block | None
    stride: int
    widens: bool
    dropout: float

    def build(self, g: Builder, x: Handle, width: int) -> Handle:
        """Build the block on ``x``; without one, return ``x``."""
        if self.block is None:
            return x
        x = self.block(g, x, width if self.widens else x.channels, self.stride)
        return g.dropout(x, self.dropout) if self.dropout else x


@dataclass(frozen=True)
class Stage:
    """A stage has a reduction, except the first one, and ``cells`` equal cells."""

    reduction: Reduction | None
    width: int
    cells: int
    cell: Cell | None


@dataclass(frozen=True)
class Stem:
    """The first convolution, with batch norm or a bias, and an activation."""

    kernel: int
    stride: int
    padding: StemPadding
    width: int
    norm: bool
    activation: Function

    def build(self, g: Builder) -> Handle:
        """Build the stem on the input."""
        padded = self.padding == "same" or (
            self.padding == "same_below_32" and min(g.input.spatial) < 32
        )
        with g.scope("stem"):
            return conv_norm(
                g,
                g.input,
                self.width,
                self.stride,
                kernel=self.kernel,
                padding=None if padded else 0,
                activation=self.activation,
                norm=self.norm,
            )


@dataclass(frozen=True)
class Head:
    """The layers from the last map to the scores.

    Attributes:
        pooling: how the map is pooled.
        channels: the width of a 1x1 convolution before the pooling; None for no convolution.
        dense: the widths of the hidden layers.
        dropout: the probability of dropout before the last layer; 0 for none.
        activation: the activation of the convolution and of the hidden layers.
    """

    pooling: Pooling
    channels: int | None
    dense: tuple[int, ...]
    dropout: float
    activation: Function

    def build(self, g: Builder, x: Handle, classes: int) -> Handle:
        """Build the head on the last map."""
        if self.channels is not None:
            with g.scope("head"):
                x = conv_norm(g, x, self.channels, kernel=1, activation=self.activation)
        if self.pooling in ("conv", "conv_relu"):
            x = g.conv(x, classes, 1, name="classifier")
            return g.global_pool(g.relu(x) if self.pooling == "conv_relu" else x)
        if self.pooling == "mean":
            x = g.global_pool(x)
        else:
            x = g.flatten(g.adaptive_avg_pool(x, 1) if self.pooling == "adaptive" else x)
        for index, width in enumerate(self.dense):
            x = g.activation(g.linear(x, width, name=f"dense{index}"), self.activation)
        if self.dropout:
            x = g.dropout(x, self.dropout)
        return g.linear(x, classes, name="classifier")


@dataclass(frozen=True)
class Network:
    """A network of a free-graph space, as its genotype describes it."""

    stem: Stem
    stages: tuple[Stage, ...]
    head: Head

    def build(self, input_shape: Shape, classes: int) -> Architecture:
        """Build the network for images of a shape."""
        g = Builder(input_shape)
        x = self.stem.build(g)
        for number, stage in enumerate(self.stages):
            stride = 1
            if stage.reduction is not None:
                with g.scope(f"reduction{number}"):
                    x = stage.reduction.build(g, x, stage.width)
                stride = 1 if stage.reduction.block else stage.reduction.stride
            for index in range(stage.cells):
                assert stage.cell is not None
                with g.scope(f"stage{number}.{index}"):
                    x = stage.cell.build(g, x, stage.width, 1 if index else stride)
        return g.build(self.head.build(g, x, classes))


def count_cells(nodes: Sequence[int], operations: int, merges: int, outputs: int) -> int:
    """Return the number of cells, where the order of a node's two inputs counts.

    Args:
        nodes: the numbers of nodes that a cell may have.
        operations: the number of ways to choose what one node computes.
        merges: the number of ways to join two inputs of a node.
        outputs: the number of ways to join several outputs of a cell.
    """
    found = 0
    # The number of ways, by the number of nodes that no node reads yet.
    ways = {1: 1}
    for earlier in range(1, max(nodes) + 1):
        after: dict[int, int] = {}
        for unread, count in ways.items():
            read = earlier - unread
            for taken, pairs in (
                (0, read + merges * read * (read - 1)),
                (1, unread + merges * 2 * unread * read),
                (2, merges * unread * (unread - 1)),
            ):
                if pairs:
                    left = unread - taken + 1
                    after[left] = after.get(left, 0) + count * operations * pairs
        ways = after
        if earlier in nodes:
            found += sum(count * (outputs if left > 1 else 1) for left, count in ways.items())
    return found
