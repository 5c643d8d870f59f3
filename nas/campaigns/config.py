"""``campaign.yaml``: the question that a campaign asks, read and checked before anything runs."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    model_validator,
)

from nas.architecture.graph import Architecture
from nas.classics import CLASSICS, classic
from nas.configuration import Config, read_yaml, validate, validate_options
from nas.errors import InputError
from nas.registry import unknown
from nas.searchers import SEARCHERS, Searcher, searcher
from nas.spaces import space, spaces
from nas.spaces.constraints import constrained
from nas.spaces.search_space import SearchSpace
from nas.training import data, datasets, recipe

FILE_NAME = "campaign.yaml"

Limit = Annotated[int, Field(ge=1)] | None

BASELINE = "random"
"""The searcher that the others are compared with."""

_DESCRIPTIVE = ("paper", "description", "members")
"""Keys of a space file that do not change what is in the space."""


class Named(Config):
    """A name with its options: ``{name: nin, width: 0.5}``, or the bare name."""

    model_config = ConfigDict(extra="allow")

    name: str

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"name": given}
        if not isinstance(given, Mapping):
            raise InputError("must be a name, or a mapping of name and options")
        return given

    @property
    def options(self) -> dict[str, Any]:
        """All but the name."""
        return dict(self.model_extra or {})


def _auto_or(kind: type, least: str, accepts: Callable[[Any], bool]) -> PlainValidator:
    def check(given: Any) -> Any:
        if given == "auto":
            return None
        if isinstance(given, bool) or not isinstance(given, kind | int) or not accepts(given):
            raise InputError(f"must be auto or {least}")
        return given

    return PlainValidator(check)


class EngineConfig(Config):
    """Who carries the trials out, and how many at a time. "auto" is None here."""

    name: Literal["ray", "serial"] = "ray"
    concurrency: Annotated[
        int | None, _auto_or(int, "a whole number, at least 1", lambda n: n >= 1)
    ] = None
    cpus_per_trial: Annotated[int, Field(ge=1)] = 1
    gpus_per_trial: Annotated[
        float | None, _auto_or(float, "a number, at least 0", lambda n: n >= 0)
    ] = None
    address: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> "EngineConfig":
        if self.name == "serial" and self.concurrency not in (None, 1):
            raise InputError(
                f"concurrency: the serial engine runs one trial at a time, got {self.concurrency}; "
                "allowed: auto, 1"
            )
        if self.address is not None and "://" in self.address:
            raise InputError(
                f"address: must be auto or host:port of a Ray cluster that this machine is part "
                f"of, got {self.address!r}"
            )
        return self


class Constraints(Config):
    """Largest analytic costs; what breaks one is drawn again, before anything is trained."""

    params: Limit = None
    macs: Limit = None
    flops: Limit = None
    activations: Limit = None

    @property
    def limits(self) -> dict[str, int]:
        """Those that are set."""
        return {name: limit for name, limit in self if limit is not None}


class Budget(Config):
    """What each search may spend."""

    trials: Annotated[int, Field(ge=1)]


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise InputError(f"each seed must be given once, got {list(seeds)}")
    return seeds


Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), AfterValidator(_distinct)
]


class Final(Config):
    """What is retrained from scratch and measured on the test images, at the end.

    ``top`` architectures of the search and ``top_random`` of the random baseline, by validation,
    and the ``classics``; each with each of ``seeds``.
    """

    top: Annotated[int, Field(ge=0)] = 5
    top_random: Annotated[int, Field(ge=0)] = 1
    seeds: Seeds = (0,)
    classics: tuple[Named, ...] = ()


def _mapping(given: Any) -> Any:
    if not isinstance(given, Mapping):
        raise InputError("must be a mapping of keys to values")
    return given


class CampaignFile(Config):
    """The keys of ``campaign.yaml``; ``data`` and ``recipe`` are checked by their own modules."""

    space: str
    searcher: Named
    random_baseline: bool = True
    objective: Literal["validation_accuracy"] = "validation_accuracy"
    constraints: Constraints = Constraints()
    budget: Budget
    data: Annotated[dict[str, Any], BeforeValidator(_mapping)]
    recipe: Annotated[dict[str, Any], BeforeValidator(_mapping)]
    final: Final = Final()
    seed: Annotated[int, Field(ge=0)] = 0
    engine: EngineConfig = EngineConfig()


@dataclass(frozen=True, eq=False)
class Contestant:
    """A classic in the final stage; ``label`` tells apart those of one name."""

    label: str
    name: str
    options: dict[str, Any]
    architecture: Architecture


@dataclass(frozen=True, eq=False)
class Campaign:
    """A campaign whose every part is known to fit the others. Made by :func:`load_campaign`."""

    folder: Path
    config: CampaignFile
    data: data.DataConfig
    recipe: recipe.Recipe
    input_shape: tuple[int, ...]
    classes: int
    space: SearchSpace
    space_definition: dict[str, Any]
    classics: tuple[Contestant, ...]

    @property
    def searches(self) -> dict[str, dict[str, Any]]:
        """The name and the options of each searcher to run, the campaign's own first."""
        own = self.config.searcher
        baseline: dict[str, dict[str, Any]] = {BASELINE: {}} if self.config.random_baseline else {}
        return {own.name: own.options} | {n: o for n, o in baseline.items() if n != own.name}

    def searcher(self, name: str) -> Searcher:
        """A searcher of :attr:`searches` that has been told nothing yet."""
        seed = (self.config.seed, list(self.searches).index(name))
        options = validate_options(SEARCHERS[name], self.searches[name], self.file, "searcher")
        with _at(self.file):  # the messages of searchers begin with "searcher NAME"
            return searcher(name, space=self.space, seed=seed, **options)

    @property
    def file(self) -> Path:
        """The YAML file."""
        return self.folder / FILE_NAME


