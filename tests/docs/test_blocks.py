"""Blocks of Python and YAML in README.md and docs/ run, or are read as the program reads them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import nas
from nas.benchmark.config import BenchmarkFile
from nas.campaigns.spec.schema import LookupFile, TrainingFile
from nas.configuration import validate, validate_options
from nas.evaluators.tables import TABLES
from nas.jobs import names as named
from nas.yaml_files import read_yaml
from tests.docs.commands import PAGES, ROOT, prepare

NOT_RUN = {
    "docs/testing.md": "shows checks of a user's own parts; tests/extending runs them on real ones",
    "docs/networks.md load_state_dict(": "needs an export; see tests/jobs/test_taken_home.py",
}
"""Blocks of Python that do not run here, by page or by page and a word, and why."""

GIVEN: dict[str, dict[str, Any]] = {
    "docs/networks.md": {
        "Path": Path,
        "child": nas.classic("lenet5", width=2.0),
        "parent": nas.classic("lenet5"),
    },
    "docs/tasks.md": {
        "nas": nas,
        "network": nas.compile(nas.classic("lenet5", (1, 32, 32), 11)).eval(),
        "image": torch.randn(1, 80, 96),
    },
    "docs/spaces.md": {"nas": nas, "rng": np.random.default_rng(0)},
}
"""What the blocks of a page find, because its text speaks of it."""

CAMPAIGN: dict[str, Any] = {
    "space": "primitives", "searcher": "evolution", "data": "digits", "recipe": {"preset": "quick"},
    "budget": {"trials": 2},
}  # fmt: skip
"""What a campaign has that documents leave out."""


def blocks(language: str) -> Iterator[Any]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        name = page.relative_to(ROOT).as_posix()
        for match in re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 2
            yield pytest.param(name, match[1], id=f"{name}:{line}")


def pages() -> list[str]:
    return list(dict.fromkeys(param.values[0] for param in blocks("python")))


@pytest.mark.parametrize("page", pages())
def test_python(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path / "scratch")
    monkeypatch.chdir(tmp_path / "scratch")
    torch.save(nas.compile(nas.classic("resnet18")).state_dict(), "resnet18.pth")
    lenet = nas.classic("lenet5")
    Path("architecture.json").write_text(lenet.to_json())
    save_file(nas.compile(lenet).state_dict(), "weights.safetensors")
    seen = dict(GIVEN.get(page, {}))
    for param in blocks("python"):
        name, code = param.values
        told = [key for key in NOT_RUN if name == key.split()[0] and key.split()[-1] in name + code]
        if name == page and not told:
            exec(compile(code, str(param.id), "exec"), seen)


def test_what_is_not_run_is_shown() -> None:
    shown = [param.values for param in blocks("python")]
    for key in NOT_RUN:
        page, word = key.split()[0], key.split()[-1]
        assert any(page == name and word in name + code for name, code in shown), key


@pytest.mark.parametrize(("page", "text"), list(blocks("yaml")))
def test_yaml(page: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "shown.yaml"
    file.write_text(text)
    given = read_yaml(file)
    if "family" in given:
        nas.space(str(file), input_shape=(3, 32, 32), classes=10)
    elif "preset" in given:
        named.recipe(str(file))
    elif "key" in given:
        validate_options(TABLES[given.pop("name")], given)
    elif "table" in given:
        validate(BenchmarkFile, given)
    elif "tabular" in text:
        validate(LookupFile, given)
    else:
        validate(TrainingFile, CAMPAIGN | given)
