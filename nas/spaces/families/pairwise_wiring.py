"""The choices of a pairwise cell: asking for them, and finding the answers for a known cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations
from typing import Literal

from nas.classics.cells import Cell
from nas.errors import InputError
from nas.spaces.cell_graph import ZERO
from nas.spaces.choices import Choose, Genotype
from nas.spaces.mixtures import Weights

Edges = tuple[tuple[str, int], ...]
"""The edges ``(operation, state)`` of a cell, two for each node."""

Inputs = Literal["any", "distinct"]
Concat = Literal["unused", "all"]

_SIDES = ("left", "right")


@dataclass(frozen=True)
class Wiring:
    """Describes the cells of one space.

    Attributes:
        nodes: the number of nodes in a cell, each a sum of two edges.
        operations: the names of the operations that an edge may have.
        inputs: whether both edges of a node may read the same state.
        concat: the rule for the output: the states that no edge reads, inputs of the cell included,
            or all nodes.
        published: cells that may concatenate other states than the rule says.
    """

    nodes: int
    operations: tuple[str, ...]
    inputs: Inputs
    concat: Concat
    published: tuple[Cell, ...] = ()

    @property
    def size(self) -> int:
        """The number of cells, in closed form.

        With n nodes and k operations it is ``((n + 1)! k^n)^2``. If inputs are distinct, it is the
        product of ``k^2 s (s - 1) / 2`` over s = 2, ..., n + 1 states. A published cell counts once
        more for its own output.
        """
        distinct = self.inputs == "distinct"
        states = range(2, 2 + self.nodes)
        pairs = math.prod(math.comb(count, 2) if distinct else count**2 for count in states)
        return pairs * int(len(self.operations) ** (2 * self.nodes)) + len(self._exceptions)

    def ask(self, name: str, choose: Choose) -> Cell:
        """Ask for the cell whose choices have names that begin with ``name``."""
        edges: list[tuple[str, int]] = []
        for node in range(self.nodes):
            where, states = f"{name}.node{node}", _states(2 + node)
            if self.inputs == "distinct":
                read = choose(f"{where}.inputs", _pairs(2 + node)).split("+")
            else:
                read = [choose(f"{where}.{side}.input", states) for side in _SIDES]
            for side, state in zip(_SIDES, read, strict=True):
                operation = choose(f"{where}.{side}.operation", self.operations)
                edges.append((operation, states.index(state)))
        wired = tuple(edges)
        concat = self.rule(wired)
        own = self._exceptions.get(wired)
        if own and choose(f"{name}.concat", (self.concat, _joined(own))) != self.concat:
            concat = own
        return Cell(wired, concat)

    def answers(self, name: str, cell: Cell) -> Genotype:
        """Return the answers for which :meth:`ask` returns ``cell``.

        For a cell of another space, this space refuses the answers when they are replayed.
        """
        genotype: Genotype = {}
        for node in range(len(cell.edges) // 2):
            where, edges = f"{name}.node{node}", cell.edges[2 * node : 2 * node + 2]
            if self.inputs == "distinct":
                edges = tuple(sorted(edges, key=lambda edge: edge[1]))
                genotype[f"{where}.inputs"] = _joined(state for _, state in edges)
            for side, (operation, state) in zip(_SIDES, edges, strict=True):
                if self.inputs == "any":
                    genotype[f"{where}.{side}.input"] = _name(state)
                genotype[f"{where}.{side}.operation"] = operation
        if cell.edges in self._exceptions:
            ruled = cell.concat == self.rule(cell.edges)
            genotype[f"{name}.concat"] = self.concat if ruled else _joined(cell.concat)
        return genotype

    def check(self, cell: Cell) -> None:
        """Raise :class:`InputError` unless nodes, inputs and output are those of this space."""
        edges = cell.edges
        if len(edges) != 2 * self.nodes:
            raise InputError(f"must have {2 * self.nodes} edges, got {len(edges)}")
        for node, ((_, left), (_, right)) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
            if self.inputs == "distinct" and left == right:
                raise InputError(f"node {node} must read two distinct states, got {left} twice")
        rule = self.rule(edges)
        if cell.concat not in (rule, self._exceptions.get(edges)):
            raise InputError(
                f"with these edges the output is {list(rule)}, got {list(cell.concat)}"
            )

    def rule(self, edges: Edges) -> tuple[int, ...]:
        """Return the states that are concatenated by the rule ``concat``."""
        states = range(2 + len(edges) // 2)
        if self.concat == "all":
            return tuple(states[2:])
        read = {state for _, state in edges}
        return tuple(state for state in states if state not in read)

    def all(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield all edges that a cell of this name may have, each with the node that it enters."""
        for node in range(self.nodes):
            for state in range(2 + node):
                yield edge_name(name, node, state), f"{name}.node{node}"

    def whole(self, name: str) -> Cell:
        """Return the cell with all edges, whose operations are named after them."""
        counts = tuple(range(2, 2 + self.nodes))
        edges = [
            (edge_name(name, node, state), state)
            for node, count in enumerate(counts)
            for state in range(count)
        ]
        return Cell(tuple(edges), counts, counts)

    def heaviest(self, name: str, weights: Weights) -> Cell:
        """Return the cell with the two heaviest edges into each node (Liu et al. 2019, sec. 2.4).

        The weight of an edge is that of its heaviest operation, without zeros.
        """
        edges: list[tuple[str, int]] = []
        for node in range(self.nodes):
            best = []
            for state in range(2 + node):
                known = weights[edge_name(name, node, state)]
                operation = max((each for each in known if each != ZERO), key=known.__getitem__)
                best.append((known[operation], operation, state))
            best.sort(key=lambda each: -each[0])
            edges += [(operation, state) for _, operation, state in best[:2]]
        return Cell(tuple(edges), self.rule(tuple(edges)))

    @cached_property
    def _exceptions(self) -> dict[Edges, tuple[int, ...]]:
        """The outputs of published cells that differ from the rule, by the edges of the cell."""
        return {
            cell.edges: cell.concat
            for cell in self.published
            if len(cell.edges) == 2 * self.nodes
            and {operation for operation, _ in cell.edges} <= set(self.operations)
            and cell.concat != self.rule(cell.edges)
        }


def edge_name(name: str, node: int, state: int) -> str:
    """Return the name of the edge from a state to a node of a cell: ``normal.node1.node0``."""
    return f"{name}.node{node}.{_name(state)}"


@cache
def _states(count: int) -> tuple[str, ...]:
    """Return the names of the first ``count`` states of a cell."""
    return tuple(map(_name, range(count)))


@cache
def _pairs(count: int) -> tuple[str, ...]:
    """Return the names of all pairs of the first ``count`` states."""
    return tuple(map(_joined, combinations(range(count), 2)))


def _name(state: int) -> str:
    return ("older", "newer")[state] if state < 2 else f"node{state - 2}"


def _joined(states: Iterable[int]) -> str:
    return "+".join(map(_name, states))
