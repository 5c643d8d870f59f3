"""Priors and orders of the options of a YAML space, by the names of its choices."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from nas.errors import InputError
from nas.registry import unknown
from nas.spaces.choices import Choose, Infeasible, Option, Options

if TYPE_CHECKING:
    from nas.spaces.search_space import SearchSpace

_DRAWS = 1000
"""A choice that so many random genotypes do not ask is taken for a mistake."""


Priors = dict[str, dict[str, Annotated[float, Field(ge=0)]]]
"""Weights by option, by the pattern of the names of choices; the last that matches counts."""


def describing(priors: Priors, ordered: Sequence[str]) -> Callable[[Choose], Choose]:
    """Return what makes of ``choose`` a function that asks with the priors and orders."""
    made: dict[str, tuple[Any, Any]] = {}

    def about(name: str, options: Sequence[Option]) -> Sequence[Option]:
        pattern, in_order = _match(name, priors), _match(name, ordered) is not None
        if pattern is None:
            return Options(options, None, in_order) if in_order else options
        weights = [priors[pattern].get(_text(option), 1.0) for option in options]
        try:
            return Options(options, weights, in_order)
        except ValueError as error:
            raise InputError(f"choice {name!r}: {error}", "priors", pattern) from None

    def described(choose: Choose) -> Choose:
        def asked(name: str, options: Any) -> Any:
            known, found = made.get(name, (None, None))
            # A tuple cannot change, so what was made of it is still right.
            if known is not options or not isinstance(options, tuple):
                found = about(name, options)
                made[name] = options, found
            return choose(name, found)

        return asked  # type: ignore[return-value]

    return described if priors or ordered else lambda choose: choose


def check_names(space: SearchSpace, key: str, patterns: Priors) -> None:
    """Raise :class:`InputError` if a pattern matches no choice, or no choice has an option."""
    seen: dict[str, set[str]] = {pattern: set() for pattern in patterns}
    names: dict[str, None] = {}
    rng = np.random.default_rng(0)

    def answer(name: str, options: tuple[Option, ...]) -> Option:
        names[name] = None
        for pattern, texts in seen.items():
            if fnmatchcase(name, pattern):
                texts.update(map(_text, options))
        return options[int(rng.integers(len(options)))]

    for _ in range(_DRAWS):
        if all(seen[each] and seen[each] >= patterns[each].keys() for each in patterns):
            return
        with suppress(Infeasible):
            space.run(answer)
    for pattern, weights in patterns.items():
        if not seen[pattern]:
            raise InputError(unknown("choice", pattern, list(names)), key)
        for option in weights:
            if option not in seen[pattern]:
                raise InputError(unknown("option", option, sorted(seen[pattern])), key, pattern)


def _match(name: str, patterns: Iterable[str]) -> str | None:
    """Return the last pattern that matches the name of a choice."""
    return next((each for each in reversed([*patterns]) if fnmatchcase(name, each)), None)


def _text(option: Option) -> str:
    return option if isinstance(option, str) else json.dumps(option)
