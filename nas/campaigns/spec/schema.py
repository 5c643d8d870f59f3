"""The keys of ``campaign.yaml``, with the types and the limits of their values."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    model_validator,
)

from nas.campaigns.spec.budget import Budget
from nas.campaigns.spec.early_stopping import EarlyStopping
from nas.campaigns.spec.fidelity import Axis
from nas.campaigns.spec.objectives import Objectives
from nas.configuration import Config, Name, Named
from nas.errors import InputError
from nas.evaluators.base import Shape
from nas.metrics import Protocol
from nas.registry import unknown
from nas.searchers.duplicates import Policy
from nas.spaces.choices import Option, fault
from nas.spaces.constraints import Constraints
from nas.training.compilation import Compile
from nas.user_code import FORMS, is_code


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
    """What every engine is told about trials. "auto" is None here."""

    name: str
    cpus_per_trial: Annotated[int, Field(ge=1)] = 1
    gpus_per_trial: Annotated[
        float | None, _auto_or(float, "a number, at least 0", lambda n: n >= 0)
    ] = None
    cuda_graphs: bool = True
    """Whether trials on a GPU replay CUDA graphs where they can."""
    minutes_per_trial: Annotated[float, Field(gt=0)] | None = None
    """The time limit; a trial that takes longer fails."""
    retries: Annotated[int, Field(ge=0)] = 1
    """How often a trial that was lost with its worker or node is repeated."""

    @property
    def time_limit(self) -> float | None:
        """The time limit of a trial in seconds."""
        return None if self.minutes_per_trial is None else 60 * self.minutes_per_trial

    @property
    def options(self) -> dict[str, Any]:
        """The keys that this engine alone has."""
        known = EngineConfig.model_fields
        return {key: value for key, value in self if key not in known}

    @model_validator(mode="after")
    def _fits(self) -> "EngineConfig":
        if self.gpus_per_trial is not None and self.gpus_per_trial > 1 and self.gpus_per_trial % 1:
            raise InputError(
                "gpus_per_trial: a trial has a share of one GPU, or whole ones, got "
                f"{self.gpus_per_trial:g}"
            )
        return self


Concurrency = Annotated[int | None, _auto_or(int, "a whole number, at least 1", lambda n: n >= 1)]


class RayConfig(EngineConfig):
    """Ray Tune, on this machine or a cluster."""

    name: Literal["ray"] = "ray"
    concurrency: Concurrency = None
    """Trials at a time."""
    address: Annotated[str | None, AfterValidator(_address)] = None
    """``auto`` or ``host:port`` of a running Ray cluster; None, or ``local``: one is started."""


class SerialConfig(EngineConfig):
    """One trial after another, in this process."""

    name: Literal["serial"] = "serial"
    concurrency: Annotated[
        int | None, _auto_or(int, "1: the serial engine runs one trial at a time", lambda n: n == 1)
    ] = None

    @property
    def options(self) -> dict[str, Any]:
        """None: there is nothing to choose."""
        return {}


class SimulatedConfig(EngineConfig):
    """A simulated cluster, for what is looked up."""

    name: Literal["simulated"]
    concurrency: Concurrency = None
    """Workers; by default one."""


class UserEngineConfig(EngineConfig):
    """A user's engine; its other options are checked against its constructor."""

    model_config = ConfigDict(extra="allow")

    name: Name

    @property
    def options(self) -> dict[str, Any]:
        """The options of the constructor."""
        return dict(self.model_extra or {})


def _fitting(*names: str) -> BeforeValidator:
    """Checks that an engine is one of these, or a user's; the first is the default."""

    def check(given: Any) -> Any:
        if isinstance(given, EngineConfig):
            return given
        if not isinstance(given, Mapping):
            raise InputError("must be a mapping of keys to values")
        name = given.get("name", names[0])
        if isinstance(name, str) and name not in names and not is_code(name):
            what = unknown("engine", name, list(names))
            if name in _ENGINES:
                what = f"{name} does not fit the evaluator; allowed: {', '.join(names)}"
            raise InputError(f"{what}; or {FORMS}, got {name!r}", "name")
        return {**given, "name": name}

    return BeforeValidator(check)


_ENGINES = ("ray", "serial", "simulated")


def _tag(given: Any) -> str:
    name = given["name"] if isinstance(given, Mapping) else given.name
    return f"<{name}>" if name in _ENGINES else "<own>"


TrainingEngine = Annotated[
    Annotated[RayConfig, Tag("<ray>")]
    | Annotated[SerialConfig, Tag("<serial>")]
    | Annotated[UserEngineConfig, Tag("<own>")],
    Discriminator(_tag),
    _fitting("ray", "serial"),
]
LookupEngine = Annotated[
    Annotated[SerialConfig, Tag("<serial>")]
    | Annotated[SimulatedConfig, Tag("<simulated>")]
    | Annotated[UserEngineConfig, Tag("<own>")],
    Discriminator(_tag),
    _fitting("serial", "simulated"),
]


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise InputError(f"each seed must be given once, got {list(seeds)}")
    return seeds


Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), AfterValidator(_distinct)
]


