"""Hierarchical motifs: sizes by brute force, counts by hand, and what is not connected."""

from itertools import product
from typing import Any

import networkx as nx
import numpy as np
import pytest

import nas
from nas.errors import InputError
from nas.spaces.choices import Genotype
from nas.spaces.search_space import SearchSpace, Size

EDGES = {nodes: [(s, t) for t in range(1, nodes) for s in range(t)] for nodes in (2, 3, 4, 5)}


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return nas.space("hierarchical")


def reaches(nodes: int, edges: list[tuple[int, int]]) -> bool:
    graph = nx.DiGraph(edges)
    graph.add_nodes_from(range(nodes))
    return bool(nx.has_path(graph, 0, nodes - 1))


@pytest.mark.parametrize(
    ("motifs", "motif_nodes", "cell_nodes", "operations"),
    [(1, 2, 4, 1), (2, 2, 3, 2), (1, 3, 3, 2), (2, 3, 3, 1), (3, 2, 3, 1)],
)
def test_the_size_is_that_of_brute_force(
    motifs: int, motif_nodes: int, cell_nodes: int, operations: int
) -> None:
    """Every way to label the edges, of which those count whose cell has a path in networkx."""
    names = [f"motif{number}" for number in range(1, motifs + 1)]
    within, between = EDGES[motif_nodes], EDGES[cell_nodes]
    count = 0
    for labels in product(range(operations + 1), repeat=len(within) * motifs):
        live = set()
        for number, name in enumerate(names):
            own = labels[number * len(within) : (number + 1) * len(within)]
            if reaches(motif_nodes, [e for e, label in zip(within, own, strict=True) if label]):
                live.add(name)
        for chosen in product(["none", *names], repeat=len(between)):
            edges = [e for e, name in zip(between, chosen, strict=True) if name in live]
            count += reaches(cell_nodes, edges)
    space = nas.space(
        "hierarchical", motifs=motifs, motif_nodes=motif_nodes, cell_nodes=cell_nodes,
        operations=["identity", "conv_1x1"][:operations],
    )  # fmt: skip
    assert space.size() == Size(count, exact=True)
    assert sum(1 for _ in space.enumerate()) == count


def test_the_size_of_the_papers_space(space: SearchSpace) -> None:
    """46 edges of 7 options: six motifs of 4 states, a cell of 5. Nearly all are connected."""
    genotype = space.sample(np.random.default_rng(0))
    assert len(genotype) == 6 * 6 + 10
    assert 0.997 < space.size().count / 7**46 < 0.998


def test_evolutions_network_has_the_published_parameters() -> None:
    """15.7 million (Liu et al. 2019, arXiv:1806.09055, table 1)."""
    space = nas.space("hierarchical", channels=64, cells=2)
    assert round(space.decode(space.member("evolution")).cost.params / 1e6, 1) == 15.7


def one_motif(**edges: str) -> Genotype:
    """Of a space of one motif of three states and a cell of one edge."""
    names = {"a": "edge0-1", "b": "edge0-2", "c": "edge1-2"}
    return {f"motif1.{names[n]}": edges.get(n, "none") for n in names} | {"cell.edge0-1": "motif1"}


@pytest.fixture(scope="module")
def simple() -> SearchSpace:
    return nas.space(
        "hierarchical", (3, 8, 8), 10, motifs=1, motif_nodes=3, cell_nodes=2, channels=6, stages=1
    )


