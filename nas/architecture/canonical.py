"""The canonical order of a small labelled graph: isomorphic graphs, and no others, have one form.

A graph is given by two sequences: ``labels``, the bytes of every vertex, and
``sources``, for every vertex the pairs ``(source, place)`` of what it reads. Sources come before
their readers. A place is a number; edges of unlike places are unlike.

The method is individualisation and refinement (McKay & Piperno 2014, arXiv:1301.1493). Colours
are refined until they distinguish no further vertices. Most graphs of networks are then done: every
vertex has a colour of its own, and the colours are the order. Where vertices still share colours,
the graph falls into components that decide independently (below), and within one component each
vertex of the smallest class is given a colour of its own in turn; the smallest form wins.

Colours are numbers that depend on the graph alone, never on how it is drawn. Should two unlike
vertices ever get equal ones, the search takes longer, and no two graphs are confused: what is
compared in the end is the written graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from hashlib import blake2b

Sources = Sequence[Sequence[tuple[int, int]]]

_MASK = (1 << 64) - 1
_ODD = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio


def canonical_form(labels: Sequence[bytes], sources: Sources) -> bytes:
    """Return the graph written in its canonical order: equal exactly for isomorphic graphs."""
    order = canonical_order(map(_NUMBERS.__getitem__, labels), sources)
    rank = [0] * len(order)
    for index, vertex in enumerate(order):
        rank[vertex] = index
    numbers: list[int] = []
    for vertex in order:
        reads = sources[vertex]
        if len(reads) == 1:
            ((source, place),) = reads
            numbers += len(labels[vertex]), 1, rank[source], place
        else:
            ranked = []
            for source, place in reads:
                ranked.append((rank[source], place))
            ranked.sort()
            numbers += len(labels[vertex]), len(reads)
            for read in ranked:
                numbers += read
    return repr(numbers).encode() + b"".join(map(labels.__getitem__, order))


def canonical_order(colours: Iterable[int], sources: Sources) -> list[int]:
    """Return the vertices in an order that all drawings of the graph share, up to symmetry.

    Args:
        colours: a number for every vertex; only vertices of one colour may be exchanged.
        sources: what every vertex reads.
    """
    return _arranged(*_refined(colours, sources), sources)


def _arranged(colours: Sequence[int], classes: int, sources: Sources) -> list[int]:
    """Return a canonical order of a graph from its refined colours, of which ``classes`` differ."""
    if classes == len(colours):
        return sorted(range(len(colours)), key=colours.__getitem__)
    components = _components(colours, sources)
    if len(components) > 1:
        parts: list[tuple[list[Hashable], list[int]]] = []
        for component in components:
            if len(component) == 1:
                parts.append(([(colours[component[0]],)], component))
                continue
            number = {vertex: index for index, vertex in enumerate(component)}
            inner = [colours[vertex] for vertex in component]
            reads = [
                [(number[s], place) for s, place in sources[vertex] if s in number]
                for vertex in component
            ]
            order = _arranged(inner, len(set(inner)), reads)
            parts.append((_written(order, inner, reads), [component[v] for v in order]))
        return [vertex for _, part in sorted(parts) for vertex in part]
    _, chosen = min((n, colour) for colour, n in Counter(colours).items() if n > 1)
    best = None
    for vertex, colour in enumerate(colours):
        if colour == chosen:
            marked = list(colours)
            marked[vertex] ^= _MASK
            order = _arranged(*_refined(marked, sources), sources)
            found = _written(order, colours, sources), order
            best = found if best is None else min(best, found)
    assert best is not None
    return best[1]


def _components(colours: Sequence[int], sources: Sources) -> list[list[int]]:
    """Return the sets of vertices that only edges of partly connected classes join.

    Where every vertex of one class reads every vertex of another, all in one way, such edges say
    nothing about which vertex is which. Without them the graph falls apart; and since any two
    isomorphic components may be exchanged, each may be ordered by itself.
    """
    sizes = Counter(colours)
    shared = [sizes[colour] > 1 for colour in colours]
    between = [  # an edge between two vertices that are alone in their classes is the only one
        (source, vertex, (colours[source], colours[vertex], place))
        for vertex, reads in enumerate(sources)
        for source, place in reads
        if shared[source] or shared[vertex]
    ]
    edges = Counter([kind for _, _, kind in between])
    leader = list(range(len(colours)))

    def find(vertex: int) -> int:
        while leader[vertex] != vertex:
            leader[vertex] = vertex = leader[leader[vertex]]
        return vertex

    for source, vertex, kind in between:
        if edges[kind] < sizes[kind[0]] * sizes[kind[1]]:
            leader[find(source)] = find(vertex)
    together: dict[int, list[int]] = {}
    for vertex in range(len(colours)):
        together.setdefault(find(vertex), []).append(vertex)
    return list(together.values())


def _written(order: Sequence[int], colours: Sequence[int], sources: Sources) -> list[Hashable]:
    rank = {vertex: index for index, vertex in enumerate(order)}
    return [
        (colours[v], *sorted([(rank[source], place) for source, place in sources[v]]))
        for v in order
    ]


def _refined(colours: Iterable[int], sources: Sources) -> tuple[list[int], int]:
    """Return colours that tell apart all that neighbours of neighbours tell apart.

    The second value is the number of different colours.

    Each round sweeps forward (a colour takes in those of what the vertex reads) and backward
    (those of its readers). Rounds go on until no class splits. The sums make the order of
    neighbours irrelevant.
    """
    colours = list(colours)
    classes = 0
    while True:
        for vertex, reads in enumerate(sources):
            seen = colours[vertex]
            for source, place in reads:
                x = colours[source] + place
                seen += x * x
            seen = seen * _ODD & _MASK
            colours[vertex] = seen ^ seen >> 29
        readers = [0] * len(colours)
        for vertex in range(len(colours) - 1, -1, -1):
            seen = (colours[vertex] + readers[vertex]) * _ODD & _MASK
            colours[vertex] = seen = seen ^ seen >> 31
            for source, place in sources[vertex]:
                x = seen + place
                readers[source] += x * x
        before, classes = classes, len(set(colours))
        if classes == before or classes == len(colours):
            return colours, classes


class _Numbers(dict[bytes, int]):
    """A number for every label, remembered."""

    def __missing__(self, label: bytes) -> int:
        number = int.from_bytes(blake2b(label, digest_size=8).digest())
        if len(self) < 1 << 16:
            self[label] = number
        return number


_NUMBERS = _Numbers()
