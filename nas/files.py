"""Files that are whole or not there, on disks that may be full."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nas.errors import CampaignError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises :class:`CampaignError` that names ``path`` where the file cannot be written."""
    try:
        yield
    except OSError as error:
        raise CampaignError(
            f"{path}: cannot be written: {error.strerror or error}; "
            "what was written before is safe: mend that and run it again"
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Puts ``content`` in place of what is there; a crash leaves the one or the other."""
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
