"""Defines the exceptions that the command line reports without a traceback."""

import reprlib
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

KeyPath = tuple[str | int, ...]
"""The path to a value in nested mappings and lists: ``("final", "classics", 0)``."""


class InputError(ValueError):
    """The user's input is wrong: a typo in YAML, an unknown name, a genotype of another space.

    The message is one or a few plain lines that name the file, the key or argument, the value
    and what is allowed. The command line prints it without a traceback and exits with code 2. Any
    other exception is a bug and keeps its traceback.

    The code that finds a mistake says what is wrong. The code that calls it says where: :func:`at`
    adds keys, and :func:`in_file` adds the file where the file is read.

    Args:
        message: what is wrong.
        keys: the path to the value, as far as the code that finds the mistake knows it.
    """

    def __init__(self, message: str = "", *keys: str | int) -> None:
        super().__init__(message)
        self.problems: list[tuple[KeyPath, str]] = [(keys, message)]
        self.file = ""

    @classmethod
    def of(cls, problems: Iterable[tuple[KeyPath, str]]) -> Self:
        """Makes one error of several problems, each with its key path."""
        error = cls()
        error.problems = list(problems)
        return error

    def __str__(self) -> str:
        places = ((self.file, ".".join(map(str, path)), what) for path, what in self.problems)
        return "\n".join(": ".join(filter(None, place)) for place in places)

    def add_keys(self, keys: KeyPath) -> None:
        """Puts keys in front of each key path; paths in an inner file become part of the text."""
        if self.file:
            self._enclose()
        self.problems = [((*keys, *path), what) for path, what in self.problems]

    def add_file(self, file: str) -> None:
        """Puts the name of a file in front, unless it is there already."""
        if self.file == file:
            return
        if self.file:
            self._enclose()
        self.file = file

    def _enclose(self) -> None:
        self.problems = [((), line) for line in str(self).splitlines()]
        self.file = ""


class CampaignError(RuntimeError):
    """A campaign cannot continue, although its input is valid and its records are safe.

    For example, the first trials have all failed, or the disk is full. This is neither bad input
    (:class:`InputError`) nor a bug. The message says what to do. The command line prints it
    without a traceback and exits with code 1.
    """


@contextmanager
def at(*keys: str | int) -> Iterator[None]:
    """Adds keys to an :class:`InputError` that is raised inside: the path to the wrong value."""
    try:
        yield
    except InputError as error:
        error.add_keys(keys)
        raise


@contextmanager
def in_file(file: Path | str) -> Iterator[None]:
    """Adds the name of a file, or of other input, to an :class:`InputError` raised inside."""
    try:
        yield
    except InputError as error:
        error.add_file(str(file))
        raise


_FAILURES = (Exception, SystemExit)
"""What the code of a user that makes a text may raise; SystemExit, because it may call sys.exit."""


def text_of(error: BaseException) -> str:
    """Returns the text of an exception; "" if the code that makes the text fails itself."""
    try:
        return str(error)
    except _FAILURES:
        return ""


def told(error: BaseException) -> str:
    """Returns the traceback of an exception of a user's code, as text that can be recorded."""
    try:
        return readable("".join(traceback.format_exception(error)))
    except _FAILURES:  # it has other parts that fail
        return f"{type(error).__name__}: its text cannot be made"


def shown(value: object) -> str:
    """Describes a value of a user's code for a message, shortened; its ``__repr__`` may fail."""
    try:
        return readable(reprlib.repr(value))
    except _FAILURES:
        return f"a value of type {type(value).__name__}"


def readable(text: str) -> str:
    """Replaces what UTF-8 cannot encode (lone surrogates) by escape sequences."""
    return text.encode("utf-8", "backslashreplace").decode()
