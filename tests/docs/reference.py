"""Writes docs/reference.md from the code: ``python -m tests.docs.reference``.

The page lists the keys of campaign.yaml, of benchmark.yaml, of tables and of every family of space
files, the blocks, and the operations. Types, limits and defaults are those of the classes and
functions; meanings are the texts below their fields, or in the lists of their docstrings. Examples
are from the space files of this repository and from tests/docs/examples.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import BaseModel, PlainValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from nas.architecture import operations
from nas.architecture.operations import Operation
from nas.benchmark import config
from nas.blocks import BLOCKS
from nas.campaigns.spec.budget import Budget
from nas.campaigns.spec.contestants import Fit
from nas.campaigns.spec.early_stopping import EarlyStopping
from nas.campaigns.spec.engine import RayConfig
from nas.campaigns.spec.objectives import Objective
from nas.campaigns.spec.schema import Final, LookupFile, LookupFinal, TrainingFile
from nas.campaigns.spec.screening import Filter, Options, WarmStart
from nas.campaigns.spec.time_limit import TimeLimit
from nas.configuration import Named
from nas.evaluators import gradient, supernet
from nas.evaluators.base import ProxyOptions
from nas.evaluators.tables import TABLES
from nas.evaluators.tabular import TabularOptions
from nas.metrics import Metric
from nas.registry import Registry
from nas.searchers import SEARCHERS
from nas.spaces import spaces
from nas.spaces.constraints import Constraints, Latency
from nas.spaces.families.family import FAMILIES, Family
from nas.training.data import DataConfig
from nas.training.datasets import DATASETS
from nas.training.splitting import SplitConfig
from nas.yaml_files import read_yaml

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"
MY_SPACE = Path(__file__).parents[1] / "spaces" / "examples" / "my_space.yaml"
EXAMPLES = Path(__file__).parent / "examples"

INTRODUCTION = """\
# Reference

