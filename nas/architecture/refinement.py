"""The fingerprint of records that earlier versions wrote: colour refinement alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

from nas.architecture.sum_graph import Sum, SumGraph, digest


def refinement_hash(graph: SumGraph, outputs: Sequence[Sum], label: bytes = b"") -> str:
    """Return the 32 hexadecimal digits by which earlier versions told graphs apart.

    It is Weisfeiler-Lehman colour refinement: each round sweeps forward (a vertex's colour takes
    in its inputs' colours) and backward (those of its readers), until no class of equal colours
    splits. Summands count as a multiset. The first colours hold the number of ancestors.

    It is no complete test of isomorphism: a ring of six sums of two layers has the hash of two
    rings of three. It must never change, because records hold it.
    """
    needed = graph.needed(outputs)
    position = {old: new for new, old in enumerate(needed)}
    vertices = [graph.vertices[old] for old in needed]
    vertices.append((digest(b"output", label), outputs, False))
    slots = [
        [[(position[source], b"%d;" % times) for source, times in slot.items()]
         for slot in slots_of]
        for _, slots_of, _ in vertices
    ]  # fmt: skip
    # Per vertex, its readers and the slots in which each reads it: once in both slots of a
    # product is not the same as once in either slot of two products.
    reading: list[dict[int, list[bytes]]] = [{} for _ in vertices]
    for reader, (_, _, any_order) in enumerate(vertices):
        for slot, terms in enumerate(slots[reader]):
            place = b"%d," % (0 if any_order else slot)
            for source, times in terms:
                reading[source].setdefault(reader, []).append(place + times)
    readers = [
        [(reader, b"".join(sorted(places))) for reader, places in each.items()] for each in reading
    ]

    colours: list[bytes] = []
    ancestors: list[int] = []  # bit sets
    for (own, _, _), terms_of in zip(vertices, slots, strict=True):
        sources = (source for terms in terms_of for source, _ in terms)
        ancestors.append(reduce(or_, (ancestors[s] | 1 << s for s in sources), 0))
        count = b"%d;" % ancestors[-1].bit_count()
        colours.append(digest(own, count))
    classes = 0
    while classes < (classes := len(set(colours))):
        for index, (_, _, any_order) in enumerate(vertices):
            seen = [_joined(colours, terms) for terms in slots[index]]
            if any_order:
                seen.sort()
            colours[index] = digest(colours[index], *seen)
        for index in reversed(range(len(vertices))):
            seen = sorted([colours[r] + places for r, places in readers[index]])
            colours[index] = digest(colours[index], *seen)
    return digest(*sorted(colours)).hex()


def _joined(colours: Sequence[bytes], terms: Sequence[tuple[int, bytes]]) -> bytes:
    if len(terms) == 1:
        source, times = terms[0]
        return colours[source] + times
    return b"".join(sorted([colours[source] + times for source, times in terms]))
