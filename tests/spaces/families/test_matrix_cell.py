"""NAS-Bench-101: its parameters, its rules of what is a cell, and its number of distinct cells."""

import json
from collections.abc import Iterable, Iterator
from itertools import permutations, product
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import yaml

import nas
from nas.architecture.reference import reference_cost
from nas.errors import InputError
from nas.spaces import spaces
from nas.spaces.cell_graph import CellGraph
from nas.spaces.families.matrix_cell import feasible_matrices
from nas.spaces.families.matrix_module import vertex_channels
from nas.spaces.search_space import SearchSpace
from tests.spaces.chance import assert_distributed

CONV3, CONV1, POOL = OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")


def text_of(adjacency: str, *operations: str) -> str:
    """The notation of a cell whose matrix is given as rows with slashes between."""
    matrix = [[int(entry) for entry in row] for row in adjacency.split("/")]
    return json.dumps({"matrix": matrix, "ops": ["input", *operations, "output"]})


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return nas.space("nasbench101")


# --- published parameters ---


@pytest.mark.slow
def test_params_of_all_4310_cells_of_the_table(space: SearchSpace, shared_data: Path) -> None:
    table = pd.read_csv(shared_data / "nb101_7v_params_energy.csv.gz")
    assert len(table) == 4310
    for row in table.itertuples():
        text = text_of(row.adjacency, *row.ops.split("|")[1:-1])
        assert space.decode(space.from_string(text)).cost.params == row.trainable_params, row


FIRST = text_of(
    "0100110/0010000/0001001/0000010/0000010/0000001/0000000", CONV3, POOL, CONV3, CONV3, CONV1
)
"""00005c142e6f48ac74fdcf73e3439874, the first hash of the benchmark's file."""


def test_published_params(space: SearchSpace) -> None:
    first = space.decode(space.from_string(FIRST))
    assert first.cost.params == 8_555_530
    inception = space.decode(space.member("inception_like"))
    assert inception.cost.params == 2_694_282


@pytest.mark.parametrize(
    ("matrix", "channels", "expected"),
    [
        ("0100/0010/0001/0000", 16, [16, 16]),
        ("01100/00010/00010/00001/00000", 8, [8, 8, 8]),
        ("0110/0001/0001/0000", 15, [8, 7]),
        ("01110/00001/00001/00001/00000", 8, [3, 3, 2]),
        ("01000/00110/00001/00001/00000", 9, [5, 5, 4]),
        ("01010/00101/00010/00001/00000", 8, [4, 4, 4]),
        ("01010/00101/00010/00001/00000", 15, [8, 7, 7]),
    ],
)
def test_channels_are_divided_as_in_the_benchmarks_tests(
    matrix: str, channels: int, expected: list[int]
) -> None:
    """The cases of ``model_builder_test.py`` of google-research/nasbench."""
    rows = matrix.split("/")
    sources = [[s for s, row in enumerate(rows) if row[t] == "1"] for t in range(len(rows))]
    widths = vertex_channels(sources, channels)
    assert [widths[vertex] for vertex in range(1, len(rows) - 1)] == expected


UNEVEN = text_of("01111/00011/00001/00001/00000", CONV3, POOL, CONV1)
"""Three vertices enter the output, the first is truncated for the third, all read the input."""


@pytest.mark.parametrize(
    "text",
    [FIRST, UNEVEN, text_of("01/00"), text_of("011/001/000", POOL)],
    ids=["first", "uneven", "projection", "shortcut"],
)
def test_cost_is_what_fvcore_counts(text: str) -> None:
    space = nas.space("nasbench101", (3, 18, 18), 7, channels=10, cells=2)
    architecture = space.decode(space.from_string(text))
    assert reference_cost(architecture).cost == architecture.cost
    if text == UNEVEN:
        assert {node.operation.kind for node in architecture.nodes} >= {"slice", "concat", "add"}


# --- what is a cell ---


