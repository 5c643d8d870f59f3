"""Spaces' speed, side by side in one run. Run: ``python -m tests.benchmarks.spaces``.

What a search does with a genotype of NAS-Bench-201 (draw, decode, count, identify) against what it
costs to build the module and count it with fvcore; and identity against networkx.
"""

import time
from collections.abc import Callable, Iterator

import networkx as nx
import numpy as np
from fvcore.nn import FlopCountAnalysis
from torch import zeros

import nas
from nas.architecture.operations.base import infer
from tests.benchmarks.core import row, timed


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Mean seconds of a call."""
    started = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - started) / repeats


def genotypes() -> Iterator[None]:
    """The steps of one genotype, and the sum of them against fvcore."""
    space = nas.space("nasbench201")
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(100)]
    built = [space.decode(genotype) for genotype in drawn]
    network = nas.compile(built[0])
    example = zeros(1, *built[0].input_shape)

    def fvcore() -> None:
        compiled = nas.compile(next(again)).eval()
        FlopCountAnalysis(compiled, example).unsupported_ops_warnings(False).total()

    again = iter(built * 9)
    module = timed(fvcore, 9)
    counts = iter([space.decode(genotype) for genotype in drawn])
    hashed = iter(built)
    fresh = nas.space("nasbench201")
    cells = iter(drawn)

    def cold() -> object:
        infer.cache_clear()
        architecture = space.decode(space.sample(rng))
        return architecture.cost, architecture.fingerprint

    def whole() -> object:
        architecture = space.decode(space.sample(rng))
        return architecture.cost, architecture.fingerprint

    print("| step of one NAS-Bench-201 genotype | ms |\n|---|---|")
    for what, step in (
        ("sample", lambda: space.sample(rng)),
        ("mutate", lambda: space.mutate(drawn[0], rng)),
        ("identity of its cell", lambda: fresh.identity(next(cells))),
        ("decode: a graph of about 210 nodes", lambda: space.decode(drawn[0])),
        ("cost of the graph", lambda: next(counts).cost),
        ("fingerprint of the graph", lambda: next(hashed).fingerprint),
    ):
        print(f"| {what} | {1e3 * seconds(step, 100):.4f} |")
    print(
        f"| module of {len(network.graph.nodes)} calls, compiled, and fvcore | {1e3 * module:.1f} |"
    )
    print("\n| ours / theirs | ours, ms | theirs, ms | theirs / ours |\n|---|---|---|---|")
    row("sample + decode + cost + fingerprint / module and fvcore", seconds(whole, 100), module)
    row("the same, no rule remembered / the same", seconds(cold, 100), module)
    row("sample + identity of the cell / the same",
        seconds(lambda: fresh.identity(fresh.sample(rng)), 300), module)  # fmt: skip
    yield


def identity() -> None:
    """Our fingerprint of a cell against networkx's Weisfeiler-Lehman hash of its graph."""
    space = nas.space("nasbench101")
    rng = np.random.default_rng(1)
    cells = [next(iter(space.cell_graphs(space.sample(rng)).values())) for _ in range(300)]
    graphs = []
    for cell in cells:
        graph = nx.DiGraph([(a, b) for a, b, _ in cell.edges])
        for node, label in enumerate(cell.labels):
            graph.add_node(node, label=label)
        graphs.append(graph)
    ours, theirs = iter(cells * 2), iter(graphs * 2)
    row(
        "fingerprint of a NAS-Bench-101 cell / networkx's hash, 3 rounds",
        seconds(lambda: next(ours).fingerprint, 300),
        seconds(lambda: nx.weisfeiler_lehman_graph_hash(next(theirs), node_attr="label"), 300),
    )


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
    for _ in genotypes():
        identity()
    collisions()
