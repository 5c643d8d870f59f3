"""What a network computes, as a graph of operations on sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from nas.architecture.canonical import canonical_form

Sum = Mapping[int, int]
"""A value: how often each vertex is added to it; empty, it is zero."""

Reads = tuple[tuple[int, int], ...]
"""What a vertex reads: how many vertices before it each source stands, and how it is read."""

Vertex = tuple[bytes, Sequence[Sum], bool]
"""An operation: its label, its inputs, which are sums, and whether their order is free."""


class Drawn(NamedTuple):
    """A graph as it is drawn: the vertices that its outputs need, in order.

    Attributes:
        labels: the label of every vertex.
        reads: what it reads.
        readers: the vertices that read vertex 0, each with the values that it reads.
    """

    labels: list[bytes]
    reads: list[Reads]
    readers: dict[int, Sequence[Sum]]

    def add(self, label: bytes, slots: Sequence[Sum]) -> Sum:
        """Add a vertex that reads ``slots`` in their order; return its value."""
        vertex = len(self.labels)
        self.labels.append(label)
        self.reads.append(())
        self._read(vertex, slots)
        return {vertex: 1}

    def insert(self, part: DrawnPart, value: Sum) -> Sum:
        """Add the vertices of a part whose input is ``value``; return the value of its output."""
        drawn, output = part
        shift = len(self.labels) - 1
        self.labels.extend(drawn.labels[1:])
        self.reads.extend(drawn.reads[1:])
        for reader, slots in drawn.readers.items():
            self._read(shift + reader, [_moved(slot, shift, value) for slot in slots])
        return _moved(output, shift, value)

    def _read(self, vertex: int, slots: Sequence[Sum]) -> None:
        self.reads[vertex] = _reads(vertex, slots)
        for slot in slots:
            if 0 in slot:
                self.readers[vertex] = slots


class DrawnPart(NamedTuple):
    """A graph of one input, its vertex 0, as it is drawn, and the value of its output."""

    drawn: Drawn
    output: Sum


class SumGraph:
    """A graph of operations on sums, in which there is one way to draw what computes the same.

    Identities, nested sums and zeros leave no vertex. An operation that the graph's inputs do not
    reach is zero, by convention: behind a batch norm it would be a learned constant.

    Args:
        inputs: the label of each input.

    Attributes:
        inputs: the value of each input.
        vertices: the inputs and all operations, each after what it reads.
        parts: the vertices that are whole graphs.
    """

    def __init__(self, inputs: Sequence[bytes]) -> None:
        self.vertices: list[Vertex] = [(label, (), False) for label in inputs]
        self.inputs: list[Sum] = [{index: 1} for index in range(len(inputs))]
        self.parts: dict[int, DrawnPart] = {}

    def apply(self, label: bytes, slots: Sequence[Sum], any_order: bool = False) -> Sum:
        """Return an operation's value on ``slots``; ``any_order``: their order does not matter."""
        if not any(slots):
            return {}
        self.vertices.append((label, slots, any_order))
        return {len(self.vertices) - 1: 1}

    def insert(self, part: DrawnPart, value: Sum) -> Sum:
        """Return the value of a part's output, if its input is ``value``."""
        if not value or part.output == {0: 1}:  # zero, or the identity
            return value
        if not part.output:
            return {}
        self.parts[len(self.vertices)] = part
        return self.apply(b"part", (value,))

    def needed(self, outputs: Sequence[Sum]) -> list[int]:
        """Return the inputs, and the vertices that outputs need, in order."""
        needed = set(range(len(self.inputs))).union(*outputs)
        for index in range(len(self.vertices) - 1, len(self.inputs) - 1, -1):
            if index in needed:
                needed.update(*self.vertices[index][1])
        return sorted(needed)

    def drawn(self, outputs: Sequence[Sum], label: bytes = b"") -> Drawn:
        """Return the graph as it is drawn; the last vertex, with ``label``, reads the outputs."""
        drawn, values = self._drawn(outputs)
        drawn.add(b"output" + label, [_total(output, values) for output in outputs])
        return drawn

    def drawn_part(self, output: Sum) -> DrawnPart:
        """Return a graph of one input as it is drawn, to be inserted into others."""
        drawn, values = self._drawn([output])
        return DrawnPart(drawn, _total(output, values))

    def _drawn(self, outputs: Sequence[Sum]) -> tuple[Drawn, Mapping[int, Sum]]:
        """Return what outputs need as it is drawn, and the value of every vertex there.

        Where several slots may be exchanged, each is a vertex of its own.
        """
        drawn = Drawn([], [], {})
        values: dict[int, Sum] = {}
        for old in self.needed(outputs):
            label, slots, any_order = self.vertices[old]
            slots = [_total(slot, values) for slot in slots]
            if part := self.parts.get(old):
                values[old] = drawn.insert(part, slots[0])
                continue
            if any_order and len(slots) > 1:
                slots = [total([drawn.add(b"slot", (slot,)) for slot in slots if slot])]
            values[old] = drawn.add(label, slots)
        return drawn, values


