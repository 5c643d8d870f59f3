"""Nodes of a graph, and the order in which they can be computed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from nas.architecture import names
from nas.architecture.operations import ArchitectureError, Operation

INPUT = "input"
"""The name under which nodes refer to the input."""


class Node(NamedTuple):
    """One operation in a graph.

    Attributes:
        name: the dotted path in the network's state dict. It is not part of the graph's identity.
        operation: what the node does.
        inputs: the names of the nodes that it reads, or ``"input"``.
    """

    name: str
    operation: Operation
    inputs: tuple[str, ...]


def check_names(nodes: Sequence[Node]) -> set[str]:
    """Return the names of all nodes and of the input.

    Raises:
        ArchitectureError: for a name that is not allowed or taken.
    """
    taken = {INPUT}
    scopes: set[str] = set()
    for node in nodes:
        name = node.name
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
    taken = check_names(nodes)
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


def ancestors(ordered: Sequence[Node], outputs: Sequence[str]) -> set[str]:
    """Return the names of the nodes that the outputs need, outputs included."""
    needed = set(outputs)
    for node in reversed(ordered):
        if node.name in needed:
            needed.update(node.inputs)
    return needed
