"""Spaces that a user writes in Python: ``package.module:function`` or ``path/to/file.py:function``.

The function takes ``choose``, asks it wherever the architecture may vary, and returns the
architecture. It may return a function that builds the architecture instead; drawing and mutating
are then quicker, because they do not build. If it has the keyword-only arguments ``input_shape``
and ``classes``, they are given; its other keyword-only arguments are options, like the keys of a
space file. If it has an attribute ``members``, these are genotypes by name, as in a space file.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas.architecture.graph import Architecture
from nas.architecture.operations import ArchitectureError, Shape
from nas.configuration import validate_options
from nas.errors import InputError, in_file
from nas.registry import load
from nas.spaces.choices import Choose, Genotype, Infeasible
from nas.spaces.search_space import SearchSpace
from nas.user_code import is_file, sources


def python_space(
    name: str, input_shape: Shape, classes: int, overrides: Mapping[str, Any]
) -> SearchSpace:
    """Return the space that a function describes.

    Raises:
        InputError: naming the line, if the function, what it asks or what it returns is wrong. Any
            other exception in the function is a bug; it keeps its traceback, with a note that says
            where in the space it happened.
    """
    function = load(name, f"space {name}")
    label = _label(name)
    arguments = _arguments(
        function, label, {"input_shape": input_shape, "classes": classes}, overrides
    )
    asked = _Asked(function, arguments, label, {str(each) for each in sources(name)})
    return SearchSpace(asked, label, _members(function, label))


def definition(name: str) -> dict[str, str]:
    """Return the name of a space and a checksum of its source file, which tell versions apart."""
    return {"python": _label(name), "source": next(iter(sources(name).values()), "")}


def _members(function: Callable[..., Any], label: str) -> Mapping[str, Genotype]:
    members: Any = getattr(function, "members", {})
    if not isinstance(members, Mapping) or not all(
        isinstance(name, str) and isinstance(genotype, Mapping)
        for name, genotype in members.items()
    ):
        raise InputError(
            f"space {label}: its attribute members must be a mapping of names to genotypes, "
            f"got {members!r}"
        )
    return members


def _label(name: str) -> str:
    """Return the name without the folder of a file."""
    return Path(name).name if is_file(name) else name


class _Asked:
    """Calls a user's function and reports its mistakes with their place."""

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Mapping[str, Any],
        label: str,
        files: set[str],
    ) -> None:
        self.function = function
        self.arguments = arguments
        self.label = label
        self.files = files

    def __call__(self, choose: Choose) -> Architecture | Callable[[], Architecture]:
        genotype: Genotype = {}

        def noted(name: str, options: Any, **about: Any) -> Any:
            genotype[name] = None  # names the last choice if asking it fails
            try:
                genotype[name] = answer = choose(name, options, **about)
            except ValueError as error:
                if isinstance(error, InputError):
                    raise
                raise InputError(f"{self._line()}{error}") from None
            return answer

        with self._telling(genotype):
            built = self.function(noted, **self.arguments)
        if isinstance(built, Architecture):
            return built
        if not callable(built):
            raise InputError(self._returned("returns", built))
        builder: Callable[[], Any] = built

        def build() -> Architecture:
            with self._telling(genotype):
                made = builder()
            if not isinstance(made, Architecture):
                raise InputError(self._returned("returns a function that returns", made))
            return made

        return build

    @contextmanager
    def _telling(self, genotype: Genotype) -> Iterator[None]:
        try:
            yield
        except ArchitectureError as error:
            place = self._line(error)
            raise InputError(f"{place}space {self.label}: {error} (answers: {genotype})") from error
        except Exception as error:
            if not isinstance(error, InputError | Infeasible):
                last = f", after choice {list(genotype)[-1]!r}" if genotype else ""
                error.add_note(f"raised by space {self.label}{last}; answers: {genotype}")
            raise

    def _line(self, error: BaseException | None = None) -> str:
        """Return the line of the user's code that is running or has raised: ``space.py:12: ``."""
        frames = traceback.extract_tb(error.__traceback__) if error else traceback.extract_stack()
        own = [frame for frame in frames if frame.filename in self.files]
        return f"{Path(own[-1].filename).name}:{own[-1].lineno}: " if own else ""

    def _returned(self, how: str, what: Any) -> str:
        return (
            f"space {self.label}: {how} a {type(what).__name__}; it must return an Architecture, "
            "which Builder.build makes, or a function of no arguments that returns one"
        )


def _arguments(
    function: Any, label: str, given: Mapping[str, Any], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the keyword arguments for a space's function; raise if it is not one."""
    if not callable(function):
        kind = type(function).__name__
        raise InputError(f"space {label}: must be a function, but is a {kind}")
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    free = [p for p in parameters if p.kind is not p.KEYWORD_ONLY and p.default is p.empty]
    options = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
    if [p.kind for p in free if p.kind is not p.VAR_KEYWORD] not in (
        [inspect.Parameter.POSITIONAL_OR_KEYWORD],
        [inspect.Parameter.POSITIONAL_ONLY],
    ):
        raise InputError(
            f"space {label}: must take one argument, choose, and options after a *, as in "
            f"`def space(choose, *, input_shape, classes)`; it takes "
            f"{signature}"
        )
    known = {name: value for name, value in given.items() if name in options}
    chosen = {**known, **overrides}
    missing = [n for n, p in options.items() if p.default is p.empty and n not in chosen]
    if missing:
        raise InputError(f"space {label}: needs the options {', '.join(missing)}")
    if overrides:
        with in_file(f"space {label}"):
            chosen = validate_options(function, chosen)
    return chosen | known
