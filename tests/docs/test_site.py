"""The documentation site is built without a warning and has every command and public name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import nas
from nas.cli import _parser
from tests.docs import site
from tests.docs.commands import ROOT


def test_the_site_is_built_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    site.pages(tmp_path / "site" / "pages")
    (tmp_path / "mkdocs.yml").write_text((ROOT / "mkdocs.yml").read_text())
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    surroundings = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    built = tmp_path / "site" / "html" / "docs"
    commands = (built / "commands.html").read_text()
    names = [name for name in _parser()._actions[-1].choices or () if name != "compare"]
    assert len(names) > 15
    assert [name for name in names if f'id="nas-{name}"' not in commands] == []
    python = (built / "python.html").read_text()
    assert [name for name in nas._PUBLIC if f'id="nas{name.lower()}"' not in python] == []
    assert (built / "report.html").read_text().startswith("<!doctype html>")
