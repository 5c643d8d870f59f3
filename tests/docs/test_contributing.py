"""CONTRIBUTING.md names files, registries and make targets that exist, and every folder."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_file_and_folder_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:nas|tests|docs|search_spaces)/[\w./]*)`", TEXT))
    assert len(named) > 30
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_registry_that_is_named_is_in_its_file() -> None:
    named = re.findall(r"`([A-Z]{4,})`\s+in\s+`([\w./]+)`", TEXT)
    assert len(named) > 8
    for registry, path in named:
        assert re.search(rf"^{registry}\b", (ROOT / path).read_text(), re.MULTILINE), registry


def test_every_folder_is_named() -> None:
    folders = {
        path.name
        for path in (ROOT / "nas").iterdir()
        if (path / "__init__.py").exists() and path.name != "__pycache__"
    }
    assert {folder for folder in folders if f"`nas/{folder}`" not in TEXT} == set()


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z-]+)", TEXT):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
