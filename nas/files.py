"""Writes files completely or not at all, also if the disk is full, and reads files up to a limit.

Everything that the package writes goes through this module, except ``run.log`` and the records,
which are appended to.
"""

import os
import re
import secrets
import shutil
import stat
import zipfile
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from io import BufferedReader
from pathlib import Path
from typing import Any

from nas.errors import CampaignError, InputError, in_file

LONGEST = 2**26
"""The largest size in bytes of a text file, and of a line of the records, that is read."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises :class:`CampaignError` that names ``path`` if the file cannot be written."""
    try:
        yield
    except OSError as error:
        raise CampaignError(
            f"{path}: cannot be written: {error.strerror or error}; "
            "earlier results are safe: solve this and run the command again"
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Replaces a file of a results folder; after a crash, the old or the new content is complete.

    The folder is made if it is missing. If the file is a link, the link is replaced, and the file
    that it points to stays as it is. See also :func:`subfolder`.

    Raises :class:`CampaignError` that names the file if it cannot be written.
    """
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        with _beside(path) as temporary:
            temporary.write_bytes(content)


def subfolder(folder: Path, name: str) -> Path:
    """Returns the path of a folder within a results folder, in which files will be written.

    Raises :class:`CampaignError` if it is a link, because what it points to is not ours.
    """
    path = folder / name
    with writing(path):
        if path.is_symlink():
            raise OSError(f"it is a link to {os.readlink(path)}, and links are not followed")
    return path


def write_output(path: Path, content: str | bytes) -> None:
    """Writes a file that the user has named, whole or not at all; text is written as UTF-8.

    A device or a pipe, such as ``/dev/stdout``, is written to directly.

    Raises :class:`CampaignError` that names the file if it cannot be written.
    """
    with output(path) as temporary:
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode())


@contextmanager
def output(path: Path) -> Iterator[Path]:
    """Yields where to write a file that the user has named, for libraries that open it themselves.

    What is yielded takes the place of ``path`` when the block ends without an exception. A link is
    followed, because the user has named it.

    Raises :class:`InputError` if the folder is missing, and :class:`CampaignError` that names the
    file if it cannot be written.
    """
    place = Path(os.path.realpath(path))
    if not place.parent.is_dir():
        raise InputError(f"{path}: No such file or directory: there is no folder {path.parent}")
    with writing(path):
        if is_special(path):
            yield path
        else:
            with _beside(place) as temporary:
                yield temporary


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """Yields a new folder to fill, which takes the place of ``path`` when the block ends.

    ``path`` must be missing or an empty folder, which stays the same folder: it may be a mount
    point, or the one in which a shell is. If the block raises an exception, nothing is left.

    Raises :class:`CampaignError` that names the folder if it cannot be written.
    """
    with writing(path):
        place = Path(os.path.realpath(path))
        parent = place if place.is_dir() else place.parent
        parent.mkdir(parents=True, exist_ok=True)
        temporary = parent / f".{place.name}.{secrets.token_hex(4)}.part"
        temporary.mkdir()
        try:
            yield temporary
            if parent == place:
                for made in temporary.iterdir():
                    made.replace(place / made.name)
            else:
                temporary.replace(place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Yields a new, empty file in the folder of ``path``, and then puts it in its place."""
    # The ending stays the same, because some libraries choose the format by it.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    # O_EXCL: it is a new file, and no link.
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def checksum(content: bytes, size: int = 16) -> str:
    """Returns the checksum of a file's content, in ``size`` bytes, by which changes are found."""
    return blake2b(content, digest_size=size).hexdigest()


def meant_for(path: Path) -> Path:
    """Returns the file that an incomplete one was meant for; other paths are returned unchanged.

    A process that is killed while it writes leaves an incomplete file.
    """
    return path.with_name(re.sub(r"^\.(.+)\.[0-9a-f]{8}\.part", r"\1", path.name))


def discard_incomplete(folder: Path, names: Container[str]) -> None:
    """Deletes what killed processes have left in a folder of files with these names.

    A link is not followed, and what cannot be deleted stays.
    """
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in folder.iterdir():
        whole = meant_for(path)
        if whole != path and whole.name in names and path.is_file() and not path.is_symlink():
            with suppress(OSError):
                path.unlink()


def read_text(path: Path) -> str:
    """Reads a text file of at most :data:`LONGEST` bytes.

    Raises :class:`InputError` that names the file if it cannot be read, is not a regular file, is
    too long or is not UTF-8.
    """
    with readable_file(path) as file:
        content = file.read(LONGEST + 1)
    with in_file(path):
        if len(content) > LONGEST:
            raise InputError(f"is longer than {LONGEST:,} bytes")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"is not UTF-8 text: {error.reason}") from None


def read_bytes(path: Path) -> bytes:
    """Reads a regular file of any size; an :class:`InputError` names one that cannot be read."""
    with readable_file(path) as file:
        return file.read()


@contextmanager
def readable_file(path: Path) -> Iterator[BufferedReader]:
    """Opens a regular file; an :class:`InputError` names one that cannot be read."""
    with in_file(path):
        try:
            with open_to_read(path) as file:
                yield file
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}") from None


def open_to_read(path: Path) -> BufferedReader:
    """Opens a file to read its bytes.

    Raises OSError if it cannot be read, and :class:`InputError` if it is not a regular file: a pipe
    would block, and a device may never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError("cannot be read: it is not a regular file")
    return open(descriptor, "rb")


def read_json(path: Path) -> Any:
    """Reads a JSON file; an :class:`InputError` names the file and says what is wrong."""
    with in_file(path):
        try:
            return parse_json(read_text(path))
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"is not JSON: {error}") from None


def parse_json(text: str | bytes) -> Any:
    """Reads JSON text.

    Unlike ``json.loads``, it refuses text that is nested more than 200 deep, which no later step
    could handle. Raises ValueError with the position of the fault.
    """
    from pydantic_core import from_json  # here, so that `nas --help` does not wait for it

    try:
        return from_json(text)
    except ValueError as error:
        known = str(error).replace(
            "recursion limit exceeded", "lists and objects nested too deeply"
        )
        raise ValueError(known) from None


def open_to_append(path: Path) -> int:
    """Opens a file of a results folder to append to it and returns its descriptor.

    Raises OSError if it is a link or not a regular file: nothing is written outside the folder, and
    a pipe would block.
    """
    if path.is_symlink():  # O_NOFOLLOW is for one that is made meanwhile
        raise OSError(f"it is a link to {os.readlink(path)}, and links are not followed")
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("it is not a regular file")
    return descriptor


def is_damaged(state: Path) -> bool:
    """Tells if a state that torch has saved, which is a ZIP archive, has a wrong checksum inside.

    The states of users' evaluators may have any other form; only whether they can be read is
    checked.
    """
    try:
        with open_to_read(state) as file:
            if file.read(2) != b"PK":
                return False
        with zipfile.ZipFile(state) as archive:
            return archive.testzip() is not None
    except Exception:  # a damaged archive may raise any exception
        return True


def at_home(path: str | Path) -> Path:
    """Returns a path in which ``~`` is replaced by the user's home.

    Unlike ``Path.expanduser``, it raises no error if the home is not known: the path then stays as
    it is, and whoever opens it says that there is no such file.
    """
    return Path(os.path.expanduser(path))


def is_special(path: Path) -> bool:
    """Tells if a path is that of a device or a pipe, which must not be replaced by a file."""
    if path.absolute().is_relative_to("/dev"):
        return True
    return path.exists() and not path.is_file() and not path.is_dir()


def sync(path: Path) -> None:
    """Writes a file, or a folder's list of files, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
