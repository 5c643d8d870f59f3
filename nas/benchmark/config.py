"""Reads ``benchmark.yaml`` and checks it before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from nas.campaigns.spec.frame import Frame
from nas.campaigns.spec.initial import initial_genotypes
from nas.campaigns.spec.screening import Screening
from nas.campaigns.spec.searcher_options import code as code_of
from nas.campaigns.spec.searcher_options import own_options
from nas.campaigns.spec.space import read_space
from nas.configuration import Config, Named, several, validate, validate_options
from nas.errors import InputError, at, in_file
from nas.evaluators.tables import read_table
from nas.evaluators.tabular import Floats, Lookup, Table
from nas.registry import unknown
from nas.searchers import SEARCHERS, Searcher, searcher
from nas.searchers.duplicates import Policy
from nas.spaces.choices import Genotype
from nas.spaces.search_space import SearchSpace
from nas.user_code import checksums, portable, rooted
from nas.yaml_files import read_yaml

FILE_NAME = "benchmark.yaml"

Direction = Literal["max", "min"]
Whole = Annotated[int, Field(ge=1, le=10**9)]

_TAKEN = ("validation", "test", "searcher", "seed", "workers", "trial", "evaluation", "seconds",
          "status", "reused", "fidelity", "key")  # fmt: skip
"""Columns of the trials; further objectives must have other names."""


class Budget(Config):
    """The evaluations, or the time on the simulated cluster, after which a search ends."""

    evaluations: Whole | None = None
    """The number of evaluated trials."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """Seconds on the simulated cluster."""
    hours: Annotated[float, Field(gt=0)] | None = None
    """Hours on the simulated cluster."""

    @model_validator(mode="after")
    def _is_one(self) -> Budget:
        given = [name for name, value in self if value is not None]
        if len(given) != 1:
            raise InputError(
                "must be one of evaluations, seconds and hours, got "
                + (" and ".join(given) or "none of them")
            )
        return self

    @property
    def virtual_seconds(self) -> float | None:
        """The budget in seconds of the simulated cluster; None if it is in evaluations."""
        return self.seconds if self.hours is None else 3600 * self.hours


class Objective(Config):
    """A further objective: a metric of the table and whether to maximise or minimise it."""

    metric: str
    """A metric of the table."""
    direction: Direction = "min"
    """Whether it is maximised or minimised."""


class FaultRates(Config):
    """How often faults are injected into the simulated cluster."""

    straggling: Annotated[float, Field(ge=0)] = 0.0
    """A trial takes 1 + abs(z) times as long, where z is normal with this standard deviation."""
    losses_per_hour: Annotated[float, Field(ge=0)] = 0.0
    """The expected number of times per hour that a running trial is lost."""
    probability: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The probability that a trial fails."""


def _distinct(given: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(given)) < len(given):
        raise InputError(f"each must be given once, got {list(given)}")
    return given


