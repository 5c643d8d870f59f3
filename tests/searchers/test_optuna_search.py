"""Optuna's samplers as searchers, against Optuna itself."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import optuna
import pytest

from nas.errors import InputError
from nas.searchers import Observation, Proposal, Searcher, searcher
from nas.spaces.choices import Choose, Genotype, Infeasible
from nas.spaces.search_space import SearchSpace
from nas.testing.searchers import SearcherCase as Case
from nas.testing.toy import OPTIMUM, campaign, cost, loss, proposals, recorded, space

OPS = ["conv", "pool", "skip", None]


def flat(choose: Choose) -> None:
    for i in range(6):
        choose(f"op{i}", OPS)


def values(genotype: Genotype) -> tuple[float, float]:
    answers = list(genotype.values())
    return float(answers.count("conv")), float(sum(a is None for a in answers[::2]))


@pytest.mark.parametrize(
    ("sampler", "kind", "options", "objectives"),
    [
        ("TPE", optuna.samplers.TPESampler, {"n_startup_trials": 5}, 1),
        ("tpesampler", optuna.samplers.TPESampler, {"multivariate": False}, 2),
        ("nsgaii", optuna.samplers.NSGAIISampler, {"population_size": 6}, 2),
        ("NSGAIIISampler", optuna.samplers.NSGAIIISampler, {"population_size": 6}, 2),
    ],
)
def test_the_search_is_that_of_bare_optuna(
    sampler: str, kind: Callable[..., Any], options: dict[str, Any], objectives: int
) -> None:
    made = searcher(
        "optuna",
        space=SearchSpace(cast(Any, flat), "flat"),
        seed=5,
        objectives=objectives,
        sampler=sampler,
        sampler_options=options,
    )
    (seed,) = np.random.SeedSequence([5]).generate_state(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        bare = kind(seed=int(seed), **options)
    study = optuna.create_study(sampler=bare, directions=["minimize"] * objectives)
    for trial_id in range(40):
        trial = study.ask()
        expected: Genotype = {
            f"op{i}": OPS[trial.suggest_categorical(f"op{i}", range(4))] for i in range(6)
        }
        proposal = made.ask(trial_id)
        assert proposal == Proposal(expected)
        if trial_id % 7 == 3:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            made.tell(Observation(trial_id, expected, None))
        else:
            study.tell(trial, values(expected)[:objectives])
            made.tell(Observation(trial_id, expected, values(expected)[:objectives]))


# --- records that the sampler would not make ----------------------------------------------------


def replayed(made: Searcher, genotypes: list[Genotype]) -> Searcher:
    for trial_id, genotype in enumerate(genotypes):
        proposal = Proposal(genotype)
        made.replay(trial_id, proposal)
        assert made.ask(trial_id) == proposal
        both = (loss(genotype), cost(genotype))
        made.tell(Observation(trial_id, genotype, both[: made.objectives]))
    return made


def running(made: Searcher) -> int:
    """Trials that samplers take for under way: they keep away from them."""
    study = cast(Any, made)._study
    return len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)))


def test_a_record_stands_though_the_sampler_would_ask_something_else() -> None:
    rng = np.random.default_rng(0)
    foreign = [space().sample(rng) for _ in range(27)] + [dict(OPTIMUM) for _ in range(3)]
    told = replayed(Case("optuna").make(), foreign)
    assert running(told) == 0
    asked = [told.ask(100 + i) for i in range(5)]
    # The best tenth, which it learns from, is the optimum, three times.
    assert np.mean([loss(p.genotype) for p in asked if p is not None]) < 4
    assert np.mean([loss(g) for g in foreign[:27]]) > 8


def test_a_standing_record_is_a_member_of_its_generation() -> None:
    options = {"population_size": 4, "mutation_prob": 0.0}
    case = Case("optuna", {"sampler": "NSGAII", "sampler_options": options}, objectives=2)
    proposal = replayed(case.make(), [dict(OPTIMUM) for _ in range(4)]).ask(4)
    # Without mutation, children of four equals are their equal.
    assert proposal == Proposal(OPTIMUM)


def test_a_record_of_another_space_is_refused() -> None:
    with pytest.raises(InputError, match="choice 'depth': 9 is not an option"):
        Case("optuna").make().replay(0, Proposal({"depth": 9}))


# --- infeasible suggestions --------------------------------------------------------------------


def at_most_two(choose: Choose) -> None:
    """The more ones the better, but three are infeasible: samplers are drawn to what is not."""
    if sum(choose(f"bit{i}", [0, 1]) for i in range(6)) > 2:
        raise Infeasible("three ones")


@pytest.mark.parametrize(
    ("sampler", "options"),
    [
        ("TPE", {"multivariate": False, "n_startup_trials": 4}),
        ("TPE", {"n_startup_trials": 4}),
        ("NSGAII", {"population_size": 4}),
        ("GP", {"n_startup_trials": 4}),
    ],
)
def test_infeasible_suggestions_are_repaired(sampler: str, options: dict[str, Any]) -> None:
    toy = SearchSpace(cast(Any, at_most_two), "at most two")
    asks = 20 if sampler != "GP" else 6
    made = searcher("optuna", space=toy, seed=0, sampler=sampler, sampler_options=options)
    events = campaign(made, asks, value=lambda g: -float(sum(cast(Any, g.values()))))
    assert running(made) == 0
    for proposal in proposals(events):
        toy.validate(proposal.genotype)
    repaired = sum(bool(p.note) for p in proposals(events))
    assert all(p.note in ({}, {"repaired": True}) for p in proposals(events))
    # To repair takes ten suggestions, some draws of a random genotype, at most six answers.
    assert 10 * repaired <= toy.rejected.total() <= asks * (10 + 30 + 6)
    if options.get("multivariate") is False:
        assert repaired > 0


def test_repaired_proposals_replay() -> None:
    def make() -> Searcher:
        toy = SearchSpace(cast(Any, at_most_two), "at most two")
        options = {"multivariate": False, "n_startup_trials": 4}
        return searcher("optuna", space=toy, seed=0, sampler_options=options)

    events = campaign(make(), 25, workers=3, value=lambda g: -float(sum(cast(Any, g.values()))))
    assert any(p.note for p in proposals(events))
    again = make()
    for trial_id, proposal, observation in map(recorded, events):
        if proposal is not None:
            assert again.ask(trial_id) == proposal
        if observation is not None:
            again.tell(observation)


# --- manners -------------------------------------------------------------------------------------


CHATTY = [
    Case("optuna", {"sampler_options": {"group": True, "prior_weight": 1.0}}, objectives=2),
    Case("optuna", {"sampler": "NSGAIII", "sampler_options": {"population_size": 3}}),
    Case("optuna", {"sampler": "GP", "sampler_options": {"n_startup_trials": 3}}),
]


def test_it_neither_logs_nor_warns_nor_silences_others() -> None:
    code = """
