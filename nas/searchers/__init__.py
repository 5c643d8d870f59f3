"""Searchers: how a campaign decides what to evaluate next."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nas.errors import InputError
from nas.registry import Registry
from nas.searchers.base import Observation, Proposal, Searcher
from nas.searchers.screening import Screen
from nas.searchers.starting import starting_with
from nas.spaces.choices import Genotype
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
        "predictor": "nas.searchers.predictor:PredictorSearch",
        "bananas": "nas.searchers.bananas:Bananas",
        "gradient": "nas.searchers.gradient:GradientSearch",
        "optuna": "nas.searchers.optuna_search:OptunaSearch",
        "successive_halving": "nas.searchers.successive_halving:SuccessiveHalving",
        "asha": "nas.searchers.asha:ASHA",
        "hyperband": "nas.searchers.hyperband:Hyperband",
        "bohb": "nas.searchers.bohb:BOHB",
    },
    subclass_of="nas.searchers.base:Searcher",
)


def searcher(
    name: str,
    *,
    space: SearchSpace,
    seed: int | Sequence[int],
    objectives: int = 1,
    initial: Sequence[str] | Mapping[str, Genotype] = (),
    chosen: Callable[[], Mapping[str, Genotype]] = dict,
    count: int = 0,
    screen: Screen | None = None,
    **options: Any,
) -> Searcher:
    """Makes a searcher.

    Args:
        name: a name of :data:`SEARCHERS`, or where a user's class is.
        space: the space to search.
        seed: one or more non-negative integers.
        objectives: how many values an observation holds.
        initial: what is proposed first: names of members of the space, or genotypes by name.
        chosen: returns genotypes that are proposed next; it is called when they are needed.
        count: how many it returns.
        screen: what it may measure before it proposes.
        options: the options of its constructor.

    Raises :class:`nas.errors.InputError` for an unknown name, member or option value.
    """
    kind: type[Searcher] = SEARCHERS[name]
    if initial or count:
        if not isinstance(initial, Mapping):
            if len(set(initial)) < len(initial):
                raise InputError(f"searcher {name}: initial: each must be given once: {initial}")
            initial = {member: space.member(member) for member in initial}
        kind = starting_with(kind, initial, name, chosen, count)
    made = kind(space, seed, objectives, **options)
    if screen is not None:
        if screen.filter and not made.takes_filter:
            raise InputError(
                f"searcher {name}: filter: a proxy cannot choose what it proposes; leave it "
                "out, or use for example random, evolution or nsga2, or one of them inside asha"
            )
        if screen.features and not made.takes_proxies:
            raise InputError(
                f"searcher {name}: proxies: it does not learn from proxies; leave it out, or use "
                "predictor or bananas, or one of them inside asha"
            )
        made.use(screen)
    return made
