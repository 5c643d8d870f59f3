"""Resolves which zero-cost proxies a searcher uses: to start, to choose, and to learn from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from nas.architecture.graph import Architecture
from nas.campaigns.spec.searcher_options import common_options
from nas.configuration import Config, Name, Named, several, validate
from nas.errors import InputError, at
from nas.evaluators.base import proxy_metric
from nas.metrics import COSTS
from nas.registry import Registry, resolve
from nas.searchers.screening import Measure, Score, Screen
from nas.spaces.choices import Genotype, genotype_key, recipe_choices
from nas.spaces.search_space import SearchSpace
from nas.user_code import absolute, relative, short_name

Number = Annotated[int, Field(ge=1, le=10**6)]

_BATCH = 64


class WarmStart(Config):
    """Some of many random networks, with the largest values of a zero-cost proxy."""

    proxy: Name
    """The zero-cost proxy that chooses."""
    candidates: Number
    """How many random genotypes are drawn."""
    keep: Number
    """How many of their networks the search starts from."""
    batch: Annotated[int, Field(ge=2, le=10**6)] = _BATCH
    """On how many training images proxies are measured; by default as many as the evaluator."""

    @model_validator(mode="after")
    def _keeps_some(self) -> WarmStart:
        if self.keep > self.candidates:
            raise InputError(
                f"keep: must be at most candidates ({self.candidates}), got {self.keep}"
            )
        return self

    def best(
        self,
        space: SearchSpace,
        seed: tuple[int, ...],
        score: Callable[[Sequence[Genotype]], Sequence[float]],
    ) -> dict[str, Genotype]:
        """Draws the candidates and returns the best ones by name, the best first.

        Equal networks count once. The result is a function of the space, the seed and the values.

        Args:
            space: the space of the candidates.
            seed: decides which are drawn.
            score: returns the values of several genotypes.

        Raises :class:`InputError` if fewer than ``keep`` different networks are drawn.
        """
        rng = np.random.default_rng((*seed, 1))
        found: dict[str, Genotype] = {}
        for _ in range(self.candidates):
            genotype = space.sample(rng)
            found.setdefault(space.identity(genotype), genotype)
        if len(found) < self.keep:
            raise InputError(
                f"of {self.candidates} candidates only {len(found)} are different networks, got "
                f"{self.keep}",
                "keep",
            )
        drawn = list(found.values())
        values = score(drawn)
        best = sorted(range(len(drawn)), key=lambda place: -values[place])[: self.keep]
        name = f"{short_name(self.proxy)} {{}} of {len(found)}"
        return {name.format(rank): drawn[place] for rank, place in enumerate(best, 1)}


class Filter(Config):
    """The best of several candidates by a zero-cost proxy, for every proposal of a searcher.

    The candidates of evolution are children of one parent. A multi-fidelity searcher trains the
    best candidate for the lowest fidelity, so the proxy is a rung below.
    """

    proxy: Name
    """The zero-cost proxy that chooses."""
    candidates: Annotated[int, Field(ge=2, le=10**6)]
    """How many candidates are made for one proposal."""


def _each_once(given: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(given)) < len(given):
        raise InputError(f"each must be given once, got {', '.join(given)}")
    return given


class Options(Config):
    """The options of a searcher that name zero-cost proxies."""

    warm_start: WarmStart | None = None
    """Which proxy chooses what the search starts from."""
    filter: Filter | None = None
    """Which proxy chooses every proposal."""
    proxies: Annotated[tuple[Name, ...], BeforeValidator(several), AfterValidator(_each_once)] = ()
    """The proxies that ``predictor`` and ``bananas`` learn from."""


@dataclass(frozen=True)
class Screening:
    """The proxies that the options of a searcher name.

    Attributes:
        warm_start: how networks to start from are chosen.
        filter: how each proposal is chosen.
        proxies: from which values a predictor learns.
        batch: on how many training images they are measured, apart from that of the warm start.
        columns: those that are looked up in a table.
    """

    warm_start: WarmStart | None = None
    filter: Filter | None = None
    proxies: tuple[str, ...] = ()
    batch: int = _BATCH
    columns: frozenset[str] = frozenset()

    @classmethod
    def read(
        cls,
        searcher: Named,
        evaluator: Named,
        folder: Path,
        columns: Collection[str] | None = None,
    ) -> tuple[Screening, Named]:
        """Reads the options ``warm_start``, ``filter`` and ``proxies`` of a searcher.

        Also returns the evaluator, which then measures the proxies of every trial, so that tables
        can say how well they rank what was trained.

        Args:
            searcher: the searcher with its options.
            evaluator: the evaluator of the campaign.
            folder: the folder of the campaign.
            columns: the metrics of a table that may be used like proxies; None without a table.

        Raises :class:`InputError` for wrong keys, an unknown proxy, or another evaluator.
        """
        with at("name"):
            common = common_options(searcher)
        common.pop("initial", None)
        given = validate(Options, common, folder)
        warm, batch = given.warm_start, evaluator.options.get("batch")
        if warm is not None and not _is_counted(warm.proxy):
            if "batch" not in warm.model_fields_set:
                warm = warm.model_copy(update={"batch": batch or _BATCH})
            batch = batch or warm.batch
        found = cls(warm, given.filter, given.proxies, batch or _BATCH)
        looked_up = set()
        for keys, name in found._places():
            with at(*keys):
                if name in (columns or ()) and not _is_counted(name):
                    looked_up.add(name)
                else:
                    evaluator = _measuring(name, evaluator, folder, columns, found.batch)
        return replace(found, columns=frozenset(looked_up)), evaluator

    @property
    def names(self) -> list[str]:
        """The names of all proxies, each once."""
        return list(dict.fromkeys(name for _, name in self._places()))

    def definition(self, folder: Path) -> dict[str, Any]:
        """Returns the options as plain JSON for records."""
        found: dict[str, Any] = {
            key: {**part.model_dump(), "proxy": relative(part.proxy, folder)}
            for key, part in (("warm_start", self.warm_start), ("filter", self.filter))
            if part is not None
        }
        if self.proxies:
            found["proxies"] = [relative(name, folder) for name in self.proxies]
        return found

    def screen(
        self,
        space: SearchSpace,
        images: Callable[[str, int], Callable[[Architecture], float]] | None = None,
        column: Callable[[str], Measure] | None = None,
    ) -> Screen:
        """Makes what a searcher of the space measures; nothing is measured yet.

        Args:
            space: the space of the search.
            images: loads what measures a proxy on so many images.
            column: returns what looks up a metric of a table.
        """

        def load(name: str) -> Measure:
            if name in self.columns:
                assert column is not None, "read() asks for a table"
                return column(name)
            if _is_counted(name):
                measure = _proxies().find(name).count
            else:
                assert images is not None, "read() asks for images"
                warm = self.warm_start
                measure = images(name, warm.batch if warm and warm.proxy == name else self.batch)
            return lambda genotype: measure(space.decode(genotype))

        def free(name: str) -> bool:
            return name in self.columns or _is_counted(name)

        chooses = self.filter
        return Screen(
            {name: Score(short_name(name), partial(load, name), free(name)) for name in self.names},
            self.proxies,
            chooses.proxy if chooses else "",
            chooses.candidates if chooses else 1,
            lambda genotype: (space.identity(genotype), genotype_key(recipe_choices(genotype))),
        )

    def _places(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Yields every proxy with the keys where it is named."""
        if self.warm_start is not None:
            yield ("warm_start", "proxy"), self.warm_start.proxy
        if self.filter is not None:
            yield ("filter", "proxy"), self.filter.proxy
        for position, name in enumerate(self.proxies):
            yield ("proxies", position), name