import optuna
from tests.searchers.test_optuna_search import CHATTY, campaign
for case in CHATTY:
    campaign(case.make(), 8, workers=2, failures=0.2)
optuna.create_study(study_name="another's")
"""
    done = subprocess.run(
        [sys.executable, "-W", "always::UserWarning", "-W", "always::FutureWarning", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "another's" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "CmaEs"}, "searcher optuna: unknown sampler 'CmaEs'; allowed: GP, NSGAIII"),
        ({"sampler": "NSGA-II"}, r"unknown sampler 'NSGA-II' \(did you mean 'NSGAII'\?\)"),
        (
            {"sampler_options": {"n_startup": 3}},
            r"sampler_options.* unknown key 'n_startup' \(did you mean 'n_startup_trials'\?\)",
        ),
        ({"sampler_options": {"seed": 3}}, "unknown key 'seed'"),
        ({"sampler_options": {"gamma": 3}}, "unknown key 'gamma'"),
        (
            {"sampler_options": {"n_startup_trials": "3"}},
            r"sampler_options\.n_startup_trials: .*integer, got '3'",
        ),
        (
            {"sampler": "NSGAII", "sampler_options": {"population_size": 1}},
            "searcher optuna: sampler_options: `population_size` must be greater than or equal",
        ),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Case("optuna", options).make()


def test_values_are_as_many_as_objectives() -> None:
    made = Case("optuna", objectives=2).make()
    proposal = made.ask(0)
    assert proposal is not None
    with pytest.raises(ValueError, match="did not match the number of the objectives"):
        made.tell(Observation(0, proposal.genotype, (1.0,)))
