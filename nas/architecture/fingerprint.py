"""The identity of a graph: a hash that names, node order and idle wiring do not change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import lru_cache

from nas.architecture.canonical import CanonicalGraph, Sum, digest, total
from nas.architecture.node import INPUT, Node
from nas.architecture.operations import Add, Identity, Operation, Shape, Zero


def fingerprint(nodes: Sequence[Node], outputs: Sequence[str], shapes: Mapping[str, Shape]) -> str:
    """Return 32 hexadecimal digits that isomorphic graphs of operations share.

    The graph is brought to the form of :class:`CanonicalGraph` before it is hashed: identities
    are contracted, nested sums are flattened, and zeros are left out, together with what feeds
    only them and what only they feed. The network that is built keeps all of these, so
    architectures with one fingerprint may differ in cost by branches that cannot matter.

    Args:
        nodes: the operations, each after its inputs.
        outputs: the names of the output nodes.
        shapes: the shape of the input and of every node's output, by name.
    """
    graph = CanonicalGraph([digest(repr(shapes[INPUT]).encode())])
    values: dict[str, Sum] = {INPUT: graph.inputs[0]}
    for node in nodes:
        operation, slots = node.operation, [values[name] for name in node.inputs]
        if isinstance(operation, Add):
            value = total(slots)
        elif isinstance(operation, Identity):
            value = slots[0]
        elif isinstance(operation, Zero):
            value = {}
        else:
            label = _label(operation)
            if not all(slots):  # an input of zeros says nothing of its shape
                label = digest(label, repr([shapes[name] for name in node.inputs]).encode())
            value = graph.apply(label, slots, operation.commutative)
        values[node.name] = value
    shown = repr([shapes[name] for name in outputs]).encode()
    return graph.hash([values[name] for name in outputs], digest(shown))


@lru_cache(maxsize=1 << 16)
def _label(operation: Operation) -> bytes:
    # Only what differs from its default: an attribute that a later version adds then changes no
    # fingerprint of what is recorded.
    defaults = {field.name: field.default for field in fields(operation)}
    attributes = {k: v for k, v in operation.attributes().items() if v != defaults[k]}
    return digest(operation.kind.encode(), json.dumps(attributes, sort_keys=True).encode())
