"""The identity of a graph: a hash that names, node order and idle wiring do not change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from hashlib import blake2b

from nas.architecture.node import INPUT, Node, Part, Piece, concatenates
from nas.architecture.operations import Add, Concat, Identity, Operation, Shape, Zero
from nas.architecture.refinement import refinement_hash
from nas.architecture.sum_graph import DrawnPart, Sum, SumGraph, digest, form, total

DIGITS = 40
"""How many hexadecimal digits a fingerprint has; those of earlier versions have 32."""


def fingerprint(
    pieces: Sequence[Piece], outputs: Sequence[str], shapes: Mapping[str, Shape]
) -> str:
    """Return 40 hexadecimal digits that isomorphic graphs of operations share, and no others do.

    The graph is brought to the form of :class:`~nas.architecture.sum_graph.SumGraph` before it is
    hashed: identities are contracted, nested sums are flattened, and zeros are left out, together
    with what feeds only them and what only they feed. The network that is built keeps all of
    these, so architectures with one fingerprint may differ in cost by branches that cannot matter.

    Nodes that use the same weights are read by a vertex of their own.

    The inputs of a sum or a product have no order. Those of a concatenation have one, unless all
    that read it would be the same after an exchange of channels (:func:`free_concats`).

    Args:
        pieces: the operations, each after its inputs. If there is no concatenation, these may be
            parts, too.
        outputs: the names of the output nodes.
        shapes: the shape of the input and of every piece's output, by name.
    """
    free: set[str] = set()
    if concatenates(pieces):
        nodes = [piece for piece in pieces if isinstance(piece, Node)]
        if not any(node.weights for node in nodes):  # an exchange would reach their other uses
            free = free_concats(nodes, outputs, shapes)
    graph, values = _graph(pieces, shapes, free)
    label = _label_of_outputs(outputs, shapes)
    ends = [values[name] for name in outputs]
    if shared := _shared(pieces, graph, values, ends):
        ends.append(shared)
    drawn = graph.drawn(ends, label)
    return blake2b(form(drawn.labels, drawn.reads), digest_size=DIGITS // 2).hexdigest()


def earlier_fingerprint(
    nodes: Sequence[Node], outputs: Sequence[str], shapes: Mapping[str, Shape]
) -> str:
    """Return the 32 hexadecimal digits that earlier versions recorded for a graph."""
    graph, values = _graph(nodes, shapes, None)
    label = _label_of_outputs(outputs, shapes)
    return refinement_hash(graph, [values[name] for name in outputs], label)


def free_concats(
    nodes: Sequence[Node], outputs: Sequence[str], shapes: Mapping[str, Shape]
) -> set[str]:
    """Return the names of concatenations whose inputs may be exchanged without any effect.

    Operations that work channel by channel, an activation say, pass the order of channels on, so
    that all tensors they join have one order. It is free where everything else that writes or
    reads these tensors mixes all channels: then another order is an exchange of weights that start
    alike. It is not where a second concatenation, a slice, a shuffle or an output of the network
    sees it.
    """
    concats = [node for node in nodes if node.operation.kind == Concat.kind]
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while (above := leader.get(name, name)) != name:
            name = above
        return name

    roles = {
        node.name: node.operation.channels_as(tuple(shapes[name] for name in node.inputs))
        for node in nodes
    }
    for node in nodes:
        if roles[node.name] == "kept":
            for name in node.inputs:
                leader[find(name)] = find(node.name)
    fixed = {find(INPUT), *map(find, outputs)}
    for node in nodes:
        if roles[node.name] == "ordered":
            fixed.update(map(find, node.inputs))
            if node.operation.kind != Concat.kind:
                fixed.add(find(node.name))
    leaders = [find(node.name) for node in concats]
    return {
        node.name
        for node, first in zip(concats, leaders, strict=True)
        if first not in fixed and leaders.count(first) == 1
    }


def _graph(
    pieces: Sequence[Piece], shapes: Mapping[str, Shape], free: set[str] | None
) -> tuple[SumGraph, Mapping[str, Sum]]:
    """Return what pieces compute, and the value of each.

    Args:
        pieces: the operations, or parts without a concatenation, each after its inputs.
        shapes: all shapes by name.
        free: the concatenations whose inputs have no order; None for the graph of earlier versions.
    """
    graph = SumGraph([digest(repr(shapes[INPUT]).encode())])
    values: dict[str, Sum] = {INPUT: graph.inputs[0]}
    for name, what, inputs, *_ in pieces:
        slots = [values[source] for source in inputs]
        if isinstance(what, Part):
            values[name] = graph.insert(_drawn_part(what), slots[0])
            continue
        kind = what.kind
        if kind == Add.kind:
            values[name] = total(slots)
        elif kind == Identity.kind:
            values[name] = slots[0]
        elif kind == Zero.kind:
            values[name] = {}
        else:
            label = what.__dict__.get("_fingerprint") or _label(what)
            any_order = what.commutative or (free is not None and name in free)
            if len(slots) > 1 and not all(slots):  # an input of zeros says nothing of its shape
                read = [shapes[source] for source in inputs]
                if any_order and free is not None:
                    read.sort()
                label = digest(label, repr(read).encode())
            values[name] = graph.apply(label, slots, any_order)
    return graph, values


def _shared(
    pieces: Sequence[Piece], graph: SumGraph, values: Mapping[str, Sum], ends: Sequence[Sum]
) -> Sum:
    """Return the sum of vertices that each read the nodes that use the same weights."""
    nodes = [piece for piece in pieces if isinstance(piece, Node)]
    if not any(node.weights for node in nodes):
        return {}
    uses: dict[str, list[Sum]] = {}
    for node in nodes:
        uses.setdefault(node.owner, []).append(values[node.name])
    needed = {*graph.needed(ends)}
    alive = [[use for use in each if use and needed.issuperset(use)] for each in uses.values()]
    label = digest(b"shared")
    return total([graph.apply(label, each, True) for each in alive if len(each) > 1])


@lru_cache(maxsize=1 << 13)
def _drawn_part(part: Part) -> DrawnPart:
    """Return what a part computes."""
    shapes = {INPUT: part.input_shape, **{name: shape for name, (shape, _) in part.known.items()}}
    graph, values = _graph(part.pieces, shapes, set())
    return graph.drawn_part(values[part.output])


def _label_of_outputs(outputs: Sequence[str], shapes: Mapping[str, Shape]) -> bytes:
    return digest(repr([shapes[name] for name in outputs]).encode())


@lru_cache(maxsize=1 << 16)
def _label(operation: Operation) -> bytes:
    """Return a hash of kind and attributes, and let the operation remember it."""
    # Only what differs from its default: an attribute that a later version adds then changes no
    # fingerprint of what is recorded.
    defaults = {field.name: field.default for field in fields(operation)}
    attributes = {k: v for k, v in operation.attributes().items() if v != defaults[k]}
    label = digest(operation.kind.encode(), json.dumps(attributes, sort_keys=True).encode())
    operation.__dict__["_fingerprint"] = label
    return label