def _proxies() -> Registry:
    """Imports the proxies only where they are needed, because they import torch."""
    found: Registry = resolve("nas.proxies:PROXIES")
    return found


def _is_counted(name: str) -> bool:
    """Tells if a proxy needs no images; a name that is none does not."""
    return name in _proxies() and hasattr(_proxies().find(name), "count")


def _measuring(
    name: str, evaluator: Named, folder: Path, columns: Collection[str] | None, batch: int
) -> Named:
    """Returns the evaluator with a proxy that is measured of every trial.

    Raises :class:`InputError` if the proxy is unknown, or cannot be measured by the evaluator.
    """
    yardsticks = resolve("nas.proxies:YARDSTICKS")
    if columns is not None and not _is_counted(name):
        allowed = ", ".join([*yardsticks, *columns])
        hint = "" if columns else ", and metrics of the table that evaluator.metrics names"
        raise InputError(f"must be counted or a metric of the table: {allowed}{hint}; got {name}")
    _proxies().find(name)
    if evaluator.name not in ("training", "proxy"):
        if _is_counted(name):
            return evaluator
        raise InputError(
            f"{name} is measured on images, for which the evaluator must be training or proxy, but "
            f"it is {evaluator.name}; without images: {', '.join(yardsticks)}"
        )
    given = {"batch": batch, **evaluator.options}
    proxies = several(given.get("proxies", []))
    known = [absolute(each, folder) for each in proxies if isinstance(each, str)]
    if name in (*known, *COSTS):
        return evaluator
    if short_name(name) in map(short_name, known):
        raise InputError(
            f"the campaign uses another proxy that is called {short_name(name)!r}, too; give one "
            "of the functions another name"
        )
    proxy_metric(name)
    return Named(name=evaluator.name, **{**given, "proxies": [*proxies, name]})
