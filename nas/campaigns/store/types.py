"""The records of a campaign as types: what each line of ``records.jsonl`` holds.

A line is one JSON object, and its ``type`` says which of four it is:

- :class:`Header`, ``campaign``: only the first line; it holds all that the results depend on.
- :class:`Ask`, ``ask``: a trial was started.
- :class:`Failure`, ``failure``: an attempt at a trial was lost, and the trial is tried again.
- :class:`Result`, ``result``: a trial has ended.

Every line has ``time``, in Unix seconds. The attributes of the types are the keys of the lines.
Keys that only a later version knows are kept and ignored.

Schema 3 is written. Schema 2 can also be read: it has ``question`` instead of ``specification``,
and ``found`` instead of ``searched``. If a folder of schema 2 is continued, its new lines have the
words of schema 3. This module always returns the words of schema 3.
"""

import json
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from typing_extensions import TypedDict

from nas.configuration import Config, validate
from nas.errors import InputError, in_file, readable, shown
from nas.files import parse_json
from nas.registry import unknown

SCHEMA = 3
"""The schema that is written."""

READABLE = (2, SCHEMA)
"""The schemas that are read."""

Json = dict[str, Any]


class _Measurement(Config):
    """The measurements that this program reads; an evaluator may report others beside them.

    Single numbers are not listed here: :meth:`nas.metrics.Catalogue.fault` checks them.
    """

    model_config = ConfigDict(extra="allow")

    curve: list[Json] | None = None
    evaluations: dict[str, dict[str, Json]] | None = None
    fvcore: dict[str, int] | None = None
    fvcore_uncounted: list[str] | None = None
    device: str | None = None
    temperatures: list[Annotated[float, Field(gt=0)]] | None = None
    calibrated_losses: list[float] | None = None


def _readable(metrics: Json) -> Json:
    try:
        _Measurement.model_validate(metrics)
    except ValidationError:
        validate(_Measurement, metrics)  # makes the message
    return metrics


Measurement = Annotated[Json, AfterValidator(_readable)]
"""The measurements of a trial by an evaluator: plain JSON by the name of the metric."""


def unreadable(metrics: Any) -> str:
    """Returns why measurements cannot be recorded, so that they can be read again; "" if they can.

    The types are those with which :class:`Result` reads them.
    """
    if not isinstance(metrics, dict):
        return f"must be a mapping, got {shown(metrics)}"
    try:
        validate(_Measurement, metrics)
        json.dumps(metrics, allow_nan=False)
    except (InputError, ValueError) as error:
        return "; ".join(str(error).splitlines())
    return ""


Count = Annotated[int, Field(ge=0)]

Amount = Annotated[float, Field(ge=0)]

Text = Annotated[str, AfterValidator(readable)]
"""Text of a user's code; what UTF-8 cannot encode is replaced."""

Id = Annotated[str, Field(pattern=r"^\w[\w.-]*$", max_length=200)]
"""A name that becomes part of a file's name, so it can name no other folder and no hidden file."""

OptionalId = Annotated[str, Field(pattern=r"^(\w[\w.-]*)?$", max_length=200)]
"""An :data:`Id` or ""."""

EvaluatorName = Annotated[str, Field(pattern=r"^([^\x00-\x1f\x7f]+:[\w.<>]+|\w*)$")]
"""The name of an evaluator: ``module:attribute``, ``file.py:attribute`` or one word."""

Stage = Literal["search", "final"]

SHARED: Final = "shared weights"
"""The kind of networks with shared weights."""
SHARED_SUFFIX = "-shared"
"""The end of their labels."""

Kind = Literal["searched", "random", "classic", "ensemble", "shared weights"]
"""The kind of a trial's network: a member of the space, suggested by the campaign's searcher or by
the random baseline; a hand-designed network; the average of retrained networks; or, in the final
stage, a member of the space that is not retrained but has the weights that all members share."""


def _kind_of_schema_3(kind: object) -> object:
    return "searched" if kind == "found" else kind


class _Counts(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]

    params: Count
    macs: Count
    flops: Count
    activations: Count


Counts = Annotated[dict[str, int], GetPydanticSchema(lambda source, handler: handler(_Counts))]
"""The cost of an architecture, by the names of :class:`nas.architecture.cost.Cost`."""


