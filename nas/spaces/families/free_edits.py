"""Edits the cells of a free graph: nodes are inserted and removed, and edges are changed.

An edit is a genotype in which the answers of one cell have changed. What it leaves out, such as the
operation of a new node, is drawn when the edit is completed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from nas.spaces.choices import Genotype, Option

_INPUT, _SECOND, _MERGE = "input", "second_input", "merge"

_ENTRANCE = "input"
"""The name by which a node reads the input of its cell; the others are ``node0``, ``node1``, ..."""

Node = dict[str, Option]
"""The answers of a node by the last part of their names."""

Nodes = list[Node]
"""The nodes of a cell. The node at position p has the number p + 1; number 0 is the entrance."""


def edits(mutation: str, genotype: Genotype) -> Iterator[Genotype]:
    """Yield every edit of every cell by one of :data:`MUTATIONS`."""
    for name in genotype:
        scope, _, last = name.rpartition(".")
        if last == "nodes":
            for nodes in MUTATIONS[mutation](_read(genotype, scope)):
                yield _written(genotype, scope, nodes)


def _inserted(nodes: Nodes) -> Iterator[Nodes]:
    """Put a new node on each edge, also on those to the output, and as a branch to the output."""
    for reader, node in enumerate(nodes, start=1):
        for slot in (_INPUT, _SECOND):
            if node[slot] is not None:
                numbers = [n + (n >= reader) for n in range(len(nodes) + 1)]
                moved = [_renumbered(each, numbers) for each in nodes]
                moved[reader - 1][slot] = _name(reader)
                moved.insert(reader - 1, {_INPUT: node[slot], _SECOND: None})
                yield moved
    for number in range(len(nodes) + 1):
        yield [*map(dict, nodes), {_INPUT: _name(number), _SECOND: None}]


def _removed(nodes: Nodes) -> Iterator[Nodes]:
    """Leave out each node; whatever read it reads one of its inputs instead."""
    read = {node[slot] for node in nodes for slot in (_INPUT, _SECOND)}
    for number, gone in enumerate(nodes if len(nodes) > 1 else (), start=1):
        kept = [node for node in nodes if node is not gone]
        for slot in (_INPUT, _SECOND) if _name(number) in read else (_INPUT,):
            if gone[slot] is not None:
                source = _number(gone[slot])
                numbers = [n - (n > number) for n in range(len(nodes) + 1)]
                numbers[number] = source
                yield [_renumbered(each, numbers) for each in kept]


def _rewired(nodes: Nodes) -> Iterator[Nodes]:
    """Change each input of each node to each other one; a second input can come and go."""
    for reader, node in enumerate(nodes, start=1):
        for slot in (_INPUT, _SECOND):
            sources: list[Option] = [_name(number) for number in range(reader)]
            if slot == _SECOND:
                sources.append(None)
            for source in sources:
                if source not in (node[_INPUT], node[_SECOND]):
                    yield [{**each, slot: source} if each is node else each for each in nodes]


MUTATIONS: Mapping[str, Callable[[Nodes], Iterator[Nodes]]] = {
    "insert_node": _inserted,
    "remove_node": _removed,
    "edge": _rewired,
}
"""The edits by the name of their mutation."""


def _read(genotype: Genotype, scope: str) -> Nodes:
    count = genotype[f"{scope}.nodes"]
    assert isinstance(count, int)
    nodes: Nodes = [{} for _ in range(count)]
    for name, answer in genotype.items():
        if name.startswith(f"{scope}.node") and name != f"{scope}.nodes":
            node, _, last = name.removeprefix(f"{scope}.node").partition(".")
            nodes[int(node)][last] = answer
    return nodes


def _written(genotype: Genotype, scope: str, nodes: Nodes) -> Genotype:
    kept = {n: answer for n, answer in genotype.items() if not n.startswith(f"{scope}.node")}
    edited = {
        f"{scope}.node{place}.{last}": answer
        for place, node in enumerate(nodes)
        for last, answer in node.items()
        if last != _MERGE or node[_SECOND] is not None
    }
    return {**kept, f"{scope}.nodes": len(nodes), **edited}


def _renumbered(node: Node, numbers: Sequence[int]) -> Node:
    """Return a node whose inputs have new numbers; if both become the same one, it is read once."""
    first = _name(numbers[_number(node[_INPUT])])
    second = node[_SECOND] and _name(numbers[_number(node[_SECOND])])
    return {**node, _INPUT: first, _SECOND: None if second == first else second}


def _name(number: int) -> str:
    return f"node{number - 1}" if number else _ENTRANCE


def _number(name: Option) -> int:
    return 0 if name == _ENTRANCE else int(str(name).removeprefix("node")) + 1
