"""Priors of the choices of a YAML space: with which weights options are drawn."""

from __future__ import annotations

import json
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from nas.errors import InputError, at
from nas.registry import unknown
from nas.spaces.choices import Choose, Infeasible, Option, Options

if TYPE_CHECKING:
    from nas.spaces.search_space import SearchSpace

_DRAWS = 1000
"""A choice that so many random genotypes do not ask is taken for a mistake."""


Priors = dict[str, dict[str, Annotated[float, Field(ge=0)]]]
"""Weights by option, by the pattern of the names of choices; the last that matches counts."""


def with_priors(choose: Choose, priors: Priors) -> Choose:
    """Return a function that asks as ``choose`` does, with the priors."""
    if not priors:
        return choose

    def asked(name: str, options: Any, **about: Any) -> Any:
        pattern = _pattern(name, priors)
        if pattern is None:
            return choose(name, options, **about)
        try:
            weights = [priors[pattern].get(_text(option), 1.0) for option in options]
            weighed = Options(options, weights)
        except ValueError as error:
            raise InputError(f"choice {name!r}: {error}", "priors", pattern) from None
        return choose(name, weighed, **about)

    return asked


def check_priors(space: SearchSpace, priors: Priors) -> None:
    """Raise :class:`InputError` if a pattern matches no choice, or no choice has an option."""
    seen: dict[str, set[str]] = {pattern: set() for pattern in priors}
    names: dict[str, None] = {}
    rng = np.random.default_rng(0)

    def answer(name: str, options: tuple[Option, ...]) -> Option:
        names[name] = None
        if (pattern := _pattern(name, priors)) is not None:
            seen[pattern].update(map(_text, options))
        return options[int(rng.integers(len(options)))]

    for _ in range(_DRAWS):
        if all(seen[pattern] >= weights.keys() for pattern, weights in priors.items()):
            return
        with suppress(Infeasible):
            space.run(answer)
    for pattern, weights in priors.items():
        with at("priors"):
            if not seen[pattern]:
                raise InputError(unknown("choice", pattern, list(names)))
        with at("priors", pattern):
            for option in weights:
                if option not in seen[pattern]:
                    raise InputError(unknown("option", option, sorted(seen[pattern])))


def _pattern(name: str, priors: Priors) -> str | None:
    """Return the last pattern that matches the name of a choice."""
    return next((each for each in reversed(priors) if fnmatchcase(name, each)), None)


def _text(option: Option) -> str:
    return option if isinstance(option, str) else json.dumps(option)
