"""NAS-Bench-201: its counts, its tables, its strings, and the classes of equal cells."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from nats_bench.genotype_utils import TopologyStructure
from torch import nn

import nas
from nas.architecture.cost import Cost
from nas.architecture.reference import reference_cost
from nas.errors import InputError
from nas.spaces import spaces
from nas.spaces.choices import Genotype
from nas.spaces.families.edge_cell import paper_string
from nas.spaces.search_space import SearchSpace
from tests.data import DATA

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
CELLS = tuple(product(OPERATIONS, repeat=len(EDGES)))
"""All cells of the space, each as the operations of its six edges."""


def genotype_of(operations: Iterable[str]) -> Genotype:
    return {f"edge{s}-{t}": o for (s, t), o in zip(EDGES, operations, strict=True)}


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return nas.space("nasbench201")


@pytest.fixture(scope="module")
def genotypes(space: SearchSpace) -> list[Genotype]:
    return list(space.enumerate())


@pytest.fixture(scope="module")
def table(shared_data: Path) -> pd.DataFrame:
    return pd.read_csv(shared_data / "nb201_accuracy.csv.gz", dtype={"op_code": str})


def assert_one_partition(one: Iterable[Hashable], other: Iterable[Hashable]) -> int:
    """Both name the same classes; returns how many."""
    pairs = set(zip(one, other, strict=True))
    assert len({a for a, _ in pairs}) == len(pairs) == len({b for _, b in pairs})
    return len(pairs)


def test_all_15625_genotypes_and_24_neighbours(
    space: SearchSpace, genotypes: list[Genotype]
) -> None:
    assert genotypes == [genotype_of(each) for each in product(OPERATIONS, repeat=6)]
    assert (space.size().count, space.size().exact) == (15_625, True)
    neighbors = list(space.neighbors(genotypes[4321]))
    assert len(neighbors) == 24
    assert len({tuple(n.values()) for n in neighbors}) == 24


def as_the_authors_hold(cell: Iterable[str]) -> TopologyStructure:
    """The cell as an object of ``nats_bench``: for each node, its operations and their inputs."""
    inputs: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for (source, target), operation in zip(EDGES, cell, strict=True):
        inputs[target].append((operation, source))
    return TopologyStructure(list(inputs.values()))


def test_strings_are_those_of_the_authors(space: SearchSpace) -> None:
    """All 15,625, as the code of ``nats_bench`` writes them."""
    strings = set()
    for cell in CELLS:
        genotype, text = genotype_of(cell), as_the_authors_hold(cell).tostr()
        assert space.to_string(genotype) == text
        assert space.from_string(text) == genotype
        strings.add(text)
    assert len(strings) == space.size().count


# --- identity ---


def reduced(operations: tuple[str, ...]) -> nx.DiGraph:
    """What a cell computes, as a graph of its operations; edges have a multiplicity.

    Built from the number of ways that lead from state to state over identities alone, which are
    the entries of (1 - S)^-1 where S is the matrix of identities.
    """
    identities = np.zeros((4, 4), dtype=int)
    for (source, target), operation in zip(EDGES, operations, strict=True):
        identities[source, target] = operation == "skip_connect"
    ways = sum(np.linalg.matrix_power(identities, power) for power in range(4))
    graph = nx.DiGraph()
    graph.add_node("input", label="input", state_read=None, state_written=0)
    graph.add_node("output", label="output", state_read=3, state_written=None)
    for edge, operation in zip(EDGES, operations, strict=True):
        if operation not in ("none", "skip_connect"):
            graph.add_node(edge, label=operation, state_read=edge[0], state_written=edge[1])
    for (a, writer), (b, reader) in product(graph.nodes.items(), repeat=2):
        if writer["state_written"] is not None and reader["state_read"] is not None:
            times = int(ways[writer["state_written"], reader["state_read"]])
            if times:
                graph.add_edge(a, b, times=times)
    used = nx.descendants(graph, "input") & nx.ancestors(graph, "output")
    return graph.subgraph({"input", "output"} | used)


def surroundings(graph: nx.DiGraph) -> Hashable:
    """Equal for isomorphic graphs, cheap, and equal for few others."""
    label = nx.get_node_attributes(graph, "label")
    return frozenset(
        Counter(
            (
                label[node],
                tuple(sorted((label[a], times) for a, _, times in graph.in_edges(node, "times"))),
                tuple(sorted((label[b], times) for _, b, times in graph.out_edges(node, "times"))),
            )
            for node in graph
        ).items()
    )


def isomorphism_classes(cells: Iterable[tuple[str, ...]]) -> list[int]:
    """The number of each cell's class."""
    known: dict[Hashable, int] = {}
    buckets: dict[Hashable, list[tuple[nx.DiGraph, int]]] = defaultdict(list)
    classes, answer = 0, []
    for operations in cells:
        graph = reduced(operations)
        drawing = (
            frozenset(graph.nodes.data("label")),
            frozenset(graph.edges.data("times")),
        )
        if drawing not in known:
            bucket = buckets[surroundings(graph)]
            for other, number in bucket:
                if nx.is_isomorphic(
                    graph,
                    other,
                    node_match=lambda a, b: a["label"] == b["label"],
                    edge_match=lambda a, b: a["times"] == b["times"],
                ):
                    known[drawing] = number
                    break
            else:
                known[drawing] = classes
                bucket.append((graph, classes))
                classes += 1
        answer.append(known[drawing])
    return answer


