"""Mutations by name: what a child changes, how often each is drawn, and what is refused."""

from collections import Counter
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nas
from nas.errors import InputError
from nas.spaces.asked_space import NothingFeasible
from nas.spaces.choices import Choose, Genotype, Infeasible
from nas.spaces.constrained_space import constrained
from nas.spaces.constraints import Constraints
from nas.spaces.hyperparameters import joint
from nas.spaces.mutations import PUBLISHED, Mutations
from nas.spaces.search_space import SearchSpace

SPACE = nas.space("primitives", input_shape=(1, 16, 16), classes=10)
STEP = Mutations(weights={"step": 1.0})
seeds = st.integers(0, 2**32 - 1)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def space_of(function: Any) -> SearchSpace:
    return SearchSpace(cast(Any, function), "toy")


def offered(space: SearchSpace, genotype: Genotype) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}

    def answer(name: str, options: tuple[Any, ...]) -> Any:
        found[name] = options
        return genotype[name]

    space.run(answer)
    return found


def mixed(choose: Choose) -> None:
    choose("width", ["double", 64, 16, None, 32.5])
    choose("word", ["a", "b", "c"])


def test_a_step_goes_to_the_next_number_by_size() -> None:
    space = space_of(mixed)

    def widths(width: object) -> set[object]:
        parent = cast(Genotype, {"width": width, "word": "a"})
        return {child.genotype["width"] for child in space.children(parent, STEP)}

    assert widths(16) == {32.5}
    assert widths(32.5) == {16, 64}
    assert widths(64) == {32.5}
    assert widths("double") == widths(None) == set()
    with pytest.raises(InputError, match="nothing can mutate"):
        space.child({"width": "double", "word": "a"}, rng(), STEP)


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_a_step_changes_one_number_by_one_place(seed: int) -> None:
    parent = SPACE.sample(rng(seed))
    child = SPACE.child(parent, rng(seed), STEP).genotype
    options = offered(SPACE, child)
    first = next(name for name in child if child[name] != parent.get(name, ""))
    numbers = sorted(o for o in options[first] if isinstance(o, int | float))
    before, after = (numbers.index(cast(Any, each[first])) for each in (parent, child))
    assert abs(before - after) == 1
    for name in child:  # all else is kept, unless it is asked anew or is no option any more
        if name != first and name in parent and parent[name] in options[name]:
            assert child[name] == parent[name]


@settings(max_examples=30, deadline=None)
@given(seed=seeds, mutation=st.sampled_from(list(SPACE.mutations.weights)))
def test_every_mutation_of_primitives_gives_another_network(seed: int, mutation: str) -> None:
    parent = SPACE.sample(rng(seed))
    one = SPACE.mutations_with(weights={mutation: 1.0})
    try:
        child = SPACE.child(parent, rng(seed), one)
    except InputError:  # there is no cell, or its number of nodes is at a limit
        if mutation in ("choice", "step"):
            raise
        return
    assert child.mutation == mutation
    assert SPACE.decode(child.genotype).fingerprint != SPACE.decode(parent).fingerprint
    assert child == SPACE.child(parent, rng(seed), one)


def test_children_are_all_that_can_be_drawn() -> None:
    small = nas.space(
        "primitives", (1, 16, 16), 10, stages=[1], cells=[1], width=[8], nodes=[1, 2],
        activation=["relu"], norm=["batch"], multiplier=[1.0], rounding=[1], graphs=["shared"],
        node_widths=[None], stem={}, head={}, merge=["add"], output=["add"],
        operations={"conv_3x3": {"block": "conv"}, "identity": {"block": "identity"}},
    )  # fmt: skip
    parent = small.sample(rng(3))
    every = list(small.children(parent, small.mutations))
    assert len({repr(child.genotype) for child in every}) == len(every)
    drawn = {repr(small.child(parent, rng(seed), small.mutations).genotype) for seed in range(300)}
    networks = {
        repr(child.genotype) for child in every if not small.is_same_network(parent, child.genotype)
    }
    assert drawn == networks


def test_mutations_are_drawn_by_weight() -> None:
    space = space_of(lambda choose: (choose("x", [1, 2, 3, 4, 5]), choose("y", [1, 2, 3]))[0])
    mutations = space.mutations_with(weights={"choice": 1, "step": 3})
    drawn = Counter(
        space.child({"x": 3, "y": 2}, rng(seed), mutations).mutation for seed in range(4000)
    )
    assert 0.22 < drawn["choice"] / 4000 < 0.28


def test_one_choice_anew_is_what_spaces_without_edits_have_always_done() -> None:
    space = nas.space("nasbench201")
    assert space.mutations == PUBLISHED
    for seed in range(20):
        parent = space.sample(rng(seed))
        assert (
            space.mutate(parent, rng(seed))
            == space.child(parent, rng(seed), space.mutations).genotype
        )


def test_constraints_and_searched_recipes_keep_the_mutations() -> None:
    limited = constrained(SPACE, Constraints(macs=200_000), Path())
    both = joint(limited, {"lr": [0.1, 0.01]}, lambda recipe: None)
    assert limited.mutations == both.mutations == SPACE.mutations
    seen = set()
    for seed in range(60):
        parent = both.sample(rng(seed % 6))
        child = both.child(parent, rng(seed), both.mutations)
        seen.add(child.mutation)
        assert both.decode(child.genotype).cost.macs <= 200_000
        assert not both.is_same_network(parent, child.genotype)
    assert len(seen) > 2


def test_another_recipe_is_another_network() -> None:
    both = joint(nas.space("nasbench201"), {"lr": [0.1, 0.01]}, lambda recipe: None)
    parent = both.sample(rng())
    other = {**parent, "recipe.lr": 0.1 if parent["recipe.lr"] == 0.01 else 0.01}
    assert both.identity(parent) == both.identity(other)
    assert not both.is_same_network(parent, other)


def test_a_parent_with_neutral_children_alone_is_given_up() -> None:
    def same(choose: Choose) -> nas.Architecture:
        choose("ignored", [1, 2, 3])
        g = nas.Builder((1, 4, 4))
        return g.build(g.linear(g.global_pool(g.input), 2))

    space = space_of(same)
    assert space.child({"ignored": 1}, rng(), space.mutations).genotype != {"ignored": 1}
    redrawn = space.mutations_with(neutral="redraw")
    with pytest.raises(NothingFeasible, match="200 draws in a row"):
        space.child({"ignored": 1}, rng(), redrawn)
    assert space.rejected == {"neutral": 200}


def test_a_childless_parent_is_given_up_early() -> None:
    def alone(choose: Choose) -> None:
        if choose("a", [1, 2]) != choose("b", [1, 2]):
            raise Infeasible("apart")

    space = space_of(alone)
    with pytest.raises(NothingFeasible, match="200 draws in a row"):
        space.child({"a": 1, "b": 1}, rng(), space.mutations)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"chioce": 1.0}, "mutations: unknown mutation 'chioce' (did you mean 'choice'?); allowed"),
        ({"insert_node": 1.0}, "unknown mutation 'insert_node'; allowed: choice, step"),
        ({"choice": 0.0}, "mutations.weights.choice: Input should be greater than 0, got 0.0"),
        ({}, "mutations.weights: Dictionary should have at least 1 item"),
    ],
)
def test_what_is_wrong_is_said(weights: dict[str, float], said: str) -> None:
    with pytest.raises(InputError) as error:
        nas.space("nasbench201").mutations_with(weights=weights)
    assert said in str(error.value)
