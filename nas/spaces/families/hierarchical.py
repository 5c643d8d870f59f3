"""The family of hierarchical motifs: graphs of primitives on the edges of a graph of motifs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from itertools import combinations, product
from math import comb
from typing import Annotated, Literal

from pydantic import Field

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import avg_pool, conv_norm, depthwise, identity, max_pool, separable
from nas.spaces.cell_graph import ZERO, CellGraph
from nas.spaces.choices import Choose, Genotype, Infeasible
from nas.spaces.families.family import Count, Listed

Edges = list[tuple[int, int, str]]
"""The source, target and operation of the edges that exist, by target, then by source."""


LABELS: Mapping[str, Callable[..., Handle]] = {
    "conv_1x1": partial(conv_norm, kernel=1),
    "depthwise_3x3": depthwise,
    "separable_3x3": separable,
    "max_pool_3x3": max_pool,
    "avg_pool_3x3": avg_pool,
    "identity": identity,
}
"""The operations of level 1, by the names of section 2.3 of the paper."""

_KEEPING = {"depthwise_3x3", "max_pool_3x3", "avg_pool_3x3", "identity"}
"""The operations that keep the number of channels; the others make as many as the cell has."""


class Hierarchical(Listed):
    """Networks of three levels: primitives, motifs of primitives, and a cell of motifs.

    Liu et al. 2018, arXiv:1711.00436, sections 2 and 4. On every level, a graph has an operation of
    the level below, or none, between each state and each later one. A state is the concatenation
    of what enters it. A motif ends in a 1x1 convolution to the cell's channels. Every convolution
    is normed and activated. All cells share one graph. They are stacked, with a separable
    convolution behind each, which between stages has stride 2 and doubles the channels (figure 2).

    Choices: ``motif{m}.edge{source}-{target}``, m from 1, then ``cell.edge{source}-{target}``, by
    target, then by source. A state that nothing enters does not exist, and neither does a motif
    whose output nothing enters; edges that leave them count as none. If nothing enters the cell's
    output, the genotype is infeasible. The paper does not say what happens then.
    """

    family: Literal["hierarchical"]
    """The name of the family."""
    motifs: Count
    """The number of motifs."""
    motif_nodes: Annotated[int, Field(ge=2, le=6)]
    """The number of states of a motif."""
    cell_nodes: Annotated[int, Field(ge=2, le=6)]
    """The number of states of the cell."""
    stages: Count
    """The number of stages; each later one has twice the channels at half the size."""
    cells: Count
    """The number of cells per stage."""

    @property
    def labels(self) -> Mapping[str, Callable[..., Handle]]:
        """The paper's names."""
        return LABELS

    def architecture(
        self, choose: Choose, input_shape: Shape, classes: int
    ) -> Callable[[], Architecture]:
        """Ask for every motif, then for the cell."""
        graphs = {
            name: [
                (source, target, choose(_edge(name, source, target), options))
                for source, target in _pairs(nodes)
            ]
            for name, nodes, options in self._levels()
        }
        motifs = {name: _reached(edges) for name, edges in graphs.items() if name != "cell"}
        live = {name for name, edges in motifs.items() if _connects(edges, self.motif_nodes)}
        cell = _reached([edge for edge in graphs["cell"] if edge[2] in live])
        if not _connects(cell, self.cell_nodes):
            raise Infeasible("nothing enters the output of the cell", "disconnected")
        return partial(self._build, input_shape, classes, motifs, cell)

    def size(self) -> int:
        """Count the ways to choose motifs and a cell so that the cell's output is connected.

        If k of the motifs are connected, then k of the options of an edge in the cell exist.
        """
        motif, cell = _connecting(self.motif_nodes), _connecting(self.cell_nodes)
        primitives = len(self.operations)
        connected = sum(count * primitives**edges for edges, count in enumerate(motif))
        others = (primitives + 1) ** (len(motif) - 1) - connected
        total = 0
        for k in range(self.motifs + 1):
            motifs = comb(self.motifs, k) * connected**k * others ** (self.motifs - k)
            absent, most = self.motifs + 1 - k, len(cell) - 1
            total += motifs * sum(
                count * k**edges * absent ** (most - edges) for edges, count in enumerate(cell)
            )
        return int(total)

    def cell_graphs(self, genotype: Genotype) -> Mapping[str, CellGraph]:
        """Return the motifs and the cell, each with the names of the level below on its edges.

        States are concatenations here, so equal graphs are equal networks, but not the reverse.
        """
        graphs = {}
        for name, nodes, _ in self._levels():
            edges = []
            for source, target in _pairs(nodes):
                label = str(genotype[_edge(name, source, target)])
                edges.append((source, target, self.drawn.get(label, label)))
            graphs[name] = CellGraph(1, ("",) * nodes, tuple(edges))
        return graphs

    def _levels(self) -> Iterator[tuple[str, int, tuple[str, ...]]]:
        """Yield the name, the number of nodes and the options of an edge of every graph."""
        names = _names(self.motifs)
        primitives = (ZERO, *self.operations)
        for name in names:
            yield name, self.motif_nodes, primitives
        yield "cell", self.cell_nodes, (ZERO, *names)

    def _build(
        self, input_shape: Shape, classes: int, motifs: Mapping[str, Edges], cell: Edges
    ) -> Architecture:
        g = Builder(input_shape)

        def place_motif(x: Handle, name: str, channels: int) -> Handle:
            def place_primitive(x: Handle, primitive: str) -> Handle:
                width = x.channels if primitive in _KEEPING else channels
                return self.blocks[primitive](g, x, width, 1)

            x = _assembled(g, x, motifs[name], self.motif_nodes, place_primitive)
            return conv_norm(g, x, channels, kernel=1)

        with g.scope("stem"):
            x = conv_norm(g, g.input, self.channels)
        for stage, index in product(range(self.stages), range(self.cells)):
            channels = self.channels * 2**stage
            ends = index == self.cells - 1 and stage < self.stages - 1
            with g.scope(f"cell{stage}.{index}"):
                place = partial(place_motif, channels=channels)
                x = _assembled(g, x, cell, self.cell_nodes, place)
            with g.scope(f"separable{stage}.{index}"):
                x = separable(g, x, 2 * channels if ends else channels, 2 if ends else 1)
        return g.build(g.linear(g.global_pool(x), classes, name="classifier"))


