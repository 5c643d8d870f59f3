"""The items of a drawing: operations that share a box, and the differences from a parent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from nas.architecture.cost import FREE, Cost
from nas.architecture.graph import Architecture
from nas.architecture.node import INPUT, Node
from nas.architecture.operations import Operation, Shape
from nas.drawing.words import leading, leads
from nas.spaces.cell_graph import ZERO, CellGraph

ADDED, REMOVED, CHANGED = "+", "-", "~"


@dataclass(frozen=True)
class Item:
    """The content of one box at the finest level.

    Attributes:
        name: in a network, the path of its leading operation; in a cell, "2" for a state and
            "2.0" for the first edge that enters it.
        does: its operations in order, in a cell as words; empty for inputs, outputs and plain
            states.
        inputs: the positions of the items that it reads, each once.
        shape: its output shape; () in a cell.
        sign: "+", "-" or "~" if it differs from the parent, else "".
        was: what it did in the parent, if that changed.
        signs: the signs of its inputs, in their order.
        nodes: the names of the network's nodes in it.
    """

    name: str
    does: tuple[Operation | str, ...] = ()
    inputs: tuple[int, ...] = ()
    shape: Shape = ()
    cost: Cost = FREE
    sign: str = ""
    was: tuple[Operation | str, ...] = ()
    signs: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()

    def links(self) -> Iterator[tuple[int, str]]:
        """Yields its inputs with their signs."""
        yield from zip(self.inputs, self.signs or ("",) * len(self.inputs), strict=True)


def items_of_network(architecture: Architecture) -> list[Item]:
    """Lists the input, all operations in topological order, and the outputs of a network.

    Normalisations, activations and the like join the item of the operation that they follow, if
    each reads only the one before it and no other operation reads that one. They do not join
    across the border of a scope, unless they are further out than the layer that they join.
    """
    readers = Counter(name for node in architecture.nodes for name in node.inputs)
    readers.update(architecture.outputs)
    rows: list[list[Node]] = [[]]
    row_of = {INPUT: 0}
    for node in architecture.nodes:
        place = row_of[node.inputs[0]]
        alone = len(node.inputs) == 1 and place > 0 and readers[node.inputs[0]] == 1
        if not (alone and _joins(architecture, node, rows[place])):
            place = len(rows)
            rows.append([])
        rows[place].append(node)
        row_of[node.name] = place
    items = [Item(INPUT, shape=architecture.input_shape)]
    for row in rows[1:]:
        does = tuple(node.operation for node in row)
        items.append(
            Item(
                row[does.index(leading(does))].name,
                does,
                tuple(dict.fromkeys(row_of[name] for name in row[0].inputs)),
                architecture.shapes[row[-1].name],
                total(architecture.costs[node.name] for node in row),
                nodes=tuple(node.name for node in row),
            )
        )
    for name in architecture.outputs:
        kind = "auxiliary output" if name != architecture.outputs[0] else "output"
        items.append(Item(kind, inputs=(row_of[name],), shape=architecture.shapes[name]))
    return items


def _joins(architecture: Architecture, node: Node, row: Sequence[Node]) -> bool:
    led = any(leads(before.operation) for before in row)
    if led and (leads(node.operation) or node.operation.kind == "pad"):
        return False
    own, scope = (f".{each.name}".rpartition(".")[0] for each in (node, row[-1]))
    if leads(node.operation):
        return f"{own}.".startswith(f"{scope}.")
    weighty = any(architecture.costs[before.name].params for before in row)
    return own == scope or (weighty and f"{scope}.".startswith(f"{own}."))


def total(costs: Iterable[Cost]) -> Cost:
    """Adds costs."""
    return Cost(*map(sum, zip(FREE, *costs, strict=True)))


def items_of_cell(cell: CellGraph) -> list[Item]:
    """Lists a cell's states and the operations on its edges, without the zero operations.

    If all edges into a state are "concat", the state is the concatenation.
    """
    items: list[Item] = []
    state: list[int] = []
    for node, label in enumerate(cell.labels):
        entering = [(source, word) for source, target, word in cell.edges if target == node]
        last = node == len(cell.labels) - 1
        name = "output" if last else str(node)
        if node < cell.inputs:
            name = f"input {node}" if cell.inputs > 1 else "input"
        joined = {word for _, word in entering} == {"concat"}
        inputs = []
        for position, (source, word) in enumerate(entering):
            if word and word != ZERO and not joined:
                items.append(Item(f"{name}.{position}", (word,), (state[source],)))
                inputs.append(len(items) - 1)
            elif word != ZERO:
                inputs.append(state[source])
        does = label or ("concat" if joined else "")
        items.append(Item(name, (does,) if does else (), tuple(inputs)))
        state.append(len(items) - 1)
    return items


def compared(parent: Sequence[Item], child: Sequence[Item]) -> list[Item]:
    """Merges parent and child: "+" marks what is only in the child, "-" what is only in the parent.

    Items are matched by name, and marked "~" if their operations differ. As an inserted layer
    shifts the names behind it, items are also matched by their operations; the way of matching
    that finds fewer differences is used.
    """
    both = parent, child
    names = [[(item.name, bool(item.does)) for item in items] for items in both]
    doings = [[item.does or item.name for item in items] for items in both]
    return min(_merged(*both, *names), _merged(*both, *doings), key=differences)


def differences(items: Iterable[Item]) -> int:
    """Counts the items and edges that have a sign."""
    return sum(bool(item.sign) + sum(map(bool, item.signs)) for item in items)


def _merged(
    parent: Sequence[Item], child: Sequence[Item], old: Sequence[object], new: Sequence[object]
) -> list[Item]:
    # Items of both keep the order that they have in both, so the union has no cycle.
    pairs: list[tuple[Item | None, Item | None]] = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            pairs += zip(parent[a:b], child[c:d], strict=True)
        else:
            pairs += [(item, None) for item in parent[a:b]]
            pairs += [(None, item) for item in child[c:d]]
    place_before = [place for place, (item, _) in enumerate(pairs) if item]
    place_now = [place for place, (_, item) in enumerate(pairs) if item]
    merged = []
    for was, now in pairs:
        before = [place_before[source] for source in was.inputs] if was else []
        after = [place_now[source] for source in now.inputs] if now else []
        signs = dict.fromkeys(after, ADDED) | dict.fromkeys(before, REMOVED)
        signs |= {source: "" for source in before if source in after}
        item = now or was
        assert item
        if not was or not now:
            item = replace(item, sign=ADDED if now else REMOVED)
        elif was.does != now.does:
            item = replace(item, sign=CHANGED, was=was.does)
        merged.append(replace(item, inputs=tuple(signs), signs=tuple(signs.values())))
    return merged
