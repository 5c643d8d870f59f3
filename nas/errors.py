"""The exceptions that the command line reports without a traceback."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

KeyPath = tuple[str | int, ...]
"""Where a value stands in nested mappings and lists: ``("final", "classics", 0)``."""


class InputError(ValueError):
    """Bad input: a YAML typo, an unknown name, a genotype of another space, a torn file.

    The message is one or a few plain lines that name the file, the key or argument, the value
    and what is allowed. The command line prints it without a traceback and exits with code 2;
    any other exception is a bug and keeps its traceback.

    Code that finds a mistake says what it is. The code around it says where: :func:`at` adds keys,
    and :func:`in_file` the file, once, where it is read.

    Args:
        message: what is wrong.
        keys: where, as far as the code that finds it knows.
    """

    def __init__(self, message: str = "", *keys: str | int) -> None:
        super().__init__(message)
        self.problems: list[tuple[KeyPath, str]] = [(keys, message)]
        self.file = ""

    @classmethod
    def of(cls, problems: Iterable[tuple[KeyPath, str]]) -> Self:
        """An error of several problems, each with its key path."""
        error = cls()
        error.problems = list(problems)
        return error

    def __str__(self) -> str:
        places = ((self.file, ".".join(map(str, path)), what) for path, what in self.problems)
        return "\n".join(": ".join(filter(None, place)) for place in places)

    def add_keys(self, keys: KeyPath) -> None:
        """Puts keys in front of each key path; those of an inner file become part of the text."""
        if self.file:
            self._enclose()
        self.problems = [((*keys, *path), what) for path, what in self.problems]

    def add_file(self, file: str) -> None:
        """Puts a file in front, unless it stands there already."""
        if self.file == file:
            return
        if self.file:
            self._enclose()
        self.file = file

    def _enclose(self) -> None:
        self.problems = [((), line) for line in str(self).splitlines()]
        self.file = ""


class CampaignError(RuntimeError):
    """A campaign cannot go on, though its input is well formed and its records are safe.

    Examples: the first trials all failed, or the disk is full. This is neither bad input
    (:class:`InputError`) nor a bug. The message says what to do. The command line prints it
    without a traceback and exits with code 1.
    """


@contextmanager
def at(*keys: str | int) -> Iterator[None]:
    """An :class:`InputError` that is raised inside is about the value at these keys."""
    try:
        yield
    except InputError as error:
        error.add_keys(keys)
        raise


@contextmanager
def in_file(file: Path | str) -> Iterator[None]:
    """An :class:`InputError` that is raised inside is about this file, or what else is read."""
    try:
        yield
    except InputError as error:
        error.add_file(str(file))
        raise
