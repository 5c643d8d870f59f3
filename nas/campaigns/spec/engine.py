"""Defines the section ``engine`` of ``campaign.yaml``: where and how trials run."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

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

from nas.configuration import Config, Name, keyed
from nas.errors import InputError
from nas.registry import unknown
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
            "a ray:// address (Ray Client) is not supported, because Ray Tune would then run on "
            "the cluster, without the records; run nas on a machine of the cluster, and give auto "
            f"or the host:port of ray start, usually port 6379; got {given!r}"
        )
    if given != "auto" and not re.fullmatch(r"[^\s/]+:\d+", given):
        raise InputError(f"must be local, auto or host:port of a Ray cluster, got {given!r}")
    return given


class EngineConfig(Config):
    """The keys that every engine has. The value ``auto`` becomes None."""

    name: str
    """The engine: ``ray``, ``serial``, ``simulated`` (only for look-ups), or one of your own."""
    cpus_per_trial: Annotated[int, Field(ge=1, le=10**6)] = 1
    """The CPU cores of a trial."""
    gpus_per_trial: Annotated[
        float | None, _auto_or(float, "a number, at least 0", lambda n: n >= 0)
    ] = None
    """The GPUs of a trial: a share of one, or a whole number; ``auto`` is 1 if there are any."""
    cuda_graphs: bool = True
    """Whether trials on a GPU replay CUDA graphs where they can."""
    minutes_per_trial: Annotated[float, Field(gt=0)] | None = None
    """The time limit; a trial that takes longer fails."""
    retries: Annotated[int, Field(ge=0, le=1000)] = 1
    """How often a trial that was lost with its worker or node is repeated."""

    @property
    def time_limit(self) -> float | None:
        """Returns the time limit of a trial in seconds."""
        return None if self.minutes_per_trial is None else 60 * self.minutes_per_trial

    @property
    def options(self) -> dict[str, Any]:
        """Returns the keys that only this engine has."""
        known = EngineConfig.model_fields
        return {key: value for key, value in self if key not in known}

    @model_validator(mode="after")
    def _fits(self) -> "EngineConfig":
        if self.gpus_per_trial is not None and self.gpus_per_trial > 1 and self.gpus_per_trial % 1:
            raise InputError(
                "gpus_per_trial: must be a share of one GPU or a whole number of GPUs, got "
                f"{self.gpus_per_trial:g}"
            )
        return self


Concurrency = Annotated[int | None, _auto_or(int, "a whole number, at least 1", lambda n: n >= 1)]


class RayConfig(EngineConfig):
    """The engine Ray Tune, on this machine or on a cluster."""

    name: Literal["ray"] = "ray"
    concurrency: Concurrency = None
    """The number of trials at a time; ``auto`` is one per GPU, or per CPU core without GPUs."""
    address: Annotated[str | None, AfterValidator(_address)] = None
    """``auto`` or the ``host:port`` of a running Ray cluster; by default, one is started."""
    niceness: Annotated[int, Field(ge=0, le=19)] = 0
    """How much lower the priority of workers is than that of ``nas run``; with an address, the
    cluster decides it."""

    @model_validator(mode="after")
    def _niceness_is_of_our_own_cluster(self) -> "RayConfig":
        if self.address is not None and self.niceness:
            raise InputError(
                "niceness: workers of a running cluster have its own niceness, which ray start "
                f"takes from RAY_worker_niceness, so leave niceness out; got {self.niceness}"
            )
        return self


class SerialConfig(EngineConfig):
    """The engine that runs one trial after another in this process."""

    name: Literal["serial"] = "serial"
    concurrency: Annotated[
        int | None, _auto_or(int, "1: the serial engine runs one trial at a time", lambda n: n == 1)
    ] = None
    """The number of trials at a time, which is 1."""

    @property
    def options(self) -> dict[str, Any]:
        """Returns nothing, because the engine has no options."""
        return {}


class SimulatedConfig(EngineConfig):
    """The engine that simulates a cluster for results that are looked up."""

    name: Literal["simulated"]
    concurrency: Concurrency = None
    """The number of workers; by default one."""


class UserEngineConfig(EngineConfig):
    """A user's engine; its further options are those of its constructor."""

    model_config = ConfigDict(extra="allow")

    name: Name

    @property
    def options(self) -> dict[str, Any]:
        """Returns the options of the constructor."""
        return dict(self.model_extra or {})


def _fitting(*names: str) -> BeforeValidator:
    """Makes a check that an engine is one of these or a user's; the first is the default."""

    def check(given: Any) -> Any:
        if isinstance(given, EngineConfig):
            return given
        given = keyed(given)
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
