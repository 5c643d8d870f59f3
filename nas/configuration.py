"""Checks plain values against types; one message says everything that is wrong.

Every file that a user writes (a campaign, a search space) passes through :mod:`nas.yaml_files` and
:func:`validate`. Every ``{name: ..., option: ...}`` in it passes through :func:`validate_options`,
which reads the allowed options and their types from the signature of the function or class that
they are for. So an option is declared once.
"""

import inspect
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Tag,
    ValidationError,
    ValidationInfo,
    create_model,
    model_validator,
)
from pydantic_core import ErrorDetails

from nas.errors import InputError, KeyPath
from nas.files import at_home
from nas.registry import unknown
from nas.user_code import absolute

Model = TypeVar("Model", bound=BaseModel)

LARGEST_OPTION = 2**32
"""The largest whole number that an option of a searcher, a space, a transformation, … may be."""

_SHOWN = 60
"""How many characters of a list or a mapping a message shows."""


class Config(BaseModel):
    """The base of all configuration models: frozen, without unknown keys or silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    absent: ClassVar[str] = ""
    """Why this model lacks keys that other models have, for messages."""


def _from_its_folder(name: str, info: ValidationInfo) -> str:
    return absolute(name, (info.context or {}).get("folder", Path()))


Name = Annotated[str, AfterValidator(_from_its_folder)]
"""A name in which the path of a user's file becomes absolute, so that every process finds it."""


def _place_from_its_folder(path: str, info: ValidationInfo) -> str:
    folder: Path = (info.context or {}).get("folder", Path())
    return os.path.abspath(folder / at_home(path))


Place = Annotated[str, AfterValidator(_place_from_its_folder)]
"""The path of a file or folder, which becomes absolute: it starts at the folder of the file that
holds it, or, on the command line, at the current folder."""


def several(given: Any) -> Any:
    """Takes a bare value for a list of one, before a list is validated."""
    return tuple(given) if isinstance(given, list) else (given,)


def keyed(given: Any, key: str = "name", keys: str = "keys to values") -> Mapping[str, Any]:
    """Takes a bare text for a mapping with this key alone, before a mapping is validated."""
    if isinstance(given, str):
        return {key: given}
    if not isinstance(given, Mapping):
        raise InputError(f"must be a {key}, or a mapping of {keys}")
    return given


class Named(Config):
    """A name with its options: ``{name: nin, width: 0.5}``, or the bare name."""

    model_config = ConfigDict(extra="allow")

    name: Name

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, given: Any) -> Any:
        return keyed(given, "name", "name and options")

    @property
    def options(self) -> dict[str, Any]:
        """Returns all keys except the name."""
        return dict(self.model_extra or {})


def validate(model: type[Model], data: Any, folder: Path | None = None) -> Model:
    """Makes a ``model`` of plain values.

    Args:
        model: the type that the data must have.
        data: plain values, as YAML and JSON contain them.
        folder: the folder at which relative paths of users' files (``file.py:NAME``) start; by
            default the current folder.

    Raises :class:`InputError` with the key path of each mistake.
    """
    if not isinstance(data, Mapping):
        raise InputError(
            f"must be a mapping of keys to values, got {_shown(data)}; "
            f"allowed keys: {', '.join(model.model_fields)}"
        )
    try:
        text = json.dumps(data)
    except (TypeError, ValueError) as error:
        raise InputError(f"holds a value that is not plain: {error}") from None
    try:
        # JSON mode is strict about types, but accepts a list for a tuple.
        return model.model_validate_json(text, context={"folder": folder or Path()})
    except ValidationError as error:
        problems = error.errors()
        raise InputError.of(
            (_key_path(problem), _message(model, problem))
            for problem in problems
            # A list can be too short only because pydantic leaves out its wrong items.
            if problem["type"] != "too_short" or not any(_inside(p, problem) for p in problems)
        ) from None