def load_campaign(folder: Path) -> Campaign:
    """Reads ``campaign.yaml`` in ``folder`` and checks every part against the others.

    Data files are read, the space and the classics are built for them, the searchers made.
    Raises :class:`InputError` naming the file, the key path, the value and what is allowed.
    """
    path = folder / FILE_NAME
    config = validate(CampaignFile, read_yaml(path), path)
    images = data.resolve(config.data, path, "data")
    training = recipe.resolve(config.recipe, path, "recipe")
    if config.searcher.name not in SEARCHERS:
        raise InputError(
            f"{path}: searcher.name: {unknown('searcher', config.searcher.name, SEARCHERS)}"
        )
    with _at(path, "data"):
        input_shape, classes = _geometry(images)
    with _at(path, "space"):
        is_file = config.space.endswith((".yaml", ".yml"))
        file = folder / config.space if is_file else spaces().get(config.space)
        found = space(str(file or config.space), input_shape, classes)
        assert file is not None
        definition = {k: v for k, v in read_yaml(file).items() if k not in _DESCRIPTIVE}
    contestants: dict[str, Contestant] = {}
    for position, entry in enumerate(config.final.classics):
        where = f"final.classics.{position}"
        if entry.name not in CLASSICS:
            raise InputError(f"{path}: {where}: {unknown('classic', entry.name, CLASSICS)}")
        validate_options(CLASSICS[entry.name].function, entry.options, path, where)
        with _at(path, where):
            made = classic(entry.name, input_shape, classes, **entry.options).inference()
            contestant = Contestant(_label(entry), entry.name, entry.options, made)
            if contestant.label in contestants:
                raise InputError(f"{contestant.label} is listed twice")
        contestants[contestant.label] = contestant
    campaign = Campaign(
        folder=folder,
        config=config,
        data=images,
        recipe=training,
        input_shape=input_shape,
        classes=classes,
        space=constrained(found, config.constraints.limits),
        space_definition=definition,
        classics=tuple(contestants.values()),
    )
    with _at(path, "constraints" if config.constraints.limits else "space"):
        campaign.space.sample(np.random.default_rng(config.seed))
    for name in campaign.searches:
        campaign.searcher(name)
    return campaign


@contextmanager
def _at(path: Path, where: str | None = None) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(": ".join(filter(None, (str(path), where, str(error))))) from None


def _geometry(config: data.DataConfig) -> tuple[tuple[int, ...], int]:
    """The shape of an image and the number of classes.

    Without resizing a pixel: that would take torch, which the driver has no other use for.
    """
    options = validate_options(datasets.DATASETS[config.name], config.options, config.name, "data")
    side = options.pop("resolution", None)
    images = datasets.DATASETS[config.name](**options)
    data.split(images, config.split)
    channels, *sides = images.input_shape
    return (channels, *([side] * len(sides) if side else sides)), images.classes


def _label(entry: Named) -> str:
    parts = [entry.name, *(f"{key}{value}" for key, value in entry.options.items())]
    return re.sub(r"[^\w.-]+", "_", "-".join(parts))
