"""Cells with an operation on every edge: NAS-Bench-201 and its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.cost import Cost
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm
from nas.errors import InputError
from nas.registry import unknown
from nas.spaces.cell_graph import IDENTITY, ZERO, CellGraph
from nas.spaces.choices import Choose, Genotype
from nas.spaces.families.family import Family, distinct


def relu_conv_norm(
    g: Builder, x: Handle, channels: int | None = None, stride: int = 1, *, kernel: int
) -> Handle:
    """ReLU, convolution, batch normalisation: the benchmark's ``ReLUConvBN``."""
    x = g.relu(x, name="op.0")
    return conv_norm(g, x, channels, stride, ("op.1", "op.2"), kernel=kernel, activation=None)


OPERATIONS: Mapping[str, Callable[[Builder, Handle], Handle]] = MappingProxyType(
    {
        "none": lambda g, x: g.zero(x),
        "skip_connect": lambda g, x: g.identity(x),
        "nor_conv_1x1": partial(relu_conv_norm, kernel=1),
        "nor_conv_3x3": partial(relu_conv_norm, kernel=3),
        "nor_conv_7x7": partial(relu_conv_norm, kernel=7),
        "avg_pool_3x3": lambda g, x: g.avg_pool(x, 3, 1, 1, count_include_pad=False, name="op"),
        "max_pool_3x3": lambda g, x: g.max_pool(x, 3, 1, 1, name="op"),
    }
)
"""What an edge may be; all keep the shape."""


def _known(name: str) -> str:
    if name not in OPERATIONS:
        raise ValueError(unknown("operation", name, OPERATIONS))
    return name


class EdgeCell(Family):
    """A stem, stages of equal cells, a classifier (Dong & Yang 2020, arXiv:2001.00326, fig. 1).

    A cell has ``nodes`` states. The first is its input; every other is the sum over all states
    before it, each passed through the operation of its edge; the last is the output. All cells
    share one graph. A residual block of stride 2 that doubles the channels stands before every
    stage but the first.

    Choices: ``edge{source}-{target}``, by target, then by source. For four nodes this is the
    order of the benchmark's tables and strings: 0-1, 0-2, 1-2, 0-3, 1-3, 2-3.

    The network keeps edges of zeros and what feeds them, as the benchmark's does, so that its
    costs are those of the tables (:func:`published_flops`). Node names are the paths in the
    state dict of its ``TinyNetwork`` (D-X-Y/AutoDL-Projects). Deviation: on maps of odd size,
    where the reference cannot be built, the shortcut's pooling rounds up.

    Identity is that of the cells: of the 15,625 genotypes there are 5,425 classes. The 6,466 of
    the paper are classes of another equivalence: :func:`paper_string`.
    """

    family: Literal["edge_cell"]
    nodes: Annotated[int, Field(ge=2)]
    operations: Annotated[
        tuple[Annotated[str, AfterValidator(_known)], ...],
        Field(min_length=1),
        AfterValidator(distinct),
    ]
    channels: PositiveInt
    """Channels of the first stage."""
    stages: PositiveInt
    cells: PositiveInt
    """Cells a stage."""

    cells_decide = True

    @cached_property
    def edges(self) -> Mapping[str, tuple[int, int]]:
        """Source and target of every edge by the name of its choice, in the order asked."""
        pairs = [(source, target) for target in range(self.nodes) for source in range(target)]
        return {f"edge{source}-{target}": (source, target) for source, target in pairs}

    def architecture(
        self, choose: Choose, input_shape: Shape, classes: int
    ) -> Callable[[], Architecture]:
        """Asks for the operation of every edge."""
        chosen = [choose(name, self.operations) for name in self.edges]
        return partial(self._build, input_shape, classes, chosen)

    def size(self) -> int:
        """Every edge may have every operation."""
        return int(len(self.operations) ** len(self.edges))

    def to_string(self, genotype: Genotype) -> str:
        """The benchmark's string: ``|nor_conv_3x3~0|+|none~0|none~1|+...``, node by node."""
        return "+".join(
            "".join(f"|{genotype[f'edge{source}-{target}']}~{source}" for source in range(target))
            + "|"
            for target in range(1, self.nodes)
        )

    def from_string(self, text: str) -> Genotype:
        """Reads :meth:`to_string`'s form, a node's edges in any order."""
        genotype: Genotype = {}
        for target, node in enumerate(text.split("+"), start=1):
            edges = node.split("|")
            if len(edges) < 3 or edges[0] or edges[-1]:
                raise self._malformed(
                    text, f"node {target} must be |operation~source|..., {node!r}"
                )
            for edge in edges[1:-1]:
                operation, _, source = edge.rpartition("~")
                name = f"edge{source}-{target}"
                if name not in self.edges:
                    raise self._malformed(text, f"there is no edge {edge!r} into node {target}")
                if name in genotype:
                    raise self._malformed(text, f"node {target} has two edges from node {source}")
                genotype[name] = operation
        return genotype

    def cell_graphs(self, genotype: Genotype) -> Mapping[str, CellGraph]:
        """The one cell."""
        edges = tuple((*pair, str(genotype[name])) for name, pair in self.edges.items())
        return {"cell": CellGraph(1, ("",) * self.nodes, edges)}

    def _malformed(self, text: str, fault: str) -> InputError:
        return InputError(f"not a cell of {self.nodes} nodes: {fault}, in {text!r}")

    def _build(self, input_shape: Shape, classes: int, chosen: list[str]) -> Architecture:
        g = Builder(input_shape)
        x = conv_norm(g, g.input, self.channels, names=("stem.0", "stem.1"), activation=None)
        position = 0
        for stage in range(self.stages):
            for index in range(self.cells + (stage > 0)):
                with g.scope(f"cells.{position}"):
                    reduces = stage > 0 and index == 0
                    x = reduction(g, x, 2 * x.channels) if reduces else self._cell(g, x, chosen)
                position += 1
        x = g.relu(g.batch_norm(x, name="lastact.0"), name="lastact.1")
        x = g.flatten(g.adaptive_avg_pool(x, 1, name="global_pooling"))
        return g.build(g.linear(x, classes, name="classifier"))

    def _cell(self, g: Builder, x: Handle, chosen: list[str]) -> Handle:
        states = [x]
        entering: list[Handle] = []
        pairs = self.edges.values()
        for layer, ((source, target), operation) in enumerate(zip(pairs, chosen, strict=True)):
            with g.scope(f"layers.{layer}"):
                entering.append(OPERATIONS[operation](g, states[source]))
            if len(entering) == target:
                states.append(g.add(*entering) if target > 1 else entering[0])
                entering.clear()
        return states[-1]


