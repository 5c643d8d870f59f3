"""What every searcher promises, by ``nas.testing``: a new one adds its cases to CASES."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.errors import InputError
from nas.searchers import SEARCHERS, Observation, Proposal, searcher
from nas.searchers.loop import SearchLoop
from nas.searchers.random_search import RandomSearch
from nas.spaces.choices import Choose, Infeasible
from nas.spaces.search_space import SearchSpace
from nas.testing import check_searcher, searchers
from nas.testing.searchers import CHECKS, hash_seed_does_not_matter
from nas.testing.searchers import SearcherCase as Case
from nas.testing.toy import OPTIMUM, SMALL, best, campaign, loss, proposals, space

TPE_SOON = {"n_startup_trials": 5}
TPE = {"name": "optuna", "sampler_options": TPE_SOON}
NSGA_II = {"name": "optuna", "sampler": "NSGAII", "sampler_options": {"population_size": 4}}
EVOLUTION = {"name": "evolution", "population_size": 8, "tournament_size": 3}
CASES = {
    "random": Case("random", learns=False),
    "random, 2 objectives": Case("random", objectives=2, learns=False),
    "evolution": Case("evolution", {"population_size": 8, "tournament_size": 3}),
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
    "evolution, filtered": Case(
        "evolution", {"population_size": 8, "tournament_size": 3}, screened=True
    ),
    "ASHA over NSGA-II, filtered": Case(
        "asha",
        {
            "max_fidelity": 9,
            "searcher": {"name": "nsga2", "population_size": 5},
            "min_points": 3,
            "random_fraction": 0.3,
        },
        screened=True,
    ),
    "predictor, exploring": Case(
        "predictor", {"initial_size": 6, "candidates": 20, "exploration": 20.0}
    ),
    "predictor with proxies": Case(
        "predictor", {"initial_size": 6, "candidates": 20}, screened=True
    ),
    "local search": Case("local_search", {"starts": 2}),
    "BANANAS": Case("bananas", {"initial_size": 6, "refit_every": 5, "candidates": 20}),
    "predictor": Case("predictor", {"initial_size": 6, "candidates": 20}),
    "forest": Case(
        "predictor",
        {
            "model": {"name": "forest", "trees": 5},
            "acquisition": "thompson",
            "initial_size": 6,
            "refit_every": 5,
            "candidates": 20,
        },
    ),
    "TPE": Case("optuna", {"sampler_options": TPE_SOON}),
    "Optuna's random": Case("optuna", {"sampler": "random"}, learns=False),
    "Optuna's quasi-random": Case("optuna", {"sampler": "QMC"}, learns=False),
    "TPE by groups": Case("optuna", {"sampler_options": {**TPE_SOON, "group": True}}),
    "TPE, 2 objectives": Case("optuna", {"sampler_options": TPE_SOON}, objectives=2),
    "Optuna's NSGA-II": Case(
        "optuna", {"sampler": "NSGAII", "sampler_options": {"population_size": 4}}, objectives=2
    ),
    "NSGA-III": Case(
        "optuna", {"sampler": "NSGAIII", "sampler_options": {"population_size": 4}}, objectives=2
    ),
    "Gaussian process": Case(
        "optuna", {"sampler": "GP", "sampler_options": {"n_startup_trials": 3}}, trials=12
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
    "ASHA by learning curves": Case(
        "asha",
        {
            "min_fidelity": 4,
            "max_fidelity": 16,
            "reduction_factor": 2,
            "promotion": "learning_curve",
        },
    ),
    "ASHA, 2 objectives": Case("asha", {"max_fidelity": 9, "reduction_factor": 2}, objectives=2),
    "successive halving over evolution, 2 objectives": Case(
        "successive_halving",
        {
            "max_fidelity": 9,
            "searcher": {**EVOLUTION, "name": "multi_objective_evolution"},
            "min_points": 3,
        },
        objectives=2,
    ),
}
FROM_MEMBERS = (
    "evolution",
    "tournament evolution",
    "multi-objective evolution",
    "NSGA-II",
    "local search",
    "BANANAS",
    "predictor",
    "TPE",
    "Optuna's NSGA-II",
)
ALONE = [name for name, case in CASES.items() if not case.screened]
"""Without proxies, which are not among a searcher's own options."""
CASES |= {
    f"{name} from members": replace(CASES[name], initial=("small", "optimum"))
    for name in FROM_MEMBERS
}


