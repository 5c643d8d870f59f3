"""Gives every architecture of a space another head."""

from __future__ import annotations

from collections.abc import Callable

from nas.architecture.graph import Architecture
from nas.spaces.choices import Choose
from nas.spaces.constrained_space import ConstrainedSpace
from nas.spaces.search_space import SearchSpace


def finished(space: SearchSpace, finish: Callable[[Architecture], Architecture]) -> SearchSpace:
    """Return the space of what ``finish`` makes of the architectures of a space.

    Genotypes, members and notation stay as they are. Constraints limit the finished architectures.
    """
    if isinstance(space, ConstrainedSpace):
        return space.around(finished(space.unconstrained, finish))

    def function(choose: Choose) -> Callable[[], Architecture]:
        built = space.function(choose)
        return lambda: finish(built() if callable(built) else built)

    return SearchSpace(function, space.name, space.members, space.language)
