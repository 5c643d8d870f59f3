"""Runs the functions of spaces: asks choices, replays genotypes, repeats what is infeasible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from nas.architecture.graph import Architecture
from nas.errors import InputError, readable
from nas.registry import unknown
from nas.spaces.cell_graph import CellGraph
from nas.spaces.choices import (
    Answer,
    Choose,
    Genotype,
    Infeasible,
    Option,
    Options,
    T,
    is_ordered,
    kept,
    listed,
    offered,
    same,
)
from nas.spaces.language import Language

R = TypeVar("R")

Built = Architecture | Callable[[], Architecture]
"""What the function of a space returns: an architecture, or a function that builds it."""

MAX_REJECTED = 10_000
"""The number of infeasible draws in a row after which nothing seems to be feasible."""

MOST_CHOICES = 100_000
"""The largest number of choices of one genotype."""


class NothingFeasible(InputError):
    """So many draws in a row were infeasible that there seems to be nothing feasible."""


class AskedSpace:
    """A set of architectures, described by a function that builds one from its answers.

    The space is defined by running the function: what is asked later may depend on what was
    answered before, but on nothing else. The function must be deterministic and ask every name at
    most once. If it only asks, and returns another function that builds, then drawing, mutating
    and enumerating are quick, because they do not build.

    Args:
        function: ``function(choose)`` returns an architecture, or a function of no arguments that
            returns one. It raises :class:`Infeasible` if the answers do not combine.
        name: the name for messages and tables.
        members: genotypes of known architectures in the space, by name. Each is validated when
            it is decoded, not here.
        language: size, notation and cells, if they are known.

    Attributes:
        mutations: how searchers mutate genotypes if they are not told otherwise.
        rejected: the number of infeasible draws since the space was made, by cause.
    """

    def __init__(
        self,
        function: Callable[[Choose], Built],
        name: str,
        members: Mapping[str, Genotype] | None = None,
        language: Language | None = None,
    ) -> None:
        self.function = function
        self.name = name
        self.members = dict(members or {})
        self.language = language or Language()
        self.mutations = self.language.mutations
        self.rejected: Counter[str] = Counter()
        self._checked: dict[str, Sequence[Option]] = {}
        self._ordered: set[str] = set()
        self._identities: dict[Hashable, str] = {}

    def run(self, answer: Answer) -> tuple[Genotype, Built]:
        """Ask for one architecture; ``answer`` answers every choice.

        Returns the answers, and what the space's function returned.

        Raises:
            Infeasible: if the answers do not combine.
            ValueError: for a bug: the space asks a name twice, or offers no options, or options
                that are not of type :data:`Option` or not distinct, or gives no valid prior; or
                ``answer`` returns something that is not an option.
        """
        genotype: Genotype = {}
        checked = self._checked

        def choose(
            name: str,
            options: Sequence[T],
            *,
            prior: Sequence[float] | None = None,
            ordered: bool = False,
        ) -> T:
            if name in genotype:
                raise ValueError(f"space {self.name}: choice {name!r} is asked twice")
            if len(genotype) >= MOST_CHOICES:
                raise InputError(f"space {self.name}: asks more than {MOST_CHOICES:,} choices")
            # A tuple cannot change, so one that was offered before need not be checked again.
            if checked.get(name) is not options or prior is not None or ordered:
                if not isinstance(name, str) or readable(name) != name:
                    raise ValueError(f"space {self.name}: {name!r} must be the name of a choice")
                try:
                    options = offered(options, prior, ordered)  # type: ignore[assignment]
                except ValueError as wrong:
                    message = f"space {self.name}: choice {name!r}: {wrong}"
                    raise ValueError(message) from None
                checked[name] = options
                if is_ordered(options):
                    self._ordered.add(name)
            given = answer(name, options)  # type: ignore[arg-type]
            for option in options:
                if option is given:  # nearly always
                    genotype[name] = option
                    return option
            for option in options:
                if same(option, given):
                    genotype[name] = option
                    return option
            raise ValueError(
                f"space {self.name}: choice {name!r} was answered with {given!r}, "
                f"which is none of {listed(options)}"
            )

        built = self.function(choose)
        return genotype, built

    def decode(self, genotype: Genotype) -> Architecture:
        """Return the architecture of ``genotype``.

        Raises:
            InputError: naming the first choice that is wrong.
        """
        built = self._replay(genotype)[1]
        return built() if callable(built) else built

    def validate(self, genotype: Genotype) -> None:
        """Raise :class:`InputError` unless ``genotype`` is one of this space."""
        self._replay(genotype)

    def member(self, name: str) -> Genotype:
        """Return a copy of a known genotype, validated, with its answers in the order asked."""
        if name not in self.members:
            message = unknown("member", name, self.members) if self.members else "has no members"
            raise InputError(f"space {self.name}: {message}")
        return self._replay(self.members[name])[0]

    def to_string(self, genotype: Genotype) -> str:
        """Return the genotype in the notation of this space's literature, or else as JSON.

        Raises:
            InputError: if it lacks a choice that the notation names.
        """
        try:
            return self.language.to_string(genotype)
        except KeyError:
            self.validate(genotype)  # says what is missing
            raise

    def from_string(self, text: str) -> Genotype:
        """Read what :meth:`to_string` writes; raise :class:`InputError` if it is not that."""
        return self._replay(self.language.from_string(text))[0]

    def cell_graphs(self, genotype: Genotype) -> Mapping[str, CellGraph]:
        """Return the genotype's cells by name; there are none if the space has no cells."""
        return self.language.cell_graphs(genotype)

    def _orders(self, genotype: Genotype) -> dict[str, Options]:
        """Return the options of those choices of a genotype that are ordered."""
        if genotype.keys() <= self._checked.keys() and self._ordered.isdisjoint(genotype):
            return {}
        found: dict[str, tuple[Option, ...]] = {}
        self._replay(genotype, found)
        return {name: options for name, options in found.items() if is_ordered(options)}

    def _replay(
        self, genotype: Genotype, offers: dict[str, tuple[Option, ...]] | None = None
    ) -> tuple[Genotype, Built]:
        def answer(name: str, options: tuple[Option, ...]) -> Option:
            if offers is not None:
                offers[name] = options
            where = f"space {self.name}: choice {name!r}"
            if name not in genotype:
                raise InputError(f"{where} is missing; allowed: {listed(options)}")
            if not kept(genotype, name, options):
                raise InputError(
                    f"{where}: {genotype[name]!r} is not an option; allowed: {listed(options)}"
                )
            return genotype[name]

        if not isinstance(genotype, Mapping):
            raise InputError(
                f"space {self.name}: a genotype is a mapping of choices to options, "
                f"got {genotype!r}"
            )
        try:
            asked, built = self.run(answer)
        except Infeasible as reason:
            raise InputError(f"space {self.name}: not in the space: {reason}") from None
        for name in genotype:
            if name not in asked:
                raise InputError(f"space {self.name}: choice {name!r} is not asked")
        return asked, built

    def _until_feasible(self, attempt: Callable[[], R], draws: int = MAX_REJECTED) -> R:
        """Repeat ``attempt`` until it does not raise :class:`Infeasible`; count how often it did.

        Raises:
            NothingFeasible: after so many ``draws`` in a row.
        """
        for _ in range(draws):
            try:
                return attempt()
            except Infeasible as reason:
                self.rejected[reason.cause] += 1
                last = reason
        raise NothingFeasible(
            f"space {self.name}: {draws} draws in a row were infeasible; the last: {last}"
        )