def form(labels: Sequence[bytes], reads: Sequence[Reads]) -> bytes:
    """Return what graphs of one input share exactly where they are isomorphic.

    The graph is cut at the vertices that every path from the input passes. The parts between are
    canonical by themselves, and those that were seen before are remembered: most networks repeat
    their cells.
    """
    cuts = []
    lowest = len(labels)  # what is read behind this vertex stands here or later
    for vertex in range(len(labels) - 1, 0, -1):
        if lowest >= vertex:
            cuts.append(vertex)
        for back, _ in reads[vertex]:
            if vertex - back < lowest:
                lowest = vertex - back
    parts = [labels[0]]
    start = 1
    for vertex in reversed(cuts):
        end = vertex + 1
        parts.append(_form_of_part(tuple(labels[start:end]), tuple(reads[start:end])))
        start = end
    return b"".join(parts)


@lru_cache(maxsize=1 << 13)  # a part of thirty vertices takes some kilobytes
def _form_of_part(labels: tuple[bytes, ...], reads: tuple[Reads, ...]) -> bytes:
    """Return the hash of a part; vertex 0, where it begins, has no label."""
    sources = [
        [(vertex - back, place) for back, place in read] for vertex, read in enumerate(reads, 1)
    ]
    form = canonical_form((b"", *labels), ((), *sources))
    return blake2b(form, digest_size=20).digest()


def _reads(vertex: int, slots: Sequence[Sum]) -> Reads:
    """Return what a vertex reads in numbered slots; a source may stand in several."""
    if len(slots) == 1:
        return tuple([(vertex - source, times) for source, times in slots[0].items()])
    places: dict[int, list[tuple[int, int]]] = {}
    for number, slot in enumerate(slots):
        for source, times in slot.items():
            places.setdefault(vertex - source, []).append((number, times))
    return tuple([(back, _place(tuple(where))) for back, where in places.items()])


@lru_cache(maxsize=1 << 16)
def _place(where: tuple[tuple[int, int], ...]) -> int:
    """Return a number for the slots in which, and how often, a source is read."""
    return int.from_bytes(blake2b(repr(where).encode(), digest_size=16).digest())


def _total(value: Sum, values: Mapping[int, Sum]) -> Sum:
    """Return a sum of vertices whose ``values`` are sums themselves."""
    result: dict[int, int] = {}
    for vertex, times in value.items():
        if times == 1 == len(value):
            return values[vertex]
        for source, each in values[vertex].items():
            result[source] = result.get(source, 0) + times * each
    return result


def _moved(value: Sum, shift: int, read: Sum) -> Sum:
    """Return a part's value where its vertices stand ``shift`` later and its input is ``read``."""
    moved = {vertex + shift: times for vertex, times in value.items() if vertex}
    if often := value.get(0):
        moved.update({vertex: times * often for vertex, times in read.items()})
    return moved


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
