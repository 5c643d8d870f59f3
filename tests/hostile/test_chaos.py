"""A short form of :mod:`tests.chaos` and :mod:`tests.fuzz`."""

from tests.chaos import chaos
from tests.fuzz import READERS, fuzz


def test_random_faults_lose_nothing() -> None:
    assert chaos(12, seed=1).counts.total() == 12


def test_random_input_is_read_or_refused_with_a_message() -> None:
    counts = fuzz(len(READERS) * 12, seed=1)
    assert sum(counts["accepted"].values()) > 0
