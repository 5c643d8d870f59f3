"""What every test shares: repeatable hypothesis runs and the data beside the checkout."""

import os
from pathlib import Path

# Tests run side by side: one thread each is several times faster than each taking all cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("repeatable")


def pytest_xdist_auto_num_workers() -> int:
    """How many processes ``--numprocesses auto`` means: one more than there are cores.

    Tests of Ray, of signals and of time limits mostly wait.
    """
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of reference data next to the checkout; tests that need it are skipped without."""
    path = Path(__file__).parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no reference data at {path}")
    return path
