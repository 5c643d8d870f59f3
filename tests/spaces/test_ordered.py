"""Choices whose options are ordered: mutation, neighbours, encoding, Optuna, and YAML."""

from collections import Counter
from pathlib import Path
from typing import Any, cast

import numpy as np
import optuna
import pytest

import nas
from nas.errors import InputError
from nas.searchers import Observation, searcher
from nas.spaces.choices import Choose, Options
from nas.spaces.hyperparameters import joint
from nas.spaces.mutations import Mutations
from nas.spaces.search_space import SearchSpace
from nas.testing.spaces import CHECKS, TINY_CHECKS, SpaceCase
from tests.spaces.chance import assert_distributed

SIZES = ["tiny", "small", "medium", "large", "huge"]


def sized(choose: Choose) -> None:
    choose("size", SIZES, ordered=True)
    choose("kind", ["a", "b"])


def weighed(choose: Choose) -> None:
    choose("size", SIZES, prior=[1, 1, 1, 3, 0], ordered=True)


def space_of(function: Any) -> SearchSpace:
    return SearchSpace(cast(Any, function), "toy")


def mutants(space: SearchSpace, parent: dict[str, Any]) -> Counter[Any]:
    rng = np.random.default_rng(0)
    return Counter(space.mutate(parent, rng)["size"] for _ in range(2000))


def test_a_mutation_mostly_goes_to_the_option_beside() -> None:
    # Three quarters are shared by the options beside, one quarter by all others, as in Ray Tune.
    middle = {"tiny": 1 / 16, "small": 7 / 16, "large": 7 / 16, "huge": 1 / 16}
    found = mutants(
        space_of(lambda choose: choose("size", SIZES, ordered=True)), {"size": "medium"}
    )
    assert_distributed(found, middle)
    end = {"small": 13 / 16, "medium": 1 / 16, "large": 1 / 16, "huge": 1 / 16}
    found = mutants(space_of(lambda choose: choose("size", SIZES, ordered=True)), {"size": "tiny"})
    assert_distributed(found, end)
    with_prior = {"tiny": 0.05, "small": 0.05 + 0.75 / 4, "large": 0.15 + 0.75 * 3 / 4}
    assert_distributed(mutants(space_of(weighed), {"size": "medium"}), with_prior)
    # Where the only option beside is never drawn, the others are.
    assert set(mutants(space_of(weighed), {"size": "huge"})) == {"tiny", "small", "medium", "large"}


def test_neighbours_and_steps_are_the_options_beside() -> None:
    space = space_of(sized)
    neighbours = [tuple(each.values()) for each in space.neighbors({"size": "small", "kind": "a"})]
    assert neighbours == [("tiny", "a"), ("medium", "a"), ("small", "b")]
    step = Mutations(weights={"step": 1.0})
    children = space.children({"size": "huge", "kind": "a"}, step)
    assert [child.genotype["size"] for child in children] == ["large"]
    fresh = space_of(sized)  # it has never asked anything yet
    child = fresh.child({"size": "huge", "kind": "a"}, np.random.default_rng(0), step)
    assert child.genotype["size"] == "large"


def test_the_encoding_is_one_number_that_rises() -> None:
    space = space_of(sized)
    encoded = [space.encode({"size": size, "kind": "b"}, "one_hot") for size in SIZES]
    assert [each.pop("size") for each in encoded] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert encoded == [{"kind='b'": 1.0}] * 5
    searched = joint(
        nas.space("nasbench201"), {"epochs": Options([1, 2], ordered=True)}, lambda asked: None
    )
    genotype = searched.sample(np.random.default_rng(0))
    for encoding in ("one_hot", "wl", "path"):
        features = searched.encode(genotype, cast(Any, encoding))
        assert features["recipe.epochs"] == genotype["recipe.epochs"] / 2  # type: ignore[operator]


def test_sizes_and_enumeration_do_not_know_the_order() -> None:
    space = space_of(sized)
    assert space.size().count == 10
    assert [each["size"] for each in space.enumerate()][::2] == SIZES


@pytest.mark.parametrize(
    ("sampler", "options"),
    [("TPE", {"n_startup_trials": 4}), ("NSGAII", {"population_size": 4}), ("QMC", {})],
)
def test_optuna_gets_an_integer(sampler: str, options: dict[str, Any]) -> None:
    made = searcher(
        "optuna", space=space_of(sized), seed=0, sampler=sampler, sampler_options=options
    )
    again = searcher(
        "optuna", space=space_of(sized), seed=0, sampler=sampler, sampler_options=options
    )
    for trial in range(14):
        proposal = made.ask(trial)
        again.replay(trial, proposal)
        for each in (made, again):
            each.tell(
                Observation(
                    trial,
                    proposal.genotype,
                    (SIZES.index(cast(str, proposal.genotype["size"])) + 1.0,),
                )
            )
    assert again.ask(14) == made.ask(14)
    (trial, *_) = cast(Any, made)._study.get_trials()
    kinds = [type(each) for each in trial.distributions.values()]
    integer, categorical = (
        optuna.distributions.IntDistribution,
        optuna.distributions.CategoricalDistribution,
    )
    assert kinds == [integer, categorical]


def test_a_space_file_names_ordered_choices(tmp_path: Path) -> None:
    overrides = {"nodes": 3, "ordered": ["edge0-1"]}
    space = nas.space("nasbench201", (3, 16, 16), 5, **overrides)
    case = SpaceCase(space, space, seeds=range(4))
    for check in (*CHECKS, *TINY_CHECKS):
        check(case)
    with pytest.raises(
        InputError, match=r"nasbench201.yaml: ordered: unknown choice 'edge1' \(did"
    ):
        nas.space("nasbench201", ordered=["edge1"])
