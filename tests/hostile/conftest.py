"""What several files here begin with."""

import shutil
from pathlib import Path

import pytest

from nas.campaigns.drive.run import run
from tests.campaigns.toy import HERE, write


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that has ended."""
    folder = write(tmp_path_factory.mktemp("finished") / "c")
    run(folder, evaluator=f"{HERE}:evaluate")
    return folder


@pytest.fixture
def campaign(finished: Path, tmp_path: Path) -> Path:
    """A copy of the campaign that has ended."""
    return shutil.copytree(finished, tmp_path / "c")