def test_every_searcher_is_held_to_the_contract() -> None:
    own = {name for name in SEARCHERS if not SEARCHERS[name].takes_suggestions}
    assert {case.searcher for case in CASES.values()} == own


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_searcher_keeps_what_campaigns_rely_on(check: Callable[[Case], None], name: str) -> None:
    check(CASES[name])


@pytest.mark.parametrize("name", FROM_MEMBERS)
def test_members_are_suggested_first_and_learnt_from(name: str) -> None:
    case = CASES[f"{name} from members"]
    first, second, *others = proposals(campaign(case.make(), case.trials, workers=3))
    assert (first.genotype, second.genotype) == (SMALL, OPTIMUM)
    assert (first.note, second.note) == ({"initial": "small"}, {"initial": "optimum"})
    assert not any("initial" in proposal.note for proposal in others)
    # The optimum's result decides what follows.
    events = campaign(case.make(), case.trials, workers=3, value=lambda genotype: -loss(genotype))
    assert [p.genotype for p in proposals(events)[2:]] != [p.genotype for p in others]


@pytest.mark.parametrize("name", ["random", "asha", "hyperband", "bohb", "successive_halving"])
def test_random_search_and_schedules_cannot_start_from_members(name: str) -> None:
    with pytest.raises(InputError, match=f"searcher {name}: initial: it cannot start from"):
        searcher(name, space=space(), seed=0, initial=("small",))


@pytest.mark.slow
def test_suggestions_do_not_depend_on_the_hash_seed() -> None:
    hash_seed_does_not_matter(*(case for case in CASES.values() if case.trials == 40))


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
        "predictor": (Case("predictor"), 10),
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


# --- the checks find what is broken ---


class Careless(RandomSearch):
    """Draws as random search does, with one fault at a time."""

    def __init__(self, *arguments: Any, fault: str = "") -> None:
        super().__init__(*arguments)
        self.fault = fault
        self.asked = 0
        self.told: list[Observation] = []

    def ask(self, trial_id: int) -> Proposal | None:
        self.asked += 1
        proposal = super().ask(trial_id)
        assert proposal is not None
        genotype = proposal.genotype
        match self.fault:
            case "hash":
                names = {str(option) for option in range(trial_id, trial_id + 9)}
                return super().ask(int(next(iter(names))))
            case "seed":
                return Proposal(self.space.sample(np.random.default_rng(trial_id)))
            case "waits":
                return None if trial_id == 3 else proposal
            case "order":
                return Proposal(dict(reversed(genotype.items())))
            case "note":
                return Proposal(genotype, {"parents": (1, 2)})
            case "trace":
                return super().ask(self.asked)
            case "memory":
                return super().ask(trial_id + int(sum((o.values or (0,))[0] for o in self.told)))
            case "fidelity" if trial_id % 2:
                return replace(proposal, fidelity=trial_id)
            case "failures" if self.told and self.told[-1].values is None:
                return super().ask(0)
        return proposal

    def tell(self, observation: Observation) -> None:
        self.told.append(observation)


