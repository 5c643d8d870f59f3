"""Defines every metric once: its name, unit, direction and meaning.

Objectives, constraints, records, tables, plots, reports and the documentation read
:data:`METRICS`. To add a built-in metric, add one entry here and the code that measures it. A user
can declare further metrics in ``campaign.yaml`` (``task``, ``metrics``). The campaign's own
:class:`Catalogue` holds these and the built-in ones; it is recorded, so that tables and reports do
not need the user's code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from nas.configuration import Config
from nas.errors import InputError
from nas.registry import Registry

Direction = Literal["maximize", "minimize"]

Stage = Literal["graph", "training", "test"]
"""When a metric is known.

- ``graph``: before any training, because it follows from the architecture.
- ``training``: when a trial has been trained; trials of a search report it, too.
- ``test``: in the final stage, which measures it on the test images. No search may see it.
"""

Part = Literal["validation", "test"]
"""The parts of a data set on which predictions are measured."""

Protocol = Literal["single", "flip", "ten_crop", "multi_scale"]
"""Which views of an image are evaluated: see :func:`nas.training.evaluation.predictions`."""

Table = Literal["trials", "networks", "curves"]
"""The tables of :mod:`nas.analysis.tables`: one row per trial, per network or per epoch."""

Form = Literal["count", "id", "fraction", "number", "milliseconds", "seconds"]
"""How a value is written for people; a ``count``, for example, has thousands separators."""

_FORMS: dict[str, Form] = {
    "fraction": "fraction",
    "ms": "milliseconds",
    "s": "seconds",
    "epochs": "id",
}

OWN = Registry("metric", {}, instance_of="nas.metrics:Metric")
"""Users' metrics: ``file.py:NAME`` or ``package.module:NAME`` of a :class:`Metric`."""

Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$", max_length=60)]


class Metric(Config):
    """A quantity that is measured of a network.

    A metric of predictions, such as accuracy, is declared once and measured on several parts of a
    data set: :meth:`on` makes ``validation_accuracy`` and ``test_accuracy`` of it. For a metric of
    your own, give a ``function``, and name the metric in ``campaign.yaml``:

    >>> balanced = Metric(name="balanced_accuracy", function=balanced_accuracy,
    ...                   direction="maximize", unit="fraction", meaning="mean recall")

    Attributes:
        name: its name in records, tables and ``campaign.yaml``.
        meaning: a description for people.
        direction: whether it is maximized or minimized; by default, an objective has to say it.
        unit: "fraction" (from 0 to 1), "nats", "s", "ms", or any other.
        dtype: the dtype of its column.
        stage: when it is known.
        words: its name in words; by default the name with spaces instead of underscores.
        title: the head of its column in a report; by default ``words``.
        tables: the tables that have a column for it. Tables of networks hold means over seeds.
        shown: whether a printed table has the column by default.
        path: the protocol, the part and the name under which a trial's ``evaluations`` hold it; by
            default it is one of the trial's metrics.
        function: for a metric of predictions, a function from a trained network's predictions and
            the targets (tensors on the CPU, one row per image) to a number.
    """

    name: Name
    meaning: str = ""
    direction: Direction | None = None
    unit: str = ""
    dtype: Literal["float64", "Int64"] = "float64"
    stage: Stage = "training"
    words: str = ""
    title: str = ""
    tables: tuple[Table, ...] = ("trials", "networks")
    shown: bool = True
    path: tuple[Protocol, Part, str] | None = None
    function: Callable[[Any, Any], float] | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _says_if_it_is_tested(self) -> Metric:
        if (self.stage == "test") != is_test(self.name):
            raise InputError(
                f"the name of a metric begins with test_ exactly if its stage is test, got "
                f"{self.name!r} with stage {self.stage}"
            )
        return self

    def on(self, part: Part, **changes: Any) -> Metric:
        """Makes the metric that this metric of predictions is on one part of the data set."""
        stage: Stage = "test" if part == "test" else "training"
        named = {"name": f"{part}_{self.name}", "words": f"{part} {self.in_words}", "stage": stage}
        return self.model_copy(update={**named, "function": None, **changes})

    def measure(self, predictions: Any, targets: Any) -> float:
        """Calls its function on predictions."""
        assert self.function is not None
        return float(self.function(predictions, targets))

    def flipped(self, value: Any) -> Any:
        """Changes the sign of a metric to be maximized, so that smaller is better.

        Applied twice, it returns the value.
        """
        return -value if self.direction == "maximize" else value

    @property
    def in_words(self) -> str:
        """Returns its name in words."""
        return self.words or self.name.replace("_", " ")

    @property
    def axis(self) -> str:
        """Returns the label of a plot's axis: the name in words and the unit."""
        return self.in_words + (f" ({self.unit})" if self.unit else "")

    @property
    def form(self) -> Form:
        """Returns how its values are written for people."""
        return _FORMS.get(self.unit, "count" if self.dtype == "Int64" else "number")

    @property
    def bounds(self) -> tuple[float, float]:
        """Returns the smallest and the largest possible value."""
        if self.unit == "fraction":
            return 0.0, 1.0
        return (-math.inf if self.unit == "" and self.dtype == "float64" else 0.0), math.inf

    def fault(self, value: Any) -> str:
        """Returns what is wrong with a value that was measured; "" if nothing is."""
        least, most = self.bounds
        whole = self.dtype == "Int64"
        if type(value) in ((int,) if whole else (int, float)) and least <= value <= most:
            return ""
        kind = "a whole number" if whole else "a number"
        if most < math.inf:
            bounds = f" from {least:g} to {most:g}"
        else:
            bounds = f" of at least {least:g}" if least > -math.inf else ""
        return f"{json.dumps(value)}, expected {kind}{bounds}"

    @property
    def column(self) -> tuple[str, str]:
        """Returns the dtype and the meaning of its column; the meaning names the unit."""
        named = not self.unit or self.unit in self.meaning.split()
        return self.dtype, (self.meaning or self.in_words) + ("" if named else f" ({self.unit})")


