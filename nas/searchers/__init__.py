"""Searchers: how a campaign decides what to evaluate next."""

from collections.abc import Sequence
from typing import Any

from nas.registry import Registry
from nas.searchers.base import Observation, Proposal, Searcher
from nas.spaces.search_space import SearchSpace

__all__ = ["SEARCHERS", "Observation", "Proposal", "Searcher", "searcher"]

SEARCHERS = Registry(
    "searcher",
    {
        "random": "nas.searchers.random_search:RandomSearch",
        "evolution": "nas.searchers.evolution:RegularizedEvolution",
        "tournament_evolution": "nas.searchers.tournament_evolution:TournamentEvolution",
        "multi_objective_evolution": (
            "nas.searchers.multi_objective_evolution:MultiObjectiveEvolution"
        ),
        "nsga2": "nas.searchers.nsga2:NSGA2",
        "local_search": "nas.searchers.local_search:LocalSearch",
        "bananas": "nas.searchers.bananas:Bananas",
        "optuna": "nas.searchers.optuna_search:OptunaSearch",
        "successive_halving": "nas.searchers.successive_halving:SuccessiveHalving",
        "asha": "nas.searchers.asha:ASHA",
        "hyperband": "nas.searchers.hyperband:Hyperband",
        "bohb": "nas.searchers.bohb:BOHB",
    },
    subclass_of="nas.searchers.base:Searcher",
)


def searcher(
    name: str, *, space: SearchSpace, seed: int | Sequence[int], objectives: int = 1, **options: Any
) -> Searcher:
    """Makes a searcher from its name in :data:`SEARCHERS` and its constructor's options."""
    made: Searcher = SEARCHERS[name](space, seed, objectives, **options)
    return made
