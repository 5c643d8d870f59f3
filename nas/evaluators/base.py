"""Defines the interface between a campaign and its evaluator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from nas.architecture.graph import Architecture
from nas.configuration import validate_options
from nas.errors import InputError
from nas.registry import load
from nas.spaces.search_space import SearchSpace
from nas.user_code import relative

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
    more_metrics: str = ""
    """How a campaign can get further metrics, for messages."""
    has_epochs: bool = True
    """Whether trials report their number of epochs."""

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

    def refusal(self, architecture: Architecture) -> str:
        """Returns why it cannot evaluate an architecture of the final stage; "" if it can."""
        return ""


class Training(Evaluator):
    """Trains every network by the campaign's recipe on its data: :mod:`nas.evaluators.training`."""

    shape = "training"
    needs_recipe = True

    def __init__(self, options: Mapping[str, Any], folder: Path) -> None:
        if options:
            raise InputError(f"training has no options, got {dict(options)}")

    @property
    def evaluate(self) -> Evaluate:
        """Returns the function that engines call."""
        return Function(TRAINING)

    @property
    def label(self) -> str:
        """Returns the name of the evaluator in records."""
        return TRAINING


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
