"""Pairwise cells and the network that repeats them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import Block, conv_norm, factorized_reduction
from nas.classics.cells.dialects import Dialect
from nas.classics.cells.operations import operations, projecting
from nas.errors import InputError
from nas.registry import unknown

Stem = Literal["imagenet", "cifar"]

LEAST_CHANNELS: Mapping[Stem, int] = {"imagenet": 8, "cifar": 2}
"""The least channels for each stem.

A reduction splits the channels in two, and the narrowest cell has a quarter of them.
"""


def too_narrow(channels: int, stem: Stem) -> str:
    """Return the message for fewer channels than :data:`LEAST_CHANNELS`."""
    return f"channels must be at least {LEAST_CHANNELS[stem]} with stem {stem!r}, got {channels}"


@dataclass(frozen=True)
class Cell:
    """Describes how a cell is wired (Zoph et al. 2018, arXiv:1707.07012, section 3).

    States 0 and 1 are the outputs of the two cells before it; 0 is the older. Every two edges add
    one state, their sum; in a network whose operations are mixed, more edges do. This is the
    numbering of DARTS; the code of NASNet and AmoebaNet has 0 and 1 the other way round.

    Attributes:
        edges: ``(operation, state)``, those of each new state in turn.
        concat: the states that are concatenated to the cell's output.
        entering: how many edges enter each new state; by default two.

    Raises:
        InputError: for a state that does not exist yet.
    """

    edges: tuple[tuple[str, int], ...]
    concat: tuple[int, ...]
    entering: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.entering:
            object.__setattr__(self, "entering", (2,) * (len(self.edges) // 2))
        if not self.edges or sum(self.entering) != len(self.edges):
            raise InputError(f"a cell needs two edges per node, got {len(self.edges)} edges")
        for index, (node, _, _, state) in enumerate(self.placed()):
            self._check_state(f"edge {index}", state, 2 + node)
        if not self.concat or len(set(self.concat)) < len(self.concat):
            raise InputError(f"concat must name each state at most once, got {self.concat}")
        for state in self.concat:
            self._check_state("concat", state, 2 + len(self.entering))

    def placed(self) -> Iterator[tuple[int, int, str, int]]:
        """Yield the node that each edge enters, its place among those, its operation and state."""
        edges = iter(self.edges)
        for node, count in enumerate(self.entering):
            for place, (operation, state) in enumerate(islice(edges, count)):
                yield node, place, operation, state

    def _check_state(self, where: str, state: int, states: int) -> None:
        if not 0 <= state < states:
            raise InputError(f"{where}: a state must be one of 0 to {states - 1}, got {state}")


def pairwise_cell(
    g: Builder,
    older: Handle | None,
    newer: Handle,
    cell: Cell,
    channels: int,
    reduces: bool,
    dialect: Dialect,
    blocks: Mapping[str, Block],
    drop_path: float = 0.0,
) -> Handle:
    """Add a cell: project both inputs, run the edges, concatenate.

    ``older`` is None in the first cell if the dialect leaves the stem as it is. ``reduces`` gives
    stride 2 to the edges that read an input. ``blocks`` are the operations of edges by name.
    ``drop_path`` is the probability for every edge, except identities. Concatenated states of
    another shape are projected to the others'.
    """
    project = projecting(dialect)
    states = [_older(g, older, newer, channels, dialect)]
    with g.scope(dialect.newer):
        x = project(g, newer, channels, 1)
    if dialect.newer_again:
        with g.scope(dialect.newer_again):
            x = project(g, x, channels, 1)
    states.append(x)
    sums: list[Handle] = []
    for index, (node, place, operation, state) in enumerate(cell.placed()):
        x, stride = states[state], 2 if reduces and state < 2 else 1
        side = ("left", "right")[place] if place < 2 else place
        with g.scope(dialect.edge.format(edge=index, node=node, side=side)):
            y = blocks[operation](g, x, channels, stride)
            if drop_path and y != x:
                y = g.drop_path(y, drop_path)
        sums.append(y)
        if len(sums) == cell.entering[node]:
            states.append(g.add(*sums))
            sums = []
    last = states[-1]
    joined = []
    for state in cell.concat:
        x = states[state]
        with g.scope(f"reduction_{state}"):
            if x.spatial != last.spatial:
                x = factorized_reduction(g, x, channels, active=False, names=dialect.factorized)
            elif x.channels != channels:
                names = ("path_conv", "path_bn")
                x = conv_norm(g, x, channels, kernel=1, activation=None, names=names)
        joined.append(x)
    return g.concat(*joined)


def _older(
    g: Builder, older: Handle | None, newer: Handle, channels: int, dialect: Dialect
) -> Handle:
    if older is None:
        return newer
    if older.spatial == newer.spatial:
        with g.scope(dialect.older):
            return projecting(dialect)(g, older, channels, 1)
    with g.scope(dialect.older_reduced) if dialect.older_reduced else nullcontext():
        return factorized_reduction(g, older, channels, names=dialect.factorized)


class _Step(NamedTuple):
    """Describes one cell of the network; ``older`` is its older input, counted from the end."""

    scope: str
    reduces: bool
    channels: int
    older: int = -2


def _steps(
    stages: Sequence[int], channels: int, stem: Stem, reach_back: bool, dialect: Dialect
) -> Iterator[_Step]:
    if stem == "imagenet":
        yield _Step("cell_stem_0", True, max(channels // 4, 1))
        yield _Step("cell_stem_1", True, max(channels // 2, 1))
    cells = normals = before = 0
    for stage, count in enumerate(stages):
        width = channels * 2**stage
        count -= bool(stage and dialect.reduction_counts)
        if stage:
            yield _Step(dialect.reduction.format(cell=cells, reduction=stage - 1), True, width)
            cells += 1
        for index in range(count):
            scope = dialect.normal.format(cell=cells, normal=normals)
            yield _Step(scope, False, width, -3 if reach_back and before and not index else -2)
            cells, normals = cells + 1, normals + 1
        before = count


def pairwise_network(
    input_shape: Shape,
    classes: int,
    normal: Cell,
    reduction: Cell,
    dialect: Dialect,
    *,
    stages: Sequence[int],
    channels: int,
    stem_channels: int,
    stem: Stem = "imagenet",
    reach_back: bool = False,
    drop_path: float = 0.0,
    dropout: float = 0.0,
    auxiliary: bool = False,
    blocks: Mapping[str, Block] | None = None,
) -> Architecture:
    """Build a stem, stages of normal cells with reductions between them, and a classifier.

    This is the network of Zoph et al. 2018, figure 2.

    Args:
        input_shape: the input without the batch.
        classes: the number of classes.
        normal: the cell that keeps the size.
        reduction: the cell that halves it.
        dialect: whose implementation to follow.
        stages: the number of cells in each stage. Every stage except the first begins with a
            reduction cell, which doubles the channels. The dialect says whether it is one of the
            stage's cells.
        channels: the channels of every state in the first stage.
        stem_channels: the channels of the stem's convolution.
        stem: "imagenet" is a 3x3 convolution at stride 2 and two reduction cells of 1/4 and 1/2
            of the channels; "cifar" is a 3x3 convolution at stride 1.
        reach_back: whether the older input of the first normal cell behind a reduction is the cell
            before the one that the reduction read. It has no effect where two reductions follow
            each other.
        drop_path: the probability that an edge is dropped in training. It holds in all cells, or
            falls linearly from the last cell on, as the dialect has it.
        dropout: the probability of dropout before the classifier.
        auxiliary: whether there is a second output for training, from a map near the last
            reduction.
        blocks: the operations of edges by name; by default those of the literature.

    Raises:
        InputError: for fewer channels than :data:`LEAST_CHANNELS`, or an unknown operation.
        ArchitectureError: for an input that is too small, naming the node.
    """
    if channels < LEAST_CHANNELS[stem]:
        raise InputError(too_narrow(channels, stem))
    blocks = operations(dialect) if blocks is None else blocks
    for operation, _ in (*normal.edges, *reduction.edges):
        if operation not in blocks:
            raise InputError(unknown("operation", operation, blocks))
    g = Builder(input_shape, norm_epsilon=dialect.epsilon)
    stride, padding = (2, 0) if stem == "imagenet" else (1, 1)
    x = conv_norm(
        g, g.input, stem_channels, stride, activation=None, names=dialect.stem, padding=padding
    )
    outputs = [x if dialect.projects_stem else None, x]
    steps = list(_steps(stages, channels, stem, reach_back, dialect))
    head_at = max((index for index, step in enumerate(steps) if step.reduces), default=0)
    head_at = min(max(head_at + dialect.auxiliary, 0), len(steps) - 1)
    heads = []
    for index, step in enumerate(steps):
        depth = (index + 1) / len(steps) if dialect.deeper_drops_more else 1.0
        cell = reduction if step.reduces else normal
        with g.scope(step.scope):
            older, size = outputs[step.older], step.channels
            x = pairwise_cell(
                g, older, x, cell, size, step.reduces, dialect, blocks, drop_path * depth
            )
        outputs.append(x)
        if auxiliary and index == head_at:
            with g.scope("auxiliary_head"):
                heads.append(_auxiliary_head(g, x, classes))
    if dialect.final_relu:
        x = g.relu(x)
    x = g.flatten(g.adaptive_avg_pool(x, 1))
    if dropout:
        x = g.dropout(x, dropout)
    return g.build(g.linear(x, classes, name=dialect.classifier), *heads)


def _auxiliary_head(g: Builder, x: Handle, classes: int) -> Handle:
    x = g.avg_pool(g.relu(x), 5, 3)
    x = conv_norm(g, x, 128, kernel=1, names=("features.2", "features.3"))
    x = g.conv(x, 768, x.spatial, bias=False, name="features.5")
    x = g.relu(g.batch_norm(x, name="features.6"))
    return g.linear(g.flatten(x), classes, name="classifier")