MEMBERS = 20
"""The largest number of members of an ensemble, whose label names them all."""


class _Finalists(Config):
    """Which architectures the final stage takes.

    These are ``top`` architectures of the search and ``top_random`` of the random baseline, by
    objectives, and the ``classics``.
    """

    top: Annotated[int, Field(ge=0)] = 5
    top_random: Annotated[int, Field(ge=0)] | None = None
    """None: as many as ``top``, because more finalists have a better best."""
    classics: tuple[Named, ...] = ()

    @property
    def random_finalists(self) -> int:
        """How many architectures of the random baseline are retrained."""
        return self.top if self.top_random is None else self.top_random


class LookupFinal(_Finalists):
    """The final stage of a campaign that looks up: the test metric of each finalist, once."""

    absent: ClassVar = "the evaluator trains nothing"
    seeds: ClassVar[tuple[int, ...]] = (0,)
    weights: ClassVar = False
    compile: ClassVar[Compile] = "never"
    protocol: ClassVar[Protocol] = "single"
    ensembles: ClassVar[tuple[int, ...]] = ()


class Final(_Finalists):
    """The final stage of a campaign that trains: finalists are retrained and then tested.

    Each is retrained from scratch with each of ``seeds``. ``compile``: whether by torch.compile, as
    search never is. ``ensembles``: of how many of the best of ``top``, each is one. ``protocol``:
    what networks see of an image, beside the image as it is: see
    :func:`nas.training.evaluation.predictions`.
    """

    seeds: Seeds = (0,)
    weights: bool = True
    """Whether the weights of the networks are kept, in the folder's ``weights``."""
    compile: Compile = "never"
    protocol: Protocol = "single"
    ensembles: tuple[Annotated[int, Field(ge=2, le=MEMBERS)], ...] = ()

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


Section = Annotated[dict[str, Any], BeforeValidator(_mapping)]
"""Keys that a module of their own checks."""


class Evaluated(Config):
    """The key that decides which others there are."""

    model_config = ConfigDict(extra="ignore")

    evaluator: Named = Named(name="training")


class _Keys(Config):
    """The keys that every ``campaign.yaml`` has."""

    space: Named
    searcher: Named
    random_baseline: bool = True
    objectives: Objectives = ()
    """By default the task's primary metric on validation images."""
    constraints: Constraints = Constraints()
    budget: Budget
    evaluator: Named = Named(name="training")
    task: Named = Named(name="classification")
    """What networks are trained for: a name of :data:`nas.tasks.TASKS`, with its options."""
    metrics: tuple[Named, ...] = ()
    """What is measured besides: a user's :class:`nas.metrics.Metric` of predictions, by where it
    is, or what the evaluator reports, declared by the fields of a metric."""
    duplicates: Policy = "reuse"
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def measures_latency(self) -> bool:
        """Whether an objective or a limit asks for it."""
        asked = any(each.metric == "latency_ms" for each in self.objectives)
        return asked or self.constraints.measured_latency is not None


class TrainingFile(_Keys):
    """A campaign whose trials are evaluated on its data: trained, or by a user's function."""

    data: Section
    recipe: Section | None = None
    """How networks are trained; a user's function need not train them."""
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
    engine: TrainingEngine = RayConfig()

    @model_validator(mode="after")
    def _has_a_recipe_where_one_is_needed(self) -> "TrainingFile":
        for key in ("early_stopping", "inherit_weights", "hyperparameters"):
            if self.recipe is None and getattr(self, key):
                raise InputError(f"{key}: needs a recipe")
        return self


class LookupFile(_Keys):
    """A campaign whose trials are looked up: nothing is trained or measured."""

    final: LookupFinal = LookupFinal()
    engine: LookupEngine = SerialConfig()

    absent: ClassVar = "the evaluator trains nothing"
    data: ClassVar = None
    recipe: ClassVar = None
    early_stopping: ClassVar = None
    inherit_weights: ClassVar = False
    fidelity: ClassVar[Axis] = "epochs"
    hyperparameters: ClassVar[dict[str, tuple[Option, ...]]] = {}

    @model_validator(mode="after")
    def _takes_no_time(self) -> "LookupFile":
        if self.constraints.measured_latency is not None:
            raise InputError(
                "constraints.latency_ms: what is looked up is not measured; give a table and its "
                "column"
            )
        timed = {"hours", "accelerator_hours"} & self.budget.limits.keys()
        if timed and self.engine.name != "simulated":
            raise InputError(
                "budget: to look up takes no time, except on a simulated cluster; allowed: "
                f"trials, epochs, got {', '.join(sorted(timed))}"
            )
        return self


CampaignFile = TrainingFile | LookupFile
"""The keys of ``campaign.yaml``, by its evaluator."""

SHAPES: dict[Shape, type[CampaignFile]] = {"training": TrainingFile, "lookup": LookupFile}
