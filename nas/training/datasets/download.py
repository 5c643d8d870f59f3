"""Finds the official files of data sets, in a folder of the user or by a verified download."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import md5
from pathlib import Path

import pooch

from nas.errors import InputError
from nas.files import at_home

_OFFLINE = ContextVar("offline", default=False)


@contextmanager
def offline() -> Iterator[None]:
    """Makes :func:`official` refuse to download; files that were downloaded before are read."""
    token = _OFFLINE.set(True)
    try:
        yield
    finally:
        _OFFLINE.reset(token)


def official(
    root: str | None, name: str, bases: Sequence[str], files: Mapping[str, str]
) -> list[Path]:
    """Returns the paths of a data set's files.

    Args:
        root: the folder that holds the files; None is the user's cache, to which missing files are
            downloaded with progress, under a temporary name first.
        name: the name of the data set in the cache.
        bases: the addresses to try, one after the other.
        files: the MD5 checksums of the official files by name.

    The checksum of a file in ``root`` is not verified, because it may be the user's own sample.
    Raises :class:`InputError` naming the file, or the addresses and their errors.
    """
    if root is not None:
        return [at_home(root) / file for file in files]
    folder = Path(pooch.os_cache("nas")) / name
    return [_downloaded(folder, bases, file, checksum) for file, checksum in files.items()]


def _downloaded(folder: Path, bases: Sequence[str], file: str, checksum: str) -> Path:
    path = folder / file
    if path.exists() and md5(path.read_bytes(), usedforsecurity=False).hexdigest() != checksum:
        raise InputError(
            f"{path}: is not the official file: its MD5 is not {checksum}; delete it to have it "
            "downloaded again, or give the folder of your own files as root"
        )
    if _OFFLINE.get() and not path.exists():
        raise InputError(f"{path}: is not there, and this command downloads nothing")
    faults = []
    for base in bases:
        try:
            downloader = pooch.HTTPDownloader(progressbar=True, timeout=30)
            pooch.retrieve(base + file, f"md5:{checksum}", file, folder, downloader=downloader)
        except (OSError, ValueError) as error:  # requests' errors are of OSError
            faults.append(f"{base}{file}: {error}")
        else:
            return path
    raise InputError(
        f"{file}: cannot be downloaded to {folder}:\n  " + "\n  ".join(faults) + "\nWithout a "
        f"network, put the official files into a folder and give it as root: {file}"
    )