def is_test(name: str) -> bool:
    """Tells if a name is that of a metric on test images."""
    return name.partition("_")[0] == "test"


class Catalogue(Mapping[str, Metric]):
    """The metrics of a campaign by their names in records and tables.

    Args:
        task: the metrics of predictions that the task defines; ``loss`` must be among them. The
            first is the primary metric, by which networks are selected and ranked.
        own: further metrics of predictions, which the user defines.
        reported: further metrics that the user's evaluator reports.

    Raises :class:`InputError` if two metrics have the same name, there is no ``loss``, or the
    primary metric has no direction.
    """

    def __init__(
        self,
        task: Sequence[Metric] = (),
        own: Sequence[Metric] = (),
        reported: Sequence[Metric] = (),
    ) -> None:
        self.task = tuple(task) or CLASSIFICATION
        self.own = tuple(own)
        self.reported = tuple(reported)
        if "loss" not in [metric.name for metric in self.task]:
            raise InputError("a task must have a metric called loss")
        if self.primary.direction is None:
            raise InputError(f"the primary metric {self.primary.name!r} must have a direction")
        self._metrics: dict[str, Metric] = {}
        for metric in self._all():
            if metric.name in self._metrics or metric.name in _TAKEN:
                raise InputError(f"there is a metric or a column {metric.name!r} already")
            self._metrics[metric.name] = metric

    def __getitem__(self, name: str) -> Metric:
        return self._metrics[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._metrics)

    def __len__(self) -> int:
        return len(self._metrics)

    def in_words(self, name: str) -> str:
        """Returns a metric's name in words, also of one that only the user's evaluator knows."""
        return self._metrics[name].in_words if name in self else name.replace("_", " ")

    @property
    def primary(self) -> Metric:
        """Returns the task's primary metric of predictions, such as accuracy."""
        return self.task[0]

    @cached_property
    def validation(self) -> str:
        """Returns the name of the primary metric on validation images; searches select by it."""
        return f"validation_{self.primary.name}"

    @cached_property
    def test(self) -> str:
        """Returns the name of the primary metric on test images."""
        return f"test_{self.primary.name}"

    @cached_property
    def search(self) -> str:
        """Returns the column, in a table of networks, with the value that the search observed."""
        return f"search_{self.primary.name}"

    def of(self, table: Table) -> dict[str, Metric]:
        """Returns the metrics that have a column in a table, in order."""
        return {name: metric for name, metric in self.items() if table in metric.tables}

    def known(self) -> dict[str, Direction]:
        """Returns the metrics that can be objectives without a direction, and their directions."""
        return {
            name: metric.direction
            for name, metric in self.items()
            if metric.direction is not None and metric.stage != "test" and metric.path is None
        }

    @cached_property
    def curve(self) -> tuple[str, ...]:
        """Returns the metrics on validation images that are recorded after every epoch."""
        return tuple(name for name in self.of("curves") if name.startswith("validation_"))

    @cached_property
    def evaluated(self) -> dict[str, tuple[Protocol, Part, str]]:
        """Returns the path of each metric in the ``evaluations`` of the final stage."""
        return {name: metric.path for name, metric in self.items() if metric.path is not None}

    def fault(self, measured: Mapping[str, Any]) -> str:
        """Returns the first metric whose measured value is wrong, and why; "" if all are right.

        The primary metric and metrics that are counted must be numbers. Any other metric may be
        null, for a value that was not finite or is not defined.
        """
        for name, value in measured.items():
            metric = self.get(name)
            if metric is None:
                continue
            needed = name in (self.validation, self.test) or metric.dtype == "Int64"
            if (value is not None or needed) and (wrong := metric.fault(value)):
                return f"{name}: {wrong}"
        return ""

    @cached_property
    def on_predictions(self) -> tuple[str, ...]:
        """Returns the columns of a table of networks with further metrics of predictions."""
        own = {f"validation_{metric.name}" for metric in self.own}
        return tuple(n for n in self.of("networks") if n in own or n in self.evaluated)

    def definition(self) -> dict[str, list[dict[str, Any]]]:
        """Returns the metrics that are not built in, as plain JSON; :meth:`read` reads it."""
        parts = {"task": self.task if self.task is not CLASSIFICATION else (),
                 "own": self.own, "reported": self.reported}  # fmt: skip
        return {
            key: [metric.model_dump(mode="json", exclude_defaults=True) for metric in metrics]
            for key, metrics in parts.items()
            if metrics
        }

    @classmethod
    def read(cls, definition: Mapping[str, Any] | None) -> Catalogue:
        """Makes the catalogue of a recorded :meth:`definition`; without one, the built-in metrics.

        Raises :class:`InputError` if the definition is not valid.
        """
        if not definition:
            return METRICS
        try:
            declared = {
                key: [Metric.model_validate(each, strict=False) for each in metrics]
                for key, metrics in definition.items()
            }
            return cls(**declared)
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"metrics: not a definition of metrics: {error}") from None

    def _all(self) -> Iterator[Metric]:
        yield from _BEFORE
        primary, loss = self.primary, next(each for each in self.task if each.name == "loss")
        yield primary.on(
            "validation",
            tables=("trials", "networks", "curves"),
        )
        yield primary.on("test", meaning=f"{primary.meaning}; the final stage alone measures it")
        for metric in self.task[1:]:
            yield metric.on("test", path=("single", "test", metric.name), shown=False)
        for protocol in get_args(Protocol)[1:]:
            for part in get_args(Part):
                yield primary.on(
                    part,
                    name=f"{part}_{protocol}",
                    words=f"{part} {primary.in_words}, {protocol.replace('_', ' ')}",
                    meaning=f"{part} {primary.in_words} by several views of each image "
                    f"(final.protocol: {protocol})",
                    path=(protocol, part, primary.name),
                    shown=part == "test",
                )
        for metric in self.own:
            yield metric.on("validation")
            yield metric.on("test", path=("single", "test", metric.name))
        yield from self.reported
        if loss is not primary:
            yield loss.on("validation", tables=("trials", "curves"))
        yield from _AFTER


