"""Choices, their options, and genotypes: what a space asks, and what answers it."""

from __future__ import annotations

import math
import sys
from bisect import bisect
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import accumulate
from numbers import Real
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeGuard, TypeVar

from nas.errors import readable

if TYPE_CHECKING:
    import numpy as np

Option = str | int | float | None
"""One possible answer to a choice. The type counts: 1 and 1.0 are two options."""

Genotype = dict[str, Option]
"""The answer to each choice, by the choice's name, in the order asked. It is plain JSON."""

Answer = Callable[[str, tuple[Option, ...]], Option]
"""A function that answers choices: it is given a name and the options, and returns an option."""

RECIPE = "recipe."
"""The prefix of a choice that sets a key of the training recipe (joint hyperparameter search)."""

T = TypeVar("T", bound=Option)

_OPTION_TYPES = (str, int, float, type(None))


class Choose(Protocol):
    """The function that a space asks: it takes a name, unique within the space, and options."""

    def __call__(
        self,
        name: str,
        options: Sequence[T],
        *,
        prior: Sequence[float] | None = None,
        ordered: bool = False,
    ) -> T:
        """Return one of ``options``, which may have a prior and an order (:class:`Options`)."""
        ...


class Options(tuple[Option, ...]):
    """The options of a choice with a prior or an order; other choices have plain tuples.

    Args:
        options: the options.
        prior: one weight per option. An option is drawn with a probability that is proportional
            to its weight; one of weight 0 is never drawn, but it belongs to the space.
        ordered: whether options that stand side by side are alike.

    Raises:
        ValueError: if the weights are no prior.
    """

    prior: tuple[float, ...] | None
    ordered: bool

    def __new__(
        cls,
        options: Sequence[Option],
        prior: Sequence[float] | None = None,
        ordered: bool = False,
    ) -> Self:
        """Check the prior."""
        made = super().__new__(cls, options)
        if prior is not None and not (
            isinstance(prior, Sequence)
            and len(prior) == len(made)
            and all(isinstance(each, Real) and each >= 0 for each in prior)
            and 0 < sum(prior) <= sys.float_info.max
        ):
            raise ValueError(
                f"the prior must be a list of one weight for each of the options {listed(made)}, "
                f"finite numbers of at least 0 and one of them over 0; got {prior!r}"
            )
        made.prior = None if prior is None else tuple(map(float, prior))
        made.ordered = ordered
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self), self.prior, self.ordered

    @property
    def definition(self) -> dict[str, Any]:
        """The options as plain JSON."""
        about = {"prior": self.prior and list(self.prior), "ordered": self.ordered}
        return {"options": list(self)} | {key: value for key, value in about.items() if value}

    def place(self, given: Option) -> int:
        """Return the position of an option."""
        return next(place for place, option in enumerate(self) if same(option, given))

    def others(self, given: Option, leap: float) -> Sequence[Option]:
        """Return the other options that can be drawn, with their weights.

        In an order, one beside ``given`` is drawn, or with the probability ``leap`` any other one.
        """
        prior, own = self.prior or (1.0,) * len(self), self.place(given)
        left = {place: weight for place, weight in enumerate(prior) if weight and place != own}
        if self.ordered:
            total = sum(left.values())
            near = sum(weight for place, weight in left.items() if abs(place - own) == 1) or 1.0
            left = {
                place: weight * (leap / total + (abs(place - own) == 1) * (1 - leap) / near)
                for place, weight in left.items()
                if leap or abs(place - own) == 1
            }
        return Options([self[place] for place in left], list(left.values())) if left else ()


def is_ordered(options: Sequence[Option]) -> TypeGuard[Options]:
    """Return whether options that stand side by side are alike."""
    return isinstance(options, Options) and options.ordered


def pick(options: Sequence[Option], rng: np.random.Generator) -> Option:
    """Draw an option by its prior, or uniformly without one."""
    chance = rng.random()
    if isinstance(options, Options) and options.prior is not None:
        ends = list(accumulate(options.prior))
        return options[bisect(ends, chance * ends[-1], hi=len(ends) - 1)]
    return options[int(chance * len(options))]


class Infeasible(Exception):
    """A space's function raises this when the answers given so far do not combine.

    Args:
        reason: for messages.
        cause: one or two words under which rejections are counted; by default the reason.
    """

    def __init__(self, reason: str, cause: str | None = None) -> None:
        super().__init__(reason)
        self.cause = cause or reason


def same(a: Option, b: Option) -> bool:
    """Return whether two options are the same: equal, and of one type."""
    return type(a) is type(b) and a == b


def kept(genotype: Genotype, name: str, options: Sequence[Option]) -> Sequence[Option]:
    """Return the option that ``genotype`` has for a choice, as a sequence of one or none."""
    if name not in genotype:
        return ()
    given = genotype[name]
    for option in options:
        if option is given:  # nearly always
            return (option,)
    return [option for option in options if same(option, given)]


def genotype_key(genotype: Genotype) -> Hashable:
    """Return what equal genotypes share, as the key of a dict: 1 and 1.0 are two options."""
    values = tuple(genotype.values())
    return tuple(genotype), values, tuple(map(type, values))


def difference(a: Genotype, b: Genotype) -> int:
    """Return how many choices two genotypes answer differently; a choice not asked is no answer."""
    alike = sum(name in b and same(option, b[name]) for name, option in a.items())
    return len(a.keys() | b.keys()) - alike


def recipe_choices(genotype: Genotype) -> dict[str, Option]:
    """Return the keys of the recipe that a genotype sets, without their prefix."""
    return {n.removeprefix(RECIPE): o for n, o in genotype.items() if n.startswith(RECIPE)}


def architecture_choices(genotype: Genotype) -> Genotype:
    """Return the answers that decide the architecture: all but those for the recipe."""
    return {name: option for name, option in genotype.items() if not name.startswith(RECIPE)}


def fault(options: Sequence[Option]) -> str | None:
    """Return what is wrong with the options of a choice, or None."""
    if isinstance(options, set | frozenset):
        return f"options in a set have no order, so no seed repeats them; give a list: {options}"
    if isinstance(options, Iterator):
        return "options must be a list, which can be read more than once"
    if isinstance(options, str):
        return f"options must be a list, got the text {options!r}"
    if not options:
        return "no options"
    for option in options:
        if type(option) not in _OPTION_TYPES:
            return f"option {option!r} is not a str, int, float or None"
        if isinstance(option, str) and readable(option) != option:
            return f"option {option!r} holds a surrogate, which is no character"
        if isinstance(option, float) and not math.isfinite(option):
            return f"option {option!r} is not finite"
    if len({(type(option), option) for option in options}) < len(options):
        return f"an option is given twice: {listed(options)}"
    return None


def offered(
    options: Sequence[Option], prior: Sequence[float] | None = None, ordered: bool = False
) -> tuple[Option, ...]:
    """Return the options of a choice; raise ValueError if they or their prior are wrong."""
    if wrong := fault(options):
        raise ValueError(wrong)
    if prior is not None or ordered:
        return Options(options, prior, ordered)
    return options if isinstance(options, tuple) else tuple(options)


def listed(options: Sequence[Option]) -> str:
    """Return the options as text for a message."""
    return ", ".join(map(repr, options))
