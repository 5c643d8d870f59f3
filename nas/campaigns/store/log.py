"""The record log of a campaign: ``records.jsonl``, the truth that all else is derived from.

One JSON object per line, in the order of events; :mod:`nas.campaigns.store.types` says what the
lines hold. A line is on the disk before the searcher hears of it, so a crash loses no more than
the trials that were under way, and at worst leaves a torn last line, which is set aside.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from filelock import FileLock, Timeout

from nas.campaigns.store.types import READABLE, Header, Record, from_line, to_line
from nas.errors import InputError
from nas.files import writing

R = TypeVar("R", bound=Record)


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

    def append(self, record: R) -> R:
        """Writes one record with the present time; when this returns, it is on the disk.

        Returns the record as whoever reads the line will have it. Raises :class:`InputError`, and
        writes nothing, where that reader would refuse the line.
        """
        line = to_line(record.model_copy(update={"time": round(time.time(), 3)}))
        written = from_line(line, f"{self._path}: the next record")
        assert isinstance(written, type(record))
        with writing(self._path):
            if self._file.write(line + b"\n") != len(line) + 1:
                raise OSError("the line could not be written whole")
            os.fsync(self._file.fileno())
        return written

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
            record = _checked(from_line(line, where), where, first=number == 1)
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


def _checked(record: Record, where: str, first: bool) -> Record:
    """The record, if it may stand there."""
    if first != isinstance(record, Header):
        raise InputError(f"{where}: the first record, and no other, must be of type campaign")
    if isinstance(record, Header) and record.schema_version not in READABLE:
        raise InputError(
            f"{where}: schema: this program reads schema {' and '.join(map(str, READABLE))}, got "
            f"{record.schema_version!r}; finish it with the version that resolved.json names, or "
            "start a campaign in another folder"
        )
    return record


def _sync_folder(folder: Path) -> None:
    """Makes the folder's list of files durable, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
