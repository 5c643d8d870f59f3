import os

import pytest

from nas.training import hardware


@pytest.mark.parametrize(
    ("cores", "all_cores", "load", "expected"),
    [
        (8, 8, 0.2, 8),
        (8, 8, 3.1, 5),
        (2, 2, 1.0, 1),
        (2, 2, 22.0, 1),
        (1, 1, 0.0, 1),
        (4, 64, 1.0, 4),  # four of sixty-four, of which one is busy somewhere
        (4, 64, 32.0, 2),
        (4, 64, 64.0, 1),
    ],
)
def test_a_training_leaves_busy_cores_to_others(
    monkeypatch: pytest.MonkeyPatch, cores: int, all_cores: int, load: float, expected: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(hardware, "cores", lambda: cores)
    monkeypatch.setattr(os, "cpu_count", lambda: all_cores)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    assert hardware.free_cores() == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("3", 3), ("16", 16), ("4,2", 4), (" 2 ", 2), ("0", 1), ("many", 1), ("-1", 1), ("", 1)],
)
def test_omp_num_threads_decides_if_it_is_a_number(
    monkeypatch: pytest.MonkeyPatch, asked: str, expected: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(hardware, "cores", lambda: 2)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (9.0, 0.0, 0.0))
    assert hardware.free_cores() == expected
