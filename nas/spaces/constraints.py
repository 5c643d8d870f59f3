"""Hard limits on cost, checked on the analytic cost before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nas.spaces.search_space import Choose, Infeasible, SearchSpace

if TYPE_CHECKING:
    from nas.architecture.graph import Architecture


def constrained(space: SearchSpace, limits: Mapping[str, int]) -> SearchSpace:
    """The part of a space whose architectures keep every limit.

    Args:
        space: what to narrow.
        limits: the largest allowed value of a column of :class:`nas.architecture.cost.Cost`.

    Samplers draw again what breaks a limit, and count it in ``rejected``; a limit that nothing
    keeps ends in :class:`nas.errors.InputError` with the last reason.
    """

    def function(choose: Choose) -> Architecture:
        built = space.function(choose)
        architecture = built() if callable(built) else built
        for column, limit in limits.items():
            value = getattr(architecture.cost, column)
            if value > limit:
                raise Infeasible(f"{column} is {value:,}, over the limit of {limit:,}", column)
        return architecture

    return SearchSpace(function, space.name, space.members, space.language) if limits else space
