"""Lists the pictures in a folder, by one rule for files and folders at every depth."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_NOT_OURS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
"""Folders that operating systems and file servers make."""

_USUAL = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_OTHERS = (".apng", ".jpe", ".jfif", ".jp2", ".dib", ".avif", ".tga", ".pbm", ".pnm")

ENDINGS = frozenset(_USUAL + _OTHERS)
"""The endings of picture files, in small letters."""

_EXAMPLES = 3
"""How many files a note names."""


@dataclass
class LeftOut:
    """Counts the files that are not read, by the reason.

    Attributes:
        top: the folder at which the paths in messages start.
    """

    top: Path
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Path]] = field(default_factory=dict)

    def add(self, path: Path, reason: str) -> None:
        """Counts a file."""
        self.reasons[reason] += 1
        self.examples.setdefault(reason, []).append(path)

    def notes(self) -> Iterator[str]:
        """Yields one line per reason, with the number of files and the names of some."""
        for reason, count in self.reasons.items():
            named = sorted(shown(path, self.top) for path in self.examples[reason])
            more = f" and {count - _EXAMPLES} more" if count > _EXAMPLES else ""
            yield f"not read: {', '.join(named[:_EXAMPLES])}{more}: {reason}"


def folders(place: Path) -> list[Path]:
    """Returns the sub-folders that can hold pictures, in the order of their names."""
    return sorted(path for path in place.iterdir() if path.is_dir() and not is_hidden(path))


def pictures(place: Path, left_out: LeftOut, deep: bool = True) -> list[Path]:
    """Returns the picture files in a folder and the folders in it, in the order of their paths.

    Hidden files and folders, and folders that operating systems make, are skipped without a word.
    Links are followed. Everything else that is no picture is counted in ``left_out``: files with
    other endings, links that lead nowhere, and links to a folder that holds them.

    Args:
        place: the folder.
        left_out: counts what is not read.
        deep: whether to look into sub-folders.
    """

    def walk(folder: Path, above: frozenset[str]) -> Iterator[Path]:
        for path in folder.iterdir():
            if is_hidden(path):
                continue
            if path.is_dir():
                real = os.path.realpath(path)
                if not deep:
                    continue
                if real in above:
                    left_out.add(path, "a link to a folder that holds it")
                else:
                    yield from walk(path, above | {real})
            elif not path.is_file():
                left_out.add(path, "a link that leads nowhere" if path.is_symlink() else "no file")
            elif path.suffix.lower() in ENDINGS:
                yield path
            else:
                ending = shown(path.suffix.lower()) or "nothing"
                left_out.add(path, f"the name ends in {ending}, which is no kind of picture")

    return sorted(walk(place, frozenset({os.path.realpath(place)})))


def is_hidden(path: Path) -> bool:
    """Tells if a file or a folder is hidden, or made by an operating system."""
    return path.name.startswith(".") or path.name in _NOT_OURS


def shown(path: Path | str, top: Path | None = None) -> str:
    """Writes a path, or a name, as text that any file and terminal can hold.

    Names of files are bytes, and not all of them are UTF-8: such bytes are written as ``\\xe9``.
    """
    inner = os.path.relpath(path, top) if top is not None else path
    return os.fsencode(inner).decode("utf-8", "backslashreplace")
