"""A space without what breaks a limit on cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from nas.architecture.graph import Architecture
from nas.errors import InputError
from nas.spaces.asked_space import MAX_REJECTED, NothingFeasible
from nas.spaces.choices import Choose, Genotype, Infeasible, Option, kept, listed
from nas.spaces.constraints import Constraints, Limit, limit_of
from nas.spaces.search_space import SearchSpace, Size

R = TypeVar("R")

PATIENCE = 1_000
"""The number of draws that may break a limit, while none has kept them all, before giving up."""


def constrained(space: SearchSpace, constraints: Constraints, folder: Path) -> SearchSpace:
    """Return the part of a space whose architectures keep every limit.

    Samplers draw again what breaks a limit, and count it in ``rejected`` by the limit's name. If
    nothing keeps the limits, they raise :class:`InputError` with the smallest costs seen, after
    :data:`PATIENCE` draws.

    Args:
        space: the space to narrow. If it is constrained already, both limits hold.
        constraints: the limits.
        folder: the folder that the path of a latency table is relative to.

    Raises:
        InputError: for a table that cannot be read, or a latency that would have to be measured.
    """
    if constraints.measured_latency is not None:
        raise InputError(
            "latency_ms: only a campaign measures it; give a table and its column, or a profile"
        )
    limits = [limit_of(name, most, space, folder) for name, most in constraints.limits.items()]
    if constraints.fit is not None and not limits:
        raise InputError("needs a limit to fit, but there is none", "fit")
    if not limits:
        return space
    fit = constraints.fit
    if isinstance(space, ConstrainedSpace):
        return ConstrainedSpace(space.unconstrained, [*space.limits, *limits], fit or space.fitted)
    return ConstrainedSpace(space, limits, fit)


class ConstrainedSpace(SearchSpace):
    """A space without what breaks a limit; :func:`constrained` makes it.

    With ``fitted``, the name of a choice, this choice offers one option: the largest number with
    which the network keeps the limits. It is asked last.
    """

    def __init__(self, space: SearchSpace, limits: list[Limit], fitted: str | None = None) -> None:
        super().__init__(self._within_limits, space.name, space.members, space.language)
        self.unconstrained = space
        self.limits = limits
        self.fitted = fitted
        self._smallest: dict[str, float] = {}
        self._any_kept = False

    def around(self, space: SearchSpace) -> ConstrainedSpace:
        """Return another space within the same limits."""
        return ConstrainedSpace(space, self.limits, self.fitted)

    def size(self, limit: int = 1_000_000) -> Size:
        """Count the genotypes one by one, because closed forms do not know the limits."""
        return self._count(limit)

    def decisions(self, genotype: Genotype) -> Genotype:
        """Return the answers without that of the fitted choice, which the others decide."""
        return {name: option for name, option in genotype.items() if name != self.fitted}

    def fit(self, genotype: Genotype) -> Genotype:
        """Return the genotype with the only option of the fitted choice, if it is of this space."""

        def answer(name: str, options: tuple[Option, ...]) -> Option:
            return options[0] if name == self.fitted else kept(genotype, name, options)[0]

        with suppress(Infeasible, IndexError):
            return self.run(answer)[0]
        return genotype

    def _within_limits(self, choose: Choose) -> Architecture:
        genotype: Genotype = {}
        widths: list[Any] = []

        def noted(name: str, options: Any, **about: Any) -> Any:
            if name == self.fitted:
                widths.extend(options)
                genotype[name] = answer = min(options, key=_size)
            else:
                genotype[name] = answer = choose(name, options, **about)
            return answer

        built = self.unconstrained.function(noted)
        if self.fitted is None:
            return self._kept(genotype, built() if callable(built) else built)
        if not widths or not all(isinstance(width, int | float) for width in widths):
            offered = listed(widths) if widths else f"none; its choices are {', '.join(genotype)}"
            raise InputError(
                f"space {self.name} must ask the choice {self.fitted!r}, whose options are "
                f"numbers; its options are {offered}",
                "fit",
            )
        widths.sort()
        found = self._with(genotype, widths[0])
        low, high = 0, len(widths)  # the option at low keeps the limits, that at high does not
        while high - low > 1:
            middle = (low + high) // 2
            try:
                found, low = self._with(genotype, widths[middle]), middle
            except Infeasible:
                high = middle
        choose(self.fitted, (widths[low],))
        return found

    def _with(self, genotype: Genotype, width: Option) -> Architecture:
        """Return the network of a genotype with another width, if it keeps the limits."""
        changed = {**genotype, str(self.fitted): width}

        def answer(name: str, options: tuple[Option, ...]) -> Option:
            if not (own := kept(changed, name, options)):
                raise InputError(
                    f"space {self.name}: the choice {name!r} depends on {self.fitted!r}, which "
                    "must be a choice that no other one depends on",
                    "fit",
                )
            return own[0]

        built = self.unconstrained.run(answer)[1]
        return self._kept(changed, built() if callable(built) else built)

    def _kept(self, genotype: Genotype, architecture: Architecture) -> Architecture:
        """Return the network; raise :class:`Infeasible` if it breaks a limit."""
        values = [limit.measure(genotype, architecture) for limit in self.limits]
        for limit, value in zip(self.limits, values, strict=True):
            self._smallest[limit.column] = min(value, self._smallest.get(limit.column, inf))
        for (column, most, _), value in zip(self.limits, values, strict=True):
            if value > most:
                raise Infeasible(f"{column} is {value:,}, over the limit of {most:,}", column)
        return architecture

    def _until_feasible(self, attempt: Callable[[], R], draws: int = MAX_REJECTED) -> R:
        over = 0
        self._smallest.clear()

        def patient() -> R:
            nonlocal over
            try:
                return attempt()
            except Infeasible as reason:
                over += any(reason.cause == limit.column for limit in self.limits)
                if over == PATIENCE and not self._any_kept:
                    raise NothingFeasible(self._hopeless()) from None
                raise

        found = super()._until_feasible(patient, draws)
        self._any_kept = True
        return found

    def _hopeless(self) -> str:
        seen = "; ".join(
            f"the smallest {column} was {self._smallest[column]:,}, the limit is {most:,}"
            for column, most, _ in self.limits
        )
        return f"space {self.name}: none of {PATIENCE:,} draws keeps the constraints: {seen}"


def _size(option: Option) -> float:
    return option if isinstance(option, int | float) else inf


def rejections(rejected: Mapping[str, int]) -> str:
    """Return as text how often draws were rejected and why; "" if none was."""
    if not rejected:
        return ""
    causes = ", ".join(f"{cause} {count:,}" for cause, count in Counter(rejected).most_common())
    return f"draws rejected and drawn again: {sum(rejected.values()):,} ({causes})"
