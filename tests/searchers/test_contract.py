"""What every searcher promises. A new one adds its cases to CASES and inherits the rest."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from nas.configuration import validate_options
from nas.errors import InputError
from nas.searchers import SEARCHERS, Observation, Searcher, searcher
from tests.searchers.toy import Case, best, campaign, loss, proposals, recorded, space

TPE_SOON = {"n_startup_trials": 5}
TPE = {"name": "optuna", "sampler_options": TPE_SOON}
NSGA_II = {"name": "optuna", "sampler": "NSGAII", "sampler_options": {"population_size": 4}}
EVOLUTION = {"name": "evolution", "population_size": 8, "tournament_size": 3}
CASES = {
    "random": Case("random"),
    "random, 2 objectives": Case("random", objectives=2),
    "evolution": Case("evolution", {"population_size": 8, "tournament_size": 3}),
    "evolution from a member": Case(
        "evolution", {"population_size": 8, "tournament_size": 3, "initial": ("small",)}
    ),
    "tournament evolution": Case(
        "tournament_evolution", {"population_size": 8, "tournament_size": 3}
    ),
    "multi-objective evolution": Case(
        "multi_objective_evolution", {"population_size": 8, "tournament_size": 3}, objectives=2
    ),
    "multi-objective evolution of 1": Case(
        "multi_objective_evolution", {"population_size": 8, "tournament_size": 3}
    ),
    "NSGA-II": Case("nsga2", {"population_size": 5, "crossover_rate": 0.5}, objectives=2),
    "NSGA-II, 1 objective": Case("nsga2", {"population_size": 5}),
    "local search": Case("local_search", {"starts": 2}),
    "BANANAS": Case("bananas", {"initial_size": 6, "refit_every": 5, "candidates": 20}),
    "TPE": Case("optuna", {"sampler_options": TPE_SOON}),
    "Optuna's random": Case("optuna", {"sampler": "random"}),
    "Optuna's quasi-random": Case("optuna", {"sampler": "QMC"}),
    "TPE by groups": Case("optuna", {"sampler_options": {**TPE_SOON, "group": True}}),
    "TPE, 2 objectives": Case("optuna", {"sampler_options": TPE_SOON}, objectives=2),
    "Optuna's NSGA-II": Case(
        "optuna", {"sampler": "NSGAII", "sampler_options": {"population_size": 4}}, objectives=2
    ),
    "NSGA-III": Case(
        "optuna", {"sampler": "NSGAIII", "sampler_options": {"population_size": 4}}, objectives=2
    ),
    "Gaussian process": Case(
        "optuna", {"sampler": "GP", "sampler_options": {"n_startup_trials": 3}}
    ),
    "successive halving": Case("successive_halving", {"max_fidelity": 9}),
    "ASHA": Case("asha", {"max_fidelity": 9, "reduction_factor": 2}),
    "ASHA over evolution": Case(
        "asha", {"max_fidelity": 9, "searcher": EVOLUTION, "min_points": 3}
    ),
    "Hyperband": Case("hyperband", {"min_fidelity": 2, "max_fidelity": 20}),
    "Hyperband over NSGA-II": Case(
        "hyperband", {"max_fidelity": 9, "searcher": NSGA_II, "min_points": 4}
    ),
    "BOHB": Case("bohb", {"max_fidelity": 9, "searcher": TPE, "min_points": 5}),
}
SLOW = {"Gaussian process"}

every_case = pytest.mark.parametrize("name", CASES)


def trials(name: str) -> int:
    return 12 if name in SLOW else 40


def trace(name: str, seed: int = 0, workers: int = 3) -> list[Any]:
    events = campaign(CASES[name].make(seed), trials(name), workers=workers, failures=0.2)
    return [list(p.genotype.items()) for p in proposals(events)]


def test_every_searcher_is_held_to_the_contract() -> None:
    assert {case.name for case in CASES.values()} == set(SEARCHERS)


@every_case
def test_options_are_declared_for_yaml(name: str) -> None:
    case = CASES[name]
    written = json.loads(json.dumps(case.options))
    read = validate_options(SEARCHERS[case.name], written, "campaign.yaml", "searcher")
    assert read == case.options
    with pytest.raises(InputError, match=r"campaign.yaml: searcher.*unknown key 'objectives'"):
        validate_options(SEARCHERS[case.name], {"objectives": 1}, "campaign.yaml", "searcher")


@every_case
def test_proposals_are_of_the_space_and_plain_json(name: str) -> None:
    for proposal in proposals(campaign(CASES[name].make(), trials(name), workers=3)):
        space().validate(proposal.genotype)
        order, _ = space().run(lambda choice, _, p=proposal: p.genotype[choice])  # type: ignore[misc]
        assert list(order) == list(proposal.genotype)
        assert json.loads(json.dumps(proposal.genotype)) == proposal.genotype
        assert json.loads(json.dumps(proposal.note)) == proposal.note


@every_case
def test_fidelities_rise_with_a_genotype_and_are_told_unchanged(name: str) -> None:
    """A searcher that asks for none asks for none ever, and continues nothing."""
    asked = {}
    for trial_id, proposal, observation in campaign(CASES[name].make(), trials(name), workers=3):
        if observation is not None:
            assert observation.fidelity == asked[trial_id].fidelity
            continue
        assert proposal is not None
        asked[trial_id] = proposal
        if proposal.continues is not None:
            before = asked[proposal.continues]
            assert proposal.genotype == before.genotype
            assert before.fidelity is not None
            assert proposal.fidelity is not None
            assert before.fidelity < proposal.fidelity
    assert len({type(proposal.fidelity) for proposal in asked.values()}) == 1


@every_case
def test_same_seed_same_asks_other_seed_other_asks(name: str) -> None:
    assert trace(name, seed=1) == trace(name, seed=1)
    assert trace(name, seed=1) != trace(name, seed=2)


def test_asks_do_not_hang_on_the_hash_seed() -> None:
    code = (
        "from tests.searchers.test_contract import CASES, SLOW, trace; "
        "print([trace(name) for name in CASES if name not in SLOW])"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "12"
    ]
    assert printed[0] == printed[1] != ""


def rebuilt(name: str, events: list[Any]) -> Searcher:
    made = CASES[name].make()
    for trial_id, proposal, observation in map(recorded, events):
        if proposal is not None:
            made.replay(trial_id, proposal)
        if observation is not None:
            made.tell(observation)
    return made


@every_case
def test_any_recorded_prefix_gives_the_next_ask(name: str) -> None:
    events = campaign(CASES[name].make(), trials(name), workers=3, failures=0.2)
    asks = [i for i, (_, proposal, _) in enumerate(events) if proposal is not None]
    for i in asks[:: 5 if name not in SLOW else 4]:
        trial_id, proposal, _ = events[i]
        assert rebuilt(name, events[:i]).ask(trial_id) == proposal


@every_case
def test_a_rebuilt_searcher_goes_on_as_the_first_would(name: str) -> None:
    events = campaign(CASES[name].make(), trials(name), workers=3, failures=0.2)
    middle = len(events) // 2
    made = rebuilt(name, events[:middle])
    for trial_id, proposal, observation in events[middle:]:
        if proposal is not None:
            assert made.ask(trial_id) == proposal
        if observation is not None:
            made.tell(observation)


@every_case
def test_asking_twice_answers_the_same_and_leaves_no_trace(name: str) -> None:
    once, twice = CASES[name].make(), CASES[name].make()
    for trial_id in range(trials(name)):
        proposal = once.ask(trial_id)
        assert proposal is not None
        assert proposal == twice.ask(trial_id) == twice.ask(trial_id)
        values = (float(trial_id % 5), 1.0)[: once.objectives]
        for made in (once, twice):
            made.tell(Observation(trial_id, proposal.genotype, values, proposal.note))


@every_case
def test_results_of_another_searcher_are_welcome(name: str) -> None:
    """Neither asked nor replayed, with an empty note: they may teach, and disturb nothing."""

    def asked() -> list[Any]:
        made, other = CASES[name].make(), CASES[name].make(seed=5)
        found = []
        for trial_id in range(trials(name)):
            own = trial_id % 3 == 0
            proposal = (made if own else other).ask(trial_id)
            assert proposal is not None
            space().validate(proposal.genotype)
            values = (loss(proposal.genotype), 1.0)[: made.objectives]
            told = Observation(
                trial_id,
                proposal.genotype,
                None if trial_id % 7 == 5 else values,
                proposal.note,
                proposal.fidelity,
            )
            other.tell(told)
            made.tell(told if own else replace(told, note={}))
            found.append(proposal.genotype)
        return found

    assert asked() == asked()


@every_case
def test_a_campaign_of_failures_goes_on(name: str) -> None:
    events = campaign(CASES[name].make(), 30, workers=3, failures=1.0)
    asked = [json.dumps(p.genotype) for p in proposals(events)]
    assert len(asked) == 30
    assert len(set(asked)) > 15


@every_case
def test_what_is_told_matters_unless_search_is_random(name: str) -> None:
    def asks(sign: float) -> list[Any]:
        made = CASES[name].make()
        events = campaign(made, trials(name), value=lambda g: sign * len(json.dumps(g)))
        return [p.genotype for p in proposals(events)]

    assert (asks(1.0) == asks(-1.0)) == ("random" in name)


@pytest.mark.parametrize("workers", [1, 17, 60])
@every_case
def test_nobody_waits_for_nothing(name: str, workers: int) -> None:
    """Who asks for nothing has trials under way; a campaign would stand still otherwise."""
    asked = proposals(campaign(CASES[name].make(), trials(name), workers=workers, failures=0.5))
    assert len(asked) == trials(name)


@pytest.mark.slow
def test_learners_beat_random_search_at_the_same_budget() -> None:
    budget = 60
    sizes = {"population_size": 15, "tournament_size": 5}
    learners = {
        "evolution": (Case("evolution", sizes), 40),
        "tournament evolution": (Case("tournament_evolution", sizes), 40),
        "multi-objective evolution": (Case("multi_objective_evolution", sizes), 40),
        "NSGA-II": (Case("nsga2", {"population_size": 8}), 40),
        "local search": (Case("local_search"), 40),
        "BANANAS": (Case("bananas"), 10),
        "TPE": (Case("optuna"), 8),
    }
    for name, (case, seeds) in learners.items():
        found, random = (
            [best(campaign(c.make(seed), budget, workers=2)) for seed in range(seeds)]
            for c in (case, Case("random"))
        )
        assert sum(found) / seeds < sum(random) / seeds - 1, (name, found, random)


def test_unknown_searcher_names_the_allowed_ones() -> None:
    with pytest.raises(InputError, match=r"unknown searcher 'evolutoin' \(did you mean 'evol"):
        searcher("evolutoin", space=space(), seed=0)


def test_an_observation_holds_numbers_or_nothing() -> None:
    for values in ((), (float("nan"),), (1.0, float("nan"))):
        with pytest.raises(ValueError, match="trial 3: values are numbers or"):
            Observation(3, {}, values)
    Observation(3, {}, (float("inf"),))


def test_the_registry_imports_nothing_heavy() -> None:
    code = "import nas.searchers, sys; print({'torch', 'optuna', 'ray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