_BEFORE = (
    Metric(
        name="params", direction="minimize", dtype="Int64", stage="graph",
        words="trainable parameters", title="params", meaning="trainable parameters",
    ),
    Metric(
        name="macs", direction="minimize", dtype="Int64", stage="graph",
        words="multiply-accumulates, batch 1", title="MACs",
        meaning="multiply-accumulates of convolutions, linear layers and attention, batch 1",
    ),
    Metric(
        name="flops", direction="minimize", dtype="Int64", stage="graph", shown=False,
        words="floating-point operations, batch 1", title="FLOPs",
        meaning="floating-point operations, counted as fvcore counts them",
    ),
    Metric(
        name="activations", direction="minimize", dtype="Int64", stage="graph", shown=False,
        unit="elements", meaning="elements of the outputs of convolution and linear layers",
    ),
    Metric(
        name="latency_ms", direction="minimize", unit="ms", words="latency, batch 1",
        title="latency, ms", meaning="median time of a forward pass, if it was measured",
    ),
    Metric(
        name="latency_iqr_ms", unit="ms", tables=(),
        meaning="interquartile range of the times of which latency_ms is the median",
    ),
)  # fmt: skip

_AFTER = (
    Metric(
        name="train_loss", unit="nats", words="training loss", tables=("trials", "curves"),
        meaning="loss on the training images, augmented and in training mode",
    ),
    Metric(
        name="epochs", dtype="Int64", unit="epochs", tables=("trials",),
        meaning="all trained epochs including those of the trial that it continues",
    ),
    Metric(
        name="epochs_before", dtype="Int64", unit="epochs", tables=("trials",),
        meaning="epochs of the trial that it continues",
    ),
    Metric(
        name="train_seconds", direction="minimize", unit="s", words="training time",
        title="training, s", tables=("trials", "networks", "curves"),
        meaning="time in training steps, including that of the trial that it continues",
    ),
    Metric(
        name="evaluation_seconds", unit="s", tables=("curves",),
        meaning="time of the evaluation after the epoch",
    ),
)  # fmt: skip