def trial_name(search: str, number: int) -> str:
    """Makes the id of a search's trial from the searcher's number."""
    return f"{search}-{number:04d}"


class _Record(Config):
    model_config = ConfigDict(extra="allow", populate_by_name=True)

    time: float | None = None


class Header(_Record):
    """The first line of a campaign's records.

    Attributes:
        schema_version: the schema of the lines, ``schema`` in the file.
        specification: all settings that the results depend on, with every default.
        recipe: the fingerprint of the recipe; "" if nothing is trained.
        data: the fingerprint of the images and labels; "" if nothing is trained, and in old
            records.
        evaluator: the ``"module:attribute"`` of the first run's evaluator.
    """

    type: Literal["campaign"] = "campaign"
    schema_version: Any = Field(alias="schema")
    specification: Json = Field(validation_alias=AliasChoices("specification", "question"))
    recipe: str = ""
    data: str = ""
    evaluator: EvaluatorName = ""


class Ask(_Record):
    """A trial that was started.

    Attributes:
        trial: its id.
        stage: the search, or the final stage, which retrains and tests.
        kind: the kind of its network.
        seed: the seed of its training.
        fingerprint: the fingerprint of its architecture.
        cost: the cost of its architecture.
        further_costs: for a classic, what the campaign limits beside these: its depth, and the
            latency that a table has for it.
        genotype: the genotype of its architecture, if the kind is "searched" or "random".
        classic: the name of a classic.
        options: the options of a classic.
        members: the trials of the final stage whose probabilities an ensemble averages.
        initialization: the initialization scheme of this network, if the recipe says "reference".
        label: in the final stage, the name that the seeds of one architecture share.
        search: in the search stage, the name of the searcher.
        number: in the search stage, the searcher's own id of the trial.
        note: in the search stage, the note of the searcher.
        elapsed: the time when the searcher was asked; see :class:`Failure`.
        proposal_seconds: in the search stage, how long the searcher has measured zero-cost proxies
            since its previous ask, for this one.
        fidelity: the total number of epochs when it ends, or another unit of the campaign
            (:data:`nas.campaigns.spec.fidelity.Axis`); None for full training.
        continues: the number of the trial that it continues.
        inherits: the number of the trial whose weights it inherits.
        duplicate_of: the trial that it repeats. It then has no result of its own, and its searcher
            observes the result of that trial.
    """

    type: Literal["ask"] = "ask"
    trial: Id
    stage: Stage
    kind: Annotated[Kind, BeforeValidator(_kind_of_schema_3)]
    seed: Count
    fingerprint: Id
    cost: Counts
    further_costs: dict[str, float] = Field(default_factory=dict)
    genotype: Json = Field(default_factory=dict)
    classic: OptionalId = ""
    options: Json = Field(default_factory=dict)
    members: Annotated[tuple[Id, ...], Field(min_length=2)] = ()
    initialization: str = ""
    label: OptionalId = ""
    search: OptionalId = ""
    number: Count = 0
    note: Json = Field(default_factory=dict)
    elapsed: Amount = 0.0
    proposal_seconds: Amount = 0.0
    fidelity: Annotated[int, Field(ge=1)] | None = None
    continues: Count | None = None
    inherits: Count | None = None
    duplicate_of: OptionalId = ""

    @model_validator(mode="after")
    def _is_complete(self) -> "Ask":
        stage = ("search", "number", "note") if self.stage == "search" else ("label",)
        needed = (*stage, *_SUBJECTS[self.kind])
        if missing := [key for key in needed if key not in self.model_fields_set]:
            raise InputError(
                f"{', '.join(missing)} missing, which an ask of stage {self.stage} and kind "
                f"{self.kind} has"
            )
        return self

    @property
    def is_duplicate(self) -> bool:
        """Whether an earlier trial answers this one."""
        return bool(self.duplicate_of)

    @property
    def answered_by(self) -> str:
        """The trial whose result counts: its own, or the one that it repeats."""
        return self.duplicate_of or self.trial

    @property
    def predecessor(self) -> str | None:
        """The trial that it continues."""
        return None if self.continues is None else trial_name(self.search, self.continues)

    @property
    def parent(self) -> str | None:
        """The trial whose weights it inherits."""
        return None if self.inherits is None else trial_name(self.search, self.inherits)

    @property
    def is_of_space(self) -> bool:
        """Whether its network is a member of the search space, so that it has a genotype."""
        return "genotype" in _SUBJECTS[self.kind]

    @property
    def suggested_as(self) -> str:
        """In the final stage, the trial of the search that suggested its member of the space."""
        return self.label.removesuffix(SHARED_SUFFIX) if self.kind == SHARED else self.label

    @property
    def is_ensemble(self) -> bool:
        """Whether it averages several networks."""
        return self.kind == "ensemble"

    @property
    def is_retrained(self) -> bool:
        """Whether the final stage trains its network."""
        return self.stage == "final" and self.kind not in ("ensemble", SHARED)