def _assembled(
    g: Builder, x: Handle, edges: Edges, nodes: int, place: Callable[[Handle, str], Handle]
) -> Handle:
    """Build a graph on ``x``; return its last state (``assemble`` in section 2.1 of the paper)."""
    entering: dict[int, list[Handle]] = {}
    states = {0: x}
    for source, target, label in edges:
        if source and source not in states:
            states[source] = _merged(g, entering[source])
        with g.scope(f"edge{source}-{target}"):
            entering.setdefault(target, []).append(place(states[source], label))
    return _merged(g, entering[nodes - 1])


def _merged(g: Builder, inputs: list[Handle]) -> Handle:
    return g.concat(*inputs) if len(inputs) > 1 else inputs[0]


def _reached(edges: Edges) -> Edges:
    """Return the edges that exist and that a path from the first state reaches."""
    states, kept = {0}, []
    for source, target, label in edges:
        if label != ZERO and source in states:
            states.add(target)
            kept.append((source, target, label))
    return kept


def _connects(edges: Edges, nodes: int) -> bool:
    return any(target == nodes - 1 for _, target, _ in edges)


@cache
def _connecting(nodes: int) -> tuple[int, ...]:
    """Count the sets of edges that connect the first of ``nodes`` states to the last, by size."""
    pairs = _pairs(nodes)
    counts = []
    for size in range(len(pairs) + 1):
        chosen = ([(*pair, "") for pair in edges] for edges in combinations(pairs, size))
        counts.append(sum(_connects(_reached(edges), nodes) for edges in chosen))
    return tuple(counts)


@cache
def _pairs(nodes: int) -> tuple[tuple[int, int], ...]:
    """Return the source and the target of every edge, by target, then by source."""
    return tuple((source, target) for target in range(1, nodes) for source in range(target))


@cache
def _names(motifs: int) -> tuple[str, ...]:
    return tuple(f"motif{number}" for number in range(1, motifs + 1))


@cache
def _edge(graph: str, source: int, target: int) -> str:
    """Return the name of a choice."""
    return f"{graph}.edge{source}-{target}"
