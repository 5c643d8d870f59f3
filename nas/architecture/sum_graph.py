"""What a network computes, as a graph of operations on sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

from nas.architecture.canonical import canonical_form

Sum = Mapping[int, int]
"""A value: how often each vertex is added to it; empty, it is zero."""

Reads = tuple[tuple[int, int], ...]
"""What a vertex reads: pairs of a source and a number for how it is read."""


Vertex = tuple[bytes, Sequence[Sum], bool]
"""An operation: its label, its inputs, which are sums, and whether their order is free."""


class SumGraph:
    """A graph of operations on sums, in which there is one way to draw what computes the same.

    Identities, nested sums and zeros leave no vertex. An operation that the graph's inputs do not
    reach is zero, by convention: behind a batch norm it would be a learned constant.

    Args:
        inputs: the label of each input.

    Attributes:
        inputs: the value of each input.
        vertices: the inputs and all operations, each after what it reads.
    """

    def __init__(self, inputs: Sequence[bytes]) -> None:
        self.vertices: list[Vertex] = [(label, (), False) for label in inputs]
        self.inputs: list[Sum] = [{index: 1} for index in range(len(inputs))]

    def apply(self, label: bytes, slots: Sequence[Sum], any_order: bool = False) -> Sum:
        """Return an operation's value on ``slots``; ``any_order``: their order does not matter."""
        if not any(slots):
            return {}
        self.vertices.append((label, slots, any_order))
        return {len(self.vertices) - 1: 1}

    def needed(self, outputs: Sequence[Sum]) -> list[int]:
        """Return the inputs, and the vertices that outputs need, in order."""
        needed = set(range(len(self.inputs))).union(*outputs)
        for index in range(len(self.vertices) - 1, len(self.inputs) - 1, -1):
            if index in needed:
                needed.update(*self.vertices[index][1])
        return sorted(needed)

    def drawn(self, outputs: Sequence[Sum], label: bytes = b"") -> tuple[list[bytes], list[Reads]]:
        """Return the label of every vertex that ``outputs`` need, and what each one reads.

        The form is that of :mod:`nas.architecture.canonical`. The last vertex, with ``label``,
        reads the outputs. Where several slots may be exchanged, each is a vertex of its own.
        """
        labels: list[bytes] = []
        reads: list[Reads] = []
        position = [0] * len(self.vertices)
        for old in self.needed(outputs):
            vertex_label, slots, any_order = self.vertices[old]
            if len(slots) == 1:
                read = tuple([(position[source], times) for source, times in slots[0].items()])
            elif any_order:
                first = len(labels)
                for slot in filter(None, slots):
                    labels.append(b"slot")
                    reads.append(_in_slots((slot,), position))
                read = tuple([(source, 1) for source in range(first, len(labels))])
            else:
                read = _in_slots(slots, position)
            position[old] = len(labels)
            labels.append(vertex_label)
            reads.append(read)
        labels.append(b"output" + label)
        reads.append(_in_slots(outputs, position))
        return labels, reads


def form(labels: Sequence[bytes], reads: Sequence[Reads]) -> bytes:
    """Return what graphs of one input share exactly where they are isomorphic.

    The graph is cut at the vertices that every path from the input passes. The parts between are
    canonical by themselves, and those that were seen before are remembered: most networks repeat
    their cells.
    """
    parts = []
    start = 0
    horizon = 0  # the last reader of anything so far
    last = [0] * len(labels)
    for vertex, read in enumerate(reads):
        for source, _ in read:
            last[source] = vertex
    for vertex in range(1, len(labels)):
        horizon = max(horizon, last[vertex - 1])
        if horizon <= vertex:
            inner = range(start + 1, vertex + 1)
            parts.append(
                _part(
                    tuple(labels[start + 1 : vertex + 1]),
                    tuple([tuple([(s - start, p) for s, p in reads[v]]) for v in inner]),
                )
            )
            start = vertex
    return b"".join([labels[0], *parts])


@lru_cache(maxsize=1 << 16)
def _part(labels: tuple[bytes, ...], reads: tuple[Reads, ...]) -> bytes:
    """Return the hash of a part; vertex 0, where it begins, has no label."""
    return blake2b(canonical_form((b"", *labels), ((), *reads)), digest_size=20).digest()


def _in_slots(slots: Sequence[Sum], position: Sequence[int]) -> Reads:
    """Return what is read in numbered slots; a source may stand in several."""
    if len(slots) == 1:
        return tuple([(position[source], times) for source, times in slots[0].items()])
    places: dict[int, list[tuple[int, int]]] = {}
    for number, slot in enumerate(slots):
        for source, times in slot.items():
            places.setdefault(position[source], []).append((number, times))
    return tuple([(source, _place(tuple(where))) for source, where in places.items()])


@lru_cache(maxsize=1 << 16)
def _place(where: tuple[tuple[int, int], ...]) -> int:
    """Return a number for the slots in which, and how often, a source is read."""
    return int.from_bytes(blake2b(repr(where).encode(), digest_size=16).digest())


def total(values: Sequence[Sum]) -> Sum:
    """Return the sum of values; the sum of one value is that value."""
    if len(values) == 1:
        return values[0]
    result: dict[int, int] = {}
    for value in values:
        for vertex, times in value.items():
            result[vertex] = result.get(vertex, 0) + times
    return result


def digest(*parts: bytes) -> bytes:
    """Return sixteen bytes that differ where any part differs."""
    # Each part's length first: parts may hold any byte.
    return blake2b(b"".join([b"%d:" % len(part) + part for part in parts]), digest_size=16).digest()
