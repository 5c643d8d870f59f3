"""Priors: what is drawn by them, what they leave as it is, and what is refused."""

import json
import pickle
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import nas
from nas.errors import InputError
from nas.searchers import Observation, Searcher, searcher
from nas.spaces.choices import Choose, Genotype, Options
from nas.spaces.hyperparameters import joint
from nas.spaces.search_space import SearchSpace
from nas.testing.spaces import CHECKS, TINY_CHECKS, SpaceCase
from tests.spaces.chance import assert_distributed

# What the code before there were priors drew: five samples, mutants, children of two, and children.
DRAWN = {
    "amoebanet": "722adeedb887", "anynet": "dfb891efec2c", "darts": "a784e00937c8",
    "enas": "9682a4cdda49", "hierarchical": "7665267dff47", "mnasnet": "d51ef9248a9b",
    "mobilenetv3_ofa": "58b590218684", "nasbench101": "0f1015c65de4",
    "nasbench201": "b2d52ae36739", "nasnet": "ad3feb11515e", "natsbench_size": "5ddbc862ebfe",
    "pnasnet": "073530884b60", "primitives": "7aeb109a0088", "proxylessnas": "88885a999685",
    "regnet": "4a79850084d8", "spos": "0f6976437dfb",
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_spaces_without_priors_draw_what_they_have_always_drawn(name: str) -> None:
    space, rng = nas.space(name), np.random.default_rng(7)
    found = []
    for _ in range(5):
        a, b = space.sample(rng), space.sample(rng)
        found += [a, space.mutate(a, rng), space.crossover(a, b, rng)]
        found.append(space.child(a, rng, space.mutations_with(neutral="keep")).genotype)
    assert blake2b(json.dumps(found).encode(), digest_size=6).hexdigest() == DRAWN[name]


OPERATIONS = ["conv", "pool", "skip", "none"]
WEIGHTS = [4, 3, 1, 0]
CHANCES = {"conv": 1 / 2, "pool": 3 / 8, "skip": 1 / 8}


def weighed(choose: Choose) -> None:
    if choose("op", OPERATIONS, prior=WEIGHTS) == "skip":
        choose("width", [8, 16], prior=(0.25, 0.75))
    choose("kernel", [1, 3])


def plain(choose: Choose) -> None:
    if choose("op", OPERATIONS) == "skip":
        choose("width", [8, 16])
    choose("kernel", [1, 3])


def space_of(function: Any) -> SearchSpace:
    return SearchSpace(cast(Any, function), "toy")


def counted(draw: Callable[[np.random.Generator], Genotype], name: str) -> Counter[Any]:
    rng = np.random.default_rng(5)
    return Counter(draw(rng).get(name) for _ in range(2000))


def test_what_is_drawn_follows_the_prior() -> None:
    space = space_of(weighed)
    skip = {"op": "skip", "width": 8, "kernel": 1}
    none = {"op": "none", "kernel": 3}
    assert_distributed(counted(space.sample, "op"), CHANCES)
    assert_distributed(counted(space.sample, "kernel"), {1: 0.5, 3: 0.5})
    others = {"conv": 4 / 21, "pool": 3 / 21, "skip": 2 / 3}  # width and kernel change as often
    assert_distributed(counted(lambda rng: space.mutate(skip, rng), "op"), others)
    mutants = Counter(
        space.mutate(none, rng).get("width") for rng in map(np.random.default_rng, range(2000))
    )
    assert_distributed(mutants, {None: 15 / 16, 8: 1 / 64, 16: 3 / 64})  # what is newly asked
    both = counted(lambda rng: space.crossover(none, skip, rng), "op")
    assert_distributed(both, {"none": 0.5, "skip": 0.5})  # parents are equal


def test_a_prior_changes_nothing_but_what_is_drawn() -> None:
    space, same = space_of(weighed), space_of(plain)
    found = list(same.enumerate())
    assert list(space.enumerate()) == found
    assert space.size() == same.size()
    for genotype in found:
        assert space.encode(genotype, "one_hot") == same.encode(genotype, "one_hot")
        assert space.to_string(genotype) == same.to_string(genotype)
        everywhere = list(same.neighbors(genotype))
        expected = [each for each in everywhere if genotype["op"] == "none" or each["op"] != "none"]
        assert list(space.neighbors(genotype)) == expected
    built = nas.space("nasbench201", priors={"*": {"none": 0}})
    known = nas.space("nasbench201")
    genotype = known.sample(np.random.default_rng(0))
    assert built.identity(genotype) == known.identity(genotype)
    assert built.decode(genotype).fingerprint == known.decode(genotype).fingerprint
    options = Options(OPERATIONS, WEIGHTS)
    assert pickle.loads(pickle.dumps(options)).prior == options.prior


PRIMITIVES = {"width": {"8": 2}, "*.operation": {"conv": 5}, "*.second_input": {"null": 0.5}}


def test_a_space_with_priors_keeps_its_promises() -> None:
    tiny = nas.space("nasbench201", (3, 16, 16), 5, nodes=3, priors={"edge0-?": {"none": 0}})
    case = SpaceCase(tiny, tiny, seeds=range(4))
    for check in (*CHECKS, *TINY_CHECKS):
        check(case)


def test_weights_of_a_yaml_space_are_given_by_the_names_of_choices() -> None:
    space = nas.space(
        "nasbench201", priors={"*": {"none": 0}, "edge0-1": {"none": 0, "skip_connect": 3}}
    )
    edges = [f"nor_conv_{k}x{k}" for k in (1, 3)] + ["avg_pool_3x3"]
    assert_distributed(
        counted(space.sample, "edge0-1"), {**dict.fromkeys(edges, 1 / 6), "skip_connect": 0.5}
    )
    assert_distributed(
        counted(space.sample, "edge2-3"), dict.fromkeys([*edges, "skip_connect"], 0.25)
    )
    numbers = nas.space("natsbench_size", channels=[8, 16], priors={"layer0.channels": {16: 3}})
    assert_distributed(counted(numbers.sample, "layer0.channels"), {8: 0.25, 16: 0.75})
    searched = joint(numbers, {"learning_rate": Options([0.1, 0.01], [1, 3])}, lambda asked: None)
    assert_distributed(counted(searched.sample, "recipe.learning_rate"), {0.1: 0.25, 0.01: 0.75})


NEEDED = "the prior must be a list of one weight for each of the options 'conv', 'pool', 'skip', "


@pytest.mark.parametrize(
    "prior",
    ["[1, 2, 3]", "[1] * 5", "[1, 1, 1, -1]", "[1, 1, 1, float('nan')]", "[0] * 4", "4",
     "[1, 1, 1, float('inf')]", "[1e308] * 4", "'aaaa'", "[10**400, 1, 1, 1]",
     "{'conv': 1, 'pool': 1, 'skip': 1, 'none': 1}"],
)  # fmt: skip
def test_wrong_weights_are_refused_with_the_place(tmp_path: Path, prior: str) -> None:
    text = f"def space(choose):\n    choose('op', {OPERATIONS}, prior={prior})\n"
    (tmp_path / "mine.py").write_text(text)
    space = nas.space(f"{tmp_path}/mine.py:space")
    with pytest.raises(InputError) as caught:
        space.sample(np.random.default_rng(0))
    assert str(caught.value).startswith(f"mine.py:2: space mine.py:space: choice 'op': {NEEDED}")


@pytest.mark.parametrize(
    ("priors", "said"),
    [
        ({"*": {"nonee": 1}}, r"priors.\*: unknown option 'nonee' \(did you mean 'none'\?\); allo"),
        ({"edge0-9": {"none": 1}}, r"priors: unknown choice 'edge0-9' \(did you mean 'edge0-"),
        ({"*": {"none": -1}}, r"priors.\*.none: Input should be greater than or equal to 0"),
        ({"*": {"none": float("inf")}}, r"priors.\*.none: Input should be a finite number"),
        ({"*": {"none": 0, "skip_connect": 0}}, r"priors.\*: choice 'edge0-1': "
         "the prior must be a list of one weight for each of the options 'none', 'skip_connect', "),
        ({"*": ["none"]}, r"priors.\*: must be a mapping of keys to values"),
    ],
)  # fmt: skip
def test_wrong_priors_of_a_space_file_are_refused(priors: Any, said: str) -> None:
    with pytest.raises(InputError, match=rf"nasbench201.yaml: {said}"):
        nas.space("nasbench201", operations=["none", "skip_connect"], priors=priors)


def searched(sampler: str, options: dict[str, Any], trials: int) -> tuple[Searcher, Counter[Any]]:
    made = searcher(
        "optuna", space=space_of(weighed), seed=3, sampler=sampler, sampler_options=options
    )
    found = Counter[Any]()
    for trial in range(trials):
        proposal = made.ask(trial)
        made.tell(Observation(trial, proposal.genotype, (0.0,)))
        found[proposal.genotype["op"]] += 1
    return made, found


@pytest.mark.parametrize(
    ("sampler", "options", "trials"),
    [("Random", {}, 150), ("TPE", {"n_startup_trials": 150}, 150),
     ("NSGAII", {"population_size": 150}, 150), ("GP", {"n_startup_trials": 150}, 150)],
)  # fmt: skip
def test_random_trials_of_optuna_follow_the_prior(
    sampler: str, options: dict[str, Any], trials: int
) -> None:
    _, found = searched(sampler, options, trials)
    assert_distributed(found, CHANCES)


def test_other_trials_of_optuna_know_nothing_of_it() -> None:
    assert searched("QMC", {}, 64)[1]["none"] > 8
    made, found = searched("TPE", {"n_startup_trials": 4}, 40)
    assert found["none"] > 0
    again = searcher(
        "optuna", space=space_of(weighed), seed=3, sampler="TPE",
        sampler_options={"n_startup_trials": 4},
    )  # fmt: skip
    for trial in range(40):
        proposal = made.ask(trial)
        again.replay(trial, proposal)
        again.tell(Observation(trial, proposal.genotype, (0.0,)))
    assert again.ask(40) == made.ask(40)
