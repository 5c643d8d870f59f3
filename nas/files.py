"""Writes files completely or not at all, also if the disk is full."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nas.errors import CampaignError


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
    """Replaces a file by ``content``; after a crash, the old or the new content is complete."""
    temporary = path.with_name(f"{path.name}.part")
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink()
