"""Defines the interface between a campaign and its evaluator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from nas.architecture.graph import Architecture
from nas.configuration import Config, Name, several, validate, validate_options
from nas.errors import InputError, at
from nas.metrics import COSTS, Catalogue, Metric
from nas.registry import load
from nas.spaces.choices import Genotype
from nas.spaces.search_space import SearchSpace
from nas.user_code import relative, short_name

Shape = Literal["training", "lookup"]
"""The kind of an evaluator, which decides the keys of ``campaign.yaml``; see
:mod:`nas.campaigns.spec.schema`."""

TRAINING = "nas.evaluators.training:evaluate"


@dataclass(frozen=True)
class Function:
    """The name of a function, which is imported in the process that calls it.

    Attributes:
        name: ``package.module:NAME`` or ``/path/to/file.py:NAME``.
        options: the keyword arguments of every call.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Callable[..., Any]:
        """Imports the function and sets its options."""
        found: Callable[..., Any] = load(self.name, f"evaluator {self.name}")
        return partial(found, **self.options) if self.options else found


Evaluate = Function | Callable[..., Any]
"""What an engine calls: a function from the request of a trial to its metrics, both plain JSON.

A generator function also gets a checkpoint or None, and yields its progress; see
:mod:`nas.evaluators.work`.
"""


class Evaluator(ABC):
    """Measures the trials of a campaign.

    Args:
        options: the options of ``evaluator:`` in ``campaign.yaml``, without the name.
        folder: the folder of the campaign.

    Raises :class:`InputError` if the options are wrong.
    """

    shape: ClassVar[Shape]
    needs_recipe: ClassVar[bool] = False
    """Whether the campaign needs a recipe."""
    input: tuple[tuple[int, ...], int] | None = None
    """The input shape and the number of classes, if no data set decides them."""
    metrics: Sequence[str] | None = None
    """The metrics of a search trial besides the costs of its architecture; None if unknown."""
    reported: Sequence[Metric] = ()
    """Metrics that the campaign does not have to declare, because the evaluator does."""
    columns: Sequence[str] = ()
    """The metrics of a search trial that are known before it, so that they may serve as proxies."""
    code: Sequence[str] = ()
    """The places of users' functions that its options name."""
    more_metrics: str = ""
    """How a campaign can get further metrics, for messages."""
    has_epochs: bool = True
    """Whether trials report their number of epochs."""
    trains: ClassVar[bool] = True
    """Whether every trial of the search trains a network; those of the final stage always do."""
    shared_epochs: int = 0
    """The epochs that the first trial trains for all trials of a search; the others train none."""
    shares_weights: ClassVar[bool] = False
    """Whether it can test networks of the space with shared weights, without training them. Their
    requests hold ``shared``."""
    suggests: bool = False
    """Whether the first trial suggests networks, which the searcher ``gradient`` proposes. Requests
    then hold the ``genotype`` of a member of the space."""

    @abstractmethod
    def __init__(self, options: Mapping[str, Any], folder: Path) -> None: ...

    @property
    @abstractmethod
    def evaluate(self) -> Evaluate:
        """Returns the function that engines call."""

    @property
    @abstractmethod
    def label(self) -> str:
        """Returns the name of the evaluator in records."""

    @property
    def definition(self) -> dict[str, Any]:
        """Returns the settings on which metrics depend, except data and recipe, as plain JSON."""
        return {}

    def bind(self, space: SearchSpace) -> None:  # noqa: B027 - most need nothing
        """Receives the space that is searched, before any trial."""

    def column(self, metric: str) -> Callable[[Genotype], float]:
        """Returns what looks up one of :attr:`columns`."""
        raise LookupError(metric)

    def refusal(self, architecture: Architecture) -> str:
        """Returns why it cannot evaluate an architecture of the final stage; "" if it can."""
        return ""


