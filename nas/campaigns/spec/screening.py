"""Resolves ``warm_start`` of a searcher: a zero-cost proxy chooses what a search starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf, isfinite
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from nas.architecture.graph import Architecture
from nas.configuration import Config, Name, Named, several, validate
from nas.errors import InputError, at
from nas.evaluators.base import proxy_metric
from nas.metrics import COSTS
from nas.spaces.choices import Genotype
from nas.spaces.search_space import SearchSpace
from nas.user_code import absolute, relative, short_name

Number = Annotated[int, Field(ge=1, le=10**6)]


class WarmStart(Config):
    """Some of many random networks, with the largest values of a zero-cost proxy."""

    proxy: Name
    """The zero-cost proxy that chooses."""
    candidates: Number
    """How many random genotypes are drawn."""
    keep: Number
    """How many of their networks the search starts from."""
    batch: Annotated[int, Field(ge=2, le=10**6)] = 64
    """On how many training images the proxy is measured; by default as many as the evaluator."""

    @model_validator(mode="after")
    def _keeps_some(self) -> WarmStart:
        if self.keep > self.candidates:
            raise InputError(
                f"keep: must be at most candidates ({self.candidates}), got {self.keep}"
            )
        return self

    @classmethod
    def read(
        cls, options: Mapping[str, Any], evaluator: Named, folder: Path
    ) -> tuple[WarmStart | None, Named]:
        """Reads ``warm_start`` of a searcher's options; None without it.

        Also returns the evaluator, which then measures the proxy of every trial, so that tables can
        say how well it ranks what was trained.

        Raises :class:`InputError` for wrong keys, an unknown proxy, or another evaluator.
        """
        if "warm_start" not in options:
            return None, evaluator
        from nas.proxies import PROXIES, YARDSTICKS, Count  # imports torch

        found = validate(cls, options["warm_start"], folder)
        with at("proxy"):
            proxy = PROXIES.find(found.proxy)
        if evaluator.name not in ("training", "proxy"):
            if isinstance(proxy, Count):
                return found, evaluator
            raise InputError(
                f"{found.proxy} is measured on images, for which the evaluator must be training or "
                f"proxy, but it is {evaluator.name}; without images: {', '.join(YARDSTICKS)}",
                "proxy",
            )
        given = {"batch": found.batch, **evaluator.options}
        if "batch" not in found.model_fields_set and not isinstance(proxy, Count):
            found = found.model_copy(update={"batch": given["batch"]})
        proxies = several(given.get("proxies", []))
        known = [absolute(name, folder) for name in proxies if isinstance(name, str)]
        if found.proxy not in (*known, *COSTS):
            with at("proxy"):
                if short_name(found.proxy) in map(short_name, known):
                    raise InputError(
                        f"evaluator.proxies names another proxy {short_name(found.proxy)!r}"
                    )
                proxy_metric(found.proxy)
            given["proxies"] = [*proxies, found.proxy]
            evaluator = Named(name=evaluator.name, **given)
        return found, evaluator

    def definition(self, folder: Path) -> dict[str, Any]:
        """Returns it as plain JSON for records."""
        return {**self.model_dump(), "proxy": relative(self.proxy, folder)}

    def best(
        self,
        space: SearchSpace,
        seed: tuple[int, ...],
        scorer: Callable[[], Callable[[Architecture], float]] | None = None,
    ) -> dict[str, Genotype]:
        """Draws the candidates and returns the best ones by name, the best first.

        ``scorer`` loads what measures the proxy; one that is only counted does not need it.

        Equal networks count once, and a value that is not finite is the worst. The result is a
        function of the space, the seed and the values.

        Raises :class:`InputError` if fewer than ``keep`` different networks are drawn.
        """
        from nas.proxies import PROXIES, Count  # imports torch

        rng = np.random.default_rng((*seed, 1))
        proxy = PROXIES.find(self.proxy)
        if isinstance(proxy, Count):
            score: Callable[[Architecture], float] = proxy.count
        else:
            assert scorer is not None, "read() asks for images"
            score = scorer()
        found: dict[str, tuple[float, Genotype]] = {}
        for _ in range(self.candidates):
            genotype = space.sample(rng)
            network = space.decode(genotype)
            if network.fingerprint not in found:
                value = score(network)
                found[network.fingerprint] = (value if isfinite(value) else -inf, genotype)
        if len(found) < self.keep:
            raise InputError(
                f"of {self.candidates} candidates only {len(found)} are different networks, got "
                f"{self.keep}",
                "keep",
            )
        best = sorted(found.values(), key=lambda each: -each[0])[: self.keep]
        name = f"{short_name(self.proxy)} {{}} of {len(found)}"
        return {name.format(rank): genotype for rank, (_, genotype) in enumerate(best, 1)}
