"""Reads and writes the records of a campaign, ``records.jsonl``, from which all else is derived.

The file has one JSON object per line, in the order of events; :mod:`nas.campaigns.store.types`
describes them. A line is on the disk before the searcher observes it, so a crash loses only the
trials that were running. At worst it leaves an incomplete ("torn") last line, which is set aside.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from filelock import FileLock, Timeout

from nas.campaigns.store.types import READABLE, Header, Record, from_line, to_line
from nas.errors import InputError, in_file
from nas.files import LONGEST, open_to_append, open_to_read, parse_json, sync, writing

R = TypeVar("R", bound=Record)


def read_records(folder: Path) -> list[Record]:
    """Reads the records of a campaign without a torn last line; empty before its first run.

    Raises :class:`InputError` naming file and line if the log is corrupt.
    """
    path = folder / "records.jsonl"
    return list(_records(path)) if path.exists() else []


def read_header(folder: Path) -> Header | None:
    """Reads the first record of a campaign; None if there is none, or none that can be read."""
    path = folder / "records.jsonl"
    first = next(read_lines(path), None) if path.exists() else None
    return first.record if first is not None and isinstance(first.record, Header) else None


class RecordLog:
    """Writes a campaign's records; a lock ensures that there is only one writer.

    Args:
        folder: the folder of the campaign.

    Attributes:
        torn: how many bytes of a torn last line were moved to ``records.torn``.

    Use it as a context manager. Raises :class:`InputError` if another run holds the lock.
    """

    def __init__(self, folder: Path) -> None:
        self.torn = 0
        self._path = folder / "records.jsonl"
        self._lock = FileLock(folder / "records.lock", timeout=0)

    def __enter__(self) -> "RecordLog":
        with writing(Path(self._lock.lock_file)):
            try:
                self._lock.acquire()
            except Timeout:
                raise InputError(
                    f"{self._path.parent}: another run of this campaign is active; "
                    "wait for its end, or stop it"
                ) from None
        try:
            with writing(self._path):
                new = not self._path.exists()
                self._check_not_lost()
                # Unbuffered, so that one call writes one line, complete or torn.
                self._file = open(open_to_append(self._path), "ab", buffering=0)
                if new:
                    sync(self._path.parent)
                self._repair()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        self._lock.release()

    def append(self, record: R) -> R:
        """Writes one record with the current time; when this returns, it is on the disk.

        Returns the record in the form in which the line will be read. Raises :class:`InputError`
        and writes nothing if a reader would refuse the line.
        """
        where = f"{self._path}: the next record"
        try:
            line = to_line(record.model_copy(update={"time": round(time.time(), 3)}))
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"{where}: cannot be written: {error}") from error
        written = from_line(line, where)
        assert isinstance(written, type(record))
        with writing(self._path):
            if self._file.write(line + b"\n") != len(line) + 1:
                raise OSError("the line could not be written whole")
            os.fsync(self._file.fileno())
        self.check_in_place()
        return written

    def check_in_place(self) -> None:
        """Raises :class:`CampaignError` if the folder was moved since this log was opened.

        The records would go with it, and all other files would be made at its old place.
        """
        with writing(self._path):
            if not os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno())):
                raise OSError("another file has taken its place")

    def earlier(self) -> Iterator[Record]:
        """Yields the records of earlier runs in their order.

        Raises :class:`InputError` naming file and line if the log is corrupt.
        """
        return _records(self._path)

    def _check_not_lost(self) -> None:
        """Raises :class:`InputError` if results are there, but not the records of them.

        Nothing is changed then, so that the records can still be searched for.
        """
        first = next(_split(self._path), None) if self._path.exists() else None
        if first is not None and not _is_torn(first[1]):
            return
        folder = self._path.parent
        left = [folder / name for name in ("resolved.json", "weights", "checkpoints")]
        left = [path for path in left if path.is_file() or (path.is_dir() and any(path.iterdir()))]
        if not left:
            return
        size = self._path.stat().st_size if self._path.exists() else 0
        seen = "is empty" if not size else f"has no record, but {size:,} bytes of something else"
        raise InputError(
            f"{self._path}: {seen if self._path.exists() else 'is not there'}, although an earlier "
            f"run has left {', '.join(path.name for path in left)}: its records are lost. Put them "
            f"back, for example from a backup; to begin anew, delete {folder.name}/"
            f"{{{','.join(path.name for path in (self._path, *left))}}}"
        )

    def _repair(self) -> None:
        start, last, end = 0, b"", 0
        for start, last in _split(self._path):
            end = start + len(last)
        if last and _is_torn(last):
            with open(self._path, "rb") as file:
                file.seek(start)
                torn = file.read()
            beside = self._path.with_suffix(".torn")
            with writing(beside), open(open_to_append(beside), "ab") as aside:
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
        number: the number of the line, from 1.
        size: its size in bytes, including the line end.
        record: its record; None if the line is not a record.
        fault: the reason why it is not a record.
        torn: whether it is the last line and not JSON, as after a crash.
    """

    number: int
    size: int
    record: Record | None
    fault: str
    torn: bool


def read_lines(path: Path) -> Iterator[Line]:
    """Yields every line of a log and checks each line separately."""
    corrupt: Line | None = None  # torn, if it is the last line
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
    """Yields the position and the text of each line, without empty lines at the end."""
    start = number = 0
    empty = range(0)  # the positions of empty lines, which may be at the end
    with in_file(path):
        try:
            file = open_to_read(path)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}") from None
    with file:
        while line := file.readline(LONGEST + 1):
            number += 1
            if len(line) > LONGEST:
                raise InputError(
                    f"{path}:{number}: is corrupt: the line is longer than {LONGEST:,} bytes"
                )
            here, start = start, start + len(line)
            if text := line.rstrip(b"\n"):
                yield from ((position, b"") for position in empty)
                yield here, text
                empty = range(0)
            else:
                empty = range(empty.start if empty else here, start)


def _is_torn(line: bytes) -> bool:
    try:
        parse_json(line)
    except ValueError:
        return True
    return False


def _records(path: Path) -> Iterator[Record]:
    """Yields the records without a torn last line."""
    for line in read_lines(path):
        if line.record is not None:
            yield line.record
        elif not line.torn:
            raise InputError(line.fault)


def _checked(record: Record, where: str, first: bool) -> Record:
    """Returns the record if it is allowed at this place."""
    if first != isinstance(record, Header):
        raise InputError(f"{where}: the first record, and no other, must be of type campaign")
    if isinstance(record, Header) and record.schema_version not in READABLE:
        raise InputError(
            f"{where}: schema: this program reads schema {' and '.join(map(str, READABLE))}, got "
            f"{record.schema_version!r}; finish it with the version that resolved.json names, or "
            "start a campaign in another folder"
        )
    return record
