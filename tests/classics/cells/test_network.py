"""Cells, the network around them, drop path and the auxiliary head."""

from random import Random
from typing import Any

import pytest
import torch

from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.architecture.operations import DropPath
from nas.architecture.reference import reference_cost
from nas.classics.cells import (
    DARTS,
    DIALECTS,
    ENAS,
    NASNET,
    PNASNET,
    PUBLISHED,
    Cell,
    operations,
    pairwise_network,
)
from nas.errors import InputError

SEPARABLE = Cell((("sep_conv_3x3", 0), ("skip_connect", 1)), (2,))
SIZES: dict[str, Any] = {"stages": (1, 1, 1), "channels": 4, "stem_channels": 6, "stem": "cifar"}
IMAGENET: dict[str, Any] = {"stem": "imagenet", "shape": (3, 40, 40), "channels": 8}


def network(normal: Cell = SEPARABLE, dialect: Any = NASNET, **changed: Any) -> Architecture:
    shape = changed.pop("shape", (3, 16, 16))
    reduction = changed.pop("reduction", normal)
    return pairwise_network(shape, 10, normal, reduction, dialect, **{**SIZES, **changed})


@pytest.mark.parametrize(
    ("edges", "concat", "message"),
    [
        ((("sep_conv_3x3", 0),), (2,), "two edges per node, got 1 edges"),
        ((), (0,), "two edges per node, got 0 edges"),
        ((("sep_conv_3x3", 0), ("none", 2)), (2,), "edge 1: a state must be one of 0 to 1, got 2"),
        ((("none", -1), ("none", 0)), (2,), "edge 0: a state must be one of 0 to 1, got -1"),
        ((("none", 0), ("none", 0)), (3,), "concat: a state must be one of 0 to 2, got 3"),
        ((("none", 0), ("none", 0)), (), "concat must name"),
        ((("none", 0), ("none", 0)), (2, 2), "concat must name each state at most once"),
    ],
)
def test_a_cell_is_valid_or_raises(edges: Any, concat: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Cell(edges, concat)


def test_an_unknown_operation_is_named() -> None:
    cell = Cell((("sep_conv_3x3", 0), ("sep_conv_9x9", 1)), (2,))
    with pytest.raises(InputError, match=r"unknown operation 'sep_conv_9x9' \(did you mean 'sep_"):
        network(cell)


def random_cell(random: Random, operations: list[str], nodes: int = 4) -> Cell:
    states = [state for node in range(nodes) for state in (node + 2,) * 2]
    edges = tuple((random.choice(operations), random.randrange(limit)) for limit in states)
    concat = sorted(random.sample(range(2 + nodes), random.randint(1, 2 + nodes)))
    return Cell(edges, tuple(concat))


@pytest.mark.parametrize("seed", range(12))
def test_any_cells_make_a_network(seed: int) -> None:
    random = Random(seed)
    name = random.choice(list(DIALECTS))
    cells = {key: random_cell(random, list(operations(NASNET))) for key in ("normal", "reduction")}
    changed = {
        "stem": random.choice(["imagenet", "cifar"]),
        "shape": (3, random.randint(31, 40), random.randint(31, 40)),
        "reach_back": random.random() < 0.5,
        "stages": (2, 1, 2),
        "channels": random.randint(8, 16),
    }
    architecture = network(dialect=DIALECTS[name], **cells, **changed)
    assert architecture.output_shape == (10,)
    assert architecture.cost == reference_cost(architecture).cost
    assert compile(architecture)(torch.randn(2, *changed["shape"])).shape == (2, 10)


def inputs_of_cells(architecture: Architecture) -> dict[str, set[str]]:
    """Per cell, the cells or stems whose outputs it reads."""
    scope = {node.name: node.name.split(".")[0] for node in architecture.nodes}
    read: dict[str, set[str]] = {}
    for node in architecture.nodes:
        others = {scope[name] for name in node.inputs if name != "input"} - {scope[node.name]}
        read.setdefault(scope[node.name], set()).update(others)
    return read


def test_a_cell_reads_the_two_before_it() -> None:
    read = inputs_of_cells(network(stages=(2, 1), **IMAGENET))
    assert read["cell_stem_0"] == {"conv0"}
    assert read["cell_stem_1"] == {"conv0", "cell_stem_0"}
    assert read["cell_0"] == {"cell_stem_0", "cell_stem_1"}
    assert read["reduction_cell_0"] == {"cell_0", "cell_1"}
    assert read["cell_2"] == {"cell_1", "reduction_cell_0"}


def test_reach_back_skips_what_the_reduction_read() -> None:
    read = inputs_of_cells(network(stages=(2, 2), reach_back=True, **IMAGENET))
    assert read["cell_0"] == {"cell_stem_0", "cell_stem_1"}
    assert read["cell_2"] == {"cell_0", "reduction_cell_0"}
    assert read["cell_3"] == {"cell_2", "reduction_cell_0"}


def test_channels_double_and_maps_halve() -> None:
    cell = Cell((("max_pool_3x3", 0), ("max_pool_3x3", 1)), (2, 1))
    for dialect in (NASNET, DARTS, ENAS):
        architecture = network(cell, dialect)
        depth = 2 if dialect is DARTS else 1  # parts of a cell's name
        outputs = {".".join(n.name.split(".")[:depth]): n.name for n in architecture.nodes}
        shapes = [architecture.shapes[name] for name in outputs.values() if ".concat" in name]
        expected = [(8, 16, 16), (16, 8, 8), (16, 8, 8), (32, 4, 4), (32, 4, 4)]
        assert shapes == expected


def test_a_reduction_of_pnasnet_is_one_of_its_stage() -> None:
    scopes = {
        dialect: dict.fromkeys(
            node.name.split(".")[0]
            for node in network(dialect=dialect, stages=(2, 2, 2)).nodes
            if "cell_" in node.name
        )
        for dialect in (NASNET, PNASNET)
    }
    reductions = ["reduction_cell_0", "reduction_cell_1"]
    assert [*scopes[NASNET]] == [
        "cell_0", "cell_1", reductions[0], "cell_2", "cell_3", reductions[1], "cell_4", "cell_5",
    ]  # fmt: skip
    assert [*scopes[PNASNET]] == [f"cell_{number}" for number in range(6)]


def test_enas_projects_its_newer_input_twice() -> None:
    counts = {
        dialect: sum("cell_0." in name and name.endswith("conv") for name in names)
        for dialect, names in (
            (dialect, [node.name for node in network(dialect=dialect, stages=(1,)).nodes])
            for dialect in (NASNET, ENAS)
        )
    }
    assert counts == {NASNET: 1, ENAS: 3}  # the older input, too


@pytest.mark.parametrize("name", ["darts_v1", "darts_v2"])
def test_the_published_cells_of_darts_read_two_states_a_node(name: str) -> None:
    for cell in PUBLISHED[name][:2]:
        pairs = zip(cell.edges[::2], cell.edges[1::2], strict=True)
        assert all(left != right for (_, left), (_, right) in pairs)
        assert cell.concat == (2, 3, 4, 5)


def test_too_few_channels() -> None:
    every = Cell((("skip_connect", 0), ("skip_connect", 1)), (0, 1, 2))
    for stem, least in (("imagenet", 8), ("cifar", 2)):
        for dialect in DIALECTS.values():
            fewest = {"stem": stem, "shape": (3, 40, 40), "dialect": dialect}
            assert network(every, channels=least, **fewest).output_shape == (10,)
        with pytest.raises(InputError, match=f"channels must be at least {least} with stem"):
            network(channels=least - 1, stem=stem)


def drop_paths(architecture: Architecture) -> list[float]:
    return [
        node.operation.probability
        for node in architecture.nodes
        if isinstance(node.operation, DropPath)
    ]


def test_drop_path_grows_with_the_depth() -> None:
    # Five cells, one edge each that is no identity; the reductions' identities are projections.
    expected = [0.1, 0.2, 0.2, 0.3, 0.4, 0.4, 0.5]
    assert drop_paths(network(drop_path=0.5)) == pytest.approx(expected)
    assert drop_paths(network(dialect=DARTS, drop_path=0.5)) == [0.5] * 7
    assert drop_paths(network()) == []


def test_drop_path_changes_training_alone() -> None:
    images = torch.randn(4, 3, 16, 16)
    for probability in (0.0, 0.9):
        torch.manual_seed(0)
        trained = compile(network(drop_path=probability))
        first, second = trained(images), trained(images)
        assert torch.equal(first, second) == (probability == 0.0)
        trained.eval()
        assert torch.equal(trained(images), trained(images))
    assert network(drop_path=0.9).cost == network().cost


def test_the_auxiliary_head_works_in_training_only() -> None:
    images = torch.randn(2, 3, 32, 32)
    for dialect, side in ((NASNET, 4), (DARTS, 2), (ENAS, 2)):
        changed: dict[str, Any] = {"dialect": dialect, "shape": (3, 32, 32)}
        architecture = network(**changed, auxiliary=True)
        without = network(**changed)
        assert architecture.outputs[1:] == ("auxiliary_head.classifier",)
        assert architecture.cost == without.cost
        assert architecture.inference().fingerprint == without.fingerprint
        trained = compile(architecture)
        # Before the last reduction the map has 16 pixels, behind it 8: pooled to 4 and 2.
        head = trained.get_submodule("auxiliary_head.features.5")
        assert head.weight.shape == (768, 128, side, side)
        main, auxiliary = trained(images)
        assert main.shape == auxiliary.shape == (2, 10)
        (main + auxiliary).sum().backward()
        assert all(parameter.grad is not None for parameter in trained.parameters())
        assert trained.eval()(images).shape == (2, 10)


def test_dropout_stands_before_the_classifier() -> None:
    architecture = network(dropout=0.5)
    classifier = architecture.nodes[-1]
    assert classifier.name == "last_linear"
    assert classifier.inputs == ("dropout1",)
