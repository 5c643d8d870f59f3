"""The fingerprint's classes on whole families of graphs, against isomorphism by brute force."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import groupby, permutations, product

import pytest

from nas.architecture.graph import Architecture
from nas.architecture.node import INPUT, Node
from nas.architecture.operations import Activation, Add, BatchNorm, Multiply, Operation

Labels = tuple[int, ...]
Edges = frozenset[tuple[int, int, int]]  # from, to, how often
Family = Iterator[tuple[Architecture, Labels, Edges]]


def canonical(labels: Labels, edges: Edges) -> object:
    """The smallest drawing over all orders of the vertices that keep the labels ascending."""
    vertices = sorted(range(len(labels)), key=labels.__getitem__)
    by_label = [list(group) for _, group in groupby(vertices, labels.__getitem__)]
    drawings = []
    for orders in product(*map(permutations, by_label)):
        rank = {vertex: index for index, vertex in enumerate(v for order in orders for v in order)}
        drawings.append(sorted((rank[a], rank[b], times) for a, b, times in edges))
    return sorted(labels), min(drawings)


def assert_same_partition(family: Family) -> int:
    """Equal fingerprints where brute force finds an isomorphism, and nowhere else.

    Returns the number of classes.
    """
    prints, graphs = defaultdict(set), defaultdict(set)
    for architecture, labels, edges in family:
        form = repr(canonical(labels, edges))
        prints[form].add(architecture.fingerprint)
        graphs[architecture.fingerprint].add(form)
    assert max(map(len, prints.values())) == 1, "one graph has two fingerprints"
    assert max(map(len, graphs.values())) == 1, "two graphs share a fingerprint"
    return len(prints)


THREE = [Activation("relu"), Activation("tanh"), BatchNorm()]


def cells(vertices: int) -> Family:
    """All labelled cells of NAS-Bench-101's kind, with no limit on edges.

    Vertex 0 is the input, the last one the output, those between have one of three operations.
    An edge goes from a lower vertex to a higher, at most one a pair, and every vertex lies on a
    path from input to output. A vertex with several inputs applies its operation to their sum.
    """
    pairs = [(a, b) for b in range(vertices) for a in range(b)]
    last = vertices - 1
    for chosen in product((False, True), repeat=len(pairs)):
        edges = [pair for pair, taken in zip(pairs, chosen, strict=True) if taken]
        sources, targets = {a for a, _ in edges}, {b for _, b in edges}
        if len(sources) < last or len(targets) < last:
            continue  # some vertex leads nowhere or comes from nowhere
        for operations in product(range(3), repeat=vertices - 2):
            nodes, names = [], [INPUT]
            for vertex in range(1, vertices):
                inputs = tuple(names[a] for a, b in edges if b == vertex)
                if len(inputs) > 1:
                    nodes.append(Node(f"sum{vertex}", Add(), inputs))
                    inputs = (f"sum{vertex}",)
                if vertex < last:
                    nodes.append(Node(f"v{vertex}", THREE[operations[vertex - 1]], inputs))
                    inputs = (f"v{vertex}",)
                names += inputs
            labels = (-1, *operations, 3)
            counted = frozenset((a, b, 1) for a, b in edges)
            yield Architecture((1,), nodes, names[-1:]), labels, counted


def test_all_cells_of_up_to_five_vertices() -> None:
    """1 + 6 + 84 + 2,468 = 2,559 classes of 3,391 labelled cells.

    NAS-Bench-101 (Ying et al. 2019) has 27 fewer: those of all ten edges, over its limit of nine.
    """
    counts = [assert_same_partition(cells(vertices)) for vertices in range(2, 6)]
    assert counts == [1, 6, 84, 2468]
    assert sum(counts) == 2559


def pair_graphs() -> Family:
    """Five nodes: two equal layers, then three sums or products of any two, even twice the same.

    Unlike cells these have double edges. Sums are flattened into their readers, with how often
    each layer or product is in them; what the last node does not need is pruned.
    """
    kinds: list[Operation] = [Add(), Multiply()]

    def choices(earlier: int) -> list[tuple[int, int, int]]:
        return [(k, a, b) for k in range(2) for b in range(earlier) for a in range(b + 1)]

    for chosen in product(choices(3), choices(4), choices(5)):
        nodes = [Node(f"v{v}", THREE[0], (INPUT,)) for v in (1, 2)]
        values = [Counter({v: 1}) for v in range(3)]
        # A product's two factors are vertices of their own: which of them reads what matters.
        labels = {0: 0, 1: 1, 2: 1}
        reads: dict[int, Counter[int]] = {1: values[0], 2: values[0]}
        for v, (kind, a, b) in enumerate(chosen, start=3):
            sources = tuple(INPUT if s == 0 else f"v{s}" for s in (a, b))
            nodes.append(Node(f"v{v}", kinds[kind], sources))
            if kind == 0:
                values.append(values[a] + values[b])
                continue
            factors = [10 * v, 10 * v + 1]
            for factor, source in zip(factors, (a, b), strict=True):
                labels[factor], reads[factor] = 2, values[source]
            labels[v], reads[v] = 3, Counter(factors)
            values.append(Counter({v: 1}))
        labels[99], reads[99] = 4, values[5]  # the output
        needed = {0}
        todo = [99]
        while todo:
            if (vertex := todo.pop()) not in needed:
                needed.add(vertex)
                todo += reads[vertex]
        number = {vertex: i for i, vertex in enumerate(sorted(needed))}
        edges = frozenset(
            (number[source], number[vertex], times)
            for vertex in needed - {0}
            for source, times in reads[vertex].items()
        )
        architecture = Architecture((1,), nodes, ["v5"])
        yield architecture, tuple(labels[vertex] for vertex in sorted(needed)), edges


@pytest.mark.slow
def test_all_pair_graphs() -> None:
    assert_same_partition(pair_graphs())
