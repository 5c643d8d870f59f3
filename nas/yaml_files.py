"""Reads YAML as plain values, within limits; messages name the file and the line."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, NoReturn

import yaml

from nas.errors import InputError, readable
from nas.files import read_text

DEEPEST = 50
"""How deep lists and mappings may be nested in YAML."""

MOST_VALUES = 10**6
"""How many values YAML text may hold, with every alias written out."""

_DIGITS_READ = 80
"""The longest text of a whole number that is converted."""


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
