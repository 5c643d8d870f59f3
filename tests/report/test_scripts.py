"""The scripts of the pages are checked by TypeScript, where node can get it."""

import shutil
import subprocess
from pathlib import Path

import pytest

TSC = ("--yes", "--package", "typescript@5.9.3", "tsc", "--project")


def test_the_types_of_the_scripts_fit_and_nothing_is_unused() -> None:
    npx = shutil.which("npx")
    if npx is None:
        pytest.skip("node is missing")
    command = [npx, *TSC, str(Path(__file__).parent / "jsconfig.json")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        pytest.skip("TypeScript cannot be downloaded")
    if done.returncode and "npm error" in done.stderr:
        pytest.skip(f"TypeScript cannot be downloaded: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stdout
