"""Compares the memory that something will need with the memory that there is."""

from __future__ import annotations

import gzip
import os
import zipfile
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from nas.errors import InputError

_CGROUP = Path("/sys/fs/cgroup")
_PART = 2**24


class TooLarge(InputError, MemoryError):
    """Something needs more memory than there is."""


def available() -> int:
    """Returns the bytes of memory that this process can still get.

    That is the least of what the machine has left and of the limit of the container.
    """
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    found += [1024 * held for held in _fields(Path("/proc/meminfo"), "MemAvailable:")]
    for limit, used in (
        ("memory.max", "anon"),  # version 2 of control groups
        ("memory/memory.limit_in_bytes", "total_rss"),  # version 1
    ):
        try:
            most = int((_CGROUP / limit).read_text())
        except (OSError, ValueError):  # there is no limit
            continue
        found.append(most - sum(_fields((_CGROUP / limit).with_name("memory.stat"), used)))
    return max(min(found), 0)


def check_memory(needed: int, what: str, way_out: str = "") -> None:
    """Raises :class:`TooLarge` with both numbers if ``needed`` bytes are not available."""
    if needed > (left := available()):
        raise TooLarge(
            f"{what} need about {needed / 1e9:,.1f} GB of memory, and {left / 1e9:,.1f} GB are "
            f"available{way_out and f': {way_out}'}"
        )


def gunzipped(content: bytes, what: str) -> bytes:
    """Unpacks gzip; raises :class:`TooLarge` before what is inside takes the memory.

    Raises OSError, EOFError or zlib.error if it is damaged.
    """
    parts, size = [], 0
    with gzip.GzipFile(fileobj=BytesIO(content)) as file:
        while part := file.read(_PART):
            size += len(part)
            check_memory(size, what)  # as much again, to join the parts
            parts.append(part)
    return b"".join(parts)


def check_unpacked(file: BinaryIO, what: str) -> None:
    """Raises :class:`TooLarge` if what is in a ZIP archive, as it says itself, is too large."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            check_memory(sum(each.file_size for each in archive.infolist()), what)


def _fields(file: Path, name: str) -> list[int]:
    try:
        lines = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return []
    return [int(words[1]) for words in lines if words and words[0] == name]