@pytest.mark.parametrize(
    ("edges", "params", "enters"),
    [  # what the motif's primitives hold, and the channels that its last convolution sees
        ({"b": "conv_1x1"}, 6 * 6 + 12, 6),
        ({"b": "depthwise_3x3"}, 9 * 6 + 12, 6),
        ({"b": "separable_3x3"}, 9 * 6 + 6 * 6 + 12, 6),
        ({"b": "max_pool_3x3"}, 0, 6),
        ({"b": "avg_pool_3x3"}, 0, 6),
        ({"b": "identity"}, 0, 6),
        ({"a": "conv_1x1", "c": "depthwise_3x3"}, 6 * 6 + 12 + 9 * 6 + 12, 6),
        # Two edges enter the last state: their channels stand side by side.
        ({"a": "conv_1x1", "b": "identity", "c": "identity"}, 6 * 6 + 12, 12),
        ({"a": "identity", "b": "separable_3x3", "c": "conv_1x1"}, 2 * 48 + 9 * 6, 12),
        # What does not reach the last state, or starts at none, is not there.
        ({"a": "conv_1x1", "b": "identity"}, 0, 6),
        ({"b": "identity", "c": "conv_1x1"}, 0, 6),
    ],
)
def test_parameters_by_hand(
    simple: SearchSpace, edges: dict[str, str], params: int, enters: int
) -> None:
    stem = 9 * 3 * 6 + 12
    last = enters * 6 + 12
    behind = 9 * 6 + 6 * 6 + 12  # the separable convolution behind the cell
    found = simple.decode(one_motif(**edges)).cost.params
    assert found == stem + params + last + behind + 6 * 10 + 10


def test_stages_halve_the_map_and_double_the_channels() -> None:
    space = nas.space("hierarchical", (3, 16, 16), 10, channels=4, cells=2)
    shapes = space.decode(space.member("evolution")).shapes
    behind = [s for n, s in shapes.items() if n.startswith("separable") and n.endswith("relu1")]
    assert behind == [(4, 16, 16), (8, 8, 8), (8, 8, 8), (16, 4, 4), (16, 4, 4), (16, 4, 4)]


def test_a_motif_without_a_path_is_none(space: SearchSpace) -> None:
    small = nas.space("hierarchical", (3, 8, 8), 10, channels=4, stages=1)
    genotype = small.member("evolution")
    dead = genotype | {f"motif1.edge{source}-3": "none" for source in range(3)}
    cell = {name: option for name, option in dead.items() if option != "motif1"}
    removed = dead | {name: "none" for name in dead if name not in cell}
    assert small.decode(dead) == small.decode(removed)
    assert small.identity(dead) == small.identity(removed) != small.identity(genotype)


def test_a_cell_without_a_path_is_infeasible(simple: SearchSpace) -> None:
    for genotype in (one_motif(a="conv_1x1"), one_motif(b="identity") | {"cell.edge0-1": "none"}):
        with pytest.raises(InputError, match="nothing enters the output of the cell"):
            simple.decode(genotype)
    rejected = nas.space("hierarchical", motifs=1, motif_nodes=2, cell_nodes=2)
    for seed in range(30):
        rejected.sample(np.random.default_rng(seed))
    assert set(rejected.rejected) == {"disconnected"}


def test_a_motif_that_no_edge_takes_does_not_matter(space: SearchSpace) -> None:
    genotype = space.member("evolution")
    assert "motif6" not in genotype.values()
    changed = genotype | {"motif6.edge0-1": "conv_1x1"}
    assert space.identity(changed) == space.identity(genotype)


def test_cells_are_the_motifs_and_what_is_made_of_them(space: SearchSpace) -> None:
    graphs = space.cell_graphs(space.member("evolution"))
    assert list(graphs) == [*(f"motif{number}" for number in range(1, 7)), "cell"]
    assert [len(graph.labels) for graph in graphs.values()] == [4] * 6 + [5]
    assert graphs["motif5"].edges[0] == (0, 1, "skip_connect")
    assert ("input0", "motif5", "motif1", "motif5") in set(graphs["cell"].paths())


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"operations": ["conv_3x3"]}, ["operations.0", "unknown block 'conv_3x3'"]),
        ({"operations": []}, ["operations", "at least 1 item"]),
        ({"cell_nodes": 1}, ["cell_nodes", "got 1"]),
        ({"motif_nodes": 7}, ["motif_nodes", "got 7"]),
        ({"motifs": 0}, ["motifs", "got 0"]),
    ],
)
def test_a_mistake_in_a_space_file_is_named(changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        nas.space("hierarchical", **changes)
    for part in ["hierarchical.yaml", *parts]:
        assert part in str(caught.value)
