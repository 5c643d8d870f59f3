"""The identity of a graph: a hash that names and node order do not change."""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import blake2b
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
    node from two equal ones; the backward sweep does.

    Refinement is not a complete test of isomorphism for all graphs; on all DAGs with up to five
    nodes and three operations it makes exactly the classes that brute force makes.
    """
    position = {node.name: index for index, node in enumerate(architecture.nodes, start=1)}
    position["input"] = 0
    inputs = [[position[name] for name in node.inputs] for node in architecture.nodes]
    commutative = [node.operation.commutative for node in architecture.nodes]
    readers: list[list[tuple[int, bytes]]] = [[] for _ in position]
    for reader, (sources, any_order) in enumerate(zip(inputs, commutative, strict=True), start=1):
        for slot, source in enumerate(sources):
            readers[source].append((reader, b"" if any_order else slot.to_bytes(2, "big")))
    for slot, name in enumerate(architecture.outputs):
        readers[position[name]].append((-1, slot.to_bytes(2, "big")))

    colours = [_digest(repr(architecture.input_shape).encode())]
    colours += [_label(node.operation) for node in architecture.nodes]
    colours.append(_digest(b"output"))  # at index -1, the reader of every output
    classes = 0
    while classes < (classes := len(set(colours))):
        for index, (sources, any_order) in enumerate(zip(inputs, commutative, strict=True), 1):
            seen = [colours[source] for source in sources]
            colours[index] = _digest(colours[index], *(sorted(seen) if any_order else seen))
        for index in reversed(range(len(position))):
            seen = sorted(colours[reader] + slot for reader, slot in readers[index])
            colours[index] = _digest(colours[index], *seen)
    return _digest(*sorted(colours)).hex()


@lru_cache(maxsize=1 << 16)
def _label(operation: Operation) -> bytes:
    attributes = json.dumps(operation.attributes(), sort_keys=True)
    return _digest(operation.kind.encode(), attributes.encode())


def _digest(*parts: bytes) -> bytes:
    return blake2b(b"\0".join(parts), digest_size=16).digest()
