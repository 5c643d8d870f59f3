"""What an evaluator is to a campaign: what it is told, and what a trial then tells."""

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

Shape = Literal["training", "function", "lookup"]
"""Which keys ``campaign.yaml`` has with an evaluator: see :mod:`nas.campaigns.spec.schema`."""

TRAINING = "nas.evaluators.training:evaluate"


@dataclass(frozen=True)
class Function:
    """A function by its name, imported in the process that calls it.

    Attributes:
        name: ``package.module:NAME`` or ``/path/to/file.py:NAME``.
        options: keyword arguments of every call.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Callable[..., Any]:
        """The function, with its options filled in."""
        found: Callable[..., Any] = load(self.name, f"evaluator {self.name}")
        return partial(found, **self.options) if self.options else found


Evaluate = Function | Callable[..., Any]
"""What an engine calls: from the request of a trial to its metrics, both plain JSON.

A generator function is also given a checkpoint or None, and yields its progress: see
:mod:`nas.evaluators.work`.
"""


class Evaluator(ABC):
    """What gives the trials of a campaign their metrics.

    Args:
        options: what ``evaluator:`` in ``campaign.yaml`` says beside the name.
        folder: of the campaign.

    Raises :class:`InputError` where the options are wrong.
    """

    shape: ClassVar[Shape]
    input: tuple[tuple[int, ...], int] | None = None
    """Shape of an input and number of classes, where no data set decides them."""
    metrics: Sequence[str] | None = None
    """What a search trial tells beside the costs of its architecture; None: it may be anything."""
    more_metrics: str = ""
    """How a campaign gets metrics that are not among these, for messages."""
    has_epochs: bool = True
    """Whether trials tell how many epochs they took."""

    @abstractmethod
    def __init__(self, options: Mapping[str, Any], folder: Path) -> None: ...

    @property
    @abstractmethod
    def evaluate(self) -> Evaluate:
        """What engines call."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What it is called in records."""

    @property
    def definition(self) -> dict[str, Any]:
        """What the metrics depend on beside data and recipe, as plain JSON."""
        return {}

    def bind(self, space: SearchSpace) -> None:  # noqa: B027 - most need nothing
        """Hears which space is searched, before any trial."""

    def refusal(self, architecture: Architecture) -> str:
        """Why it cannot evaluate an architecture of the final stage; "" if it can."""
        return ""


class Training(Evaluator):
    """Trains every network by the campaign's recipe on its data: :mod:`nas.evaluators.training`."""

    shape = "training"

    def __init__(self, options: Mapping[str, Any], folder: Path) -> None:
        if options:
            raise InputError(f"training has no options, got {dict(options)}")

    @property
    def evaluate(self) -> Evaluate:
        """What engines call."""
        return Function(TRAINING)

    @property
    def label(self) -> str:
        """What it is called in records."""
        return TRAINING


class UserFunction(Evaluator):
    """A function that a user has written; its options are its keyword-only arguments.

    It is called with the request of a trial, a mapping of the fields of
    :class:`nas.evaluators.training.Request`, and returns the metrics of the trial.
    """

    shape = "function"

    def __init__(self, options: Mapping[str, Any], folder: Path, *, name: str) -> None:
        function = load(name, f"evaluator {name}")
        self._function = Function(name, validate_options(function, options, folder))
        self._name = relative(name, folder)

    @property
    def evaluate(self) -> Evaluate:
        """What engines call."""
        return self._function

    @property
    def label(self) -> str:
        """What it is called in records."""
        return self._name

    @property
    def definition(self) -> dict[str, Any]:
        """What the metrics depend on beside data and recipe, as plain JSON."""
        return {"name": self._name, **self._function.options}
