"""Edits of the cells of free graphs, on random members and on cells whose edits can be listed."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nas
from nas.spaces.choices import Genotype
from nas.spaces.families.free_edits import MUTATIONS, edits
from nas.spaces.search_space import SearchSpace
from nas.spaces.walks import NothingLeft, draw, keeping

SPACE = nas.space("primitives", input_shape=(1, 16, 16), classes=10)
seeds = st.integers(0, 2**32 - 1)


def completed(space: SearchSpace, edit: Genotype, seed: int = 0) -> Genotype | None:
    """The edit with all that it lacks drawn; None if it does not fit the space."""
    try:
        return draw(space.run, keeping(edit), np.random.default_rng(seed))[0]
    except NothingLeft:
        return None


def cell(*nodes: tuple[str, str, str | None]) -> Genotype:
    """A genotype with a shared cell; a node is its operation and its two inputs."""
    found: Genotype = {"cell.nodes": len(nodes)}
    for index, (operation, first, second) in enumerate(nodes):
        found[f"cell.node{index}.operation"] = operation
        found[f"cell.node{index}.input"] = first
        found[f"cell.node{index}.second_input"] = second
        if second is not None:
            found[f"cell.node{index}.merge"] = "add"
    return found


def wiring(genotype: Genotype) -> list[tuple[object, ...]]:
    """The operation (None if it is to be drawn) and the inputs of every node."""
    return [
        tuple(genotype.get(f"cell.node{index}.{last}") for last in _LASTS)
        for index in range(int(str(genotype["cell.nodes"])))
    ]


_LASTS = ("operation", "input", "second_input")


def operations(genotype: Genotype) -> Counter[object]:
    return Counter(answer for name, answer in genotype.items() if name.endswith(".operation"))


def nodes(genotype: Genotype) -> int:
    return sum(int(str(answer)) for name, answer in genotype.items() if name.endswith(".nodes"))


def test_a_node_is_inserted_on_each_edge_and_as_each_branch() -> None:
    chain = cell(("a", "input", None), ("b", "node0", None))
    assert [wiring(edit) for edit in edits("insert_node", chain)] == [
        [(None, "input", None), ("a", "node0", None), ("b", "node1", None)],
        [("a", "input", None), (None, "node0", None), ("b", "node1", None)],
        [("a", "input", None), ("b", "node0", None), (None, "input", None)],
        [("a", "input", None), ("b", "node0", None), (None, "node0", None)],
        [("a", "input", None), ("b", "node0", None), (None, "node1", None)],
    ]


def test_a_removed_node_is_bridged() -> None:
    diamond = cell(("a", "input", None), ("b", "input", None), ("c", "node0", "node1"))
    assert [wiring(edit) for edit in edits("remove_node", diamond)] == [
        [("b", "input", None), ("c", "input", "node0")],
        [("a", "input", None), ("c", "node0", "input")],
        [("a", "input", None), ("b", "input", None)],
    ]
    beside = cell(("a", "input", None), ("b", "input", "node0"))
    first, *_ = edits("remove_node", beside)
    assert wiring(first) == [("b", "input", None)]  # both of its inputs have become the same
    assert "cell.node0.merge" not in first
    assert not list(edits("remove_node", cell(("a", "input", None))))


def test_each_edge_can_be_another_one() -> None:
    pair = cell(("a", "input", None), ("b", "node0", None))
    assert [wiring(edit)[1][1:] for edit in edits("edge", pair)] == [
        ("input", None),
        ("node0", "input"),
    ]
    joined = cell(("a", "input", None), ("b", "input", None), ("c", "node0", "node1"))
    assert [[node[1:] for node in wiring(edit)[1:]] for edit in edits("edge", joined)] == [
        [("node0", None), ("node0", "node1")],
        [("input", "node0"), ("node0", "node1")],
        [("input", None), ("input", "node1")],
        [("input", None), ("node0", "input")],
        [("input", None), ("node0", None)],
    ]


@settings(max_examples=30, deadline=None)
@given(seed=seeds, mutation=st.sampled_from(sorted(MUTATIONS)))
def test_every_edit_that_fits_is_another_member(seed: int, mutation: str) -> None:
    parent = SPACE.sample(np.random.default_rng(seed))
    found = list(edits(mutation, parent))
    for edit in found[:: max(len(found) // 5, 1)]:
        child = completed(SPACE, edit, seed)
        if child is None:
            continue
        SPACE.decode(child)
        assert child != parent
        gained, lost = (
            operations(child) - operations(parent),
            operations(parent) - operations(child),
        )
        assert (gained.total(), lost.total()) == {
            "insert_node": (1, 0),
            "remove_node": (0, 1),
            "edge": (0, 0),
        }[mutation]


@settings(max_examples=12, deadline=None)
@given(seed=seeds)
def test_removing_the_inserted_node_gives_the_parent_back(seed: int) -> None:
    parent = SPACE.sample(np.random.default_rng(seed))
    for edit in list(edits("insert_node", parent))[:8]:
        child = completed(SPACE, edit, seed)
        if child is not None:
            back = [completed(SPACE, each) for each in edits("remove_node", child)]
            assert parent in [
                {**each, **{n: o for n, o in parent.items() if n.endswith(".output")}}
                if each is not None
                else None
                for each in back
            ]


def test_only_counts_that_the_space_offers_are_reached() -> None:
    space = nas.space("primitives", (1, 16, 16), 10, nodes=[1, 3])
    for seed in range(20):
        parent = space.sample(np.random.default_rng(seed))
        for mutation in MUTATIONS:
            for edit in edits(mutation, parent):
                if mutation != "edge":
                    assert completed(space, edit) is None


@pytest.mark.parametrize("mutation", sorted(MUTATIONS))
def test_a_network_without_cells_has_no_edits(mutation: str) -> None:
    assert not list(edits(mutation, SPACE.member("lenet5")))
