"""Members of a space that together have every option of every choice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Literal, NamedTuple, TypeGuard

import numpy as np

from nas.architecture.graph import Architecture
from nas.spaces.choices import Genotype, Infeasible, Option, same
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
        chosen = _end(tuple(left) or options, 1)
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


def extreme(space: SearchSpace, rng: np.random.Generator, sign: Literal[-1, 1]) -> Genotype:
    """Return a member with many (sign 1) or few (sign -1) multiply-accumulates.

    It begins with the largest or smallest number of every choice, or with a random member if there
    is none like that. Then it takes, choice by choice, the option with which the member has the
    most or the fewest. So it finds the extreme of spaces whose choices add to the cost.
    """

    def built(genotype: Genotype, name: str = "", option: Option = None) -> _Candidate:
        offered: dict[str, tuple[Option, ...]] = {}

        def answer(asked: str, options: tuple[Option, ...]) -> Option:
            offered[asked] = options
            if asked == name:
                return option
            known = genotype.get(asked)
            return known if any(same(known, each) for each in options) else _end(options, sign)

        found, made = space.run(answer)
        cost = (made() if callable(made) else made).cost.macs
        return _Candidate(sign * cost, found, offered)

    try:
        best = built({})
    except Infeasible:
        best = built(space.sample(rng))
    for name in list(best.genotype):
        for option in best.offered.get(name, ()):
            with suppress(Infeasible):
                best = max(best, built(best.genotype, name, option), key=lambda each: each.size)
    return best.genotype


class _Candidate(NamedTuple):
    size: float
    genotype: Genotype
    offered: dict[str, tuple[Option, ...]]


def is_number(option: Option) -> TypeGuard[int | float]:
    """Return whether options can be ordered by size."""
    return isinstance(option, int | float)


def _end(options: tuple[Option, ...], sign: int) -> Option:
    numbers = list(filter(is_number, options))
    return max(numbers, key=lambda each: sign * each) if numbers else options[0]