class BenchmarkFile(Config):
    """The keys of ``benchmark.yaml``."""

    space: Named
    """The search space, as in ``campaign.yaml``."""
    input_shape: tuple[Whole, ...] = (3, 32, 32)
    """The shape of an image for which networks are built."""
    classes: Whole = 10
    """The number of classes for which networks are built."""
    table: str | dict[str, Any]
    """The table: a YAML file that describes it, or its keys."""
    validation: str
    """The metric of the table that searchers optimise."""
    test: str
    """The metric by which the report scores their incumbents; no searcher sees it."""
    direction: Direction = "max"
    """Whether both metrics are maximised or minimised."""
    objectives: dict[str, Objective] = Field(default_factory=dict)
    """Further objectives by name; searchers then see all of them."""
    reference_point: dict[str, float] | None = None
    """The reference point of the hypervolume, with ``validation`` and each further objective, in
    this order; by default the worst values of the table."""
    searchers: Annotated[dict[str, Named], Field(min_length=1)]
    """The searchers with their options, by the names that the report gives them."""
    seeds: Whole
    """How many times each searcher runs."""
    budget: Budget
    """The budget of each run, with one of the keys below."""
    workers: Annotated[
        tuple[Whole, ...], BeforeValidator(several), Field(min_length=1), AfterValidator(_distinct)
    ] = (1,)
    """Sizes of the simulated cluster; the whole benchmark is run with each."""
    duplicates: Policy = "reuse"
    """What happens to a proposal that repeats an architecture, as in ``campaign.yaml``."""
    faults: FaultRates = FaultRates()
    """The faults that are injected into the simulated cluster."""


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A benchmark whose parts fit each other; :func:`load_benchmark` makes it."""

    folder: Path
    config: BenchmarkFile
    table: Table
    space: SearchSpace
    space_definition: Mapping[str, Any]
    data: Path | None = None
    _known: dict[tuple[int, int | None], tuple[float, ...]] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """The YAML file."""
        return self.folder / FILE_NAME

    @cached_property
    def lookup(self) -> Lookup:
        """The table, bound to the space."""
        return Lookup(self.table, self.space)

    @property
    def directions(self) -> dict[str, Direction]:
        """The names and directions of the objectives, ``validation`` first."""
        further = {name: each.direction for name, each in self.config.objectives.items()}
        return {"validation": self.config.direction} | further

    def searcher(self, label: str, seed: int) -> Searcher:
        """Makes a searcher of the benchmark in its initial state."""
        entry = self.config.searchers[label]
        with in_file(self.file), at("searchers", label):
            with at("name"):
                kind = SEARCHERS.find(entry.name)
                if kind.takes_suggestions:
                    raise InputError(
                        f"{entry.name}: a table suggests nothing that it could propose"
                    )
            given = rooted(own_options(entry), self.folder)
            options = validate_options(kind, given, self.folder)
            columns = self.table.known_before(self.config.validation, self.config.test)
            evaluator = Named(name="tabular")
            screening, _ = Screening.read(entry, evaluator, self.folder, columns)
            screen = screening.screen(self.space, column=lambda name: self.lookup.measure(name))
            if (warm := screening.warm_start) is not None:
                best = in_file(self.file)(at("searchers", label, "warm_start")(warm.best))
                chosen = partial(best, self.space, (seed,), screen.scores[warm.proxy])
                options |= {"chosen": chosen, "count": warm.keep}
            return searcher(
                entry.name,
                space=self.space,
                seed=seed,
                objectives=len(self.directions),
                initial=self.initial(label),
                screen=screen,
                **options,
            )

    def initial(self, label: str) -> dict[str, Genotype]:
        """Returns what a searcher starts from, by name."""
        given = self.config.searchers[label].options.get("initial", [])
        with at("initial"):
            return initial_genotypes(given, self.space, self.folder).genotypes

    def values(self, row: int, epoch: int | None) -> tuple[float, ...]:
        """Returns the objectives of a row after ``epoch`` epochs, all to be minimised.

        A further objective without a learning curve has the same value after every epoch.
        """
        found = self._known.get((row, epoch))
        if found is None:
            values = [self.lookup.value(self.config.validation, row, epoch)]
            for each in self.config.objectives.values():
                curve = self.table.metrics[each.metric].ndim > 1
                values.append(self.lookup.value(each.metric, row, epoch if curve else None))
            signs = (-1 if direction == "max" else 1 for direction in self.directions.values())
            found = tuple(sign * value for sign, value in zip(signs, values, strict=True))
            self._known[row, epoch] = found
        return found

    def curve(self, row: int, epoch: int | None) -> list[float]:
        """Returns ``validation`` of a row after 1, 2, ... epochs up to ``epoch``, minimised."""
        sign = -1 if self.config.direction == "max" else 1
        values = self.table.metrics[self.config.validation][row, :epoch]
        curve: list[float] = (sign * values).tolist()
        return curve

    def objective(self, name: str) -> Floats:
        """Returns an objective, or ``test``, of all rows of the table after full training."""
        own = {"validation": self.config.validation, "test": self.config.test}
        return self.table.metric(own.get(name) or self.config.objectives[name].metric)

    @property
    def optimum(self) -> dict[str, float]:
        """The best validation and the best test values of the whole table."""
        best = np.nanmax if self.config.direction == "max" else np.nanmin
        return {name: float(best(self.objective(name))) for name in ("validation", "test")}

    @property
    def reference_point(self) -> Floats:
        """The hypervolume's reference point; by default the table's worst value per objective."""
        if self.config.reference_point is not None:
            return np.array([self.config.reference_point[name] for name in self.directions])
        worst = {"max": np.nanmin, "min": np.nanmax}
        return np.array([worst[d](self.objective(name)) for name, d in self.directions.items()])

    @property
    def specification(self) -> dict[str, Any]:
        """All settings that the results depend on, as plain JSON."""
        given = rooted(self.config.model_dump(mode="json"), self.folder)
        entries = self.config.searchers.values()
        names = [self.config.space.name, *chain(*(code_of(each, self.folder) for each in entries))]
        code = checksums(names, self.folder)
        initial = {
            label: found for label in self.config.searchers if (found := self.initial(label))
        }
        return {
            "benchmark": portable(given, self.folder),
            "space": dict(self.space_definition),
            "table": dict(self.table.files),
            **({"code": code} if code else {}),
            **({"initial": initial} if initial else {}),
        }


def load_benchmark(folder: Path, data: Path | None = None) -> Benchmark:
    """Reads ``benchmark.yaml`` in ``folder`` and checks every part against the others.

    Args:
        folder: the folder of the benchmark.
        data: the folder of the table's files; by default paths are relative to the describing file.

    Raises :class:`InputError` naming the file, the key path, the value and what is allowed.
    """
    path = folder / FILE_NAME
    with in_file(path):
        config = validate(BenchmarkFile, read_yaml(path), folder)
        found, described = read_space(
            config.space, folder, Frame(config.input_shape, config.classes)
        )
        with at("table"):
            table = read_table(config.table, folder, data)
        benchmark = Benchmark(folder, config, table, found, described, data)
        _check(benchmark)
    return benchmark


def _check(benchmark: Benchmark) -> None:
    config, table = benchmark.config, benchmark.table
    metrics = {"validation": config.validation, "test": config.test} | {
        f"objectives.{name}.metric": each.metric for name, each in config.objectives.items()
    }
    for key, metric in metrics.items():
        if metric not in table.metrics:
            known = dict(table.metrics)
            raise InputError(f"{key}: {unknown('metric of the table', metric, known)}")
    for name in config.objectives:
        if name in _TAKEN:
            raise InputError(
                f"objectives.{name}: must have another name; not allowed: " + ", ".join(_TAKEN)
            )
    point = config.reference_point
    if point is not None and list(point) != list(benchmark.directions):
        raise InputError(
            f"reference_point: must have {', '.join(benchmark.directions)}, in this order; "
            f"got {', '.join(point)}"
        )
    if config.budget.evaluations is None and table.seconds is None:
        raise InputError("budget: the table has no training times; allowed: evaluations")
    curves = table.metrics[config.validation].ndim > 1
    every = curves and table.epochs == (*range(1, len(table.epochs) + 1),)
    for label in config.searchers:
        if benchmark.searcher(label, 0).takes_curves and not every:
            measured = ", ".join(map(str, table.epochs)) if curves else "the whole training"
            raise InputError(
                f"learns from learning curves, so the table must have {config.validation} after "
                f"1, 2, 3, … epochs; it has it after {measured}",
                *("searchers", label),
            )
