"""The keys of ``campaign.yaml``, with the types and the limits of their values."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    model_validator,
)

from nas.campaigns.spec.budget import Budget
from nas.campaigns.spec.early_stopping import EarlyStopping
from nas.campaigns.spec.fidelity import Axis
from nas.campaigns.spec.objectives import Objectives
from nas.configuration import Config, Named
from nas.errors import InputError
from nas.metrics import Protocol
from nas.searchers.duplicates import Policy
from nas.spaces.choices import Option, fault
from nas.spaces.constraints import Constraints
from nas.training.compilation import Compile


def _auto_or(kind: type, least: str, accepts: Callable[[Any], bool]) -> PlainValidator:
    def check(given: Any) -> Any:
        if given == "auto":
            return None
        if isinstance(given, bool) or not isinstance(given, kind | int) or not accepts(given):
            raise InputError(f"must be auto or {least}")
        return given

    return PlainValidator(check)


def _address(given: str | None) -> str | None:
    if given in (None, "local"):
        return None
    if given.startswith("ray://"):
        raise InputError(
            "with ray://, Ray Client, Ray Tune runs on the cluster, where the records are not; run "
            "nas on a machine of the cluster, with auto or host:port (of ray start, 6379 as a "
            f"rule), got {given!r}"
        )
    if given != "auto" and not re.fullmatch(r"[^\s/]+:\d+", given):
        raise InputError(f"must be local, auto or host:port of a Ray cluster, got {given!r}")
    return given


class EngineConfig(Config):
    """The engine and how many trials it runs at the same time. "auto" is None here."""

    name: Literal["ray", "serial", "simulated"] = "ray"
    concurrency: Annotated[
        int | None, _auto_or(int, "a whole number, at least 1", lambda n: n >= 1)
    ] = None
    cpus_per_trial: Annotated[int, Field(ge=1)] = 1
    gpus_per_trial: Annotated[
        float | None, _auto_or(float, "a number, at least 0", lambda n: n >= 0)
    ] = None
    cuda_graphs: bool = True
    """Whether trials on a GPU replay CUDA graphs, if possible."""
    address: Annotated[str | None, AfterValidator(_address)] = None
    """``auto`` or ``host:port`` of a running Ray cluster; None or ``local`` starts one."""
    minutes_per_trial: Annotated[float, Field(gt=0)] | None = None
    """The time limit; a trial that takes longer fails."""
    retries: Annotated[int, Field(ge=0)] = 1
    """How often a trial that was lost with its worker or node is repeated."""

    @property
    def time_limit(self) -> float | None:
        """The time limit of a trial in seconds."""
        return None if self.minutes_per_trial is None else 60 * self.minutes_per_trial

    @model_validator(mode="after")
    def _fits(self) -> "EngineConfig":
        if self.name == "serial" and self.concurrency not in (None, 1):
            raise InputError(
                f"concurrency: the serial engine runs one trial at a time, got {self.concurrency}; "
                "allowed: auto, 1"
            )
        if self.gpus_per_trial is not None and self.gpus_per_trial > 1 and self.gpus_per_trial % 1:
            raise InputError(
                "gpus_per_trial: a trial has a share of one GPU, or whole ones, got "
                f"{self.gpus_per_trial:g}"
            )
        return self


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise InputError(f"each seed must be given once, got {list(seeds)}")
    return seeds


Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), AfterValidator(_distinct)
]


MEMBERS = 20
"""The largest number of members of an ensemble, whose label names them all."""


class Final(Config):
    """What is retrained from scratch and measured on the test images, at the end.

    ``top`` architectures of the search and ``top_random`` of the random baseline, by objectives,
    and the ``classics``; each with each of ``seeds``. ``compile``: whether by torch.compile, as
    search never is. ``ensembles``: of how many of the best of ``top``, each is one. ``protocol``:
    what networks see of an image, beside the image as it is: see
    :func:`nas.training.evaluation.predictions`.
    """

    top: Annotated[int, Field(ge=0)] = 5
    top_random: Annotated[int, Field(ge=0)] | None = None
    """None: as many as ``top``, because more finalists have a better best."""
    seeds: Seeds = (0,)
    weights: bool = True
    """Whether the weights of the networks are kept, in the folder's ``weights``."""
    classics: tuple[Named, ...] = ()
    compile: Compile = "never"
    protocol: Protocol = "single"
    ensembles: tuple[Annotated[int, Field(ge=2, le=MEMBERS)], ...] = ()

    @property
    def random_finalists(self) -> int:
        """How many architectures of the random baseline are retrained."""
        return self.top if self.top_random is None else self.top_random

    @model_validator(mode="after")
    def _has_members(self) -> "Final":
        given = list(self.ensembles)
        if len(set(given)) < len(given):
            raise InputError(f"ensembles: each size must be given once, got {given}")
        if given and max(given) > self.top:
            raise InputError(
                f"ensembles: their members are retrained first, so allowed: at most top, "
                f"{self.top}, got {max(given)}"
            )
        if given and not self.weights:
            raise InputError(
                "ensembles: their members' weights have to be kept; allowed with weights: true, "
                f"got {given}"
            )
        return self


def _mapping(given: Any) -> Any:
    if not isinstance(given, Mapping):
        raise InputError("must be a mapping of keys to values")
    return given


def _options(given: tuple[Any, ...]) -> tuple[Option, ...]:
    if wrong := fault(given):
        raise InputError(f"{wrong}, got {list(given)}")
    return given


class CampaignFile(Config):
    """The keys of ``campaign.yaml``; ``data`` and ``recipe`` are checked by their own modules."""

    space: Named
    searcher: Named
    random_baseline: bool = True
    objectives: Objectives = ()
    """By default the task's primary metric on validation images."""
    constraints: Constraints = Constraints()
    budget: Budget
    evaluator: Named = Named(name="training")
    """``training``, which needs ``data`` and ``recipe``, or ``tabular``, which takes neither."""
    data: Annotated[dict[str, Any], BeforeValidator(_mapping)] | None = None
    recipe: Annotated[dict[str, Any], BeforeValidator(_mapping)] | None = None
    task: Named = Named(name="classification")
    """What networks are trained for: a name of :data:`nas.tasks.TASKS`, with its options."""
    metrics: tuple[Named, ...] = ()
    """What is measured besides: a user's :class:`nas.metrics.Metric` of predictions, by where it
    is, or what the evaluator reports, declared by the fields of a metric."""
    duplicates: Policy = "reuse"
    early_stopping: EarlyStopping | None = None
    inherit_weights: bool = False
    """Whether a child starts from its parent's weights if names and shapes agree."""
    fidelity: Axis = "epochs"
    """The unit of a multi-fidelity searcher's ``min_fidelity`` and ``max_fidelity``."""
    hyperparameters: dict[str, Annotated[tuple[Any, ...], AfterValidator(_options)]] = Field(
        default_factory=dict
    )
    """The keys of the recipe that are searched, with their options."""
    final: Final = Final()
    seed: Annotated[int, Field(ge=0)] = 0
    engine: EngineConfig = EngineConfig()

    @property
    def measures_latency(self) -> bool:
        """Whether an objective or a limit needs measured latency."""
        asked = any(each.metric == "latency_ms" for each in self.objectives)
        return asked or self.constraints.measured_latency is not None
