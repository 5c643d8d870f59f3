import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaigns import toy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A campaign that has not run."""
    return toy.write(tmp_path / "campaign")


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Ray with two slots: starting it takes longer than most tests."""
    from nas.campaigns.engines.cluster import local, scratch

    name = f"nas-tests{os.getpid()}"  # a run deletes what was left under its name
    with scratch(name) as place, local(2, place):
        yield
