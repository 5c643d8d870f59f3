"""Members of a space that together have every option of every choice."""

from __future__ import annotations

from collections.abc import Iterator

from nas.architecture.graph import Architecture
from nas.spaces.choices import Infeasible, Option
from nas.spaces.search_space import SearchSpace

_VAIN = 20
"""After so many infeasible members in a row, the search for new options ends."""


def covering(space: SearchSpace) -> Iterator[Architecture]:
    """Yield members of a space until every option has been in one of them.

    Numbers are taken from the largest to the smallest, and once all were taken, the largest again.
    So a bank to which these members are bound is large enough for all members if their weights
    grow with every number, as in the spaces of papers. Constraints are not respected.
    """
    taken: set[tuple[str, str]] = set()

    def answer(name: str, options: tuple[Option, ...]) -> Option:
        left = [each for each in options if (name, repr(each)) not in taken]
        chosen = _largest(left or list(options))
        taken.add((name, repr(chosen)))
        return chosen

    vain = 0
    while vain < _VAIN:
        known = len(taken)
        try:
            built = space.run(answer)[1]
            yield built() if callable(built) else built
        except Infeasible:
            vain += 1
        else:
            vain = 0 if len(taken) > known else _VAIN


def _largest(options: list[Option]) -> Option:
    numbers = [each for each in options if isinstance(each, int | float)]
    return max(numbers) if numbers else options[0]