def kept_edges(edges: list[tuple[int, int]], last: int) -> int:
    """How many edges are on a path from vertex 0 to the last; by networkx."""
    graph = nx.DiGraph(edges)
    graph.add_nodes_from((0, last))
    on_path = (nx.descendants(graph, 0) | {0}) & (nx.ancestors(graph, last) | {last})
    return graph.subgraph(on_path).number_of_edges()


@pytest.mark.parametrize("max_edges", [4, 9])
def test_feasible_is_what_keeps_the_limit_after_pruning(max_edges: int) -> None:
    space = nas.space("nasbench101", max_vertices=5, max_edges=max_edges, members={})
    pairs = [(source, target) for target in range(5) for source in range(target)]
    expected = 0
    for bits in product((0, 1), repeat=10):
        edges = [pair for pair, bit in zip(pairs, bits, strict=True) if bit]
        expected += 0 < kept_edges(edges, 4) <= max_edges
    genotypes = list(space.enumerate())
    assert len(genotypes) == space.size().count == 27 * expected
    assert space.size().exact


def test_size_and_share_of_feasible_matrices(space: SearchSpace) -> None:
    """Counted over all two million matrices; draws are rejected as often as that says."""
    feasible = feasible_matrices(7, 9)
    assert space.size().count == feasible * 3**5 == 373_754_169
    rng = np.random.default_rng(0)
    before = space.rejected.total()
    for _ in range(2000):
        space.sample(rng)
    rejected = space.rejected.total() - before
    share = feasible / 2**21
    assert_distributed({True: 2000, False: rejected}, {True: share, False: 1 - share})


def test_what_is_pruned_does_not_count(space: SearchSpace) -> None:
    """Twelve edges, of which eight are on a path; and the operation of the vertex on none."""
    rows = "0111110/0000101/0000101/0000101/0000000/0000001/0000000"
    cells = [
        space.from_string(text_of(rows, CONV3, CONV3, CONV3, unused, CONV1))
        for unused in (CONV3, POOL)
    ]
    smaller = text_of("011110/000001/000001/000001/000001/000000", CONV3, CONV3, CONV3, CONV1)
    cells.append(space.from_string(smaller))
    assert len({space.identity(cell) for cell in cells}) == 1
    assert len({space.decode(cell).fingerprint for cell in cells}) == 1
    over = text_of("01111/00111/00011/00001/00000", *[CONV3] * 3)
    with pytest.raises(InputError, match="not in the space: 10 edges, over the limit of 9"):
        space.from_string(over)


def test_strings_come_back(space: SearchSpace) -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        genotype = space.sample(rng)
        assert space.from_string(space.to_string(genotype)) == genotype
    assert json.loads(space.to_string(space.from_string(FIRST))) == json.loads(FIRST)


# --- distinct cells ---

Edges = tuple[tuple[int, int], ...]

DISTINCT = {2: 1, 3: 6, 4: 84, 5: 2_441, 6: 62_010, 7: 359_082}
"""By the number of vertices; 423,624 in all (Ying et al. 2019, section 2.2)."""


def wirings(vertices: int) -> Iterator[Edges]:
    """The edges of every cell of that many vertices of which nothing is pruned."""
    last = vertices - 1
    pairs = [(source, target) for target in range(vertices) for source in range(target)]
    for bits in product((0, 1), repeat=len(pairs)):
        if last <= sum(bits) <= 9:
            edges = tuple(pair for pair, bit in zip(pairs, bits, strict=True) if bit)
            if len({s for s, _ in edges}) == last == len({t for _, t in edges}):
                yield edges


def drawings(edges: Edges, last: int) -> Iterator[tuple[tuple[int, ...], Edges]]:
    """All orders of the vertices between input and output, and the edges by each."""
    for middle in permutations(range(1, last)):
        order = (0, *middle, last)
        yield order, tuple(sorted((order[source], order[target]) for source, target in edges))


def cell(operations: Iterable[str], edges: Edges) -> CellGraph:
    return CellGraph(1, ("", *operations, ""), tuple((*edge, "") for edge in edges))


