"""The family of cells with an operation on every edge, such as NAS-Bench-201."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Annotated, Literal

from pydantic import Field

from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import Block
from nas.errors import InputError
from nas.spaces.cell_graph import IDENTITY, ZERO, CellGraph
from nas.spaces.choices import Choose, Genotype
from nas.spaces.families.edge_network import LABELS, edge_network
from nas.spaces.families.family import Count, Listed, labelled
from nas.spaces.mixtures import Mixtures


class EdgeCell(Listed):
    """Networks with a stem, stages of equal cells and a classifier.

    Dong & Yang 2020, arXiv:2001.00326, figure 1. A cell has ``nodes`` states. The first is its
    input. Every other one is the sum over all states before it, each passed through the operation
    of its edge; the last is the output. All cells share one graph. Every stage except the first
    begins with a residual block of stride 2 that doubles the channels.

    Choices: ``edge{source}-{target}``, by target, then by source. For four nodes this is the
    order of the benchmark's tables and strings: 0-1, 0-2, 1-2, 0-3, 1-3, 2-3.

    The network (:mod:`nas.spaces.families.edge_network`) keeps edges of zeros and what feeds them,
    as the benchmark's does, so that its costs are those of the tables.

    Identity is that of the cells: the 15,625 genotypes make 5,425 classes. The 6,466 of the paper
    are classes of another equivalence: :func:`paper_string`.
    """

    family: Literal["edge_cell"]
    """The name of the family."""
    nodes: Annotated[int, Field(ge=2, le=1000)]
    """The number of states of a cell, input and output included."""
    stages: Count
    """The number of stages; each later one has twice the channels at half the size."""
    cells: Count
    """The number of cells per stage."""

    cells_decide = True

    @property
    def labels(self) -> Mapping[str, Block]:
        """The benchmark's names."""
        return LABELS

    @cached_property
    def edges(self) -> Mapping[str, tuple[int, int]]:
        """The source and the target of every edge by the name of its choice, in the order asked."""
        pairs = [(source, target) for target in range(self.nodes) for source in range(target)]
        return {f"edge{source}-{target}": (source, target) for source, target in pairs}

    def architecture(
        self, choose: Choose, input_shape: Shape, classes: int
    ) -> Callable[[], Architecture]:
        """Ask for the operation of every edge."""
        edges = [
            (*pair, self.blocks[choose(name, self.operations)]) for name, pair in self.edges.items()
        ]
        return partial(edge_network, input_shape, classes, self._widths, self.cells, edges)

    def size(self) -> int:
        """Return the number of genotypes: every edge may have every operation."""
        return int(len(self.operations) ** len(self.edges))

    def to_string(self, genotype: Genotype) -> str:
        """Return the benchmark's string, node by node: ``|nor_conv_3x3~0|+|none~0|none~1|+...``."""
        return "+".join(
            "".join(f"|{genotype[f'edge{source}-{target}']}~{source}" for source in range(target))
            + "|"
            for target in range(1, self.nodes)
        )

    def from_string(self, text: str) -> Genotype:
        """Read what :meth:`to_string` writes; the edges of a node may be in any order."""
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
        """Return the one cell."""
        edges = tuple((*pair, self.drawn[str(genotype[name])]) for name, pair in self.edges.items())
        return {"cell": CellGraph(1, ("",) * self.nodes, edges)}

    def mixtures(self) -> Mixtures:
        """Mix all operations of every edge, zeros included, and take the heaviest one of each.

        This is how Dong & Yang 2020 search the space by gradients (section 5).
        """

        def build(blocks: Mapping[str, Block], input_shape: Shape, classes: int) -> Architecture:
            edges = [(*pair, blocks[name]) for name, pair in self.edges.items()]
            return edge_network(input_shape, classes, self._widths, self.cells, edges)

        return Mixtures(
            edges={name: f"node{target}" for name, (_, target) in self.edges.items()},
            blocks={name: labelled(name, self.block(name)) for name in self.operations},
            build=build,
            discretise=lambda weights: {
                e: max(of, key=of.__getitem__) for e, of in weights.items()
            },
            chosen=lambda genotype: {name: str(genotype[name]) for name in self.edges},
        )

    @property
    def _widths(self) -> list[int]:
        """The channels of every cell and of every block between two stages."""
        return [
            self.channels * 2**stage
            for stage in range(self.stages)
            for _ in range(self.cells + (stage > 0))
        ]

    def _malformed(self, text: str, fault: str) -> InputError:
        return InputError(f"not a cell of {self.nodes} nodes: {fault}, in {text!r}")


def paper_string(genotype: Genotype) -> str:
    """Return the string by which the paper tells cells apart: 6,466 for the 15,625 genotypes.

    This is ``Structure.to_unique_str`` of the authors' code, which takes zeros into account (Dong &
    Yang 2020, section 2.1). The string of a state is the sorted sum of what enters it, with ``#``
    for a zero; an identity is written as what it reads. The space's own identity makes 5,425
    classes. Neither of the two refines the other:

    - A zero remains a summand, and a sum of sums stays nested. So ``0+#`` is not ``0``, and many
      equal cells have different strings.
    - A state that two edges read is written twice. So a cell in which two edges share a convolution
      has the string of one with two convolutions that have weights of their own.
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
