"""Official files: from a folder that the user has, or downloaded, and checked either way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import md5
from pathlib import Path

import pooch

from nas.errors import InputError


def official(
    root: str | None, name: str, bases: Sequence[str], files: Mapping[str, str]
) -> list[Path]:
    """The paths of a data set's files.

    Args:
        root: the folder that holds them; None: the user's cache, where what is missing is
            downloaded, with progress, to a temporary name first.
        name: of the data set, for the cache.
        bases: addresses to try, one after the other.
        files: MD5 checksums of the official files by name.

    A file in ``root`` is not held to its checksum: it may be a sample of one's own. Raises
    :class:`InputError` naming the file, or the address and what went wrong there.
    """
    if root is not None:
        return [Path(root).expanduser() / file for file in files]
    folder = Path(pooch.os_cache("nas")) / name
    return [_downloaded(folder, bases, file, checksum) for file, checksum in files.items()]


def _downloaded(folder: Path, bases: Sequence[str], file: str, checksum: str) -> Path:
    path = folder / file
    if path.exists() and md5(path.read_bytes(), usedforsecurity=False).hexdigest() != checksum:
        raise InputError(
            f"{path}: is not the official file: its MD5 is not {checksum}; delete it to have it "
            "downloaded again, or give the folder of your own files as root"
        )
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