def reduction(g: Builder, x: Handle, channels: int) -> Handle:
    """The benchmark's ``ResNetBasicblock`` of stride 2."""
    with g.scope("conv_a"):
        y = relu_conv_norm(g, x, channels, 2, kernel=3)
    with g.scope("conv_b"):
        y = relu_conv_norm(g, y, kernel=3)
    pooled = g.avg_pool(x, 2, 2, ceil_mode=True, name="downsample.0")
    return g.add(g.conv(pooled, channels, 1, bias=False, name="downsample.1"), y)


def published_flops(cost: Cost, classes: int) -> int:
    """FLOPs as the tables of NAS-Bench-201 and NATS-Bench count them.

    They are the multiply-accumulates of convolutions and of the classifier, dead branches
    included, and one for each bias of the classifier, the only one in the network; norms, pools
    and sums are free. ``params`` of the tables are those of ``cost``.
    """
    return cost.macs + classes


def paper_string(genotype: Genotype) -> str:
    """What the paper tells cells apart by: 6,466 strings for the 15,625 genotypes.

    Dong & Yang 2020, section 2.1; ``Structure.to_unique_str`` of the authors' code, which takes
    zeros into account. The string of a state is the sorted sum of what enters it, ``#`` for a
    zero; an identity is what it reads. The space's own identity makes 5,425 classes; neither of
    the two refines the other:

    - A zero remains a summand, and a sum of sums stays nested: ``0+#`` is not ``0``, so many equal
      cells have unlike strings.
    - A state that two edges read is written out twice. A cell in which they share a convolution
      thus has the string of one with two convolutions, each with weights of its own.
    """
    states = ["0"]
    while f"edge0-{len(states)}" in genotype:
        entering = []
        for source, state in enumerate(states):
            operation = genotype[f"edge{source}-{len(states)}"]
            if operation == ZERO or state == "#":
                entering.append("#")
            else:
                entering.append(state if operation == IDENTITY else f"({state})@{operation}")
        states.append("+".join(sorted(entering)))
    return states[-1]