_SUBJECTS: dict[str, tuple[str, ...]] = {
    "searched": ("genotype",),
    "random": ("genotype",),
    "classic": ("classic", "options"),
    "ensemble": ("members",),
    SHARED: ("genotype",),
}
"""The attributes that identify the network of each kind of trial."""


class _Attempt(_Record):
    """An attempt at a trial, which has ended."""

    trial: Id
    seconds: Amount
    elapsed: Amount = 0.0
    epochs: Count = 0
    accelerators: Amount = 1.0


class Failure(_Attempt):
    """An attempt that was lost; the trial is repeated.

    Attributes:
        trial: its id.
        seconds: the wall time in the worker.
        elapsed: the seconds that all runs of the campaign had taken until then; on a simulated
            cluster, by its clock.
        epochs: the epochs of this attempt, as far as they are known.
        accelerators: the GPUs of the trial, or its CPU cores if it has no GPU.
        error: the last traceback.
        cause: the kind of failure.
    """

    type: Literal["failure"] = "failure"
    error: Text
    cause: str


class Result(_Attempt):
    """The end of a trial.

    Attributes:
        trial, seconds, elapsed, epochs, accelerators: see :class:`Failure`.
        status: "completed", "failed", or "stopped" if early stopping has ended the trial.
        metrics: the evaluator's measurements; for a stopped trial, those of its last epoch.
        error: the last traceback of a failed trial.
        cause: the kind of failure.
        worker: on Ray, the process in which it ran, as ``HOST/NODE/PID``.
        weights: the checksum of the file of its weights, if they were kept; "" in older records.
    """

    type: Literal["result"] = "result"
    status: Literal["completed", "failed", "stopped"]
    metrics: Measurement
    error: Text | None
    cause: str | None = None
    worker: str = ""
    weights: str = ""

    @property
    def completed(self) -> bool:
        """Whether the trial has completed, with a number for every objective."""
        return self.status == "completed"

    def number(self, metric: str) -> float | None:
        """Returns the value of a metric if it is a number, else None."""
        value = self.metrics.get(metric)
        return value if isinstance(value, int | float) else None


Record = Header | Ask | Failure | Result

_TYPES: dict[str, type[Header | Ask | Failure | Result]] = {
    "campaign": Header,
    "ask": Ask,
    "failure": Failure,
    "result": Result,
}

_RECORD: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="type")])


def from_line(line: bytes, where: str) -> Record:
    """Reads the record of a line.

    Args:
        line: the line without its end.
        where: the file and the number of the line, for messages.

    Raises ValueError if it is not JSON, and :class:`InputError` if it is not a record.
    """
    try:
        return _RECORD.validate_json(line)
    except ValidationError:
        pass  # the following steps find out what is wrong
    given = parse_json(line)
    if not isinstance(given, dict):
        raise InputError(f"{where}: is corrupt: a record is a JSON object, got {given!r}")
    kind = given.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise InputError(f"{where}: {unknown('record type', kind, _TYPES)}")
    with in_file(where):
        return validate(_TYPES[kind], given)


def to_line(record: Record) -> bytes:
    """Writes the line of a record, without its end: its type, its time, and all set attributes.

    Raises TypeError or ValueError if a value cannot be written as JSON.
    """
    given = record.model_dump(exclude_unset=True, by_alias=True)
    line = {"type": record.type, "time": record.time, **given}
    return json.dumps(line, allow_nan=False, separators=(",", ":")).encode()


def given(**fields: Any) -> Json:
    """Returns the fields that are not None, because records leave out empty ones."""
    return {name: value for name, value in fields.items() if value is not None}
