"""Identity is isomorphism: on all small graphs, and on redrawn members of every space."""

from collections.abc import Iterator
from itertools import permutations, product
from random import Random

import numpy as np
import pytest

import nas
from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.spaces.cell_graph import CellGraph
from nas.spaces.choices import Choose
from nas.spaces.search_space import SearchSpace
from tests.architecture.test_fingerprint import redrawn

WITH_CELLS = ["amoebanet", "darts", "enas", "nasbench101", "nasbench201", "nasnet", "pnasnet"]
TINY = {
    **{name: {"stages": 2, "cells": 1, "channels": 4}
       for name in ("amoebanet", "darts", "enas", "nasnet", "pnasnet", "nasbench201")},
    "nasbench101": {"stages": 2, "cells": 1, "channels": 60},
}  # fmt: skip
SPACES = [
    *WITH_CELLS, "anynet", "hierarchical", "mnasnet", "mobilenetv3_ofa", "natsbench_size",
    "primitives", "proxylessnas", "regnet", "spos",
]  # fmt: skip


def relabelled(cell: CellGraph, random: Random) -> CellGraph:
    """The same cell, its nodes in another order that goes from input to output."""
    last = len(cell.labels) - 1
    order = list(range(cell.inputs))
    waiting = set(range(cell.inputs, last))
    while waiting:
        free = [
            n
            for n in sorted(waiting)
            if not any(target == n and source in waiting for source, target, _ in cell.edges)
        ]
        order.append(random.choice(free))
        waiting.remove(order[-1])
    order.append(last)
    place = {node: index for index, node in enumerate(order)}
    edges = [(place[source], place[target], label) for source, target, label in cell.edges]
    return CellGraph(
        cell.inputs,
        tuple(cell.labels[node] for node in order),
        tuple(random.sample(edges, len(edges))),
    )


@pytest.mark.parametrize("name", WITH_CELLS)
def test_a_thousand_relabellings_of_cells(name: str) -> None:
    space = nas.space(name)
    rng, random = np.random.default_rng(0), Random(0)
    for _ in range(50):
        for cell in space.cell_graphs(space.sample(rng)).values():
            prints = {relabelled(cell, random).fingerprint for _ in range(20)}
            assert prints == {cell.fingerprint}


@pytest.mark.parametrize("name", SPACES)
def test_redrawn_networks_of_every_space(name: str) -> None:
    space = nas.space(name, (3, 32, 32), 10, **TINY.get(name, {}))
    rng = np.random.default_rng(1)
    for seed in range(5):
        architecture = space.decode(space.sample(rng))
        for redrawing in range(4):
            again = redrawn(architecture, Random(seed * 4 + redrawing))
            assert again.fingerprint == architecture.fingerprint


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_a_thousand_redrawn_networks_of_every_space(name: str) -> None:
    space = nas.space(name, (3, 32, 32), 10, **TINY.get(name, {}))
    rng = np.random.default_rng(2)
    for seed in range(50):
        architecture = space.decode(space.sample(rng))
        for redrawing in range(20):
            again = redrawn(architecture, Random(seed * 20 + redrawing))
            assert again.fingerprint == architecture.fingerprint


def test_isomorphic_cells_of_nasbench101_make_one_network() -> None:
    """Of 60 channels, which two to five vertices share evenly, so that none gets one more."""
    space = nas.space("nasbench101", (3, 8, 8), 2, **TINY["nasbench101"])
    rng, random = np.random.default_rng(3), Random(3)
    vertices = range(7)
    for _ in range(100):
        genotype = space.sample(rng)
        edges = [(a, b) for b in vertices for a in range(b) if genotype[f"edge{a}-{b}"]]
        drawn = CellGraph(
            1,
            ("", *(str(genotype[f"vertex{v}"]) for v in range(1, 6)), ""),
            tuple((a, b, "") for a, b in edges),
        )
        other = relabelled(drawn, random)
        present = {(a, b) for a, b, _ in other.edges}
        again = {name: genotype[name] for name in genotype}
        again |= {f"edge{a}-{b}": int((a, b) in present) for b in vertices for a in range(b)}
        again |= {f"vertex{v}": other.labels[v] for v in range(1, 6)}
        assert space.identity(again) == space.identity(genotype)
        assert space.decode(again).fingerprint == space.decode(genotype).fingerprint


