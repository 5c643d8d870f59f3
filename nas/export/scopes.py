"""Divides a graph into scopes: the nodes that one module holds, and what its forward does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush

import torch
from torch import fx, nn

from nas.architecture.graph import Architecture
from nas.architecture.node import INPUT, Node

Path = tuple[str, ...]
Module = nn.Module | nn.Parameter


@dataclass(frozen=True)
class Scope:
    """Nodes below one path that can form a separate module.

    Attributes:
        path: the parts of the common name; empty for the whole network.
        inputs: the names of the outside nodes that it reads, in order of use.
        output: the name of the only node that others read.
        graph: its forward, with one placeholder per input; targets are relative to its path.
        children: the modules and scopes that the graph calls, by relative path.
    """

    path: Path
    inputs: tuple[str, ...]
    output: str
    graph: fx.Graph
    children: dict[Path, Module | Scope]

    @property
    def chain(self) -> bool:
        """Tells if each child's output is the next child's only input."""
        first, *calls, end = self.graph.nodes
        through = [first, *calls]
        return bool(calls) and all(
            node.op == "call_module" and node.args == (before,) and not node.kwargs
            for before, node in zip(through, calls, strict=False)
        ) and end.args == (calls[-1],)  # fmt: skip

    @property
    def is_sequence(self) -> bool:
        """Tells if it can be an ``nn.Sequential``: children with weights are named by position."""
        return self.chain and all(
            path == (str(place),) or not has_state(child)
            for place, (path, child) in enumerate(self.children.items())
        )


def has_state(child: Module | Scope) -> bool:
    """Tells if it has entries in the state dict, so that its path matters."""
    if isinstance(child, Scope):
        return any(map(has_state, child.children.values()))
    return isinstance(child, nn.Parameter) or bool(child.state_dict())


def is_list(names: Iterable[str]) -> bool:
    """Tells if the names are positions in a list with few gaps."""
    found = list(names)
    numbers = [int(name) for name in found if name.isdecimal() and str(int(name)) == name]
    return len(numbers) == len(found) and max(numbers, default=0) <= 3 * len(numbers)


def scoped(architecture: Architecture) -> Scope:
    """Divides the architecture into a tree of scopes, with auxiliary heads last.

    A scope becomes a separate module if it has one output, holds modules, shares no weights with
    nodes outside, and no path leaves it and comes back. A scope whose names are numbers must also
    be a sequence; otherwise it stays a list. The nodes of all other scopes belong to the
    surrounding scope.
    """
    return _Cutter(architecture).whole()


class _Cutter:
    def __init__(self, architecture: Architecture) -> None:
        self._architecture = architecture
        self._place = {node.name: place for place, node in enumerate(architecture.nodes)}
        self._inference = {node.name for node in architecture.inference().nodes}
        self._readers: dict[str, list[str]] = {name: [] for name in architecture.shapes}
        for node in architecture.nodes:
            for name in node.inputs:
                self._readers[name].append(node.name)
        self._sharing: dict[str, set[str]] = {}
        for node in architecture.nodes:
            self._sharing.setdefault(node.owner, set()).add(node.name)
        self._scopes: dict[Path, Scope | None] = {}

    def whole(self) -> Scope:
        graph, children = self._graph((), self._architecture.nodes, (INPUT,))
        return Scope((), (INPUT,), self._architecture.outputs[0], graph, children)

    def _scope(self, path: Path, nodes: Sequence[Node]) -> Scope | None:
        """Makes a module of the nodes; None if they cannot be one."""
        if path not in self._scopes:
            self._scopes[path] = self._cut(path, nodes)
        return self._scopes[path]

    def _cut(self, path: Path, nodes: Sequence[Node]) -> Scope | None:
        inside = {node.name for node in nodes}
        below = ".".join(path) + "."
        for node in nodes:
            if not node.owner.startswith(below) or self._sharing[node.owner] - inside:
                return None
        outputs = [
            node.name
            for node in nodes
            if not inside.issuperset(self._readers[node.name])
            or node.name in self._architecture.outputs
        ]
        if len(outputs) != 1 or len({name in self._inference for name in inside}) > 1:
            return None
        inputs = tuple(
            dict.fromkeys(name for node in nodes for name in node.inputs if name not in inside)
        )
        graph, children = self._graph(path, nodes, inputs, outputs)
        scope = Scope(path, inputs, outputs[0], graph, children)
        listed = is_list(child[0] for child in children)
        return scope if children and (scope.is_sequence or not listed) else None

    def _graph(
        self, path: Path, nodes: Sequence[Node], inputs: Sequence[str], outputs: Sequence[str] = ()
    ) -> tuple[fx.Graph, dict[Path, Module | Scope]]:
        shapes = self._architecture.shapes
        graph = fx.Graph()
        children: dict[Path, Module | Scope] = {}
        emitted = {}
        for number, name in enumerate(inputs):
            emitted[name] = graph.placeholder(INPUT if name == INPUT else f"input{number}")
            emitted[name].meta["shape"] = shapes[name]
        for unit, members in self._units(path, nodes):
            below = unit[len(path) :]
            child = self._child(unit, members)
            name = child.output if isinstance(child, Scope) else members[0].name
            sources = child.inputs if isinstance(child, Scope) else members[0].inputs
            called = tuple(emitted[source] for source in sources)
            if isinstance(child, Scope):
                emitted[name] = graph.call_module(".".join(below), called)
            else:
                below = tuple(members[0].owner.split(".")[len(path) :])
                emitted[name] = members[0].operation.emit(graph, ".".join(below), called)
            emitted[name].meta["shape"] = shapes[name]
            if child is not None:
                children.setdefault(below, child)
        returned = tuple(emitted[name] for name in outputs or self._architecture.outputs)
        graph.output(returned if len(returned) > 1 else returned[0])
        return graph, children

    def _child(self, unit: Path, members: Sequence[Node]) -> Module | Scope | None:
        node = members[0]
        if node.name != ".".join(unit):
            scope = self._scope(unit, members)
            assert scope is not None
            return scope
        shapes = tuple(self._architecture.shapes[name] for name in node.inputs)
        with torch.device("meta"):
            module = node.operation.module(shapes)
        return node.operation.module(shapes) if isinstance(module, nn.Parameter) else module

    def _units(self, path: Path, nodes: Sequence[Node]) -> list[tuple[Path, list[Node]]]:
        """Lists what a forward calls in turn: nodes, and scopes that can be modules."""
        units = _split(path, nodes)
        while True:
            whole = [
                unit
                for unit, members in units.items()
                if members[0].name != ".".join(unit) and self._scope(unit, members) is None
            ]
            if not whole:
                try:
                    return [(unit, units[unit]) for unit in self._ordered(units)]
                except CycleError as error:
                    names = {node.name for node in nodes}
                    whole = [u for u in error.args[1] if ".".join(u) not in names][:1]
            for unit in whole:
                units |= _split(unit, units.pop(unit))

    def _ordered(self, units: dict[Path, list[Node]]) -> list[Path]:
        """Orders units by dependency, then position; :class:`CycleError` if that is impossible."""
        home = {node.name: unit for unit, members in units.items() for node in members}
        sorter: TopologicalSorter[Path] = TopologicalSorter()
        for unit, members in units.items():
            sources = {home[name] for node in members for name in node.inputs if name in home}
            sorter.add(unit, *(sources - {unit}))
        sorter.prepare()
        ordered: list[Path] = []
        ready: list[tuple[bool, int, Path]] = []
        while sorter.is_active():
            for unit in sorter.get_ready():
                first = units[unit][0].name
                heappush(ready, (first not in self._inference, self._place[first], unit))
            ordered.append(heappop(ready)[-1])
            sorter.done(ordered[-1])
        return ordered


def _split(path: Path, nodes: Sequence[Node]) -> dict[Path, list[Node]]:
    """Groups the nodes below a path by the next part of their names."""
    parts: dict[Path, list[Node]] = {}
    for node in nodes:
        parts.setdefault(tuple(node.name.split(".")[: len(path) + 1]), []).append(node)
    return parts
