"""Which campaigns' children can start from their parents' weights."""

from nas.errors import InputError
from nas.evaluators.base import Evaluator
from nas.searchers import Searcher
from nas.searchers.duplicates import Policy
from nas.searchers.population import Evolution


def check(searcher: Searcher, policy: Policy, evaluator: Evaluator, name: str) -> None:
    """:class:`InputError` unless what the searcher proposes can inherit weights.

    Args:
        searcher: of the campaign.
        policy: what becomes of duplicates.
        evaluator: of the campaign.
        name: the name of the evaluator.
    """
    if not evaluator.trains:
        raise InputError(
            "inherit_weights needs an evaluator that trains every network; allowed: training, or a "
            f"function of yours, got {name}",
            *("evaluator", "name"),
        )
    if not isinstance(searcher, Evolution):
        raise InputError(
            "inherit_weights: needs a searcher whose proposals have one parent: evolution, "
            "multi_objective_evolution, tournament_evolution"
        )
    if policy != "evaluate":
        raise InputError(
            f"inherit_weights: trials of one architecture start from unlike weights, so none "
            f"answers for another: needs duplicates: evaluate, got {policy}"
        )
