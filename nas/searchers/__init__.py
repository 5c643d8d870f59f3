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
        "optuna": "nas.searchers.optuna_search:OptunaSearch",
    },
)


def searcher(
    name: str, *, space: SearchSpace, seed: int | Sequence[int], objectives: int = 1, **options: Any
) -> Searcher:
    """A searcher by its name in :data:`SEARCHERS`, with the options of its constructor."""
    made: Searcher = SEARCHERS[name](space, seed, objectives, **options)
    return made
