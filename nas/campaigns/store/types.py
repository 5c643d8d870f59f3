"""The records of a campaign as types: what each line of ``records.jsonl`` holds.

A line is one JSON object, and its ``type`` says which of four it is:

- :class:`Header`, ``campaign``: the first line, and no other; what the answers below depend on.
- :class:`Ask`, ``ask``: a trial was given out.
- :class:`Failure`, ``failure``: an attempt at a trial was lost, and the trial is tried again.
- :class:`Result`, ``result``: a trial has ended.

Every line has ``time``, in Unix seconds. The attributes of the types are the keys of the lines.
Keys that only a later version knows are kept as they are and used for nothing.

Schema 3 is written. Schema 2 is read, too: it says ``question`` where schema 3 says
``specification``, and ``found`` where it says ``searched``. A folder of schema 2 is continued in
place, so its later lines have the words of schema 3; whoever reads them through this module sees
these alone.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import (
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
from nas.errors import InputError, in_file
from nas.registry import unknown

SCHEMA = 3
"""The schema that is written."""

READABLE = (2, SCHEMA)
"""The schemas that are read."""

Json = dict[str, Any]

Measurement = Json
"""What an evaluator has measured of a trial: plain JSON by the name of the metric."""

Count = Annotated[int, Field(ge=0)]

Amount = Annotated[float, Field(ge=0)]

Stage = Literal["search", "final"]

Kind = Literal["searched", "random", "classic", "ensemble"]
"""What a trial is of: a member of the space that the campaign's searcher suggested, or the random
baseline; a hand-designed network; or the average of networks that were retrained."""


def _kind_of_schema_3(kind: object) -> object:
    return "searched" if kind == "found" else kind


class _Counts(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]

    params: Count
    macs: Count
    flops: Count
    activations: Count


Counts = Annotated[dict[str, int], GetPydanticSchema(lambda source, handler: handler(_Counts))]
"""What an architecture costs, by the names of :class:`nas.architecture.cost.Cost`."""


class _Record(Config):
    model_config = ConfigDict(extra="allow", populate_by_name=True)

    time: float | None = None


class Header(_Record):
    """The first line of a campaign's records.

    Attributes:
        schema_version: the schema of the lines, ``schema`` in the file.
        specification: what the results depend on, with every default written out.
        recipe: the fingerprint of the recipe in it; "" where nothing is trained.
        data: the fingerprint of the images and labels; "" where nothing is trained, and in old
            records.
        evaluator: ``"module:attribute"``, what the first run's trials were evaluated by.
    """

    type: Literal["campaign"] = "campaign"
    schema_version: Any = Field(alias="schema")
    specification: Json = Field(validation_alias=AliasChoices("specification", "question"))
    recipe: str = ""
    data: str = ""
    evaluator: str = ""


class Ask(_Record):
    """A trial that was given out.

    Attributes:
        trial: its id.
        stage: the search, or the final stage, which retrains and tests.
        kind: what it is of.
        seed: of its training.
        fingerprint: of its architecture.
        cost: of its architecture.
        genotype: what to rebuild the architecture from, of kind "searched" or "random".
        classic: the name of a classic.
        options: the options of a classic.
        members: the trials of the final stage whose probabilities an ensemble averages.
        initialization: the scheme that this network starts from, where the recipe says
            "reference".
        label: in the final stage, what the seeds of one architecture share.
        search: in the search stage, the searcher.
        number: in the search stage, the searcher's own id of the trial.
        note: in the search stage, what the searcher wants to have recorded.
        elapsed: when the searcher was asked; see :class:`Attempt`.
        fidelity: the epochs trained in all when it ends, or what else the campaign counts
            (:data:`nas.campaigns.spec.fidelity.Axis`); None: the full training.
        continues: the number of the trial that it goes on with.
        inherits: the number of the trial whose weights it inherits.
        duplicate_of: the trial that it repeats: it has no result of its own, and its searcher
            hears that trial's.
    """

    type: Literal["ask"] = "ask"
    trial: str
    stage: Stage
    kind: Annotated[Kind, BeforeValidator(_kind_of_schema_3)]
    seed: Count
    fingerprint: str
    cost: Counts
    genotype: Json = Field(default_factory=dict)
    classic: str = ""
    options: Json = Field(default_factory=dict)
    members: Annotated[tuple[str, ...], Field(min_length=2)] = ()
    initialization: str = ""
    label: str = ""
    search: str = ""
    number: Count = 0
    note: Json = Field(default_factory=dict)
    elapsed: Amount = 0.0
    fidelity: Annotated[int, Field(ge=1)] | None = None
    continues: Count | None = None
    inherits: Count | None = None
    duplicate_of: str = ""

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
        """Whether an earlier trial answers for this one."""
        return bool(self.duplicate_of)

    @property
    def is_of_space(self) -> bool:
        """Whether it is of a member of the search space, so that it has a genotype."""
        return "genotype" in _SUBJECTS[self.kind]

    @property
    def is_ensemble(self) -> bool:
        """Whether it is of several networks, so that nothing is trained."""
        return self.kind == "ensemble"


_SUBJECTS: dict[str, tuple[str, ...]] = {
    "searched": ("genotype",),
    "random": ("genotype",),
    "classic": ("classic", "options"),
    "ensemble": ("members",),
}
"""The attributes that tell what a trial of a kind is of."""


class _Attempt(_Record):
    """An attempt at a trial that has ended."""

    trial: str
    seconds: Amount
    elapsed: Amount = 0.0
    epochs: Count = 0
    accelerators: Amount = 1.0


class Failure(_Attempt):
    """An attempt that was lost; the trial is tried again.

    Attributes:
        trial: its id.
        seconds: the wall time in the worker.
        elapsed: the seconds that runs of the campaign had taken up to then; on a simulated
            cluster, by its clock.
        epochs: what this attempt has trained, as far as is known.
        accelerators: the GPUs of the trial, or, where it has none, its CPU cores.
        error: the last traceback.
        cause: the kind of failure.
    """

    type: Literal["failure"] = "failure"
    error: str
    cause: str


class Result(_Attempt):
    """How a trial has ended.

    Attributes:
        trial, seconds, elapsed, epochs, accelerators: see :class:`Failure`.
        status: of a search trial that early stopping has ended, "stopped".
        metrics: what the evaluator has measured; of a stopped trial, what it had reached.
        error: the last traceback of a trial that has failed.
        cause: the kind of failure.
        worker: on Ray, the process that it ran in, as ``HOST/NODE/PID``.
    """

    type: Literal["result"] = "result"
    status: Literal["completed", "failed", "stopped"]
    metrics: Measurement
    error: str | None
    cause: str | None = None
    worker: str = ""

    @property
    def completed(self) -> bool:
        """Whether the trial has come to its end, with a number for every objective."""
        return self.status == "completed"

    def number(self, metric: str) -> float | None:
        """What was measured of a metric, if it is a number."""
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
    """The record that a line holds.

    Args:
        line: without its end.
        where: file and number of the line, for messages.

    Raises ValueError where it is not JSON, and :class:`InputError` where it is no record.
    """
    try:
        return _RECORD.validate_json(line)
    except ValidationError:
        pass  # the steps one by one tell what is wrong, in words
    given = json.loads(line)
    if not isinstance(given, dict):
        raise InputError(f"{where}: is corrupt: a record is a JSON object, got {given!r}")
    kind = given.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise InputError(f"{where}: {unknown('record type', kind, _TYPES)}")
    with in_file(where):
        return validate(_TYPES[kind], given)


def to_line(record: Record) -> bytes:
    """The line of a record, without its end: its type, its time, and whatever else was set.

    Raises TypeError or ValueError where JSON has no word for a value.
    """
    given = record.model_dump(exclude_unset=True, by_alias=True)
    line = {"type": record.type, "time": record.time, **given}
    return json.dumps(line, allow_nan=False, separators=(",", ":")).encode()


def given(**fields: Any) -> Json:
    """The fields that are not None: a record holds no more than there is to tell."""
    return {name: value for name, value in fields.items() if value is not None}
