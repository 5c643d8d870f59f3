"""The record log of a campaign: ``records.jsonl``, the truth that all else is derived from.

One JSON object a line, in the order of events. Schema 2, every line with ``time`` (Unix seconds):

- ``campaign``, the first line: ``schema``, ``question``, what the answers below depend on, and
  ``recipe``, the fingerprint of the recipe in it, and ``data``, that of the images and labels;
  ``evaluator``, ``"module:attribute"``, what the first run's trials were evaluated by.
- ``ask``: a trial is given out. ``trial`` (its id), ``stage`` ("search" or "final"), ``kind``
  ("found", "random", "classic" or "ensemble"), ``seed`` (of its training), ``fingerprint`` and
  ``cost`` of its architecture, and what to rebuild that from: ``genotype``, or the ``classic``'s
  name and ``options``; or an ensemble's ``members``, the trials of the final stage whose
  probabilities it averages. In the search stage also ``search``, ``number`` (the searcher's trial
  id) and ``note`` (the searcher's), in the final stage ``label``, which seeds of one architecture
  share. Where the recipe says "reference": ``initialization``, the scheme that this network starts
  from.
  In the search stage, ``elapsed`` is as of a result, when the searcher was asked.
  Where the searcher says so: ``fidelity``, the epochs trained in all or what else the campaign
  counts (:data:`nas.campaigns.spec.fidelity.Axis`), and ``continues``, the number of the trial
  that it goes on with. Where weights are inherited: ``inherits``, the number of the parent trial.
  In the search stage, ``duplicate_of`` is the trial that this one repeats: it has no result of its
  own, what it was told follows from that trial's.
- ``failure``: an attempt at a trial that is tried again. ``trial``, ``cause``, ``error``,
  ``seconds``, ``epochs``, ``accelerators`` and ``elapsed`` as of a result.
- ``result``: how it ended. ``trial``, ``status`` ("completed", "failed" or "stopped"), ``metrics``
  (the evaluator's; of a trial that was stopped early, what it had reached), ``error`` (null, or
  the last traceback), ``cause`` (null, or of which kind the failure is), ``seconds`` (wall time in
  the worker), ``elapsed`` (seconds that runs of the campaign have taken up to then; on a simulated
  cluster, by its clock), ``epochs`` (that this attempt has trained, as far as is known),
  ``accelerators`` (the GPUs of the trial, or, where it has none, its CPU cores); on Ray also
  ``worker``, the process that it ran in, as ``HOST/NODE/PID``.

A line is on the disk before the searcher hears of it, so a crash loses no more than the trials
that were under way, and at worst leaves a torn last line, which is set aside.

Schema 2 against 1: the question has ``objectives``, a list of ``metric`` and ``direction``, where
it had the name of one ``objective``; asks and failures have ``elapsed``, results and failures
``epochs`` and ``accelerators``, from which follows what is spent of a budget.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from filelock import FileLock, Timeout
from pydantic import ConfigDict, Field, model_validator

from nas.configuration import Config, validate
from nas.errors import InputError
from nas.files import writing
from nas.registry import unknown

SCHEMA = 2

Record = dict[str, Any]

Count = Annotated[int, Field(ge=0)]

Amount = Annotated[float, Field(ge=0)]


class _Line(Config):
    """A record; keys of later versions are passed over."""

    model_config = ConfigDict(extra="allow")


class _Campaign(_Line):
    schema_version: Any = Field(alias="schema")
    question: dict[str, Any]
    recipe: str = ""
    data: str = ""
    evaluator: str = ""


class _Cost(_Line):
    params: Count
    macs: Count
    flops: Count
    activations: Count


class _Ask(_Line):
    trial: str
    stage: Literal["search", "final"]
    kind: Literal["found", "random", "classic", "ensemble"]
    seed: Count
    fingerprint: str
    cost: _Cost
    # Which of these there must be, depends.
    genotype: dict[str, Any] = Field(default_factory=dict)
    classic: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    members: Annotated[list[str], Field(min_length=2)] = Field(default_factory=list)
    search: str = ""
    number: Count = 0
    note: dict[str, Any] = Field(default_factory=dict)
    label: str = ""
    initialization: str = ""
    elapsed: Amount = 0.0
    fidelity: Annotated[int, Field(ge=1)] | None = None
    continues: Count | None = None
    inherits: Count | None = None
    duplicate_of: str = ""

    @model_validator(mode="after")
    def _is_complete(self) -> "_Ask":
        stage = ["search", "number", "note"] if self.stage == "search" else ["label"]
        what = {"classic": ["classic", "options"], "ensemble": ["members"]}.get(
            self.kind, ["genotype"]
        )
        if missing := [key for key in stage + what if key not in self.model_fields_set]:
            raise InputError(
                f"{', '.join(missing)} missing, which an ask of stage {self.stage} and kind "
                f"{self.kind} has"
            )
        return self


class _Ended(_Line):
    trial: str
    seconds: Amount
    elapsed: Amount = 0.0
    epochs: Count = 0
    accelerators: Amount = 1.0


class _Failure(_Ended):
    error: str
    cause: str


class _Result(_Ended):
    status: Literal["completed", "failed", "stopped"]
    metrics: dict[str, Any]
    error: str | None
    cause: str | None = None
    worker: str = ""


_TYPES: dict[str, type[_Line]] = {
    "campaign": _Campaign,
    "ask": _Ask,
    "failure": _Failure,
    "result": _Result,
}


def read_records(folder: Path) -> list[Record]:
    """The records of a campaign, a torn last line left out; empty before its first run.

    Raises :class:`InputError` naming file and line where the log is corrupt.
    """
    path = folder / "records.jsonl"
    return list(_records(path)) if path.exists() else []


class RecordLog:
    """The one writer of a campaign's records.

    Args:
        folder: of the campaign.

    Attributes:
        torn: how many bytes of a torn last line were moved to ``records.torn``.

    Use it as a context manager. Raises :class:`InputError` where another run holds the lock.
    """

    def __init__(self, folder: Path) -> None:
        self.torn = 0
        self._path = folder / "records.jsonl"
        self._lock = FileLock(folder / "records.lock", timeout=0)

    def __enter__(self) -> "RecordLog":
        try:
            self._lock.acquire()
        except Timeout:
            raise InputError(
                f"{self._path.parent}: another run is at work on this campaign; "
                "wait for its end, or stop it"
            ) from None
        try:
            new = not self._path.exists()
            # Unbuffered: what is written in one call is one line, whole or torn.
            self._file = open(self._path, "ab", buffering=0)
            if new:
                _sync_folder(self._path.parent)
            with writing(self._path):
                self._repair()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        self._lock.release()

    def append(self, record_type: str, /, **fields: Any) -> Record:
        """Writes one record; when this returns, it is on the disk."""
        record = {"type": record_type, "time": round(time.time(), 3), **fields}
        line = json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        with writing(self._path):
            if self._file.write(line) != len(line):
                raise OSError("the line could not be written whole")
            os.fsync(self._file.fileno())
        return record

    def earlier(self) -> Iterator[Record]:
        """The records of earlier runs, in their order, one at a time.

        Raises :class:`InputError` naming file and line where the log is corrupt.
        """
        return _records(self._path)

    def _repair(self) -> None:
        start, last, end = 0, b"", 0
        for start, last in _split(self._path):
            end = start + len(last)
        if last and _is_torn(last):
            with open(self._path, "rb") as file:
                file.seek(start)
                torn = file.read()
            with open(self._path.with_suffix(".torn"), "ab") as aside:
                aside.write(torn.rstrip(b"\n") + b"\n")
                os.fsync(aside.fileno())
            self._file.truncate(start)
            self.torn = len(torn)
        elif last and end == self._path.stat().st_size:
            self._file.write(b"\n")
        os.fsync(self._file.fileno())


class Line(NamedTuple):
    """A line of the log, whatever it holds.

    Attributes:
        number: of the line, from 1.
        size: in bytes, with its end.
        record: what it holds; None where it is no record.
        fault: then, why.
        torn: whether it is the last and no JSON, as a crash leaves it.
    """

    number: int
    size: int
    record: Record | None
    fault: str
    torn: bool


def read_lines(path: Path) -> Iterator[Line]:
    """Every line of a log, each checked by itself."""
    corrupt: Line | None = None  # torn, if no other follows
    for number, (_, line) in enumerate(_split(path), start=1):
        if corrupt is not None:
            yield corrupt
            corrupt = None
        where, size = f"{path}:{number}", len(line) + 1
        try:
            record = _checked(json.loads(line), where, first=number == 1)
        except InputError as error:
            yield Line(number, size, None, str(error), torn=False)
        except ValueError as error:  # not JSON, or not UTF-8
            corrupt = Line(number, size, None, f"{where}: is corrupt: {error}", torn=False)
        else:
            yield Line(number, size, record, "", torn=False)
    if corrupt is not None:
        yield corrupt._replace(torn=True)


def _split(path: Path) -> Iterator[tuple[int, bytes]]:
    """Where each line begins, and the line; empty ones at the end are left out."""
    empty: list[tuple[int, bytes]] = []
    start = 0
    with open(path, "rb") as file:
        for line in file:
            here = start, line.rstrip(b"\n")
            start += len(line)
            if here[1]:
                yield from empty
                yield here
                empty.clear()
            else:
                empty.append(here)


def _is_torn(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return True
    return False


def _records(path: Path) -> Iterator[Record]:
    """The records, a torn last line left out."""
    for line in read_lines(path):
        if line.record is not None:
            yield line.record
        elif not line.torn:
            raise InputError(line.fault)


def _checked(record: Any, where: str, first: bool) -> Record:
    if not isinstance(record, dict):
        raise InputError(f"{where}: is corrupt: a record is a JSON object, got {record!r}")
    kind = record.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise InputError(f"{where}: {unknown('record type', kind, _TYPES)}")
    validate(_TYPES[kind], record, where)
    if first != (kind == "campaign"):
        raise InputError(f"{where}: the first record, and no other, must be of type campaign")
    if first and record["schema"] != SCHEMA:
        raise InputError(
            f"{where}: schema: this program reads schema {SCHEMA}, got {record['schema']!r}; "
            "finish it with the version that resolved.json names, or start a campaign in another "
            "folder"
        )
    return record


def _sync_folder(folder: Path) -> None:
    """Makes the folder's list of files durable, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class History:
    """Asks and results by trial id, each in the order of events.

    Args:
        folder: of the campaign, for messages.
        records: the first ones, in order.

    Raises :class:`InputError` where a trial is asked twice, or a result has no ask or comes
    twice.
    """

    def __init__(self, folder: Path, records: Iterable[Record] = ()) -> None:
        self.asks: dict[str, Record] = {}
        self.results: dict[str, Record] = {}
        self.failures: dict[str, list[Record]] = {}
        self.elapsed = 0.0
        self._path = folder / "records.jsonl"
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Takes the next record."""
        if record["type"] == "campaign":
            return
        trial = record["trial"]
        self.elapsed = max(self.elapsed, record.get("elapsed", 0.0))
        if record["type"] == "failure":
            if trial not in self.asks:
                raise InputError(f"{self._path}: trial {trial}: a failure, but it was never asked")
            self.failures.setdefault(trial, []).append(record)
            return
        taken = self.asks if record["type"] == "ask" else self.results
        if trial in taken:
            raise InputError(f"{self._path}: trial {trial}: a second {record['type']}")
        if taken is self.results and trial not in self.asks:
            raise InputError(f"{self._path}: trial {trial}: a result, but it was never asked")
        original = record.get("duplicate_of")
        if original is not None and original not in self.asks:
            raise InputError(f"{self._path}: trial {trial}: repeats {original}, never asked before")
        for member in record.get("members", ()):
            if member not in self.asks:
                raise InputError(f"{self._path}: trial {trial}: of {member}, never asked before")
        if taken is self.results and "duplicate_of" in self.asks[trial]:
            raise InputError(f"{self._path}: trial {trial}: a result, but it is a duplicate")
        taken[trial] = record

    @property
    def evaluated(self) -> list[Record]:
        """The asks that have a result, or wait for one: all but duplicates."""
        return [ask for ask in self.asks.values() if "duplicate_of" not in ask]

    @property
    def duplicates(self) -> list[Record]:
        """The asks that an earlier one answers."""
        return [ask for ask in self.asks.values() if "duplicate_of" in ask]

    def unfinished(self) -> list[Record]:
        """The asks that have no result, and should."""
        return [ask for ask in self.evaluated if ask["trial"] not in self.results]