@pytest.mark.parametrize(
    "vertices", [2, 3, 4, 5, *(pytest.param(n, marks=pytest.mark.slow) for n in (6, 7))]
)
def test_number_of_distinct_cells(vertices: int) -> None:
    """Every operation on every vertex of every wiring, by the fingerprint; 423,624 in all.

    Of wirings that are isomorphic, by trying all orders, one is enough: with all operations they
    make isomorphic cells. That leaves 450,798 of 1,293,208 cells. Seven vertices take half a
    minute and 60 MB, the others together five seconds.
    """
    last = vertices - 1
    first = {min(drawn for _, drawn in drawings(edges, last)): edges for edges in wirings(vertices)}
    prints = {
        cell(operations, edges).fingerprint
        for edges in first.values()
        for operations in product(OPERATIONS, repeat=vertices - 2)
    }
    assert len(prints) == DISTINCT[vertices]
    assert sum(DISTINCT.values()) == 423_624


def test_number_of_labelled_cells_and_their_equality() -> None:
    """1,293,208, as the benchmark's ``generate_graphs`` counts them before it compares.

    Of some, all drawings have one fingerprint, and it is not that of other operations.
    """
    every = {vertices: list(wirings(vertices)) for vertices in DISTINCT}
    assert sum(3 ** (vertices - 2) * len(found) for vertices, found in every.items()) == 1_293_208
    rng = np.random.default_rng(0)
    for index in rng.choice(len(every[7]), 100, replace=False):
        edges = every[7][index]
        operations = rng.choice(OPERATIONS[:2], 5)
        prints = set()
        for order, drawn in drawings(edges, 6):
            if all(source < target for source, target in drawn):
                moved = [operations[order.index(vertex) - 1] for vertex in range(1, 6)]
                prints.add(cell(moved, drawn).fingerprint)
        assert len(prints) == 1
        operations[rng.integers(5)] = POOL
        assert cell(operations, edges).fingerprint not in prints


def test_isomorphic_cells_are_one_architecture(space: SearchSpace) -> None:
    """Though their networks differ in the order of concatenation and, of 128 channels, by one."""
    wide, narrow = (
        space.from_string(text_of("01110/00001/00001/00001/00000", *operations))
        for operations in ((CONV3, CONV1, CONV1), (CONV1, CONV1, CONV3))
    )
    assert space.identity(wide) == space.identity(narrow)
    more, less = (space.decode(cell).cost.params for cell in (wide, narrow))
    assert 0 < more - less < more / 50


# --- errors ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object with the keys matrix and ops"),
        (text_of("00/00"), "not in the space: no path from the input to the output"),
        (text_of("011/001/000", "conv"), "choice 'vertex1': 'conv' is not an option; allowed"),
        (text_of("011/101/000", POOL), "matrix must be zero on and below its diagonal"),
        (text_of("021/001/000", POOL), "matrix must hold 0 and 1, got 2"),
        (text_of("011/001", POOL), "matrix must have 3 rows and columns"),
        (text_of("01/00").replace("output", "end"), "ops must begin with input and end with"),
        (text_of("01/00", *[POOL] * 6), "ops must list 2 to 7 operations"),
    ],
    ids=range(9),
)
def test_a_wrong_string_is_explained(space: SearchSpace, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        space.from_string(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operations": ["conv5x5-bn-relu"]}, "operations.0: unknown block"),
        ({"operations": [POOL, POOL]}, "operations: an option is given twice"),
        ({"max_vertices": 1}, "max_vertices"),
        ({"channels": 4}, "channels: must be at least 5, one for each vertex"),
    ],
)
def test_a_mistake_in_a_space_file_is_named(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(spaces()["nasbench101"].read_text()) | changes))
    with pytest.raises(InputError) as caught:
        nas.space(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_larger_cells_are_counted_one_by_one() -> None:
    size = nas.space("nasbench101", max_vertices=8, members={}).size(limit=10)
    assert (size.count, size.exact) == (10, False)