def test_the_smallest_pair_that_was_told_apart() -> None:
    """Two vertices between input and output, with their operations exchanged."""
    space = nas.space("nasbench101", (3, 8, 8), 2)
    text = (
        '{{"matrix":[[0,1,1,0],[0,0,0,1],[0,0,0,1],[0,0,0,0]],"ops":["input","{}","{}","output"]}}'
    )
    operations = ["conv3x3-bn-relu", "maxpool3x3"]
    one, two = (space.from_string(text.format(*pair)) for pair in permutations(operations))
    assert space.identity(one) == space.identity(two)
    assert space.decode(one).fingerprint == space.decode(two).fingerprint


def test_identity_tells_one_from_one_point_zero() -> None:
    def asks(choose: Choose) -> Architecture:
        g = Builder((4,))
        given = choose("x", [1, 1.0])
        return g.build(g.relu(g.input) if isinstance(given, int) else g.linear(g.input, 4))

    space = SearchSpace(asks, "numbers")
    assert space.identity({"x": 1}) != space.identity({"x": 1.0}) != space.identity({"x": 1})
    assert space.identity({"x": 1.0}) == space.decode({"x": 1.0}).fingerprint


# --- all small graphs ---

UNLABELLED = {1: 1, 2: 2, 3: 6, 4: 31, 5: 302, 6: 5984}
"""Directed acyclic graphs without labels (Robinson 1977; OEIS A003087)."""
OPERATIONS = ("conv", "pool", "norm")


def classes(vertices: int) -> Iterator[tuple[np.ndarray, list[tuple[int, ...]]]]:
    """One adjacency matrix of every unlabelled graph, and its symmetries, by trying all orders."""
    pairs = [(a, b) for b in range(vertices) for a in range(b)]
    numbers = np.arange(1 << len(pairs))
    matrices = np.zeros((len(numbers), vertices, vertices), np.int64)
    for bit, (a, b) in enumerate(pairs):
        matrices[:, a, b] = numbers >> bit & 1
    powers = 1 << np.arange(vertices**2).reshape(vertices, vertices)
    orders = list(permutations(range(vertices)))
    forms = np.stack(
        [np.einsum("nij,ij->n", matrices[:, order][:, :, order], powers) for order in orders]
    )
    own = np.einsum("nij,ij->n", matrices, powers)
    _, first = np.unique(forms.min(axis=0), return_index=True)
    for index in first:
        same = np.flatnonzero(forms[:, index] == own[index])
        yield matrices[index], [orders[order] for order in same]


def coloured(vertices: int) -> Iterator[CellGraph]:
    """One cell of every isomorphism class: each vertex has one of three operations.

    What reads nothing reads the cell's input, and what nothing reads enters its output.
    """
    colours = np.array(list(product(range(3), repeat=vertices)))
    powers = 3 ** np.arange(vertices)
    for matrix, symmetries in classes(vertices):
        orbits = np.min([colours[:, order] @ powers for order in symmetries], axis=0)
        _, first = np.unique(orbits, return_index=True)
        edges = [(a + 1, b + 1, "") for a, b in np.argwhere(matrix).tolist()]
        edges += [(0, b + 1, "") for b in np.flatnonzero(~matrix.any(axis=0)).tolist()]
        edges += [(a + 1, vertices + 1, "") for a in np.flatnonzero(~matrix.any(axis=1)).tolist()]
        for each in colours[first].tolist():
            yield CellGraph(1, ("", *(OPERATIONS[c] for c in each), ""), tuple(edges))


@pytest.mark.parametrize(
    "vertices",
    [1, 2, 3, 4, pytest.param(5, marks=pytest.mark.slow),
     pytest.param(6, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])],
)  # fmt: skip
def test_no_two_classes_of_small_graphs_collide(vertices: int) -> None:
    assert sum(1 for _ in classes(vertices)) == UNLABELLED[vertices]
    prints = [bytes.fromhex(cell.fingerprint) for cell in coloured(vertices)]
    assert len(set(prints)) == len(prints)