@pytest.mark.slow
def test_identity_makes_the_5425_classes_of_exact_isomorphism(
    space: SearchSpace, genotypes: list[Genotype]
) -> None:
    """VF2 of networkx: labels of operations, multiplicities of edges, no zeros, no identities."""
    identities = [space.identity(genotype) for genotype in genotypes]
    classes = isomorphism_classes([tuple(map(str, g.values())) for g in genotypes])
    assert assert_one_partition(identities, classes) == 5425


@pytest.mark.parametrize(("cells", "classes"), [(1, 120), (5, 6)])
def test_networks_are_equal_exactly_where_cells_are(
    genotypes: list[Genotype], cells: int, classes: int
) -> None:
    """Of some classes, as many as three genotypes each: fingerprints of the whole network."""
    space = nas.space("nasbench201", cells=cells)
    members: dict[str, list[Genotype]] = defaultdict(list)
    for index in np.random.default_rng(1).permutation(len(genotypes)):
        members[space.identity(genotypes[index])].append(genotypes[index])
    chosen = [some for some in members.values() if len(some) > 1][: classes - classes // 3]
    chosen += [some for some in members.values() if len(some) == 1][: classes // 3]
    drawn = [genotype for some in chosen for genotype in some[:3]]
    assert len(drawn) > 1.5 * classes
    prints = [space.decode(genotype).fingerprint for genotype in drawn]
    assert assert_one_partition(prints, map(space.identity, drawn)) == classes


def test_paper_strings_make_the_6466_classes_of_the_authors() -> None:
    """The classes of ``nats_bench``; the paper gives their number."""
    strings = [paper_string(genotype_of(cell)) for cell in CELLS]
    authors = [as_the_authors_hold(cell).to_unique_str(consider_zero=True) for cell in CELLS]
    assert assert_one_partition(strings, authors) == 6466


NO, ID, CONV = "none", "skip_connect", "nor_conv_3x3"


@pytest.mark.parametrize(
    ("one", "other", "identities", "strings"),
    [
        # Its input, and its input plus what a convolution makes of zeros.
        ((NO, NO, NO, ID, NO, NO), (NO, NO, NO, ID, NO, CONV), 1, 2),
        # One convolution read twice, and two convolutions.
        ((CONV, ID, ID, ID, ID, CONV), (ID, ID, CONV, ID, CONV, CONV), 2, 1),
    ],
)
def test_where_paper_strings_and_identity_differ(
    space: SearchSpace, one: tuple[str, ...], other: tuple[str, ...], identities: int, strings: int
) -> None:
    cells = [genotype_of(one), genotype_of(other)]
    assert len(set(map(space.identity, cells))) == identities
    assert len(set(map(paper_string, cells))) == strings


# --- cost ---


def published_flops(cost: Cost, classes: int) -> int:
    """Returns FLOPs as the tables of NAS-Bench-201 and NATS-Bench count them.

    They are the multiply-accumulates of convolutions and of the classifier, dead branches
    included, and one for each bias of the classifier, which has the only biases in the network;
    norms, pools and sums are free. ``params`` of the tables are those of ``cost``.
    """
    return cost.macs + classes


def counts(space: SearchSpace, genotype: Genotype) -> tuple[int, int]:
    cost = space.decode(genotype).cost
    return cost.params, published_flops(cost, 10)


@pytest.mark.slow
def test_params_and_flops_of_all_15625_are_linear_in_their_convolutions(
    space: SearchSpace,
) -> None:
    """The published ones, which are a closed form in the numbers of 3x3 and 1x1 convolutions.

    All wirings with one cell a stage, five times what it adds to the empty one; whole networks
    for every number of 3x3 and 1x1 convolutions, and for 200 more.
    """
    small = nas.space("nasbench201", cells=1)
    none = np.array((73_306, 7_783_050))
    by_3x3 = np.array((243_040, 15 * 2_359_296))
    by_1x1 = np.array((28_000, 15 * 262_144))
    seen = set()
    sample = set(np.random.default_rng(0).choice(len(CELLS), 200, replace=False).tolist())
    for index, cell in enumerate(CELLS):
        genotype = genotype_of(cell)
        convolutions = (cell.count("nor_conv_3x3"), cell.count("nor_conv_1x1"))
        counted = tuple(none + convolutions[0] * by_3x3 + convolutions[1] * by_1x1)
        assert tuple(none + 5 * (np.array(counts(small, genotype)) - none)) == counted
        if convolutions not in seen or index in sample:
            seen.add(convolutions)
            assert counts(space, genotype) == counted
    assert len(seen) == 28


def test_published_costs() -> None:
    """Other data sets too: the extremes of the space, and one cell of the middle."""
    published = pd.read_csv(DATA / "nasbench201_costs.csv")
    assert len(published) == 7
    tasks = {"cifar10": (32, 10), "cifar100": (32, 100), "ImageNet16-120": (16, 120)}
    for row in published.itertuples():
        side, classes = tasks[row.dataset]
        space = nas.space("nasbench201", (3, side, side), classes)
        cost = space.decode(space.from_string(row.cell)).cost
        assert (cost.params, published_flops(cost, classes)) == (row.params, row.flops), row


def test_members_are_the_best_of_the_table(space: SearchSpace, table: pd.DataFrame) -> None:
    by_string = table.set_index("arch_str")
    rows = {name: by_string.loc[space.to_string(space.member(name))] for name in space.members}
    best = table.c10_test_e200.max()
    assert rows["cifar10_optimum"].c10_test_e200 == best
    assert rows["cifar10_optimum"].arch_idx == 6111
    assert rows["cifar10_optimum_tied"].c10_test_e200 == best
    assert rows["imagenet16_optimum"].in16_test_e200 == table.in16_test_e200.max()
    assert rows["resnet"].c10_test_e200 == pytest.approx(93.97, abs=0.1)


FAMILIAR = {
    "zeros": ("none",) * 6,
    "convolutions": ("nor_conv_3x3", "nor_conv_1x1") * 3,
    "dead branch": ("none", "nor_conv_3x3", "nor_conv_3x3", "avg_pool_3x3", "skip_connect", "none"),
    "pools": ("avg_pool_3x3", "skip_connect", "avg_pool_3x3") * 2,
}


@pytest.mark.parametrize("name", FAMILIAR)
def test_cost_is_what_fvcore_counts(name: str) -> None:
    space = nas.space("nasbench201", (3, 24, 24), 7, cells=2)
    architecture = space.decode(genotype_of(FAMILIAR[name]))
    assert reference_cost(architecture).cost == architecture.cost


# --- the network ---


class Edge(nn.Module):
    """ReLU, convolution, norm; or a pool."""

    def __init__(self, op: nn.Module) -> None:
        super().__init__()
        self.op = op

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.op(x)


class Zeros(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.0 * x


def convolution(before: int, after: int, kernel: int, stride: int = 1) -> Edge:
    layer = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
    return Edge(nn.Sequential(nn.ReLU(), layer, nn.BatchNorm2d(after)))


class PlainCell(nn.Module):
    def __init__(self, operations: tuple[str, ...], width: int) -> None:
        super().__init__()
        make = {
            "none": Zeros,
            "skip_connect": nn.Identity,
            "nor_conv_1x1": lambda: convolution(width, width, 1),
            "nor_conv_3x3": lambda: convolution(width, width, 3),
            "avg_pool_3x3": lambda: Edge(nn.AvgPool2d(3, 1, 1, count_include_pad=False)),
        }
        self.layers = nn.ModuleList([make[operation]() for operation in operations])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.layers[0](x)
        b = self.layers[1](x) + self.layers[2](a)
        return self.layers[3](x) + self.layers[4](a) + self.layers[5](b)


class PlainReduction(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv_a = convolution(before, after, 3, 2)
        self.conv_b = convolution(after, after, 3)
        self.downsample = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(before, after, 1, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.downsample(x) + self.conv_b(self.conv_a(x))


def plain_network(operations: tuple[str, ...], cells: int) -> nn.Module:
    """The benchmark's network, written down once more in plain torch."""
    parts: list[nn.Module] = []
    for width in (16, 32, 64):
        if width > 16:
            parts.append(PlainReduction(width // 2, width))
        parts += [PlainCell(operations, width) for _ in range(cells)]
    return nn.ModuleDict(
        {
            "stem": nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)),
            "cells": nn.Sequential(*parts),
            "lastact": nn.Sequential(nn.BatchNorm2d(64), nn.ReLU()),
            "global_pooling": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            "classifier": nn.Linear(64, 10),
        }
    )


@pytest.mark.parametrize("name", FAMILIAR)
def test_network_is_the_benchmarks(name: str) -> None:
    """Its state dict loads strictly, and the outputs agree."""
    torch.manual_seed(0)
    plain = plain_network(FAMILIAR[name], 2)
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    architecture = nas.space("nasbench201", cells=2).decode(genotype_of(FAMILIAR[name]))
    network = nas.compile(architecture)
    network.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = nn.Sequential(*plain.children()).eval()(x)
        assert torch.allclose(network.eval()(x), expected, rtol=1e-5, atol=1e-6)


def test_other_cells() -> None:
    """Three nodes, other operations, a map of odd size."""
    operations = ["max_pool_3x3", "nor_conv_7x7", "none"]
    space = nas.space("nasbench201", (1, 9, 9), 3, nodes=3, operations=operations, cells=1,
                      members={})  # fmt: skip
    genotypes = list(space.enumerate())
    assert len(genotypes) == space.size().count == 27
    architecture = space.decode(genotypes[5])
    assert reference_cost(architecture).cost == architecture.cost
    text = "|max_pool_3x3~0|+|nor_conv_7x7~0|none~1|"
    assert space.to_string(space.from_string(text)) == text
    assert space.from_string("|max_pool_3x3~0|+|none~1|nor_conv_7x7~0|") == space.from_string(text)


# --- errors ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "node 1 must be"),
        ("|none~0|+|none~0|none~1|", "choice 'edge0-3' is missing"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~3|", "no edge 'none~3' into node 3"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "node 2 has two edges from node 0"),
        ("|none~0|+|none~0|none|+|none~0|none~1|none~2|", "no edge 'none' into node 2"),
        ("|none~0|+none~0|none~1|+|none~0|none~1|none~2|", "node 2 must be |operation~source|"),
        ("|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|", "'conv' is not an option; allowed"),
    ],
)
def test_a_wrong_string_is_explained(space: SearchSpace, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        space.from_string(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operations": ["none", "nor_conv_2x2"]}, "unknown block 'nor_conv_2x2' (did you"),
        ({"operations": ["none", "none"]}, "operations: an option is given twice"),
        ({"operations": []}, "operations"),
        ({"nodes": 1}, "nodes: Input should be greater than or equal to 2, got 1"),
        ({"node": 4}, "unknown key 'node' (did you mean 'nodes'?)"),
    ],
)
def test_a_mistake_in_a_space_file_is_named(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(spaces()["nasbench201"].read_text()) | changes))
    with pytest.raises(InputError) as caught:
        nas.space(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
