"""Ways to answer a space's choices: at random, from parents, or every way there is.

A space is run with a function that answers its choices. Each function here narrows the options of
a choice first, for example to those that differ from a parent's, and then takes one of what is
left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from nas.spaces.choices import (
    Answer,
    Genotype,
    Infeasible,
    Option,
    Options,
    is_ordered,
    kept,
    pick,
    same,
)

Built = TypeVar("Built")

Run = Callable[[Answer], tuple[Genotype, Built]]
"""Runs a space with a function that answers, as :meth:`SearchSpace.run` does."""

Narrow = Callable[[str, tuple[Option, ...]], Sequence[Option]]
"""Returns those options of a choice that may be taken."""


class NothingLeft(Exception):
    """A choice was narrowed to no option at all."""


def unnarrowed(name: str, options: tuple[Option, ...]) -> Sequence[Option]:
    """Allow every option."""
    return options


LEAP = 0.25
"""How often a mutation of an ordered choice draws any other option and not one beside its own."""


def changing(genotype: Genotype, changed: str, leap: float = LEAP) -> Narrow:
    """Allow only new options for ``changed``, and keep the other answers where they still fit."""

    def narrow(name: str, options: tuple[Option, ...]) -> Sequence[Option]:
        if name == changed:
            given = genotype[name]
            if isinstance(options, Options):
                return options.others(given, leap)
            return [o for o in options if o is not given and not same(o, given)]
        return kept(genotype, name, options) or options

    return narrow


def stepping(genotype: Genotype, changed: str) -> Narrow:
    """Allow the options beside that of ``changed``, by size or in its order; keep the others."""

    def narrow(name: str, options: tuple[Option, ...]) -> Sequence[Option]:
        if name == changed:
            given = genotype[name]
            if is_ordered(options):
                return options.others(given, leap=0)
            ordered = sorted(o for o in options if isinstance(o, int | float))
            places = [place for place, option in enumerate(ordered) if same(option, given)]
            return [
                ordered[beside]
                for place in places
                for beside in (place - 1, place + 1)
                if 0 <= beside < len(ordered)
            ]
        return kept(genotype, name, options) or options

    return narrow


def redrawing(genotype: Genotype, changed: str) -> Narrow:
    """Allow every option for ``changed`` and the choices below it; keep the others if they fit."""

    def narrow(name: str, options: tuple[Option, ...]) -> Sequence[Option]:
        return options if is_below(name, changed) else kept(genotype, name, options) or options

    return narrow


def is_below(name: str, top: str) -> bool:
    """Return whether a choice is ``top``, or one below it, such as ``top.left.kernel``."""
    return name == top or name.startswith(f"{top}.")


def grafted(a: Genotype, place: str, b: Genotype, other: str) -> Genotype:
    """Return ``a`` with the choices of ``b`` from ``other`` down in place of those at ``place``."""
    rest = {name: option for name, option in a.items() if not is_below(name, place)}
    graft = {name: option for name, option in b.items() if is_below(name, other)}
    return rest | {place + name[len(other) :]: option for name, option in graft.items()}


def keeping(edited: Genotype) -> Narrow:
    """Allow the answers of ``edited`` alone, and every option of a choice that it lacks."""

    def narrow(name: str, options: tuple[Option, ...]) -> Sequence[Option]:
        return kept(edited, name, options) if name in edited else options

    return narrow


def inheriting(a: Genotype, b: Genotype) -> Narrow:
    """Allow the answers of two parents, or every option where neither parent's still fits."""

    def narrow(name: str, options: tuple[Option, ...]) -> Sequence[Option]:
        return [*kept(a, name, options), *kept(b, name, options)] or options

    return narrow


def draw(run: Run[Built], narrow: Narrow, rng: np.random.Generator) -> tuple[Genotype, Built]:
    """Draw the answer to every choice among the options that are left, by the prior if one is left.

    Returns the answers, and what the space returned.

    Raises:
        NothingLeft: no option of a choice is left.
        Infeasible: the answers do not combine.
    """

    def answer(name: str, options: tuple[Option, ...]) -> Option:
        left = narrow(name, options)
        if not left:
            raise NothingLeft
        return left[0] if len(left) == 1 else pick(left, rng)

    return run(answer)


def walk(run: Run[object], narrow: Narrow) -> Iterator[Genotype]:
    """Yield every genotype that the options left allow, depth first, options in their order."""
    # A run cannot be rewound, so each leaf is a run of its own. `path` is what it answers,
    # as positions among the options left at each choice, `widths` how many there were.
    path: list[int] = []
    widths: list[int] = []

    def answer(name: str, options: tuple[Option, ...]) -> Option:
        left = narrow(name, options)
        if not left:
            raise NothingLeft
        if len(widths) == len(path):
            path.append(0)
        widths.append(len(left))
        return left[path[len(widths) - 1]]

    while True:
        widths.clear()
        try:
            genotype, _ = run(answer)
        except (Infeasible, NothingLeft):
            pass
        else:
            yield genotype
        while path and path[-1] + 1 == widths[len(path) - 1]:
            path.pop()
        if not path:
            return
        path[-1] += 1
