"""Spaces' speed, side by side in one run. Run: ``python -m tests.benchmarks.spaces``.

What a search does with a genotype of NAS-Bench-201 (draw, decode, count, identify) against what it
costs to build the module and count it with fvcore; and identity against networkx.
"""

from collections.abc import Callable, Iterator
from itertools import cycle
from statistics import median

import networkx as nx
import numpy as np
from fvcore.nn import FlopCountAnalysis
from torch import zeros

import nas
from nas.architecture import writer
from nas.architecture.operations.base import infer
from tests.benchmarks.measure import interleaved, spread, watched

ROUNDS = 15


def genotypes() -> None:
    """The steps of one genotype, and the sum of them against fvcore."""
    space = nas.space("nasbench201")
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(200)]
    built = [space.decode(genotype) for genotype in drawn]
    example = zeros(1, *built[0].input_shape)
    again, cells = cycle(built), cycle(drawn)

    def fvcore() -> None:
        compiled = nas.compile(next(again)).eval()
        FlopCountAnalysis(compiled, example).unsupported_ops_warnings(False).total()

    def fresh(attribute: str) -> Callable[[], object]:
        """The attribute, computed anew."""
        graphs: Iterator[nas.Architecture] = cycle(built)

        def read() -> object:
            graph = next(graphs)
            graph.__dict__.pop(attribute, None)
            return getattr(graph, attribute)

        return read

    def identity() -> str:
        space._identities.clear()
        return space.identity(next(cells))

    def whole() -> object:
        architecture = space.decode(space.sample(rng))
        return architecture.cost, architecture.fingerprint

    def cold() -> object:
        infer.cache_clear()
        writer._PARTS.clear()
        return whole()

    steps = {
        "sample": (lambda: space.sample(rng), 200),
        "mutate": (lambda: space.mutate(drawn[0], rng), 200),
        "identity of its cell": (identity, 100),
        "decode a new genotype": (lambda: space.decode(space.sample(rng)), 20),
        "cost of the graph": (fresh("cost"), 100),
        "fingerprint of the graph": (fresh("fingerprint"), 20),
        "sample + decode + cost + fingerprint": (whole, 20),
        "the same, nothing remembered": (cold, 5),
        "module, compiled, and fvcore": (fvcore, 1),
    }
    seconds = interleaved(steps, ROUNDS)
    theirs = median(seconds["module, compiled, and fvcore"])
    print("| step of one NAS-Bench-201 genotype | ms: median [quartiles] | fvcore / it |")
    print("|---|---|---|")
    for name, each in seconds.items():
        print(f"| {name} | {spread(each)} | {theirs / median(each):,.1f} |")


def identity() -> None:
    """The fingerprint of a cell against networkx's Weisfeiler-Lehman hash of its graph."""
    space = nas.space("nasbench101")
    rng = np.random.default_rng(1)
    cells = []
    while len(cells) < 300:
        (cell,) = space.cell_graphs(space.sample(rng)).values()
        if len(cell.labels) == 7:
            cells.append(cell)
    graphs = []
    for cell in cells:
        graph = nx.DiGraph([(a, b) for a, b, _ in cell.edges])
        for node, label in enumerate(cell.labels):
            graph.add_node(node, label=label)
        graphs.append(graph)
    ours, theirs = cycle(cells), cycle(graphs)
    seconds = interleaved(
        {
            "fingerprint of a NAS-Bench-101 cell of 7 vertices": (
                lambda: next(ours).fingerprint,
                300,
            ),
            "networkx's hash of it, 3 rounds": (
                lambda: nx.weisfeiler_lehman_graph_hash(next(theirs), node_attr="label"),
                100,
            ),
        },
        ROUNDS,
    )
    print("\n| identity | microseconds: median [quartiles] |\n|---|---|")
    for name, each in seconds.items():
        print(f"| {name} | {spread(each, 1e6)} |")


def collisions() -> None:
    """Two chains that differ in the middle: three rounds do not see from end to end."""

    def chain(swapped: bool) -> tuple[nas.Architecture, nx.DiGraph]:
        g = nas.Builder((4,))
        graph = nx.DiGraph()
        ends = []
        # Two long branches; in one graph their heads are exchanged.
        for head, tail in (("relu", "tanh"), ("tanh", "relu")):
            x = g.activation(g.input, tail if swapped else head)
            names = [x.name]
            graph.add_edge("input", x.name)
            graph.nodes[x.name]["label"] = tail if swapped else head
            for _ in range(8):
                x = g.linear(x, 4)
                graph.add_edge(names[-1], x.name)
                graph.nodes[x.name]["label"] = "linear"
                names.append(x.name)
            y = g.activation(x, tail)
            graph.add_edge(x.name, y.name)
            graph.nodes[y.name]["label"] = tail
            ends.append(y)
        total = g.add(*ends)
        for end in ends:
            graph.add_edge(end.name, total.name)
        graph.nodes["input"]["label"], graph.nodes[total.name]["label"] = "input", "add"
        return g.build(total), graph

    (a, graph_a), (b, graph_b) = chain(False), chain(True)
    theirs = [nx.weisfeiler_lehman_graph_hash(g, node_attr="label") for g in (graph_a, graph_b)]
    exact = nx.is_isomorphic(graph_a, graph_b, node_match=lambda m, n: m["label"] == n["label"])
    print(
        f"\nTwo branches of ten nodes whose heads are exchanged: isomorphic {exact}; equal by "
        f"networkx's hash of 3 rounds {theirs[0] == theirs[1]}; equal by our fingerprint "
        f"{a.fingerprint == b.fingerprint}."
    )


if __name__ == "__main__":
    with watched():
        genotypes()
        identity()
        collisions()
