"""Nodes of a graph, parts that repeat in it, and the order in which they can be computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from nas.architecture import names
from nas.architecture.cost import FREE, Cost
from nas.architecture.operations import ArchitectureError, Concat, Operation, Shape

INPUT = "input"
"""The name under which nodes refer to the input."""


class Node(NamedTuple):
    """One operation in a graph.

    Attributes:
        name: the dotted path in the network's state dict. It is not part of the graph's identity.
        operation: what the node does.
        inputs: the names of the nodes that it reads, or ``"input"``.
        weights: the path of the parameters and statistics that it uses, such as the name of another
            node, which uses them too; empty for its own name.
    """

    name: str
    operation: Operation
    inputs: tuple[str, ...]
    weights: str = ""

    @property
    def owner(self) -> str:
        """The path of its parameters and statistics."""
        return self.weights or self.name


Known = Mapping[str, tuple[Shape, Cost]]
"""Shape and cost by name."""


class Placed(NamedTuple):
    """A part in a graph, where it stands like one node.

    Attributes:
        name: the name of the part's output, in this graph.
        part: the part.
        inputs: the name of the one node that it reads, or ``"input"``.
    """

    name: str
    part: Part
    inputs: tuple[str]

    @property
    def scope(self) -> str:
        """The text, with a dot at its end, before the names of all nodes of the part."""
        return self.name.removesuffix(self.part.output)


Piece = Node | Placed


@dataclass(frozen=True, eq=False)
class Part:
    """A graph of one input that other graphs hold, once or often.

    It is built and checked once. What follows from it is computed once, too.

    Attributes:
        input_shape: the shape of the input.
        pieces: what the output needs, each after its inputs.
        known: the shape and the cost of every piece.
        output: the name of the piece that other nodes may read.
    """

    input_shape: Shape
    pieces: tuple[Piece, ...]
    known: Known
    output: str

    @cached_property
    def nodes(self) -> Sequence[tuple[Node, tuple[Shape, Cost]]]:
        """All nodes, those of parts within it included, each with its shape and cost."""
        return list(expanded(self.pieces, self.known))

    @cached_property
    def size(self) -> int:
        """The number of all nodes."""
        return sum(p.part.size if isinstance(p, Placed) else 1 for p in self.pieces)

    @cached_property
    def concatenates(self) -> bool:
        """Whether it has a concatenation."""
        return concatenates(self.pieces)

    @cached_property
    def totals(self) -> tuple[Shape, Cost]:
        """The shape of the output, and the cost of all nodes."""
        return self.known[self.output][0], total_cost(cost for _, cost in self.known.values())


def expanded(pieces: Iterable[Piece], known: Known) -> Iterator[tuple[Node, tuple[Shape, Cost]]]:
    """Yield all nodes with shape and cost, those of parts under their names in this graph."""
    for piece in pieces:
        if isinstance(piece, Node):
            yield piece, known[piece.name]
            continue
        scope, (source,) = piece.scope, piece.inputs
        for (name, operation, inputs, _), both in piece.part.nodes:  # parts share no weights
            read = tuple([source if each == INPUT else scope + each for each in inputs])
            yield Node(scope + name, operation, read), both


def concatenates(pieces: Iterable[Piece]) -> bool:
    """Return whether one of the pieces is, or has, a concatenation."""
    return any(
        piece.part.concatenates
        if isinstance(piece, Placed)
        else piece.operation.kind == Concat.kind
        for piece in pieces
    )


def total_cost(costs: Iterable[Cost]) -> Cost:
    """Return the sum of costs."""
    return Cost(*map(sum, zip(FREE, *costs, strict=True)))


def check_names(paths: Iterable[str]) -> set[str]:
    """Return the names of all nodes and of the input.

    Raises:
        ArchitectureError: for a name that is not allowed or taken.
    """
    taken = {INPUT}
    scopes: set[str] = set()
    for name in paths:
        if fault := names.fault(name):
            raise ArchitectureError(f"node {name!r}: {fault}")
        if name in taken:
            raise ArchitectureError(f"node {name!r}: the name is already used")
        taken.add(name)
        scopes.add(name.rpartition(".")[0])
    containers: set[str] = set()
    for scope in scopes:
        containers.update(accumulate(scope.split("."), "{}.{}".format))
    for clash in sorted(taken & containers):
        raise ArchitectureError(f"node {clash!r}: the name is also the scope of other nodes")
    return taken


def in_order(nodes: list[Node]) -> list[Node]:
    """Sort nodes so that each stands behind its inputs, and otherwise keep their order.

    Raises:
        ArchitectureError: for a name that is not allowed or taken, an unknown input, or a cycle.
    """
    taken = check_names([node.name for node in nodes])
    for node in nodes:
        for name in node.inputs:
            if name not in taken:
                raise ArchitectureError(f"node {node.name!r}: unknown input {name!r}")
    ordered: list[Node] = []
    placed = {INPUT}
    waiting = nodes
    while waiting:
        late = []
        for node in waiting:
            if placed.issuperset(node.inputs):
                ordered.append(node)
                placed.add(node.name)
            else:
                late.append(node)
        if len(late) == len(waiting):
            cycle = ", ".join(repr(node.name) for node in late)
            raise ArchitectureError(f"nodes {cycle}: form a cycle or wait for one")
        waiting = late
    return ordered


def ancestors(ordered: Sequence[Piece], outputs: Sequence[str]) -> set[str]:
    """Return the names of the nodes that the outputs need, outputs included."""
    needed = set(outputs)
    for node in reversed(ordered):
        if node.name in needed:
            needed.update(node.inputs)
    return needed