def _key_path(problem: ErrorDetails) -> KeyPath:
    """Returns the keys of a problem, without tags of unions, with those of an InputError."""
    error = problem.get("ctx", {}).get("error")
    inner = error.problems[0][0] if isinstance(error, InputError) else ()
    return (*(part for part in problem["loc"] if not str(part).startswith("<")), *inner)


def _inside(inner: ErrorDetails, outer: ErrorDetails) -> bool:
    depth = len(outer["loc"])
    return len(inner["loc"]) > depth and inner["loc"][:depth] == outer["loc"]


def _message(model: type[BaseModel], problem: ErrorDetails) -> str:
    """Makes the message of a problem: what is wrong, and with which value."""
    *parents, key = problem["loc"] or ("",)
    if problem["type"] == "extra_forbidden":
        found = _model_at(model, parents)
        why = getattr(found, "absent", "")
        return unknown("key", key, list(found.model_fields)) + (f"; {why}" if why else "")
    error = problem.get("ctx", {}).get("error")
    message = problem["msg"].removeprefix("Value error, ")
    if isinstance(error, InputError):
        message = error.problems[0][1]
    if problem["type"] == "json_invalid":
        return f"holds a value that JSON cannot hold: {problem['ctx']['error']}"
    if problem["type"] == "missing" or " got " in message:
        return message
    if problem["type"] in ("model_type", "dict_type"):
        message = "must be a mapping of keys to values"
    message += f", got {_shown(problem['input'])}"
    if problem["type"] == "model_type":
        allowed = _model_at(model, list(problem["loc"])).model_fields
        message += f"; allowed keys: {', '.join(allowed)}"
    return message


def _shown(value: Any) -> str:
    """Writes a value for a message: lists and mappings as JSON, shortened if they are long."""
    if not isinstance(value, list | dict):
        return repr(value)
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _model_at(model: type[BaseModel], path: list[int | str]) -> type[BaseModel]:
    """Finds the model at a key path; positions in lists and keys of dicts are skipped."""
    annotation: Any = model
    for part in path:
        if (field := model.model_fields.get(str(part))) is not None:
            annotation = field.annotation
        model = next(_models_in(annotation, str(part)), model)
    return model


def _models_in(annotation: Any, tag: str) -> Iterator[type[BaseModel]]:
    """Yields the models in an annotation; in a union, only those with the tag, if it is one."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    tags = [each.tag for each in get_args(annotation)[1:] if isinstance(each, Tag)]
    if not (tags and tag.startswith("<") and tag not in tags):
        for inner in get_args(annotation):
            yield from _models_in(inner, tag)


def validate_options(
    function: Callable[..., Any], options: Mapping[str, Any], folder: Path | None = None
) -> dict[str, Any]:
    """Checks options against the keyword-only arguments in the signature of ``function``.

    Args:
        function: the function or class that takes the options.
        options: the options; those that are left out keep the defaults of the function.
        folder: the folder of users' files, see :func:`validate`.

    Returns the given options, in which lists have become tuples if the signature says so. Raises
    :class:`InputError` with the key path, the value and the allowed keys.
    """
    model = validate(_options_model(function), dict(options), folder)
    for name, value in options.items():
        if isinstance(value, int) and abs(value) > LARGEST_OPTION:
            raise InputError(f"must be at most {LARGEST_OPTION:,}, got {value}", name)
    return {name: getattr(model, name) for name in options}


@cache
def _options_model(function: Callable[..., Any]) -> type[Config]:
    called = function.__init__ if inspect.isclass(function) else function
    # An object that can be called, such as a partial, has its types at its method.
    typed: Any = called if inspect.isroutine(called) else type(called).__call__
    hints = get_type_hints(typed, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints.get(name, Any), ... if p.default is p.empty else p.default)
        for name, p in inspect.signature(called).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    }
    name = getattr(function, "__name__", type(function).__name__)
    return create_model(f"{name}_options", __base__=Config, **fields)


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Returns the defaults of the keyword-only arguments of ``function``."""
    parameters = inspect.signature(function).parameters.values()
    found = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    return {name: value for name, value in found.items() if value is not inspect.Parameter.empty}
