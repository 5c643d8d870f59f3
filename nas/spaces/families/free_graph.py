"""The family of staged networks whose cell is a free graph over blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import Block, conv_norm
from nas.configuration import Config, validate_options
from nas.errors import InputError, at
from nas.spaces.choices import Choose
from nas.spaces.families.family import Family, distinct, misfit

Choices = Annotated[tuple[PositiveInt, ...], Field(min_length=1), AfterValidator(distinct)]
Merges = Annotated[
    tuple[Literal["add", "concat"], ...], Field(min_length=1), AfterValidator(distinct)
]


class CellOperation(Config):
    """One entry of ``operations``: a block and its options."""

    block: str
    options: dict[str, Any] = Field(default_factory=dict)


class FreeGraph(Family):
    """Networks with a stem, stages of equal cells and a classifier.

    The first stage has ``width`` channels. Each later stage begins with a 3x3 convolution of stride
    2 that doubles them. A cell is a graph of ``nodes``. Each node takes one earlier node, or two
    that are merged, and applies an operation. The nodes that no other node takes are merged into
    the cell's output. All cells share one graph.

    Choices, in the order asked: ``stages``, ``width``, ``stage{s}.cells``, ``cell.nodes``, then
    for each node ``cell.node{n}.operation``, ``.input``, ``.second_input`` (null for none) and,
    with two inputs, ``.merge``; last ``cell.output``, if there is anything to merge. The inputs
    of a node are ``"input"`` (of the cell) and the nodes before it.
    """

    family: Literal["free_graph"]
    stages: Choices
    width: Choices
    """The numbers of channels of the first stage."""
    cells: Choices
    """The numbers of cells per stage."""
    nodes: Choices
    """The numbers of nodes per cell."""
    merge: Merges
    operations: Annotated[dict[str, CellOperation], Field(min_length=1)]

    def named_blocks(self) -> Mapping[str, str]:
        """Return the block of each operation."""
        return {f"operations.{label}.block": op.block for label, op in self.operations.items()}

    @cached_property
    def blocks(self) -> Mapping[str, Block]:
        """The block of each operation, with its options set."""
        return {
            label: partial(self.block(operation.block), **operation.options)
            for label, operation in self.operations.items()
        }

    def check(self) -> None:
        """Raise :class:`InputError` unless each block takes its options and keeps shapes."""
        stages = range(max(self.stages))
        channels = sorted({width * 2**stage for width in self.width for stage in stages})
        for label, operation in self.operations.items():
            with at("operations", label, "options"):
                validate_options(self.block(operation.block), operation.options)
            for count in channels:
                if fault := misfit(self.blocks[label], count, count):
                    raise InputError(
                        f"block {operation.block} with {operation.options} does not fit a stage "
                        f"of {count} channels: {fault}",
                        *("operations", label, "options"),
                    )

    def architecture(
        self, choose: Choose, input_shape: Shape, classes: int
    ) -> Callable[[], Architecture]:
        """Ask for the network's stages, then for its cell."""
        stages = choose("stages", self.stages)
        width = choose("width", self.width)
        depths = [choose(f"stage{stage}.cells", self.cells) for stage in range(stages)]
        cell = _Cell(choose, self)
        return partial(_build, input_shape, classes, width, depths, cell)


class _Cell:
    """Holds the answers that describe a cell: it is asked once and built many times."""

    def __init__(self, choose: Choose, family: FreeGraph) -> None:
        self.blocks = family.blocks
        self.nodes: list[tuple[str, tuple[str, ...], str | None]] = []
        labels = tuple(family.operations)
        unread = ["input"]
        earlier = ["input"]
        for index in range(choose("cell.nodes", family.nodes)):
            name = f"node{index}"
            operation = choose(f"cell.{name}.operation", labels)
            first = choose(f"cell.{name}.input", earlier)
            others = [other for other in earlier if other != first]
            second = choose(f"cell.{name}.second_input", [None, *others])
            inputs = (first,) if second is None else (first, second)
            merge = choose(f"cell.{name}.merge", family.merge) if second is not None else None
            self.nodes.append((operation, inputs, merge))
            earlier.append(name)
            unread = [other for other in unread if other not in inputs] + [name]
        self.outputs = tuple(unread)
        self.output_merge = choose("cell.output", family.merge) if len(unread) > 1 else None

    def build(self, g: Builder, x: Handle) -> Handle:
        """Add one cell, whose output has as many channels as its input ``x``."""
        handles = {"input": x}
        for index, (label, inputs, merge) in enumerate(self.nodes):
            with g.scope(f"node{index}"):
                merged = _merge(g, [handles[name] for name in inputs], merge, x.channels)
                handles[f"node{index}"] = self.blocks[label](g, merged, merged.channels, 1)
        with g.scope("output"):
            return _merge(g, [handles[n] for n in self.outputs], self.output_merge, x.channels)


def _merge(g: Builder, inputs: list[Handle], merge: str | None, channels: int) -> Handle:
    """Add the inputs, or concatenate them and project them to ``channels`` by a 1x1 convolution."""
    if merge is None:
        return inputs[0]
    if merge == "add":
        return g.add(*inputs)
    with g.scope("merge"):
        return conv_norm(g, g.concat(*inputs), channels, kernel=1)


def _build(
    input_shape: Shape, classes: int, width: int, depths: list[int], cell: _Cell
) -> Architecture:
    g = Builder(input_shape)
    with g.scope("stem"):
        x = conv_norm(g, g.input, width)
    for stage, depth in enumerate(depths):
        if stage > 0:
            with g.scope(f"reduction{stage}"):
                x = conv_norm(g, x, 2 * x.channels, 2)
        for index in range(depth):
            with g.scope(f"stage{stage}.{index}"):
                x = cell.build(g, x)
    return g.build(g.linear(g.global_pool(x), classes, name="classifier"))
