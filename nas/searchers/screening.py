"""What a searcher may measure of genotypes before it proposes one: zero-cost proxies."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from time import perf_counter
from typing import TypeVar

from nas.spaces.choices import Genotype, architecture_choices, genotype_key

T = TypeVar("T")

Measure = Callable[[Genotype], float]
"""A function from a genotype to the value of a proxy."""

_LINE_SECONDS = 10.0
"""How often a line says how far measurements are."""


class Abandoned(Exception):
    """Measurements were stopped before their end."""


class Score:
    """The values of a proxy for genotypes; each is measured once.

    The values of equal networks may differ, because their weights are drawn in another order. So
    every genotype has its own, and no value depends on what was measured before.

    Args:
        name: the name of the proxy, for messages.
        load: returns what measures the proxy; it is called before the first measurement.
        is_free: whether nothing is measured, because the values are counted or looked up.

    Attributes:
        seconds: how long the measurements have taken, with loading; 0 if they are free.
        tell: shows a line about measurements.
        stops: tells if measurements end before the next network.
    """

    def __init__(self, name: str, load: Callable[[], Measure], is_free: bool = False) -> None:
        self.seconds = 0.0
        self.tell: Callable[[str], None] = lambda line: None
        self.stops: Callable[[], bool] = lambda: False
        self._name = name
        self._is_free = is_free
        self._load = load
        self._measure: Measure | None = None
        self._known: dict[Hashable, float] = {}

    def __call__(self, genotypes: Sequence[Genotype]) -> list[float]:
        """Returns a value for each genotype.

        It is -inf if it is not finite, or if the proxy fails for the network.

        Raises :class:`Abandoned` if :attr:`stops` says so.
        """
        keys = [genotype_key(architecture_choices(genotype)) for genotype in genotypes]
        new = {k: g for k, g in zip(keys, genotypes, strict=True) if k not in self._known}
        began = perf_counter()
        try:
            self._add(new, began)
        finally:
            self.seconds += 0.0 if self._is_free else perf_counter() - began
        return [self._known[key] for key in keys]

    def _add(self, new: Mapping[Hashable, Genotype], began: float) -> None:
        told, failed = began, 0
        for done, (key, genotype) in enumerate(new.items()):
            if self.stops():
                raise Abandoned
            if done and (now := perf_counter()) - told >= _LINE_SECONDS:
                told, left = now, (now - began) / done * (len(new) - done)
                self.tell(
                    f"proxy {self._name}: {done} of {len(new)} networks measured, about {left:.0f} "
                    "s left"
                )
            self._measure = self._measure or self._load()
            try:
                value = float(self._measure(genotype))
            except Exception as error:  # a user's proxy may raise any exception
                value, failed = -inf, failed + 1
                if failed == 1:
                    reason = str(error).partition("\n")[0]
                    self.tell(
                        f"proxy {self._name}: a network could not be measured, and counts as the "
                        f"worst: {type(error).__name__}: {reason}"
                    )
            self._known[key] = value if isfinite(value) else -inf


@dataclass(frozen=True)
class Screen:
    """The proxies of a searcher and what they are for; without any, it changes nothing.

    Attributes:
        scores: all proxies by name.
        features: those from which a predictor learns.
        filter: the proxy that chooses what is proposed; "" without one.
        candidates: among how many candidates it chooses.
        identity: returns what genotypes share of which only one should be proposed.
    """

    scores: Mapping[str, Score] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    filter: str = ""
    candidates: int = 1
    identity: Callable[[Genotype], Hashable] = genotype_key
    _proposed: set[Hashable] = field(default_factory=set, compare=False)

    @property
    def seconds(self) -> float:
        """How long all measurements have taken."""
        return sum(score.seconds for score in self.scores.values())

    def proposed(self, genotype: Genotype) -> None:
        """Registers what was proposed, in this run or in an earlier one."""
        if self.filter:
            self._proposed.add(self.identity(genotype))

    def best(
        self, propose: Callable[[], T], genotype: Callable[[T], Genotype], repeats: bool = False
    ) -> T:
        """Returns the candidate with the largest value of the filter, the first among equals.

        What was proposed before, failed or not, is only taken if nothing else is there: the
        largest network, for example, would be proposed again and again.

        Args:
            propose: makes a candidate; without a filter, it is called once.
            genotype: returns the genotype of a candidate.
            repeats: whether what was proposed before counts like everything else. It must if the
                result is kept for later proposals: it would depend on when it was made.
        """
        if not self.filter:
            return propose()
        made = [propose() for _ in range(self.candidates)]
        if not repeats:
            new = [each for each in made if self.identity(genotype(each)) not in self._proposed]
            made = new or made
        values = self.scores[self.filter]([genotype(each) for each in made])
        return made[values.index(max(values))]
