"""Features against the published numbers of paths, and against the genotype itself."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any, cast

import numpy as np
import pytest

import nas
from nas.errors import InputError
from nas.spaces.cell_graph import CellGraph
from nas.spaces.choices import Choose, Genotype
from nas.spaces.encodings import Encoding, matrix, vocabulary
from nas.spaces.hyperparameters import joint
from nas.spaces.language import Language
from nas.spaces.search_space import SearchSpace

OPERATIONS = ("none", "skip_connect", "conv_1x1", "conv_3x3", "avg_pool")


class Edges(Language):
    """Operations on the edges of a complete graph of four nodes, as in NAS-Bench-201."""

    edges = tuple((i, j) for j in range(1, 4) for i in range(j))

    def cell_graphs(self, genotype: Genotype) -> Mapping[str, CellGraph]:
        edges = [(i, j, str(genotype[f"{i}>{j}"])) for i, j in self.edges]
        return {"cell": CellGraph(1, ("",) * 4, tuple(edges))}


class Nodes(Language):
    """Operations on five nodes of any graph, as in NAS-Bench-101."""

    pairs = tuple(combinations(range(5), 2))

    def cell_graphs(self, genotype: Genotype) -> Mapping[str, CellGraph]:
        edges = [(i, j, "") for i, j in self.pairs if genotype[f"{i}>{j}"]]
        labels = ("", *(str(genotype[f"op{n}"]) for n in range(1, 4)), "")
        return {"cell": CellGraph(1, labels, tuple(edges))}


def edges(choose: Choose) -> None:
    for i, j in Edges.edges:
        choose(f"{i}>{j}", OPERATIONS)


def nodes(choose: Choose) -> None:
    for i, j in Nodes.pairs:
        choose(f"{i}>{j}", (0, 1))
    for n in range(1, 4):
        choose(f"op{n}", ("a", "b", "c"))


def space(function: Any, language: Language) -> SearchSpace:
    return SearchSpace(cast(Any, function), "toy", language=language)


def test_there_are_as_many_paths_as_white_et_al_count() -> None:
    # White et al. 2021, section 3: the sum of r^i over lengths i, r operations.
    of_nodes = space(nodes, Nodes())
    found = vocabulary(of_nodes.encode(g, "path") for g in of_nodes.enumerate())
    assert len(found) == sum(3**i for i in range(4))
    # On edges every path has at least one operation. Theirs are 5 with "none": 155 paths.
    of_edges = space(edges, Edges())
    found = vocabulary(of_edges.encode(g, "path") for g in of_edges.enumerate())
    assert len(found) == sum(4**i for i in range(1, 4)) == 84


def test_paths_of_a_known_cell() -> None:
    operations = ["conv_3x3", "none", "avg_pool", "skip_connect", "conv_1x1", "conv_3x3"]
    genotype: Genotype = {
        f"{i}>{j}": operation for (i, j), operation in zip(Edges.edges, operations, strict=True)
    }  # edges 0>1, 0>2, 1>2, 0>3, 1>3, 2>3
    assert space(edges, Edges()).encode(genotype, "path") == {
        "cell: input0 > skip_connect": 1.0,
        "cell: input0 > conv_3x3 > conv_1x1": 1.0,
        "cell: input0 > conv_3x3 > avg_pool > conv_3x3": 1.0,
    }


def test_subtrees_of_a_known_cell() -> None:
    operations = ["conv_3x3", "none", "avg_pool", "skip_connect", "conv_1x1", "conv_3x3"]
    genotype: Genotype = {
        f"{i}>{j}": operation for (i, j), operation in zip(Edges.edges, operations, strict=True)
    }
    assert space(edges, Edges()).encode(genotype, "wl") == {
        f"cell: {tree}": count
        for tree, count in {
            "input0": 1.0,
            "input0()": 1.0,
            "conv_3x3": 2.0,
            "conv_3x3(input0)": 1.0,
            "avg_pool": 1.0,
            "avg_pool(conv_3x3)": 1.0,
            "conv_1x1": 1.0,
            "conv_1x1(conv_3x3)": 1.0,
            "conv_3x3(avg_pool)": 1.0,
            "output": 1.0,
            "output(conv_1x1 + conv_3x3 + input0)": 1.0,
        }.items()
    }


def test_cells_that_compute_the_same_have_the_same_subtrees() -> None:
    toy = space(nodes, Nodes())
    found: dict[str, set[str]] = {}
    for number, genotype in enumerate(toy.enumerate()):
        if number % 7 == 0:
            same = toy.cell_graphs(genotype)["cell"].fingerprint
            found.setdefault(same, set()).add(repr(sorted(toy.encode(genotype, "wl").items())))
    assert len(found) > 300
    assert {len(features) for features in found.values()} == {1}


def test_paths_do_not_hide_hyperparameters() -> None:
    plain = space(edges, Edges())
    rates = joint(plain, {"learning_rate": (0.1, 0.2)}, lambda asked: None)
    genotype = plain.sample(np.random.default_rng(0))
    features = rates.encode({**genotype, "recipe.learning_rate": 0.1}, "path")
    assert features == {**plain.encode(genotype, "path"), "recipe.learning_rate=0.1": 1.0}


def test_one_hot_tells_every_answer_and_type_apart() -> None:
    def function(choose: Choose) -> None:
        if choose("kind", ("a", "b")) == "a":
            choose("width", (1, 1.0, "1", None))
        choose("last", (0, 1))

    toy = SearchSpace(cast(Any, function), "toy")
    features = [toy.encode(g, "one_hot") for g in toy.enumerate()]
    assert features[0] == {"kind='a'": 1.0, "width=1": 1.0, "last=0": 1.0}
    assert features[-1] == {"kind='b'": 1.0, "last=1": 1.0}
    columns = vocabulary(features)
    assert len(columns) == 2 + 4 + 2
    dense = matrix(features, columns)
    assert dense.shape == (10, 8)
    assert len(np.unique(dense, axis=0)) == 10
    assert dense.sum(axis=1).tolist() == [len(each) for each in features]


def test_the_matrix_has_the_vocabularys_columns_in_its_order() -> None:
    features = [{"b": 1.0, "a": 1.0}, {"c": 0.5, "a": 1.0}, {"new": 1.0}]
    assert vocabulary(features) == {"a": 0, "b": 1, "c": 2, "new": 3}
    assert vocabulary(features, least=2) == {"a": 0}
    columns = vocabulary(features[:2])
    assert matrix(features, columns).tolist() == [[1, 1, 0], [1, 0, 0.5], [0, 0, 0]]
    assert matrix([], columns).shape == (0, 3)


def test_what_cannot_be_encoded_says_so() -> None:
    toy = SearchSpace(cast(Any, lambda choose: choose("x", (1, 2))), "toy")
    with pytest.raises(InputError, match=r"^space toy: has no cells, so no path encoding"):
        toy.encode({"x": 1}, "path")
    with pytest.raises(InputError, match=r"unknown encoding 'paths' \(did you mean 'path'\?\)"):
        toy.encode({"x": 1}, cast(Encoding, "paths"))


def test_cost_is_that_of_the_network() -> None:
    found = nas.space("nasbench201")
    genotype = found.sample(np.random.default_rng(0))
    cost = found.decode(genotype).cost
    encoded = found.encode(genotype, "cost")
    assert np.exp(encoded["log params"]) == pytest.approx(1 + cost.params)
    assert np.exp(encoded["log macs"]) == pytest.approx(1 + cost.macs)
    assert encoded["log depth"] > 0
