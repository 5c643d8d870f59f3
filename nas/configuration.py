"""Reads YAML and checks it against types; one message says everything that is wrong.

Every file that a user writes (a campaign, a search space) passes through :func:`read_yaml` and
:func:`validate`. Every ``{name: ..., option: ...}`` in it passes through :func:`validate_options`,
which reads the allowed options and their types from the signature of the function or class that
they are for. So an option is declared once.
"""

import inspect
import json
import os
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, NoReturn, TypeVar, get_args, get_type_hints

import yaml
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

from nas.errors import InputError, KeyPath, readable
from nas.files import at_home, read_text
from nas.registry import unknown
from nas.user_code import absolute

Model = TypeVar("Model", bound=BaseModel)

DEEPEST = 50
"""How deep lists and mappings may be nested in YAML."""

MOST_VALUES = 10**6
"""How many values YAML text may hold, with every alias written out."""

LARGEST_OPTION = 2**32
"""The largest whole number that an option of a searcher, a space, a transformation, … may be."""

_DIGITS_READ = 80
"""The longest text of a whole number that is converted."""

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


class _Loader(yaml.SafeLoader):
    """Loads plain values by the core schema of YAML 1.2, and refuses keys that are given twice.

    ``016`` is sixteen and ``0o16`` is fourteen, ``1e-3`` is a number, ``1:30`` and dates are text.
    Only ``true`` and ``false`` are truth values. In addition to YAML 1.2, single underscores can
    separate digits: ``1_000``.
    """

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - as the base class has it

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._values = 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        """Reads a value, while it counts the values inside, with each alias written out.

        An alias is a few bytes that may stand for any number of values.
        """
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        before = self._values
        if tag := getattr(event, "tag", None):
            problem = f"could not determine a constructor for the tag {tag!r}: tags are refused"
            self._refuse(problem, event)
        if self._depth >= DEEPEST:
            self._refuse(f"lists and mappings are nested more than {DEEPEST} deep", event)
        self._depth += 1
        node = super().compose_node(parent, index)
        assert node is not None
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent):
            self._values += 1
            self._sizes[node] = self._values - before
        elif node in self._sizes:
            self._values += self._sizes[node]
        else:
            self._refuse(f"the alias *{event.anchor} stands inside of what it names", event)
        if self._values > MOST_VALUES:
            self._refuse(f"holds more than {MOST_VALUES:,} values, with aliases written out", event)
        return node

    @staticmethod
    def _refuse(problem: str, event: yaml.Event) -> NoReturn:
        mark: Any = event.start_mark  # by the library's types, it may be the mark of another parser
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            problem = None
            if not isinstance(key_node, yaml.ScalarNode):
                problem = "a key must be a single value"
            elif key_node.tag == "tag:yaml.org,2002:merge":
                problem = "merging with '<<' is not supported"
            elif (key := self.construct_object(key_node)) in seen:
                problem = f"key {key!r} is given twice"
            else:
                seen.add(key)
            if problem:
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> str:
        """Reads a single value; UTF-8 has no surrogates, and no name of a file can hold a NUL."""
        text: str = super().construct_scalar(node)
        if readable(text) != text or "\0" in text:
            raise yaml.MarkedYAMLError(
                problem=f"{text!r} holds a NUL, or a surrogate, which is no character",
                problem_mark=node.start_mark,
            )
        return text

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Reads a whole number of at most 64 bits."""
        text = self.construct_scalar(node).replace("_", "")
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        # Python refuses numbers with thousands of digits.
        value = int(text[2:] if base != 10 else text, base) if len(text) <= _DIGITS_READ else 2**64
        if not -(2**63) <= value < 2**64:
            shown = text if len(text) <= _DIGITS_READ else f"{text[:_DIGITS_READ]}..."
            raise yaml.MarkedYAMLError(
                problem=f"whole numbers must be from -2**63 to 2**64 - 1, got {shown}",
                problem_mark=node.start_mark,
            )
        return value

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """Reads a number, including ``.inf`` and ``.nan``."""
        text = self.construct_scalar(node).replace("_", "").lower()
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_DIGITS = "[0-9]+(_[0-9]+)*"
_SCALARS = {
    "null": ("~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": ("true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (f"[-+]?{_DIGITS}|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        rf"[-+]?(\.{_DIGITS}|{_DIGITS}(\.({_DIGITS})?)?)([eE][-+]?[0-9]+)?|"
        r"[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN",
        list("-+.0123456789"),
    ),
    "merge": ("<<", ["<"]),
}
for _type, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_type}", re.compile(f"^({_pattern})$"), _first
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def read_yaml(path: Path) -> Any:
    """Reads a YAML file; an :class:`InputError` names the file and the line."""
    return parse_yaml(read_text(path), path)


def parse_yaml(text: str, source: str | Path) -> Any:
    """Reads YAML text; an :class:`InputError` names ``source`` and the line."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else str(source)
        raise InputError(f"{where}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not valid YAML: {error}") from None


def section(text: str, option: str, key: str) -> dict[str, Any]:
    """Reads what a user gives on the command line for a section of YAML.

    Args:
        text: YAML in braces, the path of a YAML file, or else the value of ``key`` alone.
        option: the option of the command line, for messages.
        key: the key that a bare word stands for.
    """
    if text.lstrip().startswith("{"):
        found = parse_yaml(text, option)
    elif is_yaml(text):
        found = read_yaml(Path(text))
    else:
        found = {key: text}
    if not isinstance(found, dict):
        raise InputError(f"{source(text, option)}: must be a mapping of keys to values")
    return found


def is_yaml(text: str) -> bool:
    """Tells if a text is the path of a YAML file."""
    return text.endswith((".yaml", ".yml"))


def source(text: str, option: str) -> str:
    """Returns the place of a section in messages: its YAML file, or the option that holds it."""
    return text if is_yaml(text) else option


def start(text: str) -> Path:
    """Returns the folder at which the relative paths in a section start: that of its YAML file."""
    return Path(text).parent if is_yaml(text) else Path()


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
