"""What a searcher may measure of genotypes before it proposes one: zero-cost proxies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from time import perf_counter
from typing import TypeVar

from nas.spaces.choices import Genotype

T = TypeVar("T")

Measure = Callable[[Genotype], float]
"""A function from a genotype to the value of a proxy."""

_LINE_SECONDS = 10.0
"""How often a line says how far measurements are."""


class Score:
    """The values of a proxy for genotypes; equal networks are measured once.

    Args:
        name: the name of the proxy, for messages.
        identity: returns a text that equal networks share.
        load: returns what measures the proxy; it is called before the first measurement.
        is_free: whether nothing is measured, because the values are counted or looked up.

    Attributes:
        seconds: how long the measurements have taken, with loading; 0 if they are free.
        tell: shows a line about measurements that take long.
    """

    def __init__(
        self,
        name: str,
        identity: Callable[[Genotype], str],
        load: Callable[[], Measure],
        is_free: bool = False,
    ) -> None:
        self.seconds = 0.0
        self.tell: Callable[[str], None] = lambda line: None
        self._name = name
        self._is_free = is_free
        self._identity = identity
        self._load = load
        self._measure: Measure | None = None
        self._known: dict[str, float] = {}

    def __call__(self, genotypes: Sequence[Genotype]) -> list[float]:
        """Returns a value for each genotype; -inf for one that is not finite."""
        keys = [self._identity(genotype) for genotype in genotypes]
        new = {k: g for k, g in zip(keys, genotypes, strict=True) if k not in self._known}
        started = told = perf_counter()
        for done, (key, genotype) in enumerate(new.items(), 1):
            self._measure = self._measure or self._load()
            value = self._measure(genotype)
            self._known[key] = value if isfinite(value) else -inf
            if (now := perf_counter()) - told >= _LINE_SECONDS:
                told, left = now, (now - started) / done * (len(new) - done)
                self.tell(
                    f"proxy {self._name}: {done} of {len(new)} networks measured, about {left:.0f} "
                    "s left"
                )
        self.seconds += 0.0 if self._is_free else perf_counter() - started
        return [self._known[key] for key in keys]


@dataclass(frozen=True)
class Screen:
    """The proxies of a searcher and what they are for; without any, it changes nothing.

    Attributes:
        scores: all proxies by name.
        features: those from which a predictor learns.
        filter: the proxy that chooses what is proposed; "" without one.
        candidates: among how many candidates it chooses.
    """

    scores: Mapping[str, Score] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    filter: str = ""
    candidates: int = 1

    @property
    def seconds(self) -> float:
        """How long all measurements have taken."""
        return sum(score.seconds for score in self.scores.values())

    def best(self, propose: Callable[[], T], genotype: Callable[[T], Genotype]) -> T:
        """Returns the candidate with the largest value of the filter, the first among equals.

        Args:
            propose: makes a candidate; without a filter, it is called once.
            genotype: returns the genotype of a candidate.
        """
        if not self.filter:
            return propose()
        made = [propose() for _ in range(self.candidates)]
        values = self.scores[self.filter]([genotype(each) for each in made])
        return made[values.index(max(values))]