class ProxyOptions(Config):
    """The zero-cost proxies that are measured of each trial."""

    proxies: Annotated[tuple[Name, ...], BeforeValidator(several)] = ()
    """The zero-cost proxies (``nas proxies``) to measure of each network; ``proxy`` needs one."""
    batch: Annotated[int, Field(ge=2, le=10**6)] = 64
    """On how many training images, which are the same for all trials."""


class Training(Evaluator):
    """Trains every network by the campaign's recipe on its data: :mod:`nas.evaluators.training`.

    Its option ``proxies`` names zero-cost proxies that are measured before the training.
    """

    shape = "training"
    needs_recipe = True

    def __init__(self, options: Mapping[str, Any], folder: Path) -> None:
        self._options = validate(ProxyOptions, options, folder)
        self._folder = folder
        self.code = self._options.proxies
        with at("proxies"):
            self.reported = _metrics(self._options.proxies)

    @property
    def evaluate(self) -> Evaluate:
        """Returns the function that engines call."""
        options = self._options
        if not options.proxies:
            return Function(TRAINING)
        own = {} if self.trains else {"trains": False}
        return Function(TRAINING, {"proxies": options.proxies, "batch": options.batch, **own})

    @property
    def label(self) -> str:
        """Returns the name of the evaluator in records."""
        return TRAINING

    @property
    def definition(self) -> dict[str, Any]:
        """Returns the settings on which metrics depend, except data and recipe, as plain JSON."""
        if not self._options.proxies:
            return {}
        return {
            "name": "training" if self.trains else "proxy",
            "proxies": [relative(name, self._folder) for name in self._options.proxies],
            "batch": self._options.batch,
        }


class Proxies(Training):
    """Measures zero-cost proxies instead of training; the final stage trains."""

    trains = False
    has_epochs = False
    more_metrics = "evaluator.proxies names further proxies"

    def __init__(self, options: Mapping[str, Any], folder: Path) -> None:
        super().__init__(options, folder)
        if not self.reported:
            raise InputError("Field required", "proxies")
        self.metrics = [metric.name for metric in self.reported]


_SECONDS = Metric(
    name="proxy_seconds", unit="s", shown=False, meaning="time of the zero-cost proxies"
)


def proxy_metric(name: str, others: Sequence[Metric] = ()) -> Metric:
    """Declares what a proxy measures, beside others.

    Raises :class:`InputError` for a proxy that is unknown or counted, or whose short name no metric
    can have, or another one has.
    """
    from nas.proxies import PROXIES  # imports torch

    if name in COSTS:
        raise InputError(f"{name} is counted for every network, and may be an objective")
    PROXIES.find(name)
    short = short_name(name)
    meaning = f"zero-cost proxy {short} of the new network"
    found = validate(Metric, {"name": short, "direction": "maximize", "meaning": meaning})
    Catalogue(reported=[_SECONDS, *others, found])
    return found


def _metrics(proxies: Sequence[str]) -> tuple[Metric, ...]:
    """Declares what proxies measure; an :class:`InputError` has the position of a wrong one."""
    found: list[Metric] = []
    for position, name in enumerate(proxies):
        with at(position):
            found.append(proxy_metric(name, found))
    return (*found, _SECONDS) if found else ()


class UserFunction(Evaluator):
    """A function of the user; its options are its keyword-only arguments.

    It is called with the request of a trial, a mapping of the fields of
    :class:`nas.evaluators.training.Request`, and returns the metrics of the trial.
    """

    shape = "training"

    def __init__(self, options: Mapping[str, Any], folder: Path, *, name: str) -> None:
        function = load(name, f"evaluator {name}")
        self._function = Function(name, validate_options(function, options, folder))
        self._name = relative(name, folder)

    @property
    def evaluate(self) -> Evaluate:
        """Returns the function that engines call."""
        return self._function

    @property
    def label(self) -> str:
        """Returns the name of the evaluator in records."""
        return self._name

    @property
    def definition(self) -> dict[str, Any]:
        """Returns the settings on which metrics depend, except data and recipe, as plain JSON."""
        return {"name": self._name, **self._function.options}