`python -m tests.docs.reference` writes this page from the code. It lists every key of
[campaign.yaml](#campaignyaml), [benchmark.yaml](#benchmarkyaml), [tables](#tables) and
[space files](#space-files), and the [blocks](#blocks) and [operations](#operations) of spaces.
A *name with options* is `NAME`, or `{name: NAME, option: value}`.
"""

CAMPAIGN = """\
## campaign.yaml

[campaigns.md](campaigns.md) explains searchers, budgets, the final stage and engines. The keys of
`recipe` are in [training.md](training.md#recipes).
"""

LOOKUP = """\
If the evaluator is `tabular`, nothing is trained: the campaign has none of the keys {lacking};
`final` has only {final}; and `engine` is `serial` or `simulated`.
"""

ENGINES = """\
`address` and `niceness` are keys of `ray` alone. An engine of your own has all other keys and its
own options.
"""

BENCHMARK = """\
## benchmark.yaml

[benchmarks.md](benchmarks.md) shows how to use it.
"""

TABLE = """\
## Tables

A description of a table has `name` and the options of this name:
"""

SPACES = """\
## Space files

[spaces.md](spaces.md) shows how to use them. These are the keys of every family:
"""

CAMPAIGN_PARTS: dict[str, type[BaseModel]] = {
    "objectives": Objective,
    "constraints": Constraints,
    "constraints.latency_ms": Latency,
    "budget": Budget,
    "time_limit": TimeLimit,
    "metrics": Metric,
    "data": DataConfig,
    "data.split": SplitConfig,
    "early_stopping": EarlyStopping,
    "final": Final,
    "final.classics.fit": Fit,
    "engine": RayConfig,
}
BENCHMARK_PARTS: dict[str, type[BaseModel]] = {
    "objectives": config.Objective,
    "budget": config.Budget,
    "faults": config.FaultRates,
}


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    return "\n".join([INTRODUCTION, *campaign(), *benchmark(), *space_files()]) + "\n"


def campaign() -> Iterator[str]:
    given = [read_yaml(EXAMPLES / "campaign.yaml")]
    yield CAMPAIGN
    yield keys(TrainingFile, given)
    lacking = [key for key in TrainingFile.model_fields if key not in LookupFile.model_fields]
    yield LOOKUP.format(lacking=listed(lacking), final=listed(LookupFinal.model_fields))
    for where, model in CAMPAIGN_PARTS.items():
        yield f"### `{where}` in campaign.yaml\n\n{first_line(model)}\n"
        yield keys(model, given, where)
    yield ENGINES
    yield "### Options of searchers\n"
    yield options_of(SEARCHERS)
    yield "### Options of searchers that name zero-cost proxies\n"
    yield keys(Options, [{"proxies": ["params", "nwot"]}])
    yield "### Keys of `warm_start` of a searcher\n"
    yield keys(WarmStart, [{"proxy": "synflow", "candidates": 500, "keep": 10, "batch": 32}])
    yield "### Keys of `filter` of a searcher\n"
    yield keys(Filter, [{"proxy": "synflow", "candidates": 10}])
    yield "### Options of data sets\n"
    yield options_of(DATASETS)
    yield "### Options of the evaluators `training` and `proxy`\n"
    yield keys(ProxyOptions, [{"proxies": ["synflow", "nwot"], "batch": 32}])
    yield "### Options of the evaluator `tabular`\n"
    yield keys(TabularOptions, [read_yaml(EXAMPLES / "evaluator.yaml")])
    for name, options in (("supernet", supernet.Options), ("gradient", gradient.Options)):
        yield f"### Options of the evaluator `{name}`\n"
        yield keys(options, [read_yaml(EXAMPLES / f"{name}.yaml")])


def benchmark() -> Iterator[str]:
    given = [read_yaml(EXAMPLES / "benchmark.yaml"), {"budget": {"seconds": 36000, "hours": 10}}]
    yield BENCHMARK
    yield keys(config.BenchmarkFile, given)
    for where, model in BENCHMARK_PARTS.items():
        yield f"### `{where}` in benchmark.yaml\n\n{first_line(model)}\n"
        yield keys(model, given, where)
    yield TABLE
    yield options_of(TABLES)


def space_files() -> Iterator[str]:
    files = [read_yaml(path) for path in [*spaces().values(), MY_SPACE]]
    yield SPACES
    yield keys(Family, files)
    for name in FAMILIES:
        family = FAMILIES[name]
        own = [file for file in files if file["family"] == name]
        used = [path.stem for path in spaces().values() if read_yaml(path)["family"] == name]
        yield f"## Family `{name}`\n"
        yield f"{first_line(family)} Used by {listed(used)}.\n"
        yield keys(family, own, left_out=[each for each in Family.model_fields if each != "family"])
        for where, part in nested(family):
            yield f"### `{where}` in `{name}`\n"
            yield f"{first_line(part)}\n"
            yield keys(part, own, where)
    yield "## Blocks\n"
    yield "| block | options with their defaults | effect |\n|---|---|---|"
    for name in BLOCKS:
        yield f"| `{name}` | {options(BLOCKS[name])} | {first_line(BLOCKS[name])} |"
    yield f"\n{BLOCK_NOTE}"
    yield f"## Operations\n\n{OPERATION_NOTE}"
    yield "| operation | attributes | effect |\n|---|---|---|"
    for each in sorted(kinds(), key=lambda each: each.kind):
        attributes = listed(field.name for field in fields(each))
        yield f"| `{each.kind}` | {attributes} | {first_line(each)} |"


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


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
    model: type[BaseModel], given: Sequence[Any], where: str = "", left_out: Sequence[str] = ()
) -> str:
    """The table of a model's keys.

    Args:
        model: the model.
        given: files from which examples are taken.
        where: the key path of the model in these files.
        left_out: keys that the table does not show.
    """
    lines = ["| key | type | default | meaning | example |", "|---|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if name in left_out or field.exclude:
            continue
        usual = plain(field.get_default(call_default_factory=True))
        auto = any(isinstance(each, PlainValidator) for each in field.metadata)
        usual = "auto" if auto else usual
        default = "required" if field.is_required() else f"`{usual}`"
        found = example(given, f"{where}.{name}" if where else name)
        shown = usual if found is None else found
        type_ = kind(
            Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        )
        lines.append(
            f"| `{name}` | {type_} | {default} | {meaning(model, name)} | `{shown}` |".replace(
                "\n", " "
            )
        )
    return "\n".join(lines) + "\n"


def options_of(registry: Registry) -> str:
    """The table of the options of all that a registry names; equal options share a row."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for name in registry:
        function = registry[name]
        called = function.__init__ if inspect.isclass(function) else function
        hints = get_type_hints(called, include_extras=True)
        for each in inspect.signature(called).parameters.values():
            if each.kind is each.KEYWORD_ONLY:
                required = each.default is each.empty
                default = "required" if required else f"`{plain(each.default)}`"
                row = (each.name, kind(hints[each.name]), default, meaning(function, each.name))
                rows.setdefault(row, []).append(name)
    lines = ["| option | of | type | default | meaning |", "|---|---|---|---|---|"]
    for (option, type_, default, text), names in rows.items():
        lines.append(f"| `{option}` | {listed(names)} | {type_} | {default} | {text} |")
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
        if any(isinstance(each, PlainValidator) for each in inner[1:]):
            return f"{kind(inner[0])} or `auto`".replace(" or `null`", "")
        bounds = ", ".join(filter(None, map(limits, inner[1:])))
        return f"{kind(inner[0])}{bounds and f' ({bounds})'}"
    if origin is Literal:
        return " or ".join(f"`{plain(each)}`" for each in inner)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(kind(each) for each in inner))
    if origin in (tuple, list):
        return f"list of {kind(inner[0])}"
    if origin is dict:
        return f"mapping of names to {kind(inner[1])}"
    if annotation is Named:
        return "name with options"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "mapping of the keys below" if annotation is not Constraints else "mapping"
    return WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def limits(metadata: Any) -> str:
    """What a field allows, in words; "" for metadata that is no limit."""
    if isinstance(metadata, FieldInfo):
        return ", ".join(filter(None, map(limits, metadata.metadata)))
    for name, words in (("ge", "at least"), ("gt", "over"), ("le", "at most"), ("lt", "under")):
        if (bound := getattr(metadata, name, None)) is not None:
            return f"{words} {bound:,}"
    return ""


WORDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    type(None): "`null`",
    Any: "any value",
}


def meaning(documented: Any, name: str) -> str:
    """The text about a field or an argument, of a class, of its bases, or of a function."""
    for each in getattr(documented, "__mro__", [documented]):
        found = texts(each).get(name, "")
        if found and not found.startswith("see "):
            return in_markdown(found[0].upper() + found[1:])
    return ""


@cache
def texts(documented: Any) -> dict[str, str]:
    """The texts below the fields of a class, and in the lists of a docstring, by name."""
    found: dict[str, str] = {}
    for section in re.findall(
        r"^(?:Args|Attributes):\n((?:    .*\n|\n)+)", f"{inspect.getdoc(documented) or ''}\n", re.M
    ):
        for names, text in re.findall(r"^    ([\w, ]+): ((?:.*\n)(?:     .*\n)*)", section, re.M):
            found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(documented)))
    except (OSError, TypeError):
        return found
    body = tree.body[0].body  # type: ignore[attr-defined]
    return found | {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def example(given: Sequence[Any], where: str) -> str | None:
    """The shortest value of a key in the first file that has it."""
    for data in given:
        if found := list(values(data, where.split("."))):
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
