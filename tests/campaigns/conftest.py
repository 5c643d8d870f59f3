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
    import nas.campaigns.engines.tune  # noqa: F401 - its settings, before ray reads them

    import ray  # isort: skip

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
