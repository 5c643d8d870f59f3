"""docs/training.md names all that a data set, a recipe and a transformation may be told."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.configuration import defaults
from nas.training.augmentation import TRANSFORMATIONS
from nas.training.datasets import DATASETS
from nas.training.presets import PRESETS
from nas.training.recipe import Recipe

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def table(title: str) -> dict[str, str]:
    """The second cell of every row of a table, by each of the names in the first."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(f"| {title} |")
    rows = [line.split("|")[1:] for line in rest.partition("\n\n")[0].splitlines()[2:]]
    return {name: row[1] for row in rows for name in re.findall(r"`(\w+)`", row[0])}


def options(function: Callable[..., Any]) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def test_recipes() -> None:
    told = table("key | default")
    assert list(told) == list(Recipe.model_fields)
    for name, field in Recipe.model_fields.items():
        if field.is_required():
            assert not told[name].strip(), name
        else:
            default = field.default
            shown = yaml.safe_load(told[name].strip(" `"))
            assert shown == (list(default) if isinstance(default, tuple) else default), name
    assert table("preset").keys() == PRESETS.keys()


def test_transformations() -> None:
    told = table("transformation")
    assert told.keys() == TRANSFORMATIONS.keys()
    for name, function in TRANSFORMATIONS.items():
        shown = dict(re.findall(r"`(\w+)(?:: ([^`]+))?`", told[name]))
        assert shown.keys() == options(function), name
        for option, default in defaults(function).items():
            expected = list(default) if isinstance(default, tuple) else default
            if not isinstance(expected, str):
                expected = pytest.approx(expected, abs=1e-3)
            assert yaml.safe_load(shown[option]) == expected, name


def test_data_sets() -> None:
    told = table("`name:`")
    assert told.keys() == DATASETS.keys()
    for name, function in DATASETS.items():
        assert {*re.findall(r"`(\w+):`", told[name])} == options(function) - {"resolution"}, name