@pytest.mark.parametrize(
    ("fault", "check", "message"),
    [
        ("hash", hash_seed_does_not_matter, "with another hash seed, other genotypes"),
        ("seed", searchers.the_seed_decides, "campaigns with two seeds are the same"),
        ("waits", searchers.nobody_waits_for_nothing, "the campaign cannot continue"),
        (
            "order",
            searchers.proposals_are_of_the_space_and_plain_json,
            "must stand in the order asked",
        ),
        ("note", searchers.proposals_are_of_the_space_and_plain_json, "JSON does not give"),
        (
            "trace",
            searchers.asking_twice_answers_the_same_and_leaves_no_trace,
            "a second call of ask returns another proposal",
        ),
        ("trace", searchers.any_recorded_prefix_gives_the_next_proposal, "rebuilt from the"),
        ("memory", searchers.observations_matter_unless_search_is_random, "learns is False"),
        ("fidelity", searchers.fidelities_rise_with_a_genotype, "either every proposal has"),
        ("failures", searchers.a_campaign_of_failures_goes_on, "of 30 trials that all failed"),
    ],
)
def test_a_broken_promise_is_named(fault: str, check: Callable[[Case], None], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check(Case(Careless, {"fault": fault}, learns=False))


def test_a_sound_searcher_of_ones_own_passes() -> None:
    check_searcher(Careless, learns=False)


def test_a_class_that_no_other_process_can_import_is_checked_without_its_hash_seed() -> None:
    class Mine(RandomSearch):
        pass

    with pytest.warns(UserWarning, match="the hash seed is not checked"):
        check_searcher(Mine, learns=False)


# --- a parent without a feasible child ---


def lonely() -> SearchSpace:
    """A space in which no genotype has a feasible neighbour."""

    def function(choose: Choose) -> None:
        left, right = choose("left", [0, 1, 2, 3]), choose("right", [0, 1, 2, 3])
        if left != right:
            raise Infeasible("the sides differ")

    return SearchSpace(cast(Any, function), "lonely")


@pytest.mark.parametrize("name", FROM_MEMBERS)
def test_a_parent_without_a_feasible_child_does_not_end_a_search(name: str) -> None:
    case = CASES[name]

    def run() -> list[Proposal]:
        made = case.kind(lonely(), (7, 0), case.objectives, **case.options)
        value = lambda genotype: float(genotype["left"])  # noqa: E731
        return proposals(campaign(made, 20, workers=2, value=value))

    first = run()
    assert len({proposal.genotype["left"] for proposal in first}) > 2
    assert first == run()
    if "evolution" in name or name == "NSGA-II":
        assert any("childless" in proposal.note for proposal in first)
        assert not any("parent" in proposal.note for proposal in first)


def only(choose: Choose) -> Architecture:
    """Returns one architecture, whatever is chosen."""
    g = Builder((1, 4, 4))
    return g.build(g.linear(g.global_pool(g.conv(g.input, 2, 1)), 3))


def no_choice(choose: Choose) -> Architecture:
    return only(choose)


def one_option(choose: Choose) -> Architecture:
    choose("width", [4])
    return only(choose)


def same_network(choose: Choose) -> Architecture:
    choose("unused", ["a", "b", "c"])
    return only(choose)


@pytest.mark.parametrize("function", [no_choice, one_option, same_network])
@pytest.mark.parametrize("name", [name for name in ALONE if name != "Gaussian process"])
def test_a_space_with_one_architecture_ends_the_search(
    name: str, function: Callable[[Choose], Architecture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.searchers.duplicates.LIMIT", 120)  # it is 1000
    case = CASES[name]
    space = SearchSpace(function, "one")
    made = case.kind(space, (7, 0), case.objectives, **case.options)
    loop = SearchLoop(made, "reuse")
    evaluated = []
    while not loop.stuck:
        number, proposal = len(loop.proposals), loop.propose()
        assert proposal is not None, "nothing is running, so it would wait for ever"
        if loop.enter(proposal, proposal.fidelity) is None:
            evaluated.append(proposal.fidelity)
            loop.end(number, (1.0,) * case.objectives)
    assert evaluated == sorted(set(evaluated), key=evaluated.index)  # each fidelity once
    assert 1 <= len(evaluated) <= 4
