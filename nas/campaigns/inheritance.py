"""Children that start from their parents' weights, and how long those are kept."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from nas.campaigns.duplicates import Policy
from nas.errors import InputError
from nas.searchers import Searcher
from nas.searchers.population import Evolution

if TYPE_CHECKING:
    from nas.campaigns.checkpoints import Checkpoints


def check(searcher: Searcher, policy: Policy, trains: bool) -> None:
    """:class:`InputError` unless what the searcher proposes can inherit weights.

    Args:
        searcher: of the campaign.
        policy: what becomes of duplicates.
        trains: whether there are weights.
    """
    if not trains:
        raise InputError("inherit_weights: a table has no weights; leave it out")
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


def forget(kept: Checkpoints, ended: Container[str], wanted: Container[str]) -> None:
    """Discards the weights of ended trials that nobody will start from any more."""
    for trial in kept.trials():
        if trial in ended and trial not in wanted:
            kept.discard(trial)