_TAKEN = {
    "trial", "stage", "kind", "search", "number", "label", "seed", "fidelity", "status", "cause",
    "error", "attempts", "fingerprint", "seconds", "worker", "duplicate_of", "parent", "recipe",
    "campaign", "name", "group", "rank", "pareto", "seeds", "epoch", "curve", "evaluations",
    "fvcore", "validation_std", "test_std", "test_low", "test_high", "breaks",
}  # fmt: skip
"""Names of other columns and keys of records, which no metric may have."""

COSTS = tuple(metric.name for metric in _BEFORE if metric.stage == "graph")
"""The costs of an architecture, which follow from its graph."""

CLASSIFICATION = (
    Metric(
        name="accuracy", direction="maximize", unit="fraction",
        meaning="fraction of the images whose most probable class is the true one",
    ),
    Metric(name="loss", direction="minimize", unit="nats", meaning="mean cross entropy in nats"),
    Metric(
        name="top5", direction="maximize", unit="fraction",
        meaning="fraction of the images whose true class is among the five most probable; empty "
        "for up to five classes",
    ),
    Metric(
        name="calibration_error", direction="minimize", unit="fraction",
        meaning="expected calibration error, in 15 bins (Guo et al. 2017)",
    ),
)  # fmt: skip
"""The metrics of predictions of :class:`nas.tasks.classification.Classification`."""

METRICS = Catalogue(CLASSIFICATION)
"""The built-in metrics, including those of classification."""


def joined(several: Sequence[tuple[object, Catalogue]]) -> Catalogue:
    """Makes the catalogue of all metrics of several campaigns.

    Args:
        several: for each campaign, its name in messages and its metrics.

    Raises :class:`InputError` if their tasks differ, or if two declare a metric differently.
    """
    if not several:
        return METRICS
    (first, catalogue), *others = several
    further: dict[str, dict[str, Metric]] = {"own": {}, "reported": {}}
    for name, other in several:
        if other.task != catalogue.task:
            raise InputError(
                f"{first} and {name}: have different tasks, with the primary metrics "
                f"{catalogue.primary.name} and {other.primary.name}; networks of different tasks "
                "cannot be in one table"
            )
        for kind, found in further.items():
            for metric in getattr(other, kind):
                declared = metric.model_copy(update={"function": None})
                if found.setdefault(metric.name, declared) != declared:
                    raise InputError(
                        f"{name}: declares metric {metric.name!r} differently from the others"
                    )
    if not others:
        return catalogue
    return Catalogue(catalogue.task, [*further["own"].values()], [*further["reported"].values()])
