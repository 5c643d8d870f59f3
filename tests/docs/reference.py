"""Writes docs/reference.md from the code: ``python -m tests.docs.reference``.

The page lists the keys of every family of space files, the blocks, and the operations. The types
and defaults are those of the classes, the meanings are the texts below the fields, and the examples
are from the space files of this repository.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined, to_jsonable_python

from nas.architecture import operations
from nas.architecture.operations import Operation
from nas.blocks import BLOCKS
from nas.configuration import read_yaml
from nas.spaces import spaces
from nas.spaces.constraints import Constraints
from nas.spaces.families.family import FAMILIES, Family

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"
EXAMPLES = Path(__file__).parents[1] / "spaces" / "examples" / "my_space.yaml"

INTRODUCTION = """\
# Reference of space files

`python -m tests.docs.reference` writes this page from the code. It lists every key of every family
of space files, the blocks that space files name, and the operations that blocks consist of.
[spaces.md](spaces.md) shows how to use them.

## Keys of every family
"""


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    parts = [INTRODUCTION, keys(Family, ())]
    for name in FAMILIES:
        family = FAMILIES[name]
        used = [path.stem for path in spaces().values() if read_yaml(path)["family"] == name]
        parts.append(f"## Family `{name}`\n")
        parts.append(f"{first_line(family)} Used by {', '.join(f'`{each}`' for each in used)}.\n")
        parts.append(keys(family, tuple(Family.model_fields)))
        for where, part in nested(family):
            parts.append(f"### `{where}` in `{name}`\n")
            parts.append(f"{first_line(part)}\n")
            parts.append(keys(part, (), where, name))
    parts += ["## Blocks\n", "| block | options with their defaults | effect |\n|---|---|---|"]
    parts += [
        f"| `{name}` | {options(BLOCKS[name])} | {first_line(BLOCKS[name])} |" for name in BLOCKS
    ]
    parts += [
        "",
        BLOCK_NOTE,
        "## Operations\n",
        OPERATION_NOTE,
        "| operation | attributes | effect |",
    ]
    parts.append("|---|---|---|")
    for each in sorted(kinds(), key=lambda each: each.kind):
        attributes = ", ".join(f"`{field.name}`" for field in fields(each))
        parts.append(f"| `{each.kind}` | {attributes} | {first_line(each)} |")
    return "\n".join(parts) + "\n"


BLOCK_NOTE = """\
`activation: null` leaves an activation out. So a convolution without activation is
`{block: conv, options: {activation: null}}` in the family `free_graph`, and
`{layer: conv, settings: {activation: null}}` in the family `staged`.
"""

OPERATION_NOTE = """\
The nodes of an architecture in JSON have these operations; in Python, the methods of `nas.Builder`
add them.
"""


def keys(
    model: type[BaseModel], left_out: tuple[str, ...], where: str = "", family: str = ""
) -> str:
    """The table of a model's keys."""
    family = family or str(get_args(model.model_fields["family"].annotation)[:1]).strip("(',)")
    lines = ["| key | type | default | meaning | example |", "|---|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if name in left_out and name != "family":
            continue
        usual = plain(field.get_default(call_default_factory=True))
        default = "required" if field.is_required() else f"`{usual}`"
        found = example(family, f"{where}.{name}" if where else name)
        shown = usual if found is None else found
        lines.append(
            f"| `{name}` | {kind(field.annotation)} | {default} | {meaning(model, name)} | "
            f"`{shown}` |".replace("\n", " ")
        )
    return "\n".join(lines) + "\n"


def nested(model: type[BaseModel], where: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """The models inside a model, by the key path where they are."""
    for name, field in model.model_fields.items():
        for inner in models(field.annotation):
            if name in Family.model_fields:
                continue
            path = f"{where}.{name}" if where else name
            yield path, inner
            yield from nested(inner, path)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models(inner)


def kind(annotation: Any) -> str:
    """A type in plain words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(inner[0])
    if origin is Literal:
        return " or ".join(f"`{plain(each)}`" for each in inner)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(kind(each) for each in inner))
    if origin is tuple:
        return f"list of {kind(inner[0])}"
    if origin is dict:
        return f"mapping of names to {kind(inner[1])}"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "mapping of the keys below" if annotation is not Constraints else "mapping"
    return WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


WORDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    type(None): "`null`",
    Any: "any value",
}


def meaning(model: type[BaseModel], name: str) -> str:
    """The text below a field of a class, or of one that it inherits from."""
    for each in model.__mro__:
        if name in (found := texts(each)):
            return in_markdown(found[name])
    return ""


@cache
def texts(model: type) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    except (OSError, TypeError):
        return {}
    body = tree.body[0].body  # type: ignore[attr-defined]
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def example(family: str, where: str) -> str | None:
    """The value of a key in the first space file of the family that has it."""
    for path in [*spaces().values(), EXAMPLES]:
        data = read_yaml(path)
        if family and data["family"] != family:
            continue
        found = list(values(data, where.split(".")))
        if found:
            return plain(min(found, key=lambda value: len(plain(value))))
    return None


def values(data: Any, path: list[str]) -> Iterator[Any]:
    """The values at a key path; positions in lists and names in mappings are passed over."""
    if not path:
        yield data
        return
    if isinstance(data, dict) and path[0] in data:
        yield from values(data[path[0]], path[1:])
    elif isinstance(data, dict | list):
        for inner in data.values() if isinstance(data, dict) else data:
            if isinstance(inner, dict | list):
                yield from values(inner, path)


def plain(value: Any) -> str:
    if value is PydanticUndefined:
        return ""
    given = to_jsonable_python(value, exclude_none=True)
    text = yaml.safe_dump(given, default_flow_style=True, width=1000, sort_keys=False)
    text = text.strip().removesuffix("...").strip()
    return text if len(text) <= 90 else f"{text[:85]} ..."


def options(block: Any) -> str:
    parameters = inspect.signature(block).parameters.values()
    found = [p for p in parameters if p.kind is p.KEYWORD_ONLY and "names" not in p.name]
    simple = (int, float, str, tuple, type(None))
    defaults = {p.name: plain(p.default) if isinstance(p.default, simple) else "..." for p in found}
    return ", ".join(f"`{name}: {default}`" for name, default in defaults.items())


def first_line(documented: Any) -> str:
    paragraph = (inspect.getdoc(documented) or "").partition("\n\n")[0]
    return in_markdown(" ".join(paragraph.split()))


def in_markdown(text: str) -> str:
    """Text of a docstring with the marks of Markdown."""
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")


def kinds() -> list[type[Operation]]:
    found: list[type[Operation]] = []
    waiting = [Operation]
    while waiting:
        for each in waiting.pop().__subclasses__():
            waiting.append(each)
            if getattr(each, "kind", None) and not inspect.isabstract(each) and each not in found:
                found.append(each)
    return [each for each in found if each.__module__.startswith(operations.__name__)]


if __name__ == "__main__":
    main()
