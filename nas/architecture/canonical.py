"""Canonical graphs: there is one way to draw what computes the same, so it can be hashed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from hashlib import blake2b
from operator import or_
from typing import NamedTuple

Sum = Mapping[int, int]
"""A value in canonical form: how often each vertex is added to it; empty, it is zero."""


class _Vertex(NamedTuple):
    label: bytes
    slots: Sequence[Sum]
    any_order: bool


class CanonicalGraph:
    """A graph of operations on sums, in which there is one way to draw what computes the same.

    A vertex is an operation; each of its inputs is a sum of vertices, with multiplicity. An
    operation that the graph's inputs do not reach is zero, by convention: behind a batch norm it
    would be a learned constant.

    Args:
        inputs: the label of each input.

    Attributes:
        inputs: their values.
    """

    def __init__(self, inputs: Sequence[bytes]) -> None:
        self._vertices = [_Vertex(label, (), False) for label in inputs]
        self.inputs: list[Sum] = [{index: 1} for index in range(len(inputs))]

    def apply(self, label: bytes, slots: Sequence[Sum], any_order: bool = False) -> Sum:
        """The value of an operation on ``slots``; ``any_order``: their order does not matter."""
        if not any(slots):
            return {}
        self._vertices.append(_Vertex(label, slots, any_order))
        return {len(self._vertices) - 1: 1}

    def hash(self, outputs: Sequence[Sum], label: bytes = b"") -> str:
        """32 hexadecimal digits; what no output needs does not count.

        Weisfeiler-Lehman colour refinement on a directed graph: each round sweeps forward (a
        vertex's colour takes in its inputs' colours) and backward (those of its readers), and
        rounds go on until no class of equal colours splits. Summands count as a multiset. A
        bottom-up hash alone would not tell a shared vertex from two equal ones; the backward
        sweep does. The first colours hold the number of ancestors, which tells two parallel
        residual branches from two that are crossed.

        Refinement is not a complete test of isomorphism: it takes two equal layers of four
        vertices, joined in one cycle of eight or in two of four, for one. On all cells of the
        NAS-Bench-101 kind with up to five vertices, and on all of NAS-Bench-201's, it makes
        exactly the classes that isomorphism makes.
        """
        needed = self._needed(outputs)
        position = {old: new for new, old in enumerate(needed)}
        vertices = [self._vertices[old] for old in needed]
        vertices.append(_Vertex(digest(b"output", label), outputs, False))
        slots = [
            [[(position[source], b"%d;" % times) for source, times in slot.items()]
             for slot in vertex.slots]
            for vertex in vertices
        ]  # fmt: skip
        # Per vertex, its readers and the slots in which each reads it: once in both slots of a
        # product is not the same as once in either slot of two products.
        reading: list[dict[int, list[bytes]]] = [{} for _ in vertices]
        for reader, vertex in enumerate(vertices):
            for slot, terms in enumerate(slots[reader]):
                place = b"%d," % (0 if vertex.any_order else slot)
                for source, times in terms:
                    reading[source].setdefault(reader, []).append(place + times)
        readers = [
            [(reader, b"".join(sorted(places))) for reader, places in each.items()]
            for each in reading
        ]

        colours: list[bytes] = []
        ancestors: list[int] = []  # bit sets
        for vertex, terms_of in zip(vertices, slots, strict=True):
            sources = (source for terms in terms_of for source, _ in terms)
            ancestors.append(reduce(or_, (ancestors[s] | 1 << s for s in sources), 0))
            count = b"%d;" % ancestors[-1].bit_count()
            colours.append(digest(vertex.label, count))
        classes = 0
        while classes < (classes := len(set(colours))):
            for index, vertex in enumerate(vertices):
                seen = [_joined(colours, terms) for terms in slots[index]]
                if vertex.any_order:
                    seen.sort()
                colours[index] = digest(colours[index], *seen)
            for index in reversed(range(len(vertices))):
                seen = sorted([colours[r] + places for r, places in readers[index]])
                colours[index] = digest(colours[index], *seen)
        return digest(*sorted(colours)).hex()

    def _needed(self, outputs: Sequence[Sum]) -> list[int]:
        """The inputs, and the vertices that outputs need, in order."""
        needed = {index for value in outputs for index in value}
        for index in reversed(range(len(self._vertices))):
            if index in needed:
                needed.update(*self._vertices[index].slots)
        return sorted({*needed, *range(len(self.inputs))})


def total(values: Iterable[Sum]) -> Sum:
    """The sum of values."""
    result: dict[int, int] = {}
    for value in values:
        for vertex, times in value.items():
            result[vertex] = result.get(vertex, 0) + times
    return result


def _joined(colours: Sequence[bytes], terms: Sequence[tuple[int, bytes]]) -> bytes:
    if len(terms) == 1:
        source, times = terms[0]
        return colours[source] + times
    return b"".join(sorted([colours[source] + times for source, times in terms]))


def digest(*parts: bytes) -> bytes:
    """Sixteen bytes that differ where any part differs."""
    # Each part's length first: parts may hold any byte.
    return blake2b(b"".join([b"%d:" % len(part) + part for part in parts]), digest_size=16).digest()
