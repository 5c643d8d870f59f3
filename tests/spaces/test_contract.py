"""What every space promises, whoever wrote it: the shipped ones, and those of users."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nas
from nas.architecture.reference import reference_cost
from nas.errors import InputError
from nas.spaces import spaces
from nas.spaces.choices import Genotype, Option, same
from nas.spaces.constraints import Constraints, constrained
from nas.spaces.hyperparameters import joint
from nas.spaces.search_space import SearchSpace

EXAMPLES = Path(__file__).parent / "examples"
NETWORK = {"cells": 1, "channels": 8}
BLOCKS = {"operation": "x_block", "width": [8, 16], "depth": [1, 2],
          "settings": {"reduction": [1, 2, 4], "group_width": [1, 8]}}  # fmt: skip
MOBILE = {"strides": [2, 2], "stages": [{"width": [16, 24]}]}


@dataclass(frozen=True)
class Case:
    """Overrides of a space: ``small`` keeps its choices and builds fast, ``tiny`` has few."""

    small: dict[str, Any] = field(default_factory=dict)
    tiny: dict[str, Any] | None = None


def cells(nodes: int, operations: list[str], **keys: Any) -> Case:
    """Of a space of two cells."""
    few = {"nodes": nodes, "operations": operations, "published": [], **keys}
    return Case({**NETWORK, "channels": 12, "stages": 2}, {**NETWORK, "channels": 12, **few})


CASES = {
    "amoebanet": cells(1, ["skip_connect", "max_pool_2x2", "conv_3x3"]),
    "anynet": Case({"default": BLOCKS}, {"strides": [2, 2], "stages": [{}], "default": BLOCKS}),
    "darts": cells(2, ["skip_connect", "sep_conv_3x3"]),
    "enas": cells(1, ["skip_connect", "avg_pool_3x3", "max_pool_3x3"]),
    "hierarchical": Case(
        {"channels": 4, "stages": 2},
        {"motifs": 2, "motif_nodes": 3, "cell_nodes": 3, "operations": ["identity", "conv_1x1"]},
    ),
    "mnasnet": Case(
        {"strides": [2, 1, 2, 2], "stages": [{"width": [8, 16], "depth": [1, 2]}] * 3},
        {"strides": [2, 2], "stages": [{"width": [8, 16], "depth": [1, 2]}]},
    ),
    "mobilenetv3_ofa": Case({"width_multiplier": 0.25}, MOBILE),
    "nasbench101": Case({"channels": 8, "cells": 1}, {"max_vertices": 4, "max_edges": 4}),
    "nasbench201": Case({**NETWORK}, {"nodes": 3}),
    "nasnet": cells(1, ["skip_connect", "conv_1x1", "conv_3x3"]),
    "natsbench_size": Case({"stages": 2, "channels": [8, 16]}, {"channels": [8, 16, 24]}),
    "pnasnet": cells(2, ["skip_connect", "conv_1x3_3x1"]),
    "primitives": Case(
        {"width": [8, 16], "cells": [1], "nodes": [2, 3]},
        {"stages": [1], "width": [8], "cells": [1], "nodes": [1, 2],
         "operations": {"a": {"block": "identity"}, "b": {"block": "conv"}}},
    ),
    "proxylessnas": Case({"width_multiplier": 0.25}, {
        "strides": [2, 1, 2, 1], "default": {"operation": ["mbconv3_3x3", "zero"], "depth": 2},
        "stages": [{"width": 16}, {"width": [16, 24]}, {"width": 24, "depth": 3}]}),
    "regnet": Case(
        {"depth": [4, 5, 6], "initial_width": [8, 16, 24], "group_width": [4, 8]},
        {"depth": [4, 5], "initial_width": [8, 16], "slope": [8, 16, 20.71], "step": [2.0, 2.5]},
    ),
    f"{EXAMPLES}/my_space.py:space": Case(),
    f"{EXAMPLES}/my_space.yaml": Case({"stem": {"channels": 8}}),
}  # fmt: skip
NAMES = sorted(CASES)
IDS = [Path(name).name for name in NAMES]
of_every_space = pytest.mark.parametrize("name", [*NAMES, "joint", "constrained"],
                                         ids=[*IDS, "joint", "constrained"])  # fmt: skip
seeds = st.integers(0, 2**32 - 1)


@cache
def small(name: str) -> SearchSpace:
    """A space whose networks are built within milliseconds."""
    if name == "joint":
        recipe = {"learning_rate": (0.1, 0.2), "epochs": (1, 2, 3)}
        return joint(small("nasbench201"), recipe, lambda answers: None)
    if name == "constrained":
        limits = Constraints(params=20_000, depth=4)
        return constrained(small(f"{EXAMPLES}/my_space.yaml"), limits, Path())
    return nas.space(name, (3, 16, 16), 5, **CASES[name].small)


@cache
def tiny(name: str) -> SearchSpace:
    """A space that can be enumerated."""
    overrides = CASES[name].tiny
    return nas.space(
        name, (3, 16, 16), 5, **(CASES[name].small if overrides is None else overrides)
    )


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def items(genotype: Genotype) -> list[tuple[str, str]]:
    """Order and types included, which == between dicts leaves out."""
    return [(name, repr(option)) for name, option in genotype.items()]


def asked(space: SearchSpace, genotype: Genotype) -> dict[str, tuple[Option, ...]]:
    """The options that every choice of a genotype was asked with, in order."""
    options: dict[str, tuple[Option, ...]] = {}

    def answer(name: str, given: tuple[Option, ...]) -> Option:
        options[name] = given
        return genotype[name]

    space.run(answer)
    return options


def allowed(option: Option, options: tuple[Option, ...]) -> bool:
    return any(same(option, each) for each in options)


def check_changed(space: SearchSpace, parent: Genotype, child: Genotype) -> None:
    """One answer is another; those before are kept, and those after where they still can be."""
    assert items(child) != items(parent)
    options = asked(space, child)
    differing = [n for n in child if n not in parent or not same(child[n], parent[n])]
    changed = differing[0]
    assert changed in parent
    before = list(child).index(changed)
    assert items(child)[:before] == items(parent)[:before]
    for name in differing[1:]:
        assert name not in parent or not allowed(parent[name], options[name])


def test_every_shipped_space_is_here() -> None:
    assert {name for name in NAMES if "/" not in name} == set(spaces())


@of_every_space
@settings(max_examples=50)
@given(seeds)
def test_a_sample_is_valid_decodes_and_is_replayed_exactly(name: str, seed: int) -> None:
    space = small(name)
    genotype = space.sample(rng(seed))
    assert items(space.sample(rng(seed))) == items(genotype)
    text = json.dumps(genotype)
    assert items(json.loads(text)) == items(genotype)
    space.validate(genotype)
    assert all(allowed(genotype[n], options) for n, options in asked(space, genotype).items())
    # Neither the order nor the objects matter.
    parts = list(json.loads(text).items())
    shuffled = dict(parts[index] for index in rng(seed).permutation(len(parts)))
    again, _ = space.run(lambda choice, _: shuffled[choice])
    assert items(again) == items(genotype)
    architecture = space.decode(genotype)
    assert space.decode(shuffled) == architecture
    assert architecture.input_shape == (3, 16, 16)
    assert architecture.output_shape == (5,)
    assert nas.Architecture.from_json(architecture.to_json()) == architecture
    assert space.decode(space.from_string(space.to_string(genotype))) == architecture
    assert items(space.from_string(space.to_string(genotype))) == items(genotype)


@of_every_space
@settings(max_examples=60)
@given(seeds)
def test_mutation_changes_what_it_says(name: str, seed: int) -> None:
    space, generator = small(name), rng(seed)
    parent = space.sample(generator)
    for _ in range(3):
        child = space.mutate(parent, generator)
        check_changed(space, parent, child)
        space.validate(child)
        parent = child


@of_every_space
@settings(max_examples=60)
@given(seeds)
def test_crossover_takes_every_answer_it_can_from_a_parent(name: str, seed: int) -> None:
    space, generator = small(name), rng(seed)
    a, b = space.sample(generator), space.sample(generator)
    child = space.crossover(a, b, generator)
    space.validate(child)
    assert items(space.crossover(a, a, generator)) == items(a)
    for choice, options in asked(space, child).items():
        parental = [p[choice] for p in (a, b) if choice in p and allowed(p[choice], options)]
        assert not parental or allowed(child[choice], tuple(parental))


@of_every_space
def test_neighbours_are_valid_distinct_and_one_change_away(name: str) -> None:
    space = small(name)
    parent = space.sample(rng(0))
    found = list(islice(space.neighbors(parent), 100))
    assert len({str(items(genotype)) for genotype in found}) == len(found) > 0
    for genotype in found:
        check_changed(space, parent, genotype)
        space.validate(genotype)


@pytest.mark.parametrize("name", NAMES, ids=IDS)
def test_the_size_is_the_number_that_enumeration_finds(name: str) -> None:
    space = tiny(name)
    found = [str(items(genotype)) for genotype in space.enumerate()]
    assert 5 < len(found) < 40_000
    assert len(set(found)) == len(found)
    assert (space.size().count, space.size().exact) == (len(found), True)
    assert str(items(space.sample(rng(0)))) in set(found)


@pytest.mark.parametrize("name", NAMES, ids=IDS)
def test_neighbours_are_all_that_mutation_can_return(name: str) -> None:
    space, generator = tiny(name), rng(1)
    parent = space.sample(generator)
    neighbours = {str(items(genotype)) for genotype in space.neighbors(parent)}
    mutants = [space.mutate(parent, generator) for _ in range(100)]
    assert {str(items(genotype)) for genotype in mutants} <= neighbours


@of_every_space
@settings(max_examples=20)
@given(seeds)
def test_validate_names_the_first_choice_at_fault(name: str, seed: int) -> None:
    space, generator = small(name), rng(seed)
    genotype = space.sample(generator)
    names = list(genotype)
    first = int(generator.integers(len(names)))
    spoilt = [*names[first : first + 1], *names[first + 1 :: 2]]
    wrong: Genotype = {**genotype, **dict.fromkeys(spoilt, "no such option")}
    missing = {n: o for n, o in genotype.items() if n not in spoilt}
    for fault, said in [
        (wrong, f"choice {names[first]!r}: 'no such option' is not an option; allowed: "),
        (missing, f"choice {names[first]!r} is missing; allowed: "),
        ({**genotype, "no such choice": 1}, "choice 'no such choice' is not asked"),
    ]:
        for check in (space.validate, space.decode):
            with pytest.raises(InputError) as caught:
                check(fault)  # type: ignore[arg-type]
            assert str(caught.value).startswith(f"space {space.name}: {said}")


@of_every_space
@pytest.mark.slow
def test_the_analytic_cost_is_fvcores(name: str) -> None:
    space, generator = small(name), rng(2)
    for _ in range(2):
        genotype = space.sample(generator)
        architecture = space.decode(genotype)
        assert architecture.cost == reference_cost(architecture).cost, genotype


@of_every_space
def test_encodings_tell_genotypes_apart(name: str) -> None:
    space, generator = small(name), rng(3)
    drawn = [space.sample(generator) for _ in range(50)]
    features = [space.encode(genotype, "one_hot") for genotype in drawn]
    assert [len(each) for each in features] == [len(genotype) for genotype in drawn]
    distinct: Callable[[list[Any]], int] = lambda found: len({str(sorted(f)) for f in found})  # noqa: E731
    assert distinct(features) == distinct([items(genotype) for genotype in drawn])
    if space.cell_graphs(drawn[0]):
        assert any(space.encode(genotype, "path") for genotype in drawn)


def test_one_space_in_python_and_in_yaml() -> None:
    in_python = nas.space(EXAMPLES / "my_space.py:space")
    in_yaml = nas.space(EXAMPLES / "my_space.yaml")
    pairs = list(zip(in_python.enumerate(), in_yaml.enumerate(), strict=True))
    assert len(pairs) == 3 * (3**2 + 3**3 + 3**4)
    for one, other in pairs[::13]:
        assert list(one.values()) == list(other.values())
        assert in_python.decode(one).fingerprint == in_yaml.decode(other).fingerprint


@pytest.mark.parametrize("name", ["nasbench201", "darts", "natsbench_size"])
def test_a_foreign_genotype_has_no_notation(name: str) -> None:
    with pytest.raises(InputError, match="choice"):
        small(name).to_string({"elsewhere": "conv_3x3"})
