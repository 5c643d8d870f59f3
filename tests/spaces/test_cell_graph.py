"""Cells as small graphs: their paths, and an identity that agrees with that of networks."""

from itertools import product

import numpy as np

from nas.architecture.builder import Builder
from nas.spaces.cell_graph import CellGraph

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Of a cell of four nodes, as in NAS-Bench-201."""
OPERATIONS = ("none", "skip_connect", "relu", "batch_norm")


def cell(operations: tuple[str, ...]) -> CellGraph:
    edges = [(*edge, operation) for edge, operation in zip(EDGES, operations, strict=True)]
    return CellGraph(1, ("",) * 4, tuple(edges))


def network_fingerprint(operations: tuple[str, ...]) -> str:
    g = Builder((3, 4, 4))
    make = {"none": g.zero, "skip_connect": g.identity, "relu": g.relu, "batch_norm": g.batch_norm}
    states = [g.input]
    for node in range(1, 4):
        entering = [
            make[operation](states[source])
            for (source, target), operation in zip(EDGES, operations, strict=True)
            if target == node
        ]
        states.append(g.add(*entering))
    return g.build(states[-1]).fingerprint


def test_cells_and_the_networks_of_them_have_one_partition() -> None:
    drawn = np.random.default_rng(0).permutation(list(product(OPERATIONS, repeat=6)))[:1500]
    cells, networks = {}, {}
    for operations in map(tuple, drawn):
        print_of_cell, print_of_network = (
            cell(operations).fingerprint,
            network_fingerprint(operations),
        )
        assert cells.setdefault(print_of_cell, print_of_network) == print_of_network
        assert networks.setdefault(print_of_network, print_of_cell) == print_of_cell
    assert 100 < len(cells) < 1400


def test_neither_the_order_of_edges_nor_of_parallel_nodes_matters() -> None:
    one = CellGraph(1, ("", "a", "b", ""), ((0, 1, ""), (0, 2, ""), (1, 3, ""), (2, 3, "")))
    two = CellGraph(1, ("", "b", "a", ""), ((2, 3, ""), (1, 3, ""), (0, 2, ""), (0, 1, "")))
    other = CellGraph(1, ("", "b", "a", ""), ((2, 3, ""), (0, 2, ""), (0, 1, ""), (1, 2, "")))
    assert one.fingerprint == two.fingerprint != other.fingerprint


def test_inputs_are_told_apart() -> None:
    first, second = (CellGraph(2, ("", "", ""), ((source, 2, "conv"),)) for source in (0, 1))
    assert first.fingerprint != second.fingerprint


def test_paths() -> None:
    graph = cell(("relu", "none", "batch_norm", "relu", "skip_connect", "relu"))
    assert list(graph.paths()) == [
        ("input0", "relu", "batch_norm", "relu"),
        ("input0", "relu", "skip_connect"),
        ("input0", "relu"),
    ]
    labelled = CellGraph(2, ("", "", "conv", ""), ((0, 2, ""), (1, 2, ""), (2, 3, ""), (1, 3, "")))
    assert list(labelled.paths()) == [("input0", "conv"), ("input1", "conv"), ("input1",)]
