"""The identity of a graph: a hash that names and node order do not change."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import lru_cache, reduce
from hashlib import blake2b
from operator import or_
from typing import TYPE_CHECKING

from nas.architecture.operations.base import Operation

if TYPE_CHECKING:
    from nas.architecture.graph import Architecture


def fingerprint(architecture: Architecture) -> str:
    """32 hexadecimal digits that isomorphic architectures share.

    Weisfeiler-Lehman colour refinement on a directed graph: each round sweeps forward (a node's
    colour takes in its inputs' colours) and backward (those of its readers), and rounds go on
    until no class of equal colours splits. The inputs of a commutative operation count as a
    multiset, those of a concat in their order. A bottom-up hash alone would not tell a shared
    node from two equal ones; the backward sweep does. The first colours hold the number of
    ancestors, which tells two parallel residual branches from two that are crossed.

    Refinement is not a complete test of isomorphism: it takes two equal layers of four nodes,
    joined in one cycle of eight or in two of four, for one. On all directed acyclic graphs with
    up to five vertices and three operations it makes exactly the classes that brute force makes.
    """
    position = {node.name: index for index, node in enumerate(architecture.nodes, start=1)}
    position["input"] = 0
    inputs = [[position[name] for name in node.inputs] for node in architecture.nodes]
    commutative = [node.operation.commutative for node in architecture.nodes]
    # Per node, its readers and the slots in which each reads it: once in both slots of a product
    # is not the same as once in either slot of two products.
    readers: list[dict[int, bytes]] = [{} for _ in position]
    outputs = [position[name] for name in architecture.outputs]
    reading = [*enumerate(zip(inputs, commutative, strict=True), 1), (-1, (outputs, False))]
    for reader, (sources, any_order) in reading:
        for slot, source in enumerate(sources):
            place = (0 if any_order else slot).to_bytes(2, "big")
            readers[source][reader] = readers[source].get(reader, b"") + place

    colours = [_digest(repr(architecture.input_shape).encode())]
    ancestors = [0]  # bit sets
    for node, sources in zip(architecture.nodes, inputs, strict=True):
        ancestors.append(reduce(or_, (ancestors[source] | 1 << source for source in sources)))
        count = ancestors[-1].bit_count().to_bytes(4, "big")
        colours.append(_digest(_label(node.operation), count))
    colours.append(_digest(b"output"))  # at index -1, the reader of every output
    classes = 0
    while classes < (classes := len(set(colours))):
        for index, (sources, any_order) in enumerate(zip(inputs, commutative, strict=True), 1):
            seen = [colours[source] for source in sources]
            colours[index] = _digest(colours[index], *(sorted(seen) if any_order else seen))
        for index in reversed(range(len(position))):
            seen = sorted(colours[reader] + slots for reader, slots in readers[index].items())
            colours[index] = _digest(colours[index], *seen)
    return _digest(*sorted(colours)).hex()


@lru_cache(maxsize=1 << 16)
def _label(operation: Operation) -> bytes:
    # Only what differs from its default: an attribute that a later version adds then changes no
    # fingerprint of what is recorded.
    defaults = {field.name: field.default for field in fields(operation)}
    attributes = {k: v for k, v in operation.attributes().items() if v != defaults[k]}
    return _digest(operation.kind.encode(), json.dumps(attributes, sort_keys=True).encode())


def _digest(*parts: bytes) -> bytes:
    return blake2b(b"\0".join(parts), digest_size=16).digest()
