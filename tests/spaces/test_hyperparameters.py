"""Joint spaces: an architecture's choices, then the recipe's."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import nas
from nas.errors import InputError
from nas.spaces.choices import (
    Choose,
    Genotype,
    Infeasible,
    Option,
    architecture_choices,
    recipe_choices,
)
from nas.spaces.constrained_space import ConstrainedSpace, constrained
from nas.spaces.constraints import Constraints, Latency
from nas.spaces.hyperparameters import joint
from nas.spaces.search_space import SearchSpace

OPTIONS = {"learning_rate": (0.1, 0.2, 0.4), "epochs": (1, 2)}


def accept(answers: Mapping[str, Option]) -> None:
    """Everything is a recipe."""


@pytest.fixture(scope="module")
def cells() -> SearchSpace:
    return nas.space("nasbench201", (3, 8, 8), 5, nodes=3, cells=1, channels=4)


def test_every_architecture_with_every_recipe(cells: SearchSpace) -> None:
    space = joint(cells, OPTIONS, accept)
    found = list(space.enumerate())
    assert len(found) == space.size().count == 125 * 6
    assert [architecture_choices(g) for g in found[::6]] == list(cells.enumerate())
    recipes = [recipe_choices(g) for g in found[:6]]
    assert recipes == [{"learning_rate": rate, "epochs": epochs}
                       for rate in (0.1, 0.2, 0.4) for epochs in (1, 2)]  # fmt: skip
    assert list(found[0])[-2:] == ["recipe.learning_rate", "recipe.epochs"]
    mutants = [space.mutate(found[0], np.random.default_rng(seed)) for seed in range(100)]
    assert {recipe_choices(g)["epochs"] for g in mutants} == {1, 2}


def test_identity_is_the_architectures_alone(cells: SearchSpace) -> None:
    space = joint(cells, OPTIONS, accept)
    rng = np.random.default_rng(0)
    for _ in range(20):
        genotype = space.sample(rng)
        alone = architecture_choices(genotype)
        assert space.identity(genotype) == cells.identity(alone)
        assert space.cell_graphs(genotype) == cells.cell_graphs(alone)
        assert space.decode(genotype) == cells.decode(alone)
        assert space.from_string(space.to_string(genotype)) == genotype
    with pytest.raises(InputError, match=r"choice 'recipe.learning_rate' is missing"):
        space.from_string(json.dumps(alone))


def test_members_take_the_first_options() -> None:
    space = joint(nas.space("nasbench201"), OPTIONS, accept)
    member = space.member("resnet")
    assert recipe_choices(member) == {"learning_rate": 0.1, "epochs": 1}


def test_combinations_may_be_refused(cells: SearchSpace) -> None:
    def check(answers: Mapping[str, Option]) -> None:
        if answers == {"learning_rate": 0.4, "epochs": 2}:
            raise Infeasible("too hot for so long", "recipe")

    space = joint(cells, OPTIONS, check)
    assert space.size().count == 125 * 5
    rng = np.random.default_rng(0)
    for _ in range(60):
        space.sample(rng)
    assert space.rejected["recipe"] > 0


def test_a_space_that_asks_the_same_itself_is_refused() -> None:
    def function(choose: Choose) -> nas.Architecture:
        choose("recipe.epochs", (1, 2))
        g = nas.Builder((3, 4, 4))
        return g.build(g.linear(g.global_pool(g.input), 2))

    space = joint(SearchSpace(function, "mine"), OPTIONS, accept)
    with pytest.raises(InputError, match=r"^space mine: already asks recipe.epochs itself$"):
        space.sample(np.random.default_rng(0))


def test_constraints_stay_outside_and_know_the_notation(cells: SearchSpace, tmp_path: Path) -> None:
    fast: Genotype = {"edge0-1": "none", "edge0-2": "nor_conv_3x3", "edge1-2": "skip_connect"}
    lines = ["architecture,ms"]
    for genotype in cells.enumerate():
        lines.append(f"{cells.to_string(genotype)},{1 if genotype == fast else 9}")
    (tmp_path / "latency.csv").write_text("\n".join(lines))
    limit = Constraints(latency_ms=Latency(limit=5.0, table="latency.csv", column="ms"))
    for space in (
        constrained(joint(constrained(cells, limit, tmp_path), OPTIONS, accept), limit, tmp_path),
        joint(constrained(cells, limit, tmp_path), OPTIONS, accept),
    ):
        assert isinstance(space, ConstrainedSpace)
        assert [architecture_choices(g) for g in space.enumerate()] == [fast] * 6
